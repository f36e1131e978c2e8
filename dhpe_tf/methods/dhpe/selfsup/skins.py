"""Skin from pictures: the colour of a hand's surface where its picture shows it, and an estimate elsewhere.

A picture under an estimated mesh is decomposed into

  albedo * light, in linear light, and
  detail = displayed brightness of the picture / displayed brightness of albedo * light:

albedo is a colour per vertex, light a smooth function of the normal (spherical harmonics), detail the remaining ratio
per pixel. The albedo of unseen skin is filled in along the surface from the skin that is seen.
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
_LEAST_EVIDENCE = 0.1  # evidence of the neighbours, in units of `trust`, below which a coarser smoothing counts
# Ridge weight of the harmonics of degree 2, where that of degrees 0 and 1 is 1.
_UNEVENNESS = 5.
_DARKEST = 0.2  # least light, where 1 is its mean: keeps deep shadows from becoming white skin


class Skins(NamedTuple):
  """Skins of a batch of pictures.

  Attributes:
    albedo: [B, V, 3] linear, in units in which the light's mean over the seen skin is 1.
    environment: [B, 9, 3], coefficients of the estimated light (`shading.Lights.environment`).
    detail: [B, S, S, 1], displayed brightness of the picture over that of the mesh with this albedo and light; 1 off
      the mesh.
    seen: [B, V], 0..1, how well the picture shows each vertex.
    place: [B, V, 2], the vertices' places in the picture, crop space.
  """

  albedo: tf.Tensor
  environment: tf.Tensor
  detail: tf.Tensor
  seen: tf.Tensor
  place: tf.Tensor


@gin.configurable(module='selfsup', denylist=['hand_model'])
class SkinReader:
  """Reads skins from pictures of hands whose meshes are known or estimated."""

  def __init__(self, hand_model: HandModel, spread: tuple = (2., 20., 200., 5000.), trust: float = 0.3,
               likeness: tuple = (0.2, 0.5), light_prior: float = 0.05, most_contrast: float = 0.5):
    """Prepares the smoothing kernels (I + time L)^-1 [V, V], implicit steps of diffusion with the uniform Laplacian L.

    Args:
      hand_model: the hand.
      spread: times of diffusion over the surface, in steps of one edge, from fine to coarse. Unseen skin takes its
        colour from the finest of them that reaches seen skin.
      trust: number of pixels, facing the camera, that must show a vertex for its own colour to count half.
      likeness: standard deviations of skin about the hand's mean colour: in hue (logarithms of red over green and blue
        over green) and in brightness (logarithm), of linear light. Colours farther off, such as the background beside
        a misplaced mesh, count less.
      light_prior: ridge weight that pulls the light toward even light; the evidence of all seen skin is 1.
      most_contrast: largest length of the light's coefficients other than the first.
    """
    self._faces = hand_model.closed_faces
    self._count = hand_model.num_vertices
    laplacian = meshes.uniform_laplacian(self._faces, self._count).toarray()
    self._kernels = [np.linalg.inv(np.eye(self._count) + time * laplacian).astype(np.float32) for time in spread]
    self._trust, self._likeness = trust, likeness
    self._light_prior, self._most_contrast = light_prior, most_contrast

  def read(self, images: tf.Tensor, vertices_crop: tf.Tensor, coverage: tf.Tensor) -> Skins:
    """Reads the skins of a batch.

    Args:
      images: [B, S, S, 3] in 0..1, display colours.
      vertices_crop: [B, V, 3] crop space.
      coverage: [B, S, S] in 0..1, the hand's share of each pixel, 1 where it is not known.

    Returns:
      `Skins`.
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
    """Means [B, V, 3] of the pixels' values [N, 3] over the faces around each vertex, and their weights [B, V].

    mean_v = sum_n w_n b_nv value_n / sum_n w_n b_nv, b_nv the vertex' barycentric coordinate in pixel n.
    """
    shares = visible.barycentrics * weight[:, None]
    packed = shares[..., None] * tf.concat([values, tf.ones_like(values[:, :1])], axis=1)[:, None]
    index = visible.image[:, None] * self._count + visible.vertices
    batch = visible.image_shape[0]
    sums = tf.math.unsorted_segment_sum(packed, index, batch * self._count)
    sums = tf.reshape(sums, [-1, self._count, 4])
    return sums[..., :3] / tf.maximum(sums[..., 3:], _EPSILON), sums[..., 3]

  def _skin_likeness(self, colour: tf.Tensor, evidence: tf.Tensor) -> tf.Tensor:
    """Likeness [B, V] in 0..1 of colours [B, V, 3] to the hand's own skin: Welsch's robust weights.

      likeness = exp(-|m - mean m|^2 / (2 width^2)), m (log(r / g), log(b / g), log(r g b) / 3) over their deviations,

    the mean weighted by likeness and evidence [B, V], in four rounds of decreasing width.
    """
    red, green, blue = tf.unstack(tf.math.log(tf.maximum(colour, 1e-3)), axis=-1)
    hue, brightness = self._likeness
    measures = tf.stack([(red - green) / hue, (blue - green) / hue, (red + green + blue) / (3 * brightness)], axis=-1)
    # The first round, with a wide bell, finds the mean colour of a hand that may be half background.
    likeness = tf.ones_like(evidence)
    for width in (3., 2., 1., 1.):
      weight = (likeness * evidence)[..., None]
      total = tf.maximum(tf.reduce_sum(weight, axis=1, keepdims=True), _EPSILON)
      distance = measures - tf.reduce_sum(weight * measures, axis=1, keepdims=True) / total
      likeness = tf.exp(-tf.reduce_sum(distance**2, axis=-1) / (2 * width**2))
    return likeness

  def _light(self, colour: tf.Tensor, evidence: tf.Tensor, normals: tf.Tensor) -> tf.Tensor:
    """White light [B, 9, 3] under which skin of one colour looks as seen: ridge regression of brightness on normals.

      c = e_0 + argmin_c sum_v w_v (Y(n_v) . c - (brightness_v / mean brightness - 1))^2 + sum_k prior_k c_k^2,

    Y the nine harmonics, w the normalised evidence. The coefficients but for the first are then limited in length.

    Args:
      colour: [B, V, 3] linear.
      evidence: [B, V].
      normals: [B, V, 3].
    """
    weight = evidence / tf.maximum(tf.reduce_sum(evidence, axis=1, keepdims=True), _EPSILON)
    brightness = _brightness(colour)
    mean = tf.reduce_sum(weight * brightness, axis=1, keepdims=True)
    target = brightness / tf.maximum(mean, 1e-3) - 1
    basis = shading.harmonics(normals)
    weighted = basis * weight[..., None]
    prior = self._light_prior * np.diag([1.] * 4 + [_UNEVENNESS] * 5).astype(np.float32)
    normal = tf.matmul(weighted, basis, transpose_a=True) + prior  # Y^T W Y + prior, [B, 9, 9]
    right = tf.reduce_sum(weighted * target[..., None], axis=1)
    coefficients = tf.linalg.solve(normal, right[..., None]) + tf.one_hot(0, basis.shape[-1])[:, None]
    length = tf.norm(coefficients[:, 1:], axis=1, keepdims=True)
    limited = coefficients[:, 1:] * tf.minimum(1., self._most_contrast / tf.maximum(length, _EPSILON))
    return tf.tile(tf.concat([coefficients[:, :1], limited], axis=1), [1, 1, 3])

  def _complete(self, values: tf.Tensor, evidence: tf.Tensor) -> tf.Tensor:
    """Fills in values [B, V, 3] where their evidence w [B, V] is small, from coarse to fine.

      x <- (K (w value) + e x) / (K w + e) for each kernel K from the coarsest, e the least evidence;
      result = (w value + trust x) / (w + trust).

    x is at first the hand's mean.
    """
    weight = evidence[..., None]
    total = tf.maximum(tf.reduce_sum(weight, axis=1, keepdims=True), _EPSILON)
    result = tf.reduce_sum(weight * values, axis=1, keepdims=True) / total
    packed, least = tf.concat([weight * values, weight], axis=-1), _LEAST_EVIDENCE * self._trust
    for kernel in reversed(self._kernels):
      smooth = tf.einsum('uv,bvc->buc', kernel, packed)
      result = (smooth[..., :3] + least * result) / (smooth[..., 3:] + least)
    return (packed[..., :3] + self._trust * result) / (weight + self._trust)


def _brightness(linear: tf.Tensor) -> tf.Tensor:
  """Luminance [...] of linear colours [..., 3], by the weights 0.299, 0.587 and 0.114."""
  return tf.reduce_sum(linear * tf.constant(_LUMA), axis=-1)


def _eroded(mask: tf.Tensor) -> tf.Tensor:
  """Masks [B, S, S] eroded by one pixel: the least value of each 3x3 neighbourhood."""
  return -tf.nn.max_pool2d(-mask[..., None], 3, 1, 'SAME')[..., 0]
