"""Pickles that ask for what a reader of data must not do, written opcode by opcode."""
import pickle

NDARRAY, DTYPE = b'cnumpy\nndarray\n', b'cnumpy\ndtype\n'
RECONSTRUCT = b'cnumpy.core.multiarray\n_reconstruct\n'
SPARSE = b'cscipy.sparse.csc\ncsc_matrix\n'


def value(plain) -> bytes:
  """Opcodes that push plain values."""
  if isinstance(plain, bytes):
    return pickle.SHORT_BINBYTES + bytes([len(plain)]) + plain
  if not isinstance(plain, (dict, list, tuple)):
    return pickle.dumps(plain, 1)[:-1].replace(pickle.BINPUT + b'\x00', b'')
  if isinstance(plain, dict):
    return b'}(' + b''.join(value(part) for pair in plain.items() for part in pair) + b'u'
  inner = b''.join(part.code if isinstance(part, Code) else value(part) for part in plain)
  return b'(' + inner + (b't' if isinstance(plain, tuple) else b'l')


class Code:
  """Opcodes in the place of a value."""

  def __init__(self, code: bytes):
    self.code = code


def call(function: bytes, *arguments) -> bytes:
  """Opcodes that call a name."""
  return function + value(tuple(arguments)) + b'R'


def dtype(code: str = 'f8', size: int = -1, flags: int = 0, order: str = '<') -> Code:
  """Opcodes that make a type with a state."""
  return Code(call(DTYPE, code, False, True) + value((3, order, None, None, None, size, size, flags)) + b'b')


def array(shape: tuple, kind: Code, content, fortran: bool = False) -> Code:
  """Opcodes that make an array with a state."""
  return Code(call(RECONSTRUCT, Code(NDARRAY), (0,), 'b') + value((1, shape, kind, fortran, content)) + b'b')


def sparse(shape: tuple, data: Code, indices: Code, indptr: Code) -> bytes:
  """Opcodes that make a sparse matrix."""
  parts = (('_shape', Code(value(shape))), ('data', data), ('indices', indices), ('indptr', indptr))
  return SPARSE + b')\x81}(' + b''.join(value(name) + part.code for name, part in parts) + b'ub'


def numbers(code: str, content: bytes) -> Code:
  """Opcodes that make an array of one axis."""
  return array((len(content) // int(code[1:]),), dtype(code), content.decode('latin1'))


FORGED = {
    # (1,) of objects whose pointers are bytes of the file.
    'object pointers': call(NDARRAY, (1,), 'O', b'AAAAAAAA'),
    # A state that takes the object flag away.
    'object flag': array((1,), dtype('O8', 8, 0, '|'), 'AAAAAAAA').code,
    # A state that makes the elements of an array longer once it is there.
    'long elements': (call(DTYPE, 'V8', False, True) + b'q\x00' + call(NDARRAY, (1,), Code(b'h\x00'), b'AAAAAAAA')
                      + b'q\x01h\x00' + value((3, '|', None, None, None, 1 << 30, 1, 0)) + b'bh\x01'),
    'a state on a function': b'c_codecs\nencode\n' + value({'__code__': 'x', '__name__': 'y'}) + b'b',
    'a state on a class': NDARRAY + value({'shape': 'x'}) + b'b',
    'a state on a record': SPARSE + b')\x81' + value({'array': 'x', '__class__': 'y'}) + b'b',
    'another class': call(RECONSTRUCT, Code(b'cbuiltins\nobject\n'), (0,), 'b'),
    'a deep tuple': b')' + b'\x85' * 500_000,
    'a deep list': b']' * 300_000 + b'a' * 299_999,
    'a deep key': b'}(' + b')' + b'\x85' * 300_000 + b'Nu',
    'a list in itself': b']q\x00h\x00a',
    'lists of lists': b'(K\x01lq\x00' + (b'(' + b'h\x00' * 10 + b'lq\x00') * 9,
    'a long array': array((1 << 30,), dtype('f8'), '').code,
    'an endless shape': array((0, 1 << 62), dtype('f8'), '').code,
    'a negative shape': array((-1, -8), dtype('f8'), 'AAAAAAAA' * 8).code,
    'an array of objects': array((10 ** 9,), dtype('O8', 8, 63, '|'), [None]).code,
    'a long buffer': call(b'cnumpy.core.numeric\n_frombuffer\n', b'AAAAAAAA', dtype('f8'), (1 << 40,), 'C'),
    'an object scalar': call(b'cnumpy.core.multiarray\nscalar\n', dtype('O8', 8, 63, '|'), 'AAAAAAAA'),
    'a long number': b'I' + b'9' * 1_000_000 + b'\n',
}
for _name, _shape, _indices, _indptr in (
    ('far index', (4, 2), [1 << 30, 0], [0, 1, 2]), ('negative index', (4, 2), [-1, 0], [0, 1, 2]),
    ('far pointer', (4, 2), [0, 1], [0, 1, 1 << 30]), ('falling pointers', (4, 2), [0, 1], [0, 1 << 30, 2]),
    ('negative pointer', (4, 2), [0, 1], [-5, 1, 2]), ('few pointers', (4, 9), [0, 1], [0, 1, 2]),
    ('huge shape', (1 << 20, 1 << 20), [0, 1], [0, 1, 2]), ('huge single row', (1 << 30, 2), [0, 1], [0, 1, 2])):
  FORGED[f'sparse: {_name}'] = sparse(
      _shape, numbers('f8', bytes(16)), *(numbers('i4', b''.join(
          number.to_bytes(4, 'little', signed=True) for number in part)) for part in (_indices, _indptr)))
