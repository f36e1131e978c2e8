"""DHPE on landmark evidence: a frozen landmark network in the place of f_E2D, the rounds of Eq. 5, Levenberg-Marquardt.

  picture [B, 224, 224, 3] -> keypoints and depths (networks.landmark_net, published weights)
                           -> x [B, 43], base [B, 4] (rounds.Rounds) -> parameters h [B, 63], mesh, joints, mask

The crop shows a right hand, pointing up, as `finding` cuts it. The estimator learns from packed evidence, so that the
network runs once for each picture and not once for each picture and epoch.
"""
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Optional

import gin
import tensorflow as tf

from dhpe_tf.finding import finder, served
from dhpe_tf.geometry import cameras
from dhpe_tf.hand import hand_model as hand_models
from dhpe_tf.hand import parameters, skeletons
from dhpe_tf.methods import steps
from dhpe_tf.methods.dhpe.landmarks import confidence, hand_state, misfit, rounds
from dhpe_tf.methods.dhpe.landmarks import evidence as evidences
from dhpe_tf.methods.dhpe.landmarks.objective import EvidenceObjective
from dhpe_tf.methods.method import LiteParts
from dhpe_tf.networks import at_rest, hand_layers, landmark_net, palm_net
from dhpe_tf.optimization import descent, least_squares
from dhpe_tf.optimization import term_weights as term_weights_of
from dhpe_tf.tasks.hand import lite, serving
from dhpe_tf.tasks.hand.task import UPRIGHT, HandTask
from dhpe_tf.tasks.task import Signature, Tensors

_EVIDENCE = 'landmark_evidence'
# Meaning of what goes into the signature `refine`, for the model card.
_ABOUT_REFINE = {
    'steps': 'largest number of iterations of Levenberg-Marquardt, from 0',
    'joints_2d': 'known 2D joints, crop space; they take the place of those that the landmark network sees',
    'joints_2d_weight': 'of the known joints, 0 where a joint is not known; then what was seen counts, with weight 1',
    'term_weights': term_weights_of.about(misfit.TERMS)}
# The state x [B, 43] and base [B, 4] of the last round, the packed evidence [B, 21, 7] and the presence [B].
_Look = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]


