"""The hands of a video: found, followed, looked at by the method, steadied, drawn, and written."""
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.data.video_files import Frame
from dhpe_tf.errors import UserError
from dhpe_tf.finding import finder
from dhpe_tf.geometry import crops
from dhpe_tf.hand import hand_model as hand_models
from dhpe_tf.networks import hand_layers
from dhpe_tf.tasks.clips import Clip, Rendered
from dhpe_tf.tasks.hand import posed_files, prediction, results, steady, tracking
from dhpe_tf.tasks.hand import request as requests
from dhpe_tf.tasks.task import Tensors

# The vertices of a frame would be ten times as many numbers as all others.
_WRITTEN = tuple(name for name in prediction.WRITTEN if name != 'vertices_m')
_POSED = {'pose', 'shape', 'camera', 'vertices', 'joints_2d'}  # outputs from which a hand can be posed again
_KEPT = ('score', 'joint_confidence')  # outputs that smoothing leaves as they are

_from_landmarks = tf.function(finder.from_landmarks, autograph=False, input_signature=[
    finder.HANDS.presence, finder.HANDS.is_left_probability, finder.HANDS.joints_px])
_to_pixels = tf.function(results.to_pixels, autograph=False, reduce_retracing=True)


class Found(NamedTuple):
  """What was found in a frame.

  Attributes:
    request: the hands that were looked at, or None.
    outputs: of the method for them, or None.
    numbers: for each its track, None for one that is not there.
  """

  request: Optional[requests.Request]
  outputs: Optional[Tensors]
  numbers: Sequence[Optional[int]]


