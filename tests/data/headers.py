"""Pictures whose headers announce any size; behind the headers there is nothing, or little."""
import struct
import zlib


def png_header(width: int, height: int) -> bytes:
  """A PNG of one bit a pixel that ends after the chunk with its size."""
  content = b'IHDR' + struct.pack('>IIBBBBB', width, height, 1, 0, 0, 0, 0)
  return b'\x89PNG\r\n\x1a\n' + struct.pack('>I', 13) + content + struct.pack('>I', zlib.crc32(content))


def bmp_header(width: int, height: int) -> bytes:
  """A BMP of 24 bits a pixel that ends after its header."""
  return b'BM' + struct.pack('<IHHIIiiHHIIIIII', 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def jpeg_header(width: int, height: int) -> bytes:
  """A JPEG that ends after its frame header; a comment with another size stands before it."""
  comment = b'\xff\xfe' + struct.pack('>H', 11) + b'\xff\xc0\0\x0b\x08\0\x01\0\x01'
  frame = b'\xff\xc0' + struct.pack('>HBHHB', 11, 8, height, width, 1) + b'\x01\x11\0'
  scan = b'\xff\xda' + struct.pack('>HB', 8, 1) + b'\x01\0\0\x3f\0'
  return b'\xff\xd8' + comment + frame + scan
