"""A cross-modal variational auto-encoder: encoders and decoders of several modalities that share one code.

After Spurr et al., Cross-Modal Deep Variational Hand Pose Estimation, CVPR 2018. For each pair (i, t) of an input and a
target modality,

  log p(x_t) >= E_{z ~ q(z|x_i)} log p(x_t|z) - KL(q(z|x_i) || N(0, I)),

with p a normal distribution about what the decoder gives, so the loss is a mean squared distance and the weighted KL.
"""
import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import gin
import tensorflow as tf

from dhpe_tf import errors
from dhpe_tf.hand import canonical_hand, skeletons
from dhpe_tf.losses import biomechanics
from dhpe_tf.methods import method, steps
from dhpe_tf.methods.cross_modal_vae import codes, networks
from dhpe_tf.methods.cross_modal_vae.modalities import IMAGE, JOINTS_2D, JOINTS_3D, MODALITIES
from dhpe_tf.tasks.hand.task import HandTask
from dhpe_tf.tasks.task import Signature, Tensors

Pair = tuple[str, str]
_ROOT = skeletons.ROOT
_LEAST_SPREAD = 1e-6  # of joints about their mean, so that a scale can be divided by
_ABOUT = {'code': 'of the auto-encoder, drawn from N(0, I) for a hand at random',
          'canonical_joints': 'x, y and z relative to the middle MCP in units of the bone from the wrist to it, in the '
                              'axes of the camera',
          'picture': 'RGB in 0..1, as the decoder imagines the crop'}


class Settings(NamedTuple):
  """Settings of the training, see `build_model`."""

  source: str
  pairs: Sequence[Pair]
  kl_weight: float
  kl_warmup_steps: int
  picture_weight: float
  biomechanics_weight: float
  alternating: bool
  collapsed_nats: float


