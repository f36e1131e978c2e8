"""Times our functions beside those of tensorflow-graphics that do the same: `python -m tests.benchmarks.graphics`.

Prints a Markdown table: the median time of theirs divided by that of ours, above 1 where ours is faster, for 1 and for
16 hands, forward and forward with backward, and the largest difference of their results. Both run as graphs, in turns,
on the same data. `hard pass to picture` is what a rendered picture costs from vertices to antialiased colours: on
ours by the list of visible points, on theirs by the Framebuffer and its interpolation over all points.
"""
import importlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import app, flags

from dhpe_tf.geometry import cameras, meshes, rotations
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.hand.mano_layer import ManoLayer
from dhpe_tf.rendering import rasterizer, render, shading
from tests.benchmarks import rendering_views

_ROUNDS = flags.DEFINE_integer('rounds', 15, 'Turns.', lower_bound=1)
_CLOCK = flags.DEFINE_enum('clock', 'cpu', ['wall', 'cpu'],
                           'What is measured; the processor time of all threads is steadier on a busy machine.')
_ONLY = flags.DEFINE_list('only', [], 'Rows to measure; all by default.')

BATCHES = (1, 16)
_SIZE = 224
_SAMPLES = 2
_LEAST_TURN_S = 0.02

Function = Callable[..., tf.Tensor]


class Pair(NamedTuple):
  """Two functions that do the same.

  Attributes:
    name: of the row.
    ours, theirs: functions of the inputs.
    inputs: tensors; gradients are taken with respect to those of floats.
  """

  name: str
  ours: Function
  theirs: Function
  inputs: Sequence[tf.Tensor]


