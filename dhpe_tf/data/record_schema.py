"""The fields of a record, with types and defaults, as tf.train.Example and as schema.pbtxt."""
from collections.abc import Mapping
from typing import NamedTuple, Optional, Union

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from dhpe_tf.errors import UserError


class Field(NamedTuple):
  """One feature of a record.

  Attributes:
    kind: 'bytes', 'float' or 'int', as in tf.train.Feature.
    shape: of the values; () for a single value.
    default: the value where a record leaves the field out; None if the field is required.
    about: meaning, unit and axes.
    choices: the texts that a field of kind 'bytes' may hold; empty for any.
    is_picture: whether a field of kind 'bytes' holds an encoded picture or nothing.
    limits: smallest and largest value of a field of numbers; None for all that float32 or, of kind 'int', 32 bits hold.
  """

  kind: str
  shape: tuple
  default: Optional[object]
  about: str
  choices: tuple[str, ...] = ()
  is_picture: bool = False
  limits: Optional[tuple[float, float]] = None

  @property
  def is_limited(self) -> bool:
    """Whether the field has a range or choices, as all fields of numbers have."""
    return self.kind != 'bytes' or bool(self.choices)

  @property
  def range(self) -> tuple[float, float]:
    """Smallest and largest value of a field of numbers."""
    return self.limits or _RANGES[self.kind]


_RANGES = {'float': (-float(np.finfo(np.float32).max), float(np.finfo(np.float32).max)), 'int': (-2**31, 2**31 - 1)}
_SCHEMA_TYPES = {'bytes': schema_pb2.BYTES, 'float': schema_pb2.FLOAT, 'int': schema_pb2.INT}
_DTYPES = {schema_pb2.BYTES: tf.string, schema_pb2.FLOAT: tf.float32, schema_pb2.INT: tf.int64}