class CrossModalVae(steps.TrainableMethod):
  """A Keras model from one modality, the source, to its code: 'mean' and 'log_variance', each `[B, D]`.

  `answer` decodes the mean to 2D and to 3D joints and puts both together. Encoders and decoders of the other modalities
  are only for training and for those who ask for them.

  Attributes:
    encoders: by modality, from entries of a batch to codes.
    decoders: by modality, from codes `[B, D]`.
    latent: D.
  """

  def __init__(self, task: HandTask, encoders: Mapping[str, tf.keras.Model], decoders: Mapping[str, tf.keras.Model],
               settings: Settings):
    # New tensors: those of the encoder itself belong to its own graph.
    inputs = {name: tf.keras.Input(tensor.shape[1:], name=name, dtype=tensor.dtype)
              for name, tensor in encoders[settings.source].input.items()}
    super().__init__(inputs, encoders[settings.source](inputs), task, 'cross_modal_vae')
    self.encoders, self.decoders = dict(encoders), dict(decoders)
    self.latent = self.output['mean'].shape[-1]
    self._settings = settings
    self._sample = codes.Sample(dtype='float32', name='sample')
    self._sample([tf.zeros([1, self.latent])] * 2)  # its state must exist before a step is traced
    rest = canonical_hand.canonical(tf.constant(task.hand_model.rest_keypoints[None], tf.float32), tf.ones([1, 21]))
    self._bone_m = float(rest.bone_m[0])
    self._kl_names = [f'kl_{number:02d}_loss' for number in range(self.latent)]
    self.watch(['reconstruction', 'kl'], ['error_3d_mm', 'collapsed', *self._kl_names])

  @property
  def output_specs(self) -> dict[str, tf.TensorSpec]:
    """Specifications of `answer`'s results: joints and their scale."""
    return {'joints_3d': tf.TensorSpec([None, skeletons.NUM_KEYPOINTS, 3]),
            'joints_2d': tf.TensorSpec([None, skeletons.NUM_KEYPOINTS, 2]), 'units_per_metre': tf.TensorSpec([None])}

  def answer(self, inputs: Tensors) -> Tensors:
    """The hands of the codes' means: joints_3d, joints_2d and units_per_metre, see `placed`."""
    code = self(inputs, training=False)['mean']
    return self.placed(self.decoders[JOINTS_2D](code), self.decoders[JOINTS_3D](code), inputs)

  def placed(self, joints_2d: tf.Tensor, canonical: tf.Tensor, inputs: Tensors) -> Tensors:
    """Puts decoded 2D and canonical 3D joints together to a hand in crop space.

    x and y are the 2D joints, where the camera sees them; z is the canonical depth times the scale

      s = sqrt(sum_k |x_k - mean x|^2 / sum_k |c_k - mean c|^2),    x the 2D joints, c the canonical x and y.

    How large the hand is in metres no crop tells; the wrist is taken to be as far from the root as in the mean hand.

    Args:
      joints_2d: `[B, 21, 2]`, crop space.
      canonical: `[B, 21, 3]`.
      inputs: of the source; 2D joints that are seen stay where they are.

    Returns:
      joints_3d `[B, 21, 3]`, joints_2d `[B, 21, 2]` and units_per_metre `[B]`.
    """
    if self._settings.source == JOINTS_2D:
      joints_2d = tf.where(inputs['visibility'][..., None] > 0, inputs['joints_2d'], joints_2d)
    scale = _spread(joints_2d) / _spread(canonical[..., :2])
    depth = scale[:, None] * (canonical[..., 2] - canonical[:, _ROOT, None, 2])
    return {'joints_3d': tf.concat([joints_2d, depth[..., None]], axis=-1), 'joints_2d': joints_2d,
            'units_per_metre': scale / self._bone_m}

  def decode(self, code: tf.Tensor) -> Tensors:
    """Hands of codes `[N, D]`: joints_2d `[N, 21, 2]`, canonical_joints `[N, 21, 3]`, picture if it is decoded."""
    names = {JOINTS_2D: 'joints_2d', JOINTS_3D: 'canonical_joints', IMAGE: 'picture'}
    return {names[name]: decoder(code) for name, decoder in self.decoders.items()}

  def signatures(self) -> dict[str, Signature]:
    """The signature 'decode': hands from codes, to generate some or to walk between them."""
    specs = {'code': tf.TensorSpec([None, self.latent])}
    return {'decode': Signature(self.decode, specs, tuple(specs), 1, _ABOUT, _ABOUT)}

  def taken(self, batch: Tensors) -> Tensors:
    """The source's entries; absent pictures are replaced by others of the batch, so that statistics are of pictures."""
    given = super().taken(batch)
    if self._settings.source != IMAGE:
      return given
    present = tf.cast(tf.where(MODALITIES[IMAGE].present(batch) > 0)[:, 0], tf.int32)
    count = tf.shape(given['image'])[0]
    present = tf.cond(tf.size(present) > 0, lambda: present, lambda: tf.range(count))
    own = tf.cast(MODALITIES[IMAGE].present(batch), tf.bool)
    rows = tf.range(count)
    others = tf.gather(present, rows % tf.size(present))
    return {'image': tf.gather(given['image'], tf.where(own, rows, others))}

  def losses(self, batch: Tensors, outputs: Tensors, training: bool) -> steps.Losses:
    """The loss of one pair, the next one at each training step, as in the paper; otherwise the mean over all pairs."""
    terms = [functools.partial(self._pair, batch, outputs, pair, training) for pair in self._settings.pairs]
    if training and self._settings.alternating and len(terms) > 1:
      number = self.optimizer.iterations % len(terms)
      error, kl, weight = tf.switch_case(tf.cast(number, tf.int32), terms)
    else:
      *values, weights = (tf.stack(parts) for parts in zip(*(term() for term in terms)))  # [pairs, B]
      weight = tf.reduce_sum(weights, axis=0)
      error, kl = (tf.math.divide_no_nan(tf.reduce_sum(weights * part, axis=0), weight) for part in values)
    return steps.Losses(error + self._kl_weight(training) * kl, {'reconstruction': error, 'kl': kl}, weight)

  def measures(self, batch: Tensors, outputs: Tensors) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """Of the source's codes: the 3D error by the true scale, the KL by dimension, and how many dimensions carry none.

    Returns:
      error_3d_mm, the mean over the joints relative to the root; kl_00_loss, kl_01_loss, .. in nats, whose names end so
      that the line of an epoch leaves them out; and collapsed: values `[B]` and weights `[B]`.
    """
    present = MODALITIES[self._settings.source].present(batch)
    true = canonical_hand.canonical(batch['joints_3d_m'], batch['joints_3d_weight'])
    off = tf.norm(self.decoders[JOINTS_3D](outputs['mean']) - true.joints, axis=-1)
    off = tf.math.divide_no_nan(tf.reduce_sum(true.weights * off, axis=1), tf.reduce_sum(true.weights, axis=1))
    kl = codes.kl_to_normal(outputs['mean'], outputs['log_variance'])
    means = tf.math.divide_no_nan(tf.reduce_sum(present[:, None] * kl, axis=0), tf.reduce_sum(present))
    collapsed = tf.reduce_sum(tf.cast(means < self._settings.collapsed_nats, tf.float32))
    return {'error_3d_mm': (1000 * true.bone_m * off, true.known * present),
            'collapsed': (tf.fill(tf.shape(present), collapsed), present),
            **{name: (kl[:, number], present) for number, name in enumerate(self._kl_names)}}

  def warnings(self, logs: Mapping[str, float]) -> list[str]:
    """Tells of dimensions that carry nothing, by the KL on held-out instances, or else on those of the training."""
    prefix = 'val_' if f'val_{self._kl_names[0]}' in logs else ''
    collapsed = [name[3:5] for name in self._kl_names
                 if logs.get(prefix + name, self._settings.collapsed_nats) < self._settings.collapsed_nats]
    if not collapsed:
      return []
    return [f'{len(collapsed)} of {self.latent} dimensions of the code carry less than '
            f'{self._settings.collapsed_nats} nats ({", ".join(collapsed)}); lower '
            'cross_modal_vae.build_model.kl_weight, or give it kl_warmup_steps']

  def _pair(self, batch: Tensors, outputs: Tensors, pair: Pair, training: bool) -> tuple[tf.Tensor, ...]:
    """The squared error [B], the KL [B] and the weight [B] of one pair; `outputs` are the source's codes."""
    source, target = pair
    entries = MODALITIES[source]
    code = outputs if source == self._settings.source else self.encoders[source](
        method.inputs_of(batch, dict.fromkeys(entries.inputs)), training=training)
    drawn = self._sample([code['mean'], code['log_variance']], training=training)
    decoded = self.decoders[target](drawn, training=training)
    error, labelled = MODALITIES[target].error(batch, decoded)
    if target == IMAGE:
      error *= self._settings.picture_weight
    if target == JOINTS_3D and self._settings.biomechanics_weight:
      random = self._sample([tf.zeros_like(drawn)] * 2, training=training)
      for hands in (decoded, self.decoders[target](random, training=training)):
        excess = biomechanics.biomechanics_loss(hands) + canonical_hand.missized(hands)
        error += self._settings.biomechanics_weight * excess
    kl = tf.reduce_sum(codes.kl_to_normal(code['mean'], code['log_variance']), axis=-1)
    return error, kl, entries.present(batch) * labelled

  def _kl_weight(self, training: bool) -> tf.Tensor:
    """The weight [] of the KL, which grows to its full value over the first steps of a training."""
    weight, over = self._settings.kl_weight, self._settings.kl_warmup_steps
    if not training or not over:
      return tf.constant(weight)
    return weight * tf.minimum(tf.cast(self.optimizer.iterations, tf.float32) / over, 1.)


