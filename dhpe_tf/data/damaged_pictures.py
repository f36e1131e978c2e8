"""Records with damaged pictures, which a configuration may leave out of trainings and evaluations; they are counted."""
import sys

import tensorflow as tf
from tqdm import tqdm

from dhpe_tf.data import encoded_pictures
from dhpe_tf.data.record_schema import RecordSchema
from dhpe_tf.errors import UserError

_left_out: dict[str, None] = {}


def leave_out(records: tf.data.Dataset, schema: RecordSchema, count: int) -> tf.data.Dataset:
  """Drops the records with a picture that cannot be decoded; each is named once on stderr.

  Every picture is decoded here and again where the record is used. A dropped record takes no place in the order of the
  others, so a training that resumes finds its position again.

  Args:
    records: pairs of a record, tensors by field name, and its place (shard and number), scalar string.
    schema: of the records; it tells which fields hold pictures, and which of them may be empty.
    count: number of records in the record set.

  Returns:
    A dataset of the other records, without their places.

  Raises:
    UserError: while the data are read, if no sound record is left; TensorFlow turns it into an error of its own.
  """
  dropped: set[bytes] = set()
  may_be_empty = [schema.fields[name].default is not None for name in schema.pictures]

  def is_sound(place: tf.Tensor, name: tf.Tensor, *encoded: tf.Tensor) -> bool:
    """Whether the pictures of a record can be decoded; counts the record if not."""
    if all(encoded_pictures.is_sound(picture.numpy(), empty) for picture, empty in zip(encoded, may_be_empty)):
      return True
    dropped.add(place.numpy())
    _name(f'{place.numpy().decode(errors="replace")} ({name.numpy().decode(errors="replace")})')
    if len(dropped) >= count:
      raise UserError('the pictures of all records are damaged; convert the data again')
    return False

  @tf.autograph.experimental.do_not_convert
  def judge(record: dict, place: tf.Tensor) -> tuple[dict, tf.Tensor]:
    # Takes less time than what survives a failing decoder within the graph (encoded_pictures.decode_if_sound).
    fields = [record[name] for name in (schema.name_field, *schema.pictures)]
    return record, tf.ensure_shape(tf.py_function(is_sound, [place, *fields], tf.bool), [])

  @tf.autograph.experimental.do_not_convert
  def is_kept(record: dict, kept: tf.Tensor) -> tf.Tensor:
    del record
    return kept

  @tf.autograph.experimental.do_not_convert
  def without_mark(record: dict, kept: tf.Tensor) -> dict:
    del kept
    return record

  return records.map(judge, tf.data.AUTOTUNE, deterministic=True).filter(is_kept).map(without_mark)


def forget() -> None:
  """Forgets the records left out so far, before another command."""
  _left_out.clear()


def summary() -> str:
  """Returns a line about the records that were left out since `forget`, or '' for none."""
  return f'records with damaged pictures left out: {len(_left_out)}' if _left_out else ''


def _name(record: str) -> None:
  """Writes a line about a record that is left out, at the first time."""
  if record not in _left_out:
    _left_out[record] = None
    tqdm.write(f'left out: {record}: a picture is damaged ({len(_left_out)} so far)', file=sys.stderr)