@gin.configurable(module='hand', denylist=['name', 'options', 'card', 'hand_finder', 'hand_model', 'upright'])
class HandClip(Clip):
  """Follows the hands of a video.

  Methods that see upright hands also tell where the landmarks are, and so where to look in the next frame; for other
  methods, and while the side of a hand is not settled, the finder follows the hands first. Whole frames are searched
  now and then for new hands, more often while a hand is missing.
  """

  def __init__(self, name: str, options: Any, card: Mapping[str, Any], hand_finder: finder.HandFinder,
               hand_model: Optional[hand_models.HandModel], upright: bool, refine_steps: int = 1, find_every: int = 15,
               find_missing_every: int = 3, drawn_points: int = 400):
    """Starts before the first frame.

    Args:
      name: of the video, for messages.
      options: parsed flags, see `task_flags`.
      card: of the method.
      hand_finder: finds hands and follows them.
      hand_model: that of the method; None if it is not known, and then meshes are smoothed vertex by vertex.
      upright: whether the method sees hands turned to point up.
      refine_steps: steps of test-time refinement for each frame.
      find_every: number of frames from one search for new hands to the next.
      find_missing_every: the same while a hand is missing that may come back.
      drawn_points: sample points along a mesh at most, see `scene.draw_hands`; far fewer than in a photograph, because
        each frame is seen only for a moment and drawing takes most of its time.

    Raises:
      UserError: --box or --joints, which belong to a photograph; or --gltf without a hand model.
    """
    if options.box is not None or options.joints:
      raise UserError('--box and --joints are for photographs; the hands of a video are found.')
    if options.gltf and hand_model is None:
      raise UserError('--gltf needs a method whose hand model is known here; leave it out.')
    self.refine_steps = refine_steps
    self._name, self._options, self._finder, self._upright = name, options, hand_finder, upright
    # As an array, because converting lists for each frame would take longer than posing the hand.
    self._card = {**card, 'hand_model': {**card['hand_model'], 'faces': prediction.faces_of(card)}}
    self._hand_model = hand_model
    self._find_every, self._find_missing_every = find_every, find_missing_every
    self._tracker = tracking.Tracker()
    self._drawn_points = drawn_points
    self._frames, self._last_search, self._best_rejected, self._any = 0, 0, 0., False
    self._steady: dict[tuple[int, str], Any] = {}
    self._moments: dict[int, list[posed_files.Moment]] = {}
    self._layer = None if hand_model is None or not options.smoothing else hand_layers.PosedHand(hand_model)
    self._lay = tf.function(self._lay_in_crop, autograph=False, reduce_retracing=True)

  def request(self, frame: Frame) -> Optional[requests.Request]:
    """Returns the request for all hands that are followed, or None if there is none."""
    self._locate(tf.constant(frame.picture), frame.time_s)
    self._frames += 1
    live = self._tracker.live
    if not live:
      return None
    request = self._squares(frame.picture, np.stack([track.joints_px for track in live]),
                            [track.is_left for track in live])
    return request._replace(intrinsics=requests.numbers(self._options, 'intrinsics'),
                            root_depth_m=self._options.root_depth_m)

  def found(self, frame: Frame, request: Optional[requests.Request], outputs: Optional[Tensors]) -> Found:
    """Moves the tracks to the landmarks that the method has seen."""
    if request is None:
      return Found(None, None, [])
    numbers: Sequence[Optional[int]] = [track.number for track in self._tracker.live]
    if self._upright:
      landmarks = _to_pixels(outputs['joints_2d_rounds'][:, 0], request.crop, request.is_left, request.turn)
      presence = outputs.get('hand_presence', outputs['score'])
      numbers = self._tracker.follow(tracking.Seen(landmarks.numpy(), presence.numpy()), frame.time_s)
    self._any = self._any or any(number is not None for number in numbers)
    return Found(request, outputs, numbers)

  def render(self, frame: Frame, found: Found) -> Rendered:
    """Steadies the hands and draws them; the line of JSON holds `hands`, each with its `id`."""
    rows = sorted((number, row) for row, number in enumerate(found.numbers) if number is not None)
    numbers = [number for number, _ in rows]
    hands = self._hands(frame, found, rows) if rows else []
    if self._options.gltf:
      for number, hand in zip(numbers, hands):
        self._moments.setdefault(number, []).append(
            posed_files.moment(hand, frame.picture.shape[:2], frame.time_s))
    picture = None
    if self._options.overlay:
      labels = [str(number) for number in numbers] if len(numbers) > 1 else None
      picture = prediction.draw(frame.picture, hands, labels, self._drawn_points)
    return Rendered(picture, {'hands': [{'id': number, **prediction.describe_hand(hand, _WRITTEN)}
                                        for number, hand in zip(numbers, hands)]})

  def paths(self, stem: str) -> list[str]:
    """The file of the first moving hand."""
    return [f'{stem}.glb'] if self._options.gltf else []

  def finish(self, stem: str, rate_hz: float) -> None:
    """Writes the moving hands, if they are wanted.

    Raises:
      UserError: no frame had a hand, or a file cannot be written.
    """
    if not self._any:
      raise UserError(f'{self._name}: no hand found in {self._frames} frames; the best candidate scored '
                      f'{self._best_rejected:.2f} of 1, which is not enough.')
    for count, number in enumerate(sorted(self._moments), 1):
      posed_files.write_gltf(f'{stem}_{count}.glb' if count > 1 else f'{stem}.glb', self._moments[number],
                             self._hand_model)

  def _locate(self, picture: tf.Tensor, time_s: float) -> None:
    """Brings the tracks to a new frame, as far as the method's own look does not."""
    live = self._tracker.live
    if live and (not self._upright or self._tracker.is_undecided):
      followed = self._finder.follow(picture, _from_landmarks(
          np.ones(len(live), np.float32), np.float32([track.is_left for track in live]),
          np.float32([track.joints_px for track in live])))
      self._tracker.follow(self._seen(followed), time_s)
    every = self._find_missing_every if self._tracker.misses_some else self._find_every
    if not self._tracker.live or self._frames - self._last_search >= every:
      hands, rejected = self._finder.find(picture)
      self._last_search, self._best_rejected = self._frames, max(self._best_rejected, float(rejected))
      self._tracker.find(self._seen(hands), time_s)

  def _seen(self, hands: finder.Hands) -> tracking.Seen:
    """Hands for the tracker, all of the side in --side if it is given."""
    probability = hands.is_left_probability.numpy()
    if self._options.side is not None:
      probability = np.full_like(probability, self._options.side == 'left')
    return tracking.Seen(hands.joints_px.numpy(), hands.presence.numpy(), probability)

  def _squares(self, picture: np.ndarray, joints_px: np.ndarray, is_left: Sequence[bool]) -> requests.Request:
    """The request for hands [N] whose landmarks [N, 21, 2] are known."""
    hands = _from_landmarks(np.ones(len(is_left), np.float32), np.float32(is_left), np.float32(joints_px))
    return requests.found(picture, self._name, hands, self._upright)

  def _hands(self, frame: Frame, found: Found, rows: Sequence[tuple[int, int]]) -> list[prediction.Hand]:
    """The hands of the tracks and rows in `rows`, steadied if that is wanted."""
    posed = self._layer is not None and set(found.outputs) >= _POSED
    if posed:
      return self._laid(frame, found, rows)
    hands = prediction.to_hands(found.request, found.outputs, self._card)
    chosen = [(number, hands[row]) for number, row in rows]
    if not self._options.smoothing:
      return [hand for _, hand in chosen]
    return [self._steadied(number, hand.side, steady.SteadyPoints)(hand, frame.time_s) for number, hand in chosen]

  def _steadied(self, number: int, side: str, kind: type) -> Any:
    """What steadies a track; a new one after a change of its side, which mirrors all parameters."""
    return self._steady.setdefault((number, side), kind())

  def _laid(self, frame: Frame, found: Found, rows: Sequence[tuple[int, int]]) -> list[prediction.Hand]:
    """Steadies the hands and lays them onto their steadied joints."""
    measured, order = _measured(found), [row for _, row in rows]
    # In the squares that were looked at: any others would do, and would have to be computed.
    request = found.request.of(order)
    steadied = [self._steadied(number, 'left' if left else 'right', steady.SteadyHand)(measured[row], frame.time_s)
                for (number, row), left in zip(rows, request.is_left.numpy())]
    rotation = steady.about_view(request.turn.numpy(), [hand.rotation for hand in steadied])
    given = steady.Measured(*(np.float32(values) for values in zip(*steadied)))._replace(rotation=np.float32(rotation))
    laid = self._lay(steady.Measured(*map(tf.constant, given)), request.crop, request.is_left, request.turn)
    kept = {name: tf.gather(found.outputs[name], order) for name in _KEPT if name in found.outputs}
    return prediction.to_hands(request, {**laid, **kept}, self._card)

  def _lay_in_crop(self, hands: steady.Measured, crop: crops.Crop, is_left: tf.Tensor, turn: tf.Tensor) -> Tensors:
    """Lays hands [N], whose rotations lead to the axes of the crops, onto their joints."""
    joints_2d = results.from_pixels(hands.joints_px, crop, is_left, turn)
    half_px = crop.side_px / 2
    return steady.lay(self._layer, hands.pose, hands.shape, hands.rotation, hands.px_per_metre / half_px,
                      hands.nearness * half_px, joints_2d)


def _measured(found: Found) -> list[steady.Measured]:
  """The hands that the method found, in the axes of the picture."""
  request, outputs = found.request, found.outputs
  joints_px = _to_pixels(outputs['joints_2d'], request.crop, request.is_left, request.turn).numpy()
  half_px, camera = request.crop.side_px.numpy() / 2, outputs['camera'].numpy()
  rotation = steady.about_view(-request.turn.numpy(), camera[:, :4])
  distance = outputs['camera_distance'].numpy() if 'camera_distance' in outputs else np.full(len(half_px), np.inf)
  return [steady.Measured(*values) for values in zip(
      joints_px, outputs['pose'].numpy(), outputs['shape'].numpy(), rotation, camera[:, 4] * half_px,
      1 / (distance * half_px))]
