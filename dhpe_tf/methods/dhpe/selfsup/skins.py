"""Skin from pictures: what colour a hand's surface has, where its picture shows it, and a guess elsewhere.

A picture under an estimated mesh is taken apart into albedo (a colour a vertex, linear), light (a smooth environment)
and detail (what the picture has beyond both). Unseen skin is filled in along the surface from the skin that is seen.
"""
from typing import NamedTuple

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import meshes
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.rendering import crop_view, rasterizer, shading

_LUMA = (0.299, 0.587, 0.114)
_EPSILON = 1e-6
_LEAST_EVIDENCE = 0.1  # of the neighbours, in units of `trust`, below which those farther away are asked
# How much less likely light is that changes twice from one side to the other.
_UNEVENNESS = 5.
_DARKEST = 0.2  # least light, where 1 is its mean: keeps deep shadows from becoming white skin


class Skins(NamedTuple):
  """Skins of a batch of pictures.

  Attributes:
    albedo: [B, V, 3] linear, in units in which the light's mean over the skin seen is 1.
    environment: [B, 9, 3], the estimated light as `shading.Lights` has it.
    detail: [B, S, S, 1], brightness of the picture over that of the mesh so coloured and lit, as displayed; 1 off the
      mesh.
    seen: [B, V], 0..1, how well the picture shows each vertex.
    place: [B, V, 2], where it does, crop space.
  """

  albedo: tf.Tensor
  environment: tf.Tensor
  detail: tf.Tensor
  seen: tf.Tensor
  place: tf.Tensor


