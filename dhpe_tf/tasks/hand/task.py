"""The hand task: from one crop of a picture to joints, mesh, camera and mask of one hand (paper, section 3)."""
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional, Union

import gin
import numpy as np
import tensorflow as tf
from absl import flags

from dhpe_tf.data.checks import Check, SetCheck
from dhpe_tf.finding import finder, served
from dhpe_tf.geometry.crops import REPORT_PX
from dhpe_tf.hand import hand_model
from dhpe_tf.metrics import pck
from dhpe_tf.tasks.hand import (
  first_keypoint,
  hand_clip,
  instance,
  lite,
  metric_space,
  outputs,
  posing,
  prediction,
  predictions,
  protocols,
  published,
  record,
  results,
  served_hands,
  serving,
  slices,
  task_flags,
)
from dhpe_tf.tasks.hand import request as requests
from dhpe_tf.tasks.hand.checks import all_checks, leaks
from dhpe_tf.tasks.hand.predictions import from_root
from dhpe_tf.tasks.measured import Column, Measured, Published
from dhpe_tf.tasks.task import Arrays, QuickNetwork, Signature, Surface, Task, Tensors
from dhpe_tf.visualization import curves, overlay

# In a model card's usage of images: crops are turned so that the hand points up, in the square of `finding.regions`.
UPRIGHT = 'upright'