class LandmarkModel(steps.TrainableMethod):
  """A functional Keras model from packed evidence [B, 21, 7] to the states of the rounds; `answer` takes pictures.

  Attributes:
    landmark_net: sees the pictures.
    state: conversions of the states.
  """

  can_refine = True
  used_later = ('minimise_squares',)
  usage = {'image': UPRIGHT, 'refine_steps': 2}

  def __init__(self, task: HandTask, state: hand_state.HandState, layer: rounds.Rounds, network: tf.keras.Model,
               mirrored: bool, mask_size: int, build_objective: Callable[..., EvidenceObjective]):
    packed = tf.keras.Input((skeletons.NUM_KEYPOINTS, evidences.NUMBERS), name=_EVIDENCE)
    super().__init__({_EVIDENCE: packed}, layer(packed), task, 'landmark_dhpe')
    self.landmark_net, self._palm_weights = network, 'float16'
    self.state, self._mirrored, self._mask_size = state, mirrored, mask_size
    self._silhouette = hand_layers.Silhouette(task.hand_model, mask_size)
    self._misfit = misfit.Misfit(state)
    # Functions of their own, so that an export holds their graphs and constants once for all signatures.
    self._look = self._look_function()
    seen, rotation = tf.TensorSpec(packed.shape), tf.TensorSpec([None, 4])
    state_spec = tf.TensorSpec([None, hand_state.SIZE])
    self._estimate = self._estimate_function()
    self._residuals = tf.function(self._start_residuals, [state_spec, rotation, seen], autograph=False)
    self._linearised = tf.function(self._linearised_misfit, [state_spec, state_spec, rotation, seen], autograph=False)
    self._outputs = tf.function(self._outputs_of, [state_spec, rotation, seen], autograph=False)
    self._objective = build_objective(state)
    self.watch(list(self._objective.weights), list(self._objective.MEASURES))

  @property
  def input_specs(self) -> dict[str, tf.TensorSpec]:
    """The specification of the pictures that `answer` takes."""
    size = landmark_net.SIZE_PX
    return {'image': tf.TensorSpec([None, size, size, 3], tf.float32, 'image')}

  @property
  def output_specs(self) -> Mapping[str, tf.TensorSpec]:
    """Specifications of the answers: the posed hand, its parameters, mask, camera and the evidence's joints."""
    count, vertices = skeletons.NUM_KEYPOINTS, self.task.hand_model.num_vertices
    shapes = {'joints_3d': [count, 3], 'units_per_metre': [], 'joints_2d': [count, 2], 'vertices': [vertices, 3],
              'mask': [self._mask_size, self._mask_size], 'parameters': [parameters.NUM_PARAMETERS],
              'pose': [hand_models.NUM_POSE], 'shape': [hand_models.NUM_SHAPE], 'camera': [parameters.NUM_CAMERA],
              'camera_distance': [], 'hand_presence': [], 'joint_confidence': [count], 'misfit': [2],
              'joints_2d_rounds': [1, count, 2]}
    return {name: tf.TensorSpec([None, *shape]) for name, shape in shapes.items()}

  def answer(self, inputs: Tensors) -> Tensors:
    """The estimate for pictures, by the names of `output_specs`."""
    return self.refined(inputs, [0])[0]

  def refined(self, inputs: Tensors, steps: Sequence[int]) -> list[Tensors]:
    """The hands after each number of iterations of Levenberg-Marquardt on `misfit`, from the estimate.

    Args:
      inputs: 'image' [B, 224, 224, 3] in 0..1, right hands.
      steps: numbers of iterations; 0 is the plain estimate.
    """
    return self._refined_from(self._look(inputs['image']), steps)

  def _refined_from(self, look: _Look, steps: Sequence) -> list[Tensors]:
    """The hands of a look after each number of iterations."""
    start, base, packed, presence = look
    target = evidences.to_fingertips(evidences.unpack(packed)).pack()
    fits = [self._fitted(start, base, target, number) for number in steps]
    return [self._answer_of(fit, base, packed, presence) for fit in fits]

  def fitted_joints(self, evidence: evidences.Evidence, steps: int) -> hand_state.Joints:
    """The joints of the estimate for evidence, after a number of iterations."""
    x, base = self._estimate(evidence.pack())
    return self.state.joints(self._fitted(x, base, evidences.to_fingertips(evidence).pack(), steps).best, base)

  def taken(self, batch: Tensors) -> Tensors:
    """The evidence of a batch, or what the landmark network sees in its pictures."""
    if _EVIDENCE in batch:
      return {_EVIDENCE: batch[_EVIDENCE]}
    return {_EVIDENCE: evidences.of_images(self.landmark_net, batch['image'], self._mirrored)[0].pack()}

  def losses(self, batch: Tensors, outputs: Tensors, training: bool) -> steps.Losses:
    """The losses of all rounds, see `objective.EvidenceObjective`."""
    del training
    return self._objective.losses(batch, outputs)

  def measures(self, batch: Tensors, outputs: Tensors) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """The measures of `objective.EvidenceObjective`."""
    return self._objective.measures(batch, outputs)

  def signatures(self) -> dict[str, Signature]:
    """'refine' (`_refine`), and the functions of the hand finder (`finding.served`).

    And those of encoded pictures (`serving.encoded_signatures`), which find the hand in the box with the same finder.
    """
    size, joints = landmark_net.SIZE_PX, skeletons.NUM_KEYPOINTS

    def answer(inputs: Tensors) -> Tensors:
      return self.task.served(self.answer(inputs))

    hand_finder = self._finder
    finding = served.functions(hand_finder)
    refine = {'images': tf.TensorSpec([None, size, size, 3]), 'steps': tf.TensorSpec([], tf.int32),
              'joints_2d': tf.TensorSpec([None, joints, 2]), 'joints_2d_weight': tf.TensorSpec([None, joints]),
              'term_weights': tf.TensorSpec([len(misfit.TERMS)])}
    rows = ('images', 'joints_2d', 'joints_2d_weight')
    looks = self._look_specs()
    return {'refine': Signature(self._refine, refine, rows, about_inputs=_ABOUT_REFINE, examples={'steps': 1}),
            lite.ANSWER: Signature(self._answer_looks, looks, lite.rows(looks), about_inputs=lite.about(looks)),
            **serving.encoded_signatures(answer, self.input_specs, hand_finder),
            **{name: Signature(*function, 0, served.ABOUT, served.ABOUT) for name, function in finding.items()}}

  def _refine(self, images: tf.Tensor, steps: tf.Tensor, joints_2d: tf.Tensor, joints_2d_weight: tf.Tensor,
              term_weights: tf.Tensor) -> Tensors:
    """The hands after a number of iterations, with known joints and other weights of the terms.

    Args:
      images: `[B, 224, 224, 3]` in 0..1, right hands.
      steps: scalar int32.
      joints_2d: `[B, 21, 2]` crop space, in the place of those seen.
      joints_2d_weight: `[B, 21]`, 0 where a joint is not known.
      term_weights: `[7]`, of `misfit.TERMS`; see `optimization.term_weights`.
    """
    start, base, packed, presence = self._look(images)
    check = tf.debugging.assert_non_negative(joints_2d_weight, 'joints_2d_weight must not be below 0')
    with tf.control_dependencies([check]):
      known = evidences.to_fingertips(evidences.unpack(packed)).with_joints(joints_2d, joints_2d_weight).pack()
    weight = tf.where(joints_2d_weight > 0, joints_2d_weight, 1.)
    factors = misfit.residual_factors(term_weights_of.factors(term_weights), weight)
    fit = self._fitted(start, base, known, descent.within_limits(steps), factors)
    return self._answer_of(fit, base, packed, presence)

  def _answer_of(self, fit: least_squares.Fit, base: tf.Tensor, packed: tf.Tensor, presence: tf.Tensor) -> Tensors:
    """The answer for a fit about base rotations [B, 4], with what the network saw: evidence and presence [B]."""
    return {**self._outputs(fit.best, base, packed), 'hand_presence': presence,
            'misfit': tf.stack([fit.start_cost, fit.cost], axis=1)}

  def before_export(self, weights: Optional[str] = None) -> None:
    """Lets weights rest in another type.

    Args:
      weights: 'float32'; 'float16' for all networks; 'int8' for the networks that see pictures, and float16 for the
        estimator. None: float16 for those networks that did not learn, since the published weights are numbers of that
        type.
    """
    self._palm_weights, self._exact_net = weights or 'float16', self.landmark_net
    if weights or not self.landmark_net.trainable_weights:
      self.landmark_net = at_rest.copy(self.landmark_net, weights or 'float16')
    if weights in ('float16', 'int8'):
      next(layer for layer in self.layers if isinstance(layer, rounds.Rounds)).rest_in_float16()
    self._look, self._estimate = self._look_function(), self._estimate_function()
    self.__dict__.pop('_finder', None)

  def lite_parts(self) -> LiteParts:
    """The networks that see pictures, and the settings of the hand finder."""
    # Their files have types of weights of their own, so they are made of the networks as they were.
    return LiteParts({lite.LANDMARKS: self._exact_net, lite.PALMS: palm_net.palm_net()}, self._finder.settings())

  @functools.cached_property
  def _finder(self) -> finder.HandFinder:
    """A hand finder with this landmark network; cached so, it is no part of checkpoints."""
    return finder.HandFinder(self.landmark_net, at_rest.copy(palm_net.palm_net(), self._palm_weights))

  def _look_function(self) -> Callable[[tf.Tensor], _Look]:
    """A function of its own of `_look_at`."""
    return tf.function(self._look_at, [self.input_specs['image']], autograph=False)

  def _estimate_function(self) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """A function of its own of `_last_round`."""
    return tf.function(self._last_round, [tf.TensorSpec(self.input[_EVIDENCE].shape)], autograph=False)

  def _look_specs(self) -> dict[str, tf.TensorSpec]:
    """The specifications of what the landmark network sees in crops, and in their mirror images, and of the steps."""
    shapes = {name: self.landmark_net.output[name].shape[1:] for name in evidences.USED}
    names = [prefix + name for prefix in ('', lite.MIRRORED)[:1 + self._mirrored] for name in evidences.USED]
    return {**{name: tf.TensorSpec([None, *shapes[name.removeprefix(lite.MIRRORED)]]) for name in names},
            lite.STEPS: tf.TensorSpec([], tf.int32)}

  def _answer_looks(self, **given: tf.Tensor) -> Tensors:
    """The served hands of what the landmark network sees, after a number of iterations; see `tasks.hand.lite`."""
    iterations = descent.within_limits(given[lite.STEPS])
    look = self._of_evidence(*evidences.of_answers(*lite.looks(given)))
    found = self.task.served(self._refined_from(look, [iterations])[0])
    del found['mask']  # nothing of `predict` shows it, so it need not be rendered
    return found

  def _last_round(self, packed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The state x [B, 43] and base [B, 4] of the last round, of packed evidence [B, 21, 7]."""
    found = self({_EVIDENCE: packed}, training=False)
    return found['states'][-1], found['bases'][-1]

  def _look_at(self, images: tf.Tensor) -> _Look:
    """What is seen in crops [B, 224, 224, 3]."""
    return self._of_evidence(*evidences.of_images(self.landmark_net, images, self._mirrored))

  def _of_evidence(self, evidence: evidences.Evidence, presence: tf.Tensor) -> _Look:
    """What is seen, by the evidence and the presence [B]."""
    packed = evidence.pack()
    return *self._estimate(packed), packed, presence

  def _fitted(self, start: tf.Tensor, base: tf.Tensor, packed: tf.Tensor, steps,
              factors: Optional[tf.Tensor] = None) -> least_squares.Fit:
    """The state [B, 43] after a number of iterations, with its cost; `factors` [B, 189] of the residuals, or None."""
    def weighed(residuals: tf.Tensor) -> tf.Tensor:
      return residuals if factors is None else residuals * factors

    def linearised(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
      residuals, jacobian = self._linearised(x, start, base, packed)
      return weighed(residuals), jacobian if factors is None else jacobian * factors[..., None]

    def fitted() -> least_squares.Fit:
      return least_squares.minimise_squares(linearised, start, iterations=steps)

    def unfitted() -> least_squares.Fit:
      cost = tf.reduce_sum(tf.square(weighed(self._residuals(start, base, packed))), axis=1) / 2
      return least_squares.Fit(start, cost, cost)

    if isinstance(steps, int):
      return fitted() if steps else unfitted()
    # The fit linearises once more than it has steps, which an answer without refinement need not wait for.
    return tf.cond(tf.equal(steps, 0), unfitted, fitted)

  def _start_residuals(self, start: tf.Tensor, base: tf.Tensor, packed: tf.Tensor) -> tf.Tensor:
    """The residuals [B, R] of starts [B, 43]."""
    return self._misfit.residuals(start, start, base, evidences.unpack(packed))

  def _linearised_misfit(self, x: tf.Tensor, start: tf.Tensor, base: tf.Tensor,
                         packed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The residuals [B, R] of states x [B, 43] and their derivatives [B, R, 43]."""
    return self._misfit.linearised(x, start, base, evidences.unpack(packed))

  def _outputs_of(self, x: tf.Tensor, base: tf.Tensor, packed: tf.Tensor) -> Tensors:
    """The hand of a state x [B, 43] about base rotations [B, 4], and the packed evidence [B, 21, 7] beside it."""
    h, camera, evidence = self.state.parameters(x, base), self.state.camera(x), evidences.unpack(packed)
    hand = self.task.posed_hand(h)
    mask = self._silhouette(cameras.add_perspective(hand['vertices'], camera))
    seen = cameras.add_perspective(hand['joints_3d'], camera)[..., :2]
    sure = confidence.joint_confidence(evidence.spread, tf.norm(seen - evidence.joints_2d, axis=-1))
    return {**hand, 'joints_2d': seen, 'parameters': h, 'mask': mask, 'camera_distance': camera.distance,
            'joint_confidence': sure, 'joints_2d_rounds': evidence.joints_2d[:, None]}


@gin.configurable(module='landmarks', denylist=['task'])
def landmark_model(task: HandTask, mirrored: bool = True, mask_size: int = 64,
                   build_objective: Callable[..., EvidenceObjective] = EvidenceObjective) -> LandmarkModel:
  """Builds the estimator; for `Experiment.method`.

  Args:
    task: gives the hand.
    mirrored: whether to look at each crop and its mirror image, which costs a second pass of the landmark network and
      tells how sure it is.
    mask_size: side of the rendered mask, px.
    build_objective: state -> objective.

  Returns:
    The model, not compiled.
  """
  state = hand_state.HandState(task.hand_model)
  return LandmarkModel(task, state, rounds.Rounds(state), landmark_net.landmark_net(), mirrored, mask_size,
                       build_objective)