class RecordSchema:
  """The definition of a record that writers, readers and schema.pbtxt share.

  Attributes:
    fields: `Field` by name.
    name_field: the field that identifies a record in error messages.
  """

  def __init__(self, fields: Mapping[str, Field], name_field: str):
    self.fields = dict(fields)
    self.name_field = name_field

  @property
  def pictures(self) -> tuple[str, ...]:
    """Names of the fields that hold pictures."""
    return tuple(name for name, field in self.fields.items() if field.is_picture)

  def to_proto(self) -> schema_pb2.Schema:
    """Returns the schema as a tensorflow_metadata message."""
    result = schema_pb2.Schema()
    for name, field in self.fields.items():
      feature = result.feature.add(name=name, type=_SCHEMA_TYPES[field.kind])
      feature.annotation.comment.append(field.about)
      feature.presence.min_count = 1
      feature.presence.min_fraction = 1.0 if field.default is None else 0.0
      feature.shape.SetInParent()
      for size in field.shape:
        feature.shape.dim.add(size=size)
    return result

  def to_text(self) -> str:
    """Returns the schema as the text of schema.pbtxt."""
    return text_format.MessageToString(self.to_proto())

  def parse_spec(self, text: str, place: str) -> dict[str, tf.io.FixedLenFeature]:
    """Returns the specification by which tf.io parses records written under a schema on disk.

    Args:
      text: content of schema.pbtxt.
      place: its path, for errors.

    Returns:
      Features by name; optional fields have defaults.

    Raises:
      UserError: `text` is not a schema, lacks a required field, or has a field in another type or shape.
    """
    try:
      found = text_format.Parse(text, schema_pb2.Schema())
    except text_format.ParseError as error:
      raise UserError(f'{place} is not a schema ({error}); convert the data again') from error
    features = {feature.name: feature for feature in found.feature}
    spec = {}
    for name, field in self.fields.items():
      if name not in features and field.default is not None:
        spec[name] = _default_feature(field)
        continue
      if name not in features:
        raise UserError(f'{place} has no field {name}; convert the data again with this version')
      shape = tuple(dim.size for dim in features[name].shape.dim)
      dtype = _DTYPES.get(features[name].type)
      if shape != field.shape or features[name].type != _SCHEMA_TYPES[field.kind]:
        raise UserError(f'{place}: {name} has type and shape {dtype, shape}, not {field.kind, field.shape}; '
                        'convert the data again with this version')
      spec[name] = tf.io.FixedLenFeature(shape, dtype) if field.default is None else _default_feature(field)
    return spec

  def encode(self, record: dict) -> bytes:
    """Serializes a record.

    Args:
      record: values by field name: bytes or str, numbers, arrays; fields with a default may be missing.

    Returns:
      A serialized tf.train.Example.

    Raises:
      UserError: an unknown or missing field, a wrong shape, NaN or infinity, a number beyond the field's range, or a
        text that is not among the choices. The message names record and field.
    """
    place = _text(record.get(self.name_field, f'(no {self.name_field})'))
    unknown = sorted(set(record) - set(self.fields))
    if unknown:
      raise UserError(f'{place}: {unknown[0]} is not a field of a record')
    features = {}
    for name, field in self.fields.items():
      if name in record:
        features[name] = _feature(record[name], field, f'{place}: {name}')
      elif field.default is None:
        raise UserError(f'{place}: {name} is missing')
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)

  def check_parsed(self, record: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns a parsed record, with an assertion in the graph that its values are in their ranges.

    Args:
      record: tensors by field name.

    Raises:
      tf.errors.InvalidArgumentError: at run time: NaN, infinity, a number beyond its field's range, or a text that is
        not among the choices; names the record.
    """
    message = [f'record {self.name_field} holds a value beyond the range of its field:', record[self.name_field]]
    with tf.control_dependencies([tf.debugging.Assert(_in_range(record, self.fields), message)]):
      return {name: tf.identity(value) for name, value in record.items()}

  def faulty(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns for each field that has a range which records `[N]` of a batch hold a value beyond it.

    Args:
      batch: fields by name, `[N, ...]`.
    """
    return {name: _beyond(batch[name], field) for name, field in self.fields.items() if field.is_limited}


def _in_range(record: dict[str, tf.Tensor], fields: Mapping[str, Field]) -> tf.Tensor:
  """Whether all values of a parsed record are in their ranges, scalar bool; fields of one range are joined first."""
  groups: dict[tuple, list[tf.Tensor]] = {}
  sound = []
  for name, field in fields.items():
    if field.kind != 'bytes':
      groups.setdefault((field.kind, field.range), []).append(tf.reshape(record[name], [-1]))
    elif field.is_limited:
      sound.append(tf.reduce_any(tf.equal(record[name], list(field.choices))))
  for (_, (least, most)), values in groups.items():
    values = tf.concat(values, 0)
    # Comparisons with NaN are false.
    sound.append(tf.reduce_all((values >= least) & (values <= most)))
  return tf.reduce_all(sound)


def _beyond(values: np.ndarray, field: Field) -> np.ndarray:
  """Which of N values `[N, ...]` of a field are beyond its range, `[N]` bool."""
  if field.kind == 'bytes':
    return ~np.isin(values, [text.encode() for text in field.choices])
  least, most = field.range
  return ~((values >= least) & (values <= most)).reshape(len(values), -1).all(1)


def fault(values: Union[np.ndarray, bytes, str], field: Field) -> str:
  """Returns what is wrong with the value of a field, beside its shape, and the remedy; '' for nothing.

  Args:
    values: numbers of any shape, not empty; or the text of a field of kind 'bytes'.
    field: the field.
  """
  if field.kind == 'bytes':
    if not field.is_limited or _text(values) in field.choices:
      return ''
    return f'is {_text(values)!r}, not {" or ".join(map(repr, field.choices))}; correct it'
  least, most = field.range
  low, high = np.min(values), np.max(values)
  if low >= least and high <= most and (field.kind == 'float' or not np.any(np.mod(values, 1))):
    return ''
  if not np.all(np.isfinite(values)):
    return 'holds NaN or infinity; leave such labels out by their valid entry'
  if low >= least and high <= most:
    return f'holds {values[np.mod(values, 1) != 0].flat[0]:g}, not a whole number; correct it'
  bounds = f'from {least:g} to {most:g}' if field.limits or field.kind == 'int' else 'that float32 can hold'
  return f'holds {low if low < least else high:g}, not a number {bounds}; correct the labels'


def _default_feature(field: Field) -> tf.io.FixedLenFeature:
  """Returns the parse specification of an optional field, which a record or an older record set may lack."""
  dtype = _DTYPES[_SCHEMA_TYPES[field.kind]]
  return tf.io.FixedLenFeature(field.shape, dtype, np.full(field.shape, field.default).tolist())


def _feature(value: object, field: Field, place: str) -> tf.train.Feature:
  """Converts the value of one field to a tf.train.Feature; raises a UserError that begins with `place`."""
  if field.kind == 'bytes':
    wrong = fault(value, field)
    if wrong:
      raise UserError(f'{place} {wrong}')
    try:
      data = value.encode() if isinstance(value, str) else bytes(value)
    except UnicodeEncodeError as error:
      raise UserError(f'{place} holds bytes that are no UTF-8: {value}; write it otherwise') from error
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))
  try:
    array = np.asarray(value, np.float64)
  except (TypeError, ValueError) as error:
    raise UserError(f'{place} holds something that is not a number') from error
  if array.shape != field.shape:
    raise UserError(f'{place} has shape {array.shape}, not {field.shape}')
  wrong = fault(array, field)
  if wrong:
    raise UserError(f'{place} {wrong}')
  if field.kind == 'int':
    return tf.train.Feature(int64_list=tf.train.Int64List(value=array.astype(np.int64).ravel()))
  return tf.train.Feature(float_list=tf.train.FloatList(value=array.astype(np.float32).ravel()))


def _text(value: object) -> str:
  """Converts bytes or str to str."""
  return value.decode(errors='replace') if isinstance(value, bytes) else str(value)