def _spread(points: tf.Tensor) -> tf.Tensor:
  """The root of the summed squared distances [B] of points [B, K, 2] from their mean; never 0."""
  away = points - tf.reduce_mean(points, axis=1, keepdims=True)
  return tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(away), axis=[1, 2]), _LEAST_SPREAD ** 2))


@gin.configurable(module='cross_modal_vae', denylist=['task'])
def build_model(task: HandTask, source: str = IMAGE,
                pairs: Sequence[Pair] = ((IMAGE, JOINTS_3D), (IMAGE, JOINTS_2D), (JOINTS_2D, JOINTS_3D),
                                         (JOINTS_3D, JOINTS_3D)),
                latent: int = 30, image_size: int = 224, encoder_hidden: Sequence[int] = (512, 512, 512),
                decoder_hidden: Sequence[int] = (512, 512, 512), kl_weight: float = 1e-5, kl_warmup_steps: int = 0,
                picture_weight: float = 1., biomechanics_weight: float = 0., alternating: bool = True,
                most_log_variance: float = 10., collapsed_nats: float = 0.01) -> CrossModalVae:
  """Builds the auto-encoder; for `Experiment.method`. `backbone` and `feature_head` are settings of their own.

  Args:
    task: the hand task.
    source: what an answer is made from: 'image', 'joints_2d' (those that are seen) or 'joints_3d'.
    pairs: (input, target) of the training, each one of these three. Their order is that of the steps.
    latent: dimensions of the code; the paper's are 30.
    image_size: side of the pictures, px; a multiple of 32.
    encoder_hidden: units of the dense layers of the encoders of joints.
    decoder_hidden: likewise of the decoders of joints.
    kl_weight: of the KL in nats beside the mean squared distance of a joint (crop units of 2D, units of the bone from
      wrist to root of 3D).
    kl_warmup_steps: over so many steps that weight grows from 0.
    picture_weight: of the mean squared distance of the colours of decoded pictures.
    biomechanics_weight: of what decoded 3D joints, and those of as many random codes, exceed the limits of bones and
      joints by (`losses.biomechanics`), and of how far they are from their size; the paper has none.
    alternating: whether a step learns one pair, in turn, as in the paper, or the mean of all pairs.
    most_log_variance: bound of the logarithm of a code's variances, either side of 0.
    collapsed_nats: a dimension with a lower mean KL is told to have collapsed.

  Returns:
    The model, not compiled.

  Raises:
    UserError: an unknown modality, or pairs that teach no answer.
  """
  pairs = tuple((str(one), str(other)) for one, other in pairs)
  _check(source, pairs)
  inputs = {name: networks.encoder(name, latent, encoder_hidden, image_size, most_log_variance)
            for name in MODALITIES if name in {first for first, _ in pairs}}
  targets = {name: networks.decoder(name, latent, decoder_hidden)
             for name in MODALITIES if name in {second for _, second in pairs}}
  return CrossModalVae(task, inputs, targets, Settings(source, pairs, kl_weight, kl_warmup_steps, picture_weight,
                                                       biomechanics_weight, alternating, collapsed_nats))


def _check(source: str, pairs: Sequence[Pair]) -> None:
  """Raises a UserError for pairs that teach no answer."""
  where = 'cross_modal_vae.build_model'
  for name in (source, *(name for pair in pairs for name in pair)):
    if name not in MODALITIES:
      raise errors.UserError(f'{where}: {name!r} is no modality; choose from {", ".join(MODALITIES)}')
  if source not in {first for first, _ in pairs}:
    raise errors.UserError(f'{where}.pairs has none from the source {source!r}; add ({source!r}, {JOINTS_3D!r})')
  for name in (JOINTS_2D, JOINTS_3D):
    if name not in {second for _, second in pairs}:
      raise errors.UserError(f'{where}.pairs has none to {name!r}, of which an answer is made; add ({source!r}, '
                             f'{name!r})')
