"""Servers for the tests: in processes that have only the files of the loopback server, or in this one."""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
from concurrent import futures
from typing import NamedTuple

from dhpe_tf.serving import loopback_server, native_session
from tests import foreign_process

FILES = ('native_session.py', 'batching.py', 'served_model.py', 'rest_interface.py', 'loopback_server.py')
_SOURCES = pathlib.Path(native_session.__file__).parent
_PROGRAM = '''
    import runpy, sys
    sys.path.insert(0, '.')
    runpy.run_module('loopback.loopback_server', run_name='__main__', alter_sys=True)
    '''


class Server(NamedTuple):
  """Addresses host:port of both interfaces, and the process."""

  grpc: str
  rest: str
  process: subprocess.Popen

  def resident_bytes(self) -> int:
    """Memory of the process that is in use."""
    pages = int(pathlib.Path(f'/proc/{self.process.pid}/statm').read_text().split()[1])
    return pages * 4096


def start(exported, *flags) -> Server:
  """Starts a server in a process that cannot import dhpe_tf, and waits until it answers."""
  folder = pathlib.Path(tempfile.mkdtemp())
  (folder / 'loopback').mkdir()
  for name in FILES:
    shutil.copy(_SOURCES / name, folder / 'loopback' / name)
  with (folder / 'stderr').open('w') as stderr:
    command = foreign_process.command(_PROGRAM, os.path.abspath(exported), *flags)
    process = subprocess.Popen(command, cwd=folder, stderr=stderr, stdout=subprocess.PIPE, text=True)
  words = process.stdout.readline().split()
  assert words[:2] == ['serving', 'on'], (folder / 'stderr').read_text()[-2000:]
  return Server(words[2], words[4], process)


@contextlib.contextmanager
def running(exported, *flags):
  """A `Server` that ends with the block."""
  server = start(exported, *flags)
  try:
    yield server
  finally:
    server.process.kill()
    server.process.wait()


@contextlib.contextmanager
def silent():
  """The address of a server that accepts connections and says nothing."""
  with socket.create_server(('127.0.0.1', 0)) as listening:
    yield f'127.0.0.1:{listening.getsockname()[1]}'


@contextlib.contextmanager
def late(exported, delay_s):
  """A `Server` in this process, at addresses known before it starts."""
  ports = [free_port(), free_port()]
  started = []
  timer = threading.Timer(delay_s, lambda: started.append(loopback_server.serve(str(exported), *ports)))
  timer.start()
  try:
    yield Server(f'127.0.0.1:{ports[0]}', f'127.0.0.1:{ports[1]}', None)
  finally:
    timer.join()
    for server in started:
      server.stop()


def free_port() -> int:
  """A port that nobody listens on."""
  with socket.create_server(('127.0.0.1', 0)) as listening:
    return listening.getsockname()[1]


def at_once(call, arguments) -> list:
  """The answers to calls by as many threads as there are arguments."""
  with futures.ThreadPoolExecutor(len(arguments)) as pool:
    return list(pool.map(call, arguments))
