"""Predicts for the frames of a video: reading, the method, and drawing with writing each have a thread of their own."""
import contextlib
import json
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

from tqdm import tqdm

from dhpe_tf.data import video_files
from dhpe_tf.errors import UserError
from dhpe_tf.files import atomic_path, check_output
from dhpe_tf.inference.predictor import Predictor, answer_with, graphs_as_they_are
from dhpe_tf.tasks.clips import Clip, Rendered

_AHEAD = 4  # frames that a thread may be ahead of the next one


def predict(reader: video_files.FrameReader, predictor: Predictor, clip: Clip, stem: str, steps: int,
            stop: Callable[[float], bool] = lambda time_s: False) -> None:
  """Writes `<stem>_overlay.mp4`, `<stem>.jsonl` and what the clip's `finish` writes.

  All of them appear when they are complete. Each line of the .jsonl file is a JSON object of a frame, with its number
  `frame`, from 0, and `time_s`, seconds since the first one.

  Args:
    reader: of the video.
    predictor: answers the requests.
    clip: of the predictor's task.
    stem: the start of the paths.
    steps: of test-time refinement.
    stop: whether to stop before a frame, by its time in seconds.

  Raises:
    UserError: no frame, no result, a folder in the place of a file, or a file that cannot be written.
  """
  video_path, text_path = f'{stem}_overlay.mp4', f'{stem}.jsonl'
  for path in (video_path, text_path, *clip.paths(stem)):
    check_output(path)
  frames = in_background(_until(reader, stop))
  found = in_background(_found(frames, predictor, clip, steps))
  with contextlib.closing(found), contextlib.ExitStack() as files:
    if predictor.is_lite:  # there, optimized graphs are no quicker
      files.enter_context(graphs_as_they_are())
    bar = files.enter_context(tqdm(total=reader.num_frames, unit='frame'))
    text = files.enter_context(open(files.enter_context(atomic_path(text_path)), 'w', encoding='utf-8'))
    video = None
    for number, (frame, answer) in enumerate(found):
      rendered = clip.render(frame, answer)
      if rendered.picture is not None:
        video = video or files.enter_context(
            video_files.write_video(video_path, rendered.picture.shape[:2], reader.rate_hz))
        video.write(rendered.picture, frame.time_s)
      _write_line(text, number, frame, rendered)
      bar.update()
    if not bar.n:
      raise UserError(f'{reader.name}: stopped before its first frame.')
    clip.finish(stem, reader.rate_hz)


def in_background(items: Generator, ahead: int = _AHEAD) -> Iterator[Any]:
  """Yields the items of a generator, which runs ahead in a thread of its own.

  An exception in the thread is raised here, in its turn. When this generator is closed, the thread ends and the items
  are closed, too.

  Args:
    items: the generator.
    ahead: how many items may wait.
  """
  waiting, stopped = queue.Queue(ahead), threading.Event()

  def work():
    """Fills the queue with (item, error), and at the end with None."""
    try:
      with contextlib.closing(items):
        for item in items:
          waiting.put((item, None))
          if stopped.is_set():
            return
      waiting.put(None)
    except BaseException as error:
      waiting.put((None, error))

  thread = threading.Thread(target=work, daemon=True)
  thread.start()
  try:
    while (entry := waiting.get()) is not None:
      item, error = entry
      if error is not None:
        raise error
      yield item
  finally:
    stopped.set()
    while thread.is_alive():
      with contextlib.suppress(queue.Empty):
        waiting.get(timeout=0.05)  # makes room for a thread that waits to put


def _until(reader: video_files.FrameReader, stop: Callable[[float], bool]) -> Iterator[video_files.Frame]:
  """The frames before the first one at whose time to stop."""
  for frame in reader:
    if stop(frame.time_s):
      return
    yield frame


def _found(frames: Generator, predictor: Predictor, clip: Clip, steps: int) -> Iterator[tuple[video_files.Frame, Any]]:
  """Each frame with what the clip has found in it."""
  with contextlib.closing(frames):
    for frame in frames:
      request, outputs = clip.request(frame), None
      if request is not None:
        outputs = answer_with(predictor, predictor.task.inputs(request, predictor.input_specs), steps)
      yield frame, clip.found(frame, request, outputs)


def _write_line(text: Any, number: int, frame: video_files.Frame, rendered: Rendered) -> None:
  """Appends the line of a frame."""
  # dumps, because dump encodes in Python, which takes many times as long.
  text.write(json.dumps({'frame': number, 'time_s': round(frame.time_s, 6), **rendered.content}) + '\n')