@gin.configurable(module='selfsup', denylist=['hand_model'])
class SkinReader:
  """Reads skins off pictures of hands whose meshes are known or estimated."""

  def __init__(self, hand_model: HandModel, spread: tuple = (2., 20., 200., 5000.), trust: float = 0.3,
               likeness: tuple = (0.2, 0.5), light_prior: float = 0.05, most_contrast: float = 0.5):
    """Prepares the surface's smoothing.

    Args:
      hand_model: the hand.
      spread: times of diffusion over the surface, in steps of one edge, from fine to coarse. What is unseen takes its
        colour from the finest of them that reaches skin that is seen.
      trust: pixels, facing the camera, that a vertex must be seen in for its own colour to count half.
      likeness: how far skin may be from the hand's mean colour, in hue (standard deviation of the logarithms of red
        and blue over green) and in brightness (logarithm, of linear light). What is farther, such as the background
        beside a mesh that lies wrong, counts less.
      light_prior: how strongly the light is taken for even; in units of the evidence of all skin seen.
      most_contrast: largest length of the light's coefficients but for the first, which is 1.
    """
    self._faces = hand_model.closed_faces
    self._count = hand_model.num_vertices
    laplacian = meshes.uniform_laplacian(self._faces, self._count).toarray()
    self._kernels = [np.linalg.inv(np.eye(self._count) + time * laplacian).astype(np.float32) for time in spread]
    self._trust, self._likeness = trust, likeness
    self._light_prior, self._most_contrast = light_prior, most_contrast

  def read(self, images: tf.Tensor, vertices_crop: tf.Tensor, coverage: tf.Tensor) -> Skins:
    """Reads the skins.

    Args:
      images: [B, S, S, 3] in 0..1.
      vertices_crop: [B, V, 3] crop space.
      coverage: [B, S, S] in 0..1, how far each pixel may be taken for the hand's.
    """
    size = images.shape[1]
    pixels = crop_view.crop_to_pixels(vertices_crop, size)
    normals = meshes.vertex_normals(pixels, self._faces)
    visible = rasterizer.find_visible(pixels, self._faces, (size, size), cull=True)
    linear = shading.to_linear(tf.clip_by_value(images, 1e-3, 1.))
    picture = tf.gather(tf.reshape(linear, [-1, 3]), visible.pixel)
    # Pixels at the rim are half background, and skin seen at a slant is seen badly.
    facing = rasterizer.interpolate(visible, tf.maximum(-normals[..., 2:], 0.), self._faces)[:, 0]
    weight = facing**2 * tf.gather(tf.reshape(_eroded(coverage), [-1]), visible.pixel)
    colour, evidence = self._to_vertices(visible, picture, weight)
    evidence *= self._skin_likeness(colour, evidence)
    environment = self._light(colour, evidence, normals)
    light = tf.maximum(tf.matmul(shading.harmonics(normals), environment), _DARKEST)
    albedo = tf.clip_by_value(self._complete(colour / light, evidence), 1e-3, 1.5)
    shown = rasterizer.interpolate(visible, albedo * light, self._faces)
    ratio = shading.to_display(_brightness(picture)) / tf.maximum(shading.to_display(_brightness(shown)), 0.05)
    ratio = 1 + tf.gather(tf.reshape(coverage, [-1]), visible.pixel) * (tf.clip_by_value(ratio, 0.6, 1.5) - 1)
    detail = 1 + tf.reshape(rasterizer.to_image(visible, ratio[:, None] - 1), [-1, size, size, 1])
    seen = evidence / (evidence + self._trust)
    return Skins(albedo, environment, detail, seen, vertices_crop[..., :2])

  def _to_vertices(self, visible: rasterizer.Visible, values: tf.Tensor,
                   weight: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Means [B, V, 3] of the pixels' values [N, 3] over the faces around each vertex, and their weights [B, V]."""
    shares = visible.barycentrics * weight[:, None]
    packed = shares[..., None] * tf.concat([values, tf.ones_like(values[:, :1])], axis=1)[:, None]
    index = visible.image[:, None] * self._count + visible.vertices
    batch = visible.image_shape[0]
    sums = tf.math.unsorted_segment_sum(packed, index, batch * self._count)
    sums = tf.reshape(sums, [-1, self._count, 4])
    return sums[..., :3] / tf.maximum(sums[..., 3:], _EPSILON), sums[..., 3]

  def _skin_likeness(self, colour: tf.Tensor, evidence: tf.Tensor) -> tf.Tensor:
    """How far colours [B, V, 3] may be taken for the hand's own skin, [B, V] in 0..1: Welsch's robust weights."""
    red, green, blue = tf.unstack(tf.math.log(tf.maximum(colour, 1e-3)), axis=-1)
    hue, brightness = self._likeness
    measures = tf.stack([(red - green) / hue, (blue - green) / hue, (red + green + blue) / (3 * brightness)], axis=-1)
    # The first round, of a wide bell, finds the middle of a hand that may be half background.
    likeness = tf.ones_like(evidence)
    for width in (3., 2., 1., 1.):
      weight = (likeness * evidence)[..., None]
      total = tf.maximum(tf.reduce_sum(weight, axis=1, keepdims=True), _EPSILON)
      distance = measures - tf.reduce_sum(weight * measures, axis=1, keepdims=True) / total
      likeness = tf.exp(-tf.reduce_sum(distance**2, axis=-1) / (2 * width**2))
    return likeness

  def _light(self, colour: tf.Tensor, evidence: tf.Tensor, normals: tf.Tensor) -> tf.Tensor:
    """White light [B, 9, 3] under which skin of one colour looks as seen: ridge regression of brightness on normals."""
    weight = evidence / tf.maximum(tf.reduce_sum(evidence, axis=1, keepdims=True), _EPSILON)
    brightness = _brightness(colour)
    mean = tf.reduce_sum(weight * brightness, axis=1, keepdims=True)
    target = brightness / tf.maximum(mean, 1e-3) - 1
    basis = shading.harmonics(normals)
    weighted = basis * weight[..., None]
    prior = self._light_prior * np.diag([1.] * 4 + [_UNEVENNESS] * 5).astype(np.float32)
    normal = tf.matmul(weighted, basis, transpose_a=True) + prior
    right = tf.reduce_sum(weighted * target[..., None], axis=1)
    coefficients = tf.linalg.solve(normal, right[..., None]) + tf.one_hot(0, basis.shape[-1])[:, None]
    length = tf.norm(coefficients[:, 1:], axis=1, keepdims=True)
    limited = coefficients[:, 1:] * tf.minimum(1., self._most_contrast / tf.maximum(length, _EPSILON))
    return tf.tile(tf.concat([coefficients[:, :1], limited], axis=1), [1, 1, 3])

  def _complete(self, values: tf.Tensor, evidence: tf.Tensor) -> tf.Tensor:
    """Fills values [B, V, 3] in where their evidence [B, V] is small, from coarse to fine."""
    weight = evidence[..., None]
    total = tf.maximum(tf.reduce_sum(weight, axis=1, keepdims=True), _EPSILON)
    result = tf.reduce_sum(weight * values, axis=1, keepdims=True) / total
    packed, least = tf.concat([weight * values, weight], axis=-1), _LEAST_EVIDENCE * self._trust
    for kernel in reversed(self._kernels):
      smooth = tf.einsum('uv,bvc->buc', kernel, packed)
      result = (smooth[..., :3] + least * result) / (smooth[..., 3:] + least)
    return (packed[..., :3] + self._trust * result) / (weight + self._trust)


def _brightness(linear: tf.Tensor) -> tf.Tensor:
  """Luminance [...] of colours [..., 3]."""
  return tf.reduce_sum(linear * tf.constant(_LUMA), axis=-1)


def _eroded(mask: tf.Tensor) -> tf.Tensor:
  """Masks [B, S, S] less one pixel all around."""
  return -tf.nn.max_pool2d(-mask[..., None], 3, 1, 'SAME')[..., 0]