def transformation_pairs(batch: int) -> list[Pair]:
  """Rotations, the skinning of the hand and its normals."""
  from tensorflow_graphics.geometry.representation.mesh import normals
  from tensorflow_graphics.geometry.transformation import linear_blend_skinning, quaternion, rotation_matrix_3d

  random = np.random.default_rng(0)
  turns = tf.constant(random.normal(size=(batch, 15, 3)), tf.float32)
  quaternions = tf.math.l2_normalize(tf.constant(random.normal(size=(batch, 4)), tf.float32), axis=-1)
  layer, model = ManoLayer(), load_hand_model()
  transforms = tf.constant(random.normal(size=(batch, 16, 3, 4)), tf.float32)
  rest = tf.constant(random.normal(size=(batch, 3, model.num_vertices)), tf.float32)
  weights = tf.constant(model.weights, tf.float32)
  vertices, faces = tf.transpose(rest, [0, 2, 1]), model.closed_faces
  batched_faces = tf.tile(tf.constant(faces, tf.int32)[None], [batch, 1, 1])

  def axis_and_angle(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    angle = tf.norm(x, axis=-1, keepdims=True)
    return x / angle, angle

  def their_skin(a: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    # Their batch dimensions are those of points, then those of bones, so that each hand is one of its own.
    points = tf.unstack(tf.transpose(x, [0, 2, 1]))
    return tf.stack([linear_blend_skinning.blend(p, weights, t[..., :3], t[..., 3])
                     for p, t in zip(points, tf.unstack(a))])

  def theirs_last(q: tf.Tensor) -> tf.Tensor:
    return tf.roll(q, -1, axis=-1)  # they have (x, y, z, w)

  return [
      Pair('axis-angle to matrix', rotations.axis_angle_to_matrix,
           lambda x: rotation_matrix_3d.from_axis_angle(*axis_and_angle(x)), [turns]),
      Pair('axis-angle to quaternion', rotations.axis_angle_to_quaternion,
           lambda x: tf.roll(quaternion.from_axis_angle(*axis_and_angle(x)), 1, axis=-1), [turns]),
      Pair('quaternion to matrix', rotations.quaternion_to_matrix,
           lambda q: rotation_matrix_3d.from_quaternion(theirs_last(q)), [quaternions]),
      Pair('quaternion product', lambda q: rotations.quaternion_multiply(q, q[::-1]),
           lambda q: tf.roll(quaternion.multiply(theirs_last(q), theirs_last(q[::-1])), 1, axis=-1), [quaternions]),
      Pair('skinning', lambda a, x: tf.transpose(layer._skin(a, x), [0, 2, 1]), their_skin, [transforms, rest]),
      Pair('vertex normals', lambda v: meshes.vertex_normals(v, faces),
           lambda v: normals.vertex_normals(v, batched_faces), [vertices]),
  ]


def camera_pairs(batch: int) -> list[Pair]:
  """Projection of all vertices by a pinhole camera, and back."""
  from tensorflow_graphics.rendering.camera import perspective

  points = tf.constant(np.random.default_rng(0).uniform(.4, 1, (batch, 778, 3)), tf.float32)
  focal, principal = tf.fill([batch, 2], 300.), tf.fill([batch, 2], 112.)
  intrinsics = cameras.make_intrinsics(focal, principal)
  pixels = cameras.project_pinhole(points, intrinsics)

  def parts(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    found = perspective.intrinsics_from_matrix(matrix)
    return found[0][:, None], found[1][:, None]

  return [
      Pair('projection', lambda p: cameras.project_pinhole(p, intrinsics),
           lambda p: perspective.project(p, *parts(intrinsics)), [points]),
      Pair('back-projection', lambda p, z: cameras.unproject(p, z, intrinsics),
           lambda p, z: perspective.ray(p, *parts(intrinsics)) * z[..., None], [pixels, points[..., 2]]),
  ]


def shading_pairs(batch: int) -> list[Pair]:
  """Light of one lamp on all vertices: matt (Lambert) and gloss (Blinn), without environment."""
  from tensorflow_graphics.rendering.reflectance import blinn_phong, lambertian

  random = np.random.default_rng(0)
  normals = tf.math.l2_normalize(tf.constant(random.normal(size=(batch, 778, 3)), tf.float32), axis=-1)
  albedo = tf.constant(random.uniform(.2, .9, (batch, 778, 3)), tf.float32)
  lights = shading.ambient_and_lamp(batch, ambient=0, direction=(0, 0, -1))
  eye = tf.constant([0., 0., -1.])

  def theirs(albedo: tf.Tensor, normals: tf.Tensor) -> tf.Tensor:
    # Their reflectances follow the light's way; its power times the cosine comes on top. Their constants differ.
    falling = tf.broadcast_to(-lights.directions, tf.shape(normals))
    outward = tf.broadcast_to(eye, tf.shape(normals))
    power = lights.colours * tf.maximum(tf.reduce_sum(-falling * normals, axis=-1, keepdims=True), 0)
    shininess = tf.broadcast_to(lights.shininess[:, None, None], tf.shape(normals[..., :1]))
    gloss = tf.ones_like(albedo) * lights.gloss[:, None, None]
    return (power * np.pi * lambertian.brdf(falling, outward, normals, albedo)
            + (lights.shininess[:, None, None] + 8) / 8 * lights.colours * blinn_phong.brdf(
                falling, outward, normals, shininess, gloss, brdf_normalization=False))

  return [Pair('light of a lamp', lambda a, n: shading.shade(a, n, lights, wrap=0.), theirs, [albedo, normals])]


def picture_pairs(batch: int) -> list[Pair]:
  """The interpolation of colours, and all from the vertices to a picture."""
  from tensorflow_graphics.rendering import interpolate

  vertices = tf.constant(rendering_views.hand_views('g224', batch), tf.float32)
  fine, faces = (_SIZE * _SAMPLES,) * 2, rendering_views.faces()
  scaled = vertices * tf.constant([_SAMPLES, _SAMPLES, 1.])
  colours = tf.constant(np.random.default_rng(0).uniform(0, 1, (batch, vertices.shape[1], 3)), tf.float32)
  lights = shading.ambient_and_lamp(batch)
  visible = tf.function(lambda v: rasterizer.find_visible(v, faces, fine, cull=True))(scaled)
  buffer = rasterizer.framebuffer(visible, faces, fine, {})

  def lit(vertices: tf.Tensor, albedo: tf.Tensor) -> tf.Tensor:
    return shading.to_display(shading.shade(albedo, meshes.vertex_normals(vertices, faces), lights))

  def our_picture(vertices: tf.Tensor, albedo: tf.Tensor) -> tf.Tensor:
    rgb, alpha, _ = render.render_rgb(vertices, faces, albedo, lights, (_SIZE, _SIZE), samples=_SAMPLES)
    return rgb * alpha

  def their_picture(vertices: tf.Tensor, albedo: tf.Tensor) -> tf.Tensor:
    scale = tf.constant([_SAMPLES, _SAMPLES, 1.])
    found = rasterizer.rasterize(vertices * scale, faces, fine, cull=True)
    points = interpolate.interpolate_vertex_attribute(lit(vertices, albedo), found).value
    return tf.nn.avg_pool2d(points, _SAMPLES, _SAMPLES, 'VALID')

  return [
      Pair('interpolation, from the hard pass to points',
           lambda c: rasterizer.to_image(visible, rasterizer.interpolate(visible, c, faces)),
           lambda c: interpolate.interpolate_vertex_attribute(c, buffer).value, [colours]),
      Pair('hard pass to picture', our_picture, their_picture, [vertices, colours]),
  ]


def pairs(batch: int) -> list[Pair]:
  """All pairs for so many hands."""
  return [*picture_pairs(batch), *shading_pairs(batch), *camera_pairs(batch), *transformation_pairs(batch)]


def _graph(function: Function, inputs: Sequence[tf.Tensor], backward: bool) -> Callable[[], np.ndarray]:
  """The function of the inputs as a graph, traced; with `backward` its result and the gradient of its squares' sum."""

  @tf.function(autograph=False)
  def run(*inputs):
    if not backward:
      return [function(*inputs)]
    with tf.GradientTape() as tape:
      tape.watch(inputs)
      result = function(*inputs)
      loss = tf.reduce_sum(tf.square(result))
    return [result, *tape.gradient(loss, inputs)]

  return lambda: [part.numpy() for part in run(*inputs)]


def _seconds(call: Callable, count: int, clock: Callable[[], float]) -> float:
  """Seconds a call, of `count` calls."""
  start = clock()
  for _ in range(count):
    call()
  return (clock() - start) / count


def compare(pair: Pair, backward: bool, rounds: int, clock: Callable[[], float]) -> tuple[float, float]:
  """The ratio of the median times, theirs to ours, and the largest difference of the results."""
  calls = [_graph(function, pair.inputs, backward) for function in (pair.ours, pair.theirs)]
  difference = float(np.max(np.abs(calls[0]()[0] - calls[1]()[0])))
  count = max(1, round(_LEAST_TURN_S / max(min(_seconds(call, 1, clock) for call in calls), 1e-6)))
  times = ([], [])
  for _ in range(rounds):
    for kept, call in zip(times, calls):
      kept.append(_seconds(call, count, clock))
  return statistics.median(times[1]) / statistics.median(times[0]), difference


def main(argv: list[str]) -> None:
  """Prints the table."""
  del argv
  clock = time.process_time if _CLOCK.value == 'cpu' else time.perf_counter
  start = clock()
  importlib.import_module('tensorflow_graphics.rendering.camera.perspective')
  print(f'the import of its cameras takes {clock() - start:.1f} s')
  print(f'time of tensorflow-graphics / ours, {_CLOCK.value} clock, median of {_ROUNDS.value} turns\n\n'
        '| what | 1 hand | 1 hand, with backward | 16 hands | 16 hands, with backward | largest difference |\n'
        '| --- | --- | --- | --- | --- | --- |')
  by_batch = [pairs(batch) for batch in BATCHES]
  for same in zip(*by_batch):
    if _ONLY.value and same[0].name not in _ONLY.value:
      continue
    found = [compare(pair, backward, _ROUNDS.value, clock) for pair in same for backward in (False, True)]
    cells = [f'{ratio:.2f}' for ratio, _ in found]
    print(f'| {same[0].name} | {" | ".join(cells)} | {max(difference for _, difference in found):.1e} |', flush=True)


if __name__ == '__main__':
  app.run(main)