@gin.configurable(module='hand')
class HandTask(Task):
  """One hand in one picture.

  Attributes:
    hand_model: the hand that methods of this task pose.
    posed_hand: poses it, see `posing.posed_hand`.
  """

  name = 'hand'
  record = record.HAND_RECORD
  batch = instance.BATCH
  outputs = outputs.OUTPUTS
  labels = ('joints_2d', 'joints_2d_weight', 'joints_3d_m', 'joints_3d_weight', 'mask', 'mask_weight', 'crop_side_px',
            'crop_center_px', 'intrinsics', 'root_depth_m', 'is_left')
  protocols = (protocols.DEFAULT, *(name for name in protocols.PROTOCOLS if name != protocols.DEFAULT))
  columns = (Column('3D root, mm', 'epe_mean/root', '.1f'), Column('3D root+scale, mm', 'epe_mean/root_scale', '.1f'),
             Column('3D Procrustes, mm', 'epe_mean/procrustes', '.1f'),
             Column('AUC 0-50 mm, root', 'auc_full/root', '.3f'),
             Column(f'2D, px of {REPORT_PX}', f'epe_2d_mean_px{REPORT_PX}', '.1f'),
             Column('mask IoU', 'hand_iou_mean', '.3f'))
  card_objects = ('hand_model',)
  only_served = {'mask': 'pixels are counted and sorted by RaggedRange, BitwiseAnd and LeftShift, which neither has'}
  about_served = {'score': results.DOCUMENTED['score']}
  lines_over = 'distance to the nearest training hand'
  curve_axes = curves.Axes(1000 * pck.THRESHOLDS_M['full'], 'error threshold (mm)', 'PCK: share of keypoints within it')

  def __init__(self, hand_file: Optional[str] = None, upright: bool = False, finds_when_served: bool = True):
    """Loads the hand model.

    Args:
      hand_file: a MANO file or an npz like it; None for the built-in hand.
      upright: whether the hands of records are turned to point up; `prepare` sets it for models that need it.
      finds_when_served: whether exports find the hands of whole pictures (`predict_hands`), which makes them about
        8 MB larger, unless the method brings a hand finder of its own.

    Raises:
      UserError: the file is no hand model.
    """
    self.hand_model = hand_model.load_hand_model(hand_file)
    self.posed_hand = posing.posed_hand(self.hand_model)
    self._finder, self._upright, self._finds_when_served = None, upright, finds_when_served

  def hand_finder(self) -> Union[finder.HandFinder, served.ServedFinder]:
    """The hand finder, built at its first use."""
    self._finder = self._finder or finder.HandFinder()
    return self._finder

  def after_parsing(self, root: str) -> Optional[Callable[[Tensors], Tensors]]:
    """Returns `first_keypoint.palm_to_wrist` for record sets whose keypoint 0 is the palm, else None."""
    return first_keypoint.palm_to_wrist if first_keypoint.of_record_set(root) == 'palm' else None

  def instance(self, record: Tensors, image_size: int, seed: Optional[tf.Tensor]) -> Tensors:
    """Makes the crop of a right hand and its labels in crop space; see `instance.to_instance`."""
    return instance.to_instance(record, image_size, seed, self._upright)

  def prepare(self, card: Mapping[str, Any]) -> None:
    """Turns the hands of records to point up if the method sees them so."""
    self._upright = self._upright or self.sees_upright(card)

  def record_checks(self, about: Optional[dict], options: Any) -> list[Check]:
    """Returns checks of ranges, projections, anatomy, pictures, masks and the placement of labels."""
    return all_checks.make(about, options)

  def set_checks(self, about: Optional[dict], place: str) -> list[SetCheck]:
    """Returns the leak test of the generalisation bench, for its record sets."""
    return [leaks.Leaks(about, place)] if leaks.NAME in (about or {}) else []

  def predictions(self, outputs: Tensors, batch: Tensors) -> Arrays:
    """Converts outputs to joints in metres and in crop space, and masks at the size of the labels."""
    return predictions.from_outputs(outputs, batch['mask'].shape[1])

  def ensemble(self, predictions: Sequence[Arrays]) -> Arrays:
    """Returns the mean hand of several methods; joints in metres are moved to one root before."""
    return super().ensemble([from_root(found) for found in predictions])

  def measure(self, protocol: str, predictions: Arrays, labels: Arrays, options: Any = None) -> Measured:
    """Measures by a named protocol; see `protocols` and `metric_space.measure`."""
    depth = task_flags.ROOT_DEPTHS[0] if options is None else options.root_depth
    return metric_space.measure(protocol, predictions, labels, pck.THRESHOLDS_M['full'], depth)

  def describe_protocol(self, protocol: str) -> str:
    """Returns the protocol's origin and its departures from that."""
    return protocols.get(protocol).summary

  def published(self, protocol: str) -> tuple[Sequence[Published], Optional[tuple[float, float]]]:
    """Returns published areas under the PCK curve from 20 to 50 mm, and that range in millimetres."""
    return published.AUC_20_50.get(protocol, ()), published.RANGE_MM

  def slices(self, labels: Arrays, training: Arrays) -> dict[str, np.ndarray]:
    """Sorts images by side, occlusion, size, view, and distance to the training hands."""
    return slices.assign(labels, training)

  def slice_definitions(self) -> dict[str, str]:
    """Returns the definition of each criterion of `slices`."""
    return slices.DEFINITIONS

  def constant_answers(self, training: Arrays, count: int) -> dict[str, Arrays]:
    """Returns the mean training hand as the answer to every image."""
    return {'mean training hand': predictions.mean_hand(training, count)}

  def draw_instance(self, instance: Arrays) -> np.ndarray:
    """Draws the crop with skeleton and, in white, the outline of the mask."""
    return overlay.draw_labels(instance['image'], instance['joints_2d'], instance['joints_2d_weight'], instance['mask'])

  def caption(self, instance: Arrays) -> str:
    """Returns 'L' or 'R' and the picture's name, the last part of the id that is not a side."""
    parts = [part for part in instance['id'].decode(errors='replace').split('/') if part not in task_flags.SIDES]
    return f"{'L' if instance['is_left'] else 'R'} {parts[-1] if parts else ''}"

  def draw_outputs(self, inputs: Arrays, outputs: Arrays, card: Mapping[str, Any]) -> np.ndarray:
    """Draws crop, mesh, skeleton and the mesh turned by 90 degrees side by side."""
    joints = outputs['joints_2d'] if 'joints_2d' in outputs else outputs['joints_3d'][..., :2]
    image = inputs['image'] if 'image' in inputs else overlay.blank(overlay.PANEL_PX)
    return overlay.draw_panels(image, _seen_vertices(outputs), joints, prediction.faces_of(card))

  def surface(self, outputs: Tensors, card: Mapping[str, Any]) -> Optional[Surface]:
    """Returns the meshes in the viewer's axes, (x, -y, -z), or None without a mesh."""
    if 'vertices' not in outputs:
      return None
    return Surface(tf.cast(outputs['vertices'], tf.float32) * [1., -1., -1.],
                   prediction.faces_of(card))

  def define_flags(self, command: str, values: flags.FlagValues) -> None:
    """Defines the flags of `task_flags`."""
    task_flags.define(command, values)

  def check_options(self, options: Any) -> None:
    """Checks box and camera flags and reads the labels of --joints."""
    requests.check_options(options)
    self._joints = requests.read_joints(options.joints) if options.joints else {}
    self._with_overlay = options.overlay

  @staticmethod
  def sees_upright(card: Mapping[str, Any]) -> bool:
    """Whether a method sees hands that are turned to point up."""
    return card.get('usage', {}).get('image') == UPRIGHT

  def adopt(self, functions: Mapping[str, Callable[..., Tensors]]) -> None:
    """Takes the model's own hand finder, which loads faster than one that is built anew."""
    if served.FIND in functions:
      self._finder = served.ServedFinder(functions)

  def quicker(self, functions: Mapping[str, Callable[..., Tensors]], specs: Mapping[str, Mapping[str, tf.TensorSpec]],
              networks: Mapping[str, QuickNetwork],
              settings: Mapping[str, Any]) -> Optional[Callable[[Tensors, int], Tensors]]:
    """Looks at pictures by the networks of TensorFlow Lite, to find hands too; see `lite`."""
    if lite.ANSWER not in functions or not {lite.LANDMARKS, lite.PALMS} <= set(networks):
      return None
    names = lite.rows(specs[lite.ANSWER])
    self._finder = finder.HandFinder(networks[lite.LANDMARKS], networks[lite.PALMS], **settings,
                                     both_views=lite.takes_both_views(names))
    return lite.answer_of(functions[lite.ANSWER], names, networks[lite.LANDMARKS].answer)

  def read_request(self, path: str, options: Any, card: Mapping[str, Any]) -> requests.Request:
    """Reads the picture and finds the hands in it, or takes the one that the flags name."""
    return requests.read(path, options, self._joints, self.sees_upright(card), self.hand_finder)

  def inputs(self, request: requests.Request, specs: Mapping[str, tf.TensorSpec]) -> Tensors:
    """Makes the crops of right hands, or their known 2D joints; or takes what was seen when hands were found."""
    return lite.inputs_of(request.views) if request.views else prediction.inputs(request, specs)

  def evidence(self, outputs: Tensors, names: Sequence[str]) -> Tensors:
    """Returns 2D joints with confidences, and the mask, from the outputs of a method that sees pictures."""
    return super().evidence(_as_evidence(outputs), names)

  def result(self, request: requests.Request, outputs: Tensors, card: Mapping[str, Any]) -> list[prediction.Hand]:
    """Converts outputs to the hands in the picture."""
    return prediction.to_hands(request, outputs, card)

  def summarise(self, result: list[prediction.Hand]) -> str:
    """Returns sides and scores of the hands, and the gain by refinement."""
    return prediction.summarise(result)

  def write_result(self, request: requests.Request, result: list[prediction.Hand], stem: str,
                   card: Mapping[str, Any]) -> list[str]:
    """Writes overlay, meshes and JSON; returns their paths."""
    return prediction.write(request, result, stem, card, self._with_overlay)

  def open_clip(self, name: str, options: Any, card: Mapping[str, Any]) -> hand_clip.HandClip:
    """Returns what follows the hands of a video."""
    known = card.get('hand_model', {}).get('fingerprint') == self.hand_model.fingerprint
    model = self.hand_model if known else None
    return hand_clip.HandClip(name, options, card, self.hand_finder(), model, self.sees_upright(card))

  def describe(self) -> dict[str, Any]:
    """Returns conventions, joint orders and the hand model."""
    return serving.describe(self.hand_model)

  def served(self, outputs: Tensors) -> Tensors:
    """Returns the outputs in crop space that an exported model gives, with 'score'."""
    return results.served(outputs)

  def encoded_signatures(self, answer: Callable[[Tensors], Tensors],
                         specs: Mapping[str, tf.TensorSpec]) -> dict[str, Signature]:
    """Builds the signatures from encoded pictures, boxes and sides to results in the pictures."""
    found = serving.encoded_signatures(answer, specs)
    if found and self._finds_when_served:
      found[served_hands.NAME] = served_hands.signature(answer, specs['image'].shape[1], finder.for_export(),
                                                        upright=False)
    return found

  def signatures(self, specs: Mapping[str, tf.TensorSpec]) -> dict[str, Signature]:
    """Builds the signatures from a hand's parameters to its mesh and to pictures of it."""
    return posing.signatures(self.posed_hand, self.hand_model, posing.image_size(specs))


