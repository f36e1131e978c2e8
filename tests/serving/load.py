"""Many clients at once: good and corrupt requests, with what a direct call to the model answers."""
import itertools
import threading
from concurrent import futures
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.serving.client import Client
from tests.serving import toy
from tests.serving.test_exporter import encode

SIGNATURE = 'predict_encoded_status'
TOLERANCE = 1e-5
_EVERY = 10  # one request of so many is corrupt


class Request(NamedTuple):
  """One picture with its box, and the status that the server must tell; None for a request that it must refuse."""

  image: bytes
  box: tuple
  is_left: bool
  status: Optional[int] = 0
  boxes: int = 1


def good_requests(count=16):
  """Requests with pictures that differ in size, content, side and format."""
  random = np.random.RandomState(0)
  requests = []
  for number in range(count):
    picture = toy.bright_picture(50 + number, 90 - number, left=3 + 3 * number, top=number)
    picture = np.clip(picture + random.randint(0, 30, picture.shape), 0, 255).astype(np.uint8)
    box = (number, 5, 40, 30) if number % 3 else (0, 0, 0, 0)
    requests.append(Request(encode(picture, ('PNG', 'JPEG', 'BMP')[number % 3]), box, bool(number % 2)))
  return requests


def corrupt_requests():
  """Requests that are wrong in many ways."""
  data = encode(np.random.RandomState(1).randint(0, 255, [60, 90, 3]).astype(np.uint8))
  whole = (0, 0, 0, 0)
  return [Request(b'no picture', whole, False, 1), Request(b'', whole, True, 1),
          Request(data[:len(data) // 2], whole, False, 3), Request(data, (500, 0, 30, 30), False, 4),
          Request(data, (0, 0, 3e6, 3e6), True, 4), Request(data, whole, False, None, boxes=2)]


def mixed(count):
  """Good requests, of which every tenth is replaced by a corrupt one."""
  good, bad = itertools.cycle(good_requests()), itertools.cycle(corrupt_requests())
  return [next(bad) if number % _EVERY == _EVERY - 1 else next(good) for number in range(count)]


def direct_answers(folder):
  """Image -> what the SavedModel itself answers to the good requests, by name."""
  signature = tf.saved_model.load(folder).signatures[SIGNATURE]
  return {(request.image, request.box): {
      name: value.numpy()[0] for name, value in signature(
          images=tf.constant([request.image]), boxes=tf.constant([request.box], tf.float32),
          is_left=tf.constant([request.is_left])).items()} for request in good_requests()}


def send(client, request):
  """The outputs for a request; None if it was refused."""
  inputs = {'images': np.array([request.image], object), 'boxes': [request.box] * request.boxes,
            'is_left': [request.is_left]}
  try:
    return {name: value[0] for name, value in client.predict(SIGNATURE, inputs).items()}
  except UserError as error:
    if 'INVALID_ARGUMENT' in str(error):
      return None
    raise


class Outcome(NamedTuple):
  """What became of the requests, by their numbers.

  Attributes:
    wrong: good ones whose answer is none of those expected, or that have none.
    taken: corrupt ones that were answered.
    versions: for each answered good one, the index of the version that answered it.
  """

  wrong: list
  taken: list
  versions: dict


class Traffic:
  """Eight clients, half by gRPC and half by REST, that send requests one after the other."""

  def __init__(self, server, model, requests, clients=8):
    """Starts the clients.

    Args:
      server: its addresses.
      model: name of the model.
      requests: all of them.
      clients: number of threads.
    """
    self._requests, self._next, self._lock = requests, iter(range(len(requests))), threading.Lock()
    self._answers, self._progress = {}, threading.Condition()
    self._pool = futures.ThreadPoolExecutor(clients)
    self._running = [self._pool.submit(self._work, server, model, ('grpc', 'rest')[number % 2])
                     for number in range(clients)]

  def wait_for(self, share):
    """Waits until a share of the requests is answered."""
    with self._progress:
      self._progress.wait_for(lambda: len(self._answers) >= share * len(self._requests) or self._is_over(), 600)

  def finish(self):
    """Waits for all answers and returns them by the numbers of the requests."""
    for running in self._running:
      running.result()
    self._pool.shutdown()
    return self._answers

  def _is_over(self):
    """Whether no client runs any more."""
    return all(running.done() for running in self._running)

  def _work(self, server, model, interface):
    """Sends requests as long as there are any."""
    # A server that starts anew is waited for.
    with Client(getattr(server, interface), model, interface, timeout_s=300., tries=1000) as client:
      while True:
        with self._lock:
          number = next(self._next, None)
        if number is None:
          return
        answer = send(client, self._requests[number])
        with self._progress:
          self._answers[number] = answer
          self._progress.notify_all()


def judge(requests, answers, expected):
  """Compares answers with those of direct calls to each of the versions."""
  wrong, taken, versions = [], [], {}
  for number, request in enumerate(requests):
    answer = answers.get(number)
    if request.status == 0:
      fits = [version for version, direct in enumerate(expected) if answer is not None
              and _is_near(answer, direct[request.image, request.box])]
      wrong += [] if fits else [number]
      versions.update({number: fits[0]} if fits else {})
    elif request.status is None:
      taken += [] if number in answers and answer is None else [number]
    else:
      taken += [] if answer is not None and answer['status'] == request.status else [number]
  return Outcome(wrong, taken, versions)


def _is_near(answer, direct):
  """Whether all outputs are those of a direct call, to 1e-5 of their size or of 1."""
  return set(answer) == set(direct) and all(
      np.allclose(answer[name], direct[name], rtol=TOLERANCE, atol=TOLERANCE) for name in direct)