def _seen_vertices(found: Arrays) -> Optional[np.ndarray]:
  """The mesh [V, 3] of one instance in crop space where it is seen, or None without a mesh."""
  if 'vertices' not in found:
    return None
  one = {name: tf.constant(found[name])[None] for name in ('vertices', 'camera_distance') if name in found}
  return outputs.seen(one['vertices'], one)[0].numpy()


def _as_evidence(found: Tensors) -> Tensors:
  """Converts a method's outputs to labels by the names of the batch: joints_2d, mask, their weights, no camera."""
  evidence = {}
  if 'joints_2d_rounds' in found:
    # On held-out pictures the mean over the rounds was nearer to the truth than the joints of any single round.
    evidence['joints_2d'] = tf.reduce_mean(found['joints_2d_rounds'], axis=1)
  elif 'joints_2d' in found:
    evidence['joints_2d'] = found['joints_2d']
  if 'heatmaps' in found:
    evidence['joints_2d_weight'] = outputs.joint_confidence(tf.reduce_max(found['heatmaps'], axis=[1, 2]))
  elif 'joints_2d' in evidence:
    evidence['joints_2d_weight'] = tf.ones_like(evidence['joints_2d'][..., 0])
  if 'joints_2d_weight' in evidence:
    evidence['visibility'] = evidence['joints_2d_weight']
  if 'mask' in found:
    evidence['mask'], evidence['mask_weight'] = found['mask'], tf.ones_like(found['mask'][:, 0, 0])
  if 'joints_2d' in evidence:  # these do not tell of a camera
    count = tf.shape(evidence['joints_2d'])[0]
    evidence.update(intrinsics=tf.zeros([count, 3, 3]), crop_center_px=tf.zeros([count, 2]),
                    crop_side_px=tf.ones([count]), crop_turn=tf.zeros([count]))
  return evidence
