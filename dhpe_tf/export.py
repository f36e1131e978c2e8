"""Writes a trained method as a SavedModel for TensorFlow Serving.

  python -m dhpe_tf.export --model_dir=runs/quickstart --export_dir=exported/quickstart
  python -m dhpe_tf.export --from_export=exported/quickstart --export_dir=exported/quickstart

writes exported/quickstart/1/, or the next free number; the second line writes the weights of an earlier export with the
functions of today's code. The SavedModel runs without this package. Its signatures are
serving_default (the method's inputs -> named outputs in the crop); predict_encoded (JPEG or PNG [B], boxes [B, 4],
is_left [B] -> results in pixels of the pictures), for methods that take pictures; refine, for methods that can refine;
and for hands mesh and render (parameters -> the mesh, and pictures of it). assets.extra/model_card.json documents them,
and assets.extra/tf_serving_warmup_requests warms up a server. With --formats=saved_model,tflite,onnx the folder
assets.extra also gets the part without refinement for TensorFlow Lite, with weights of three types, and for ONNX.
"""
import os

from absl import flags

from dhpe_tf import command_line
from dhpe_tf.errors import UserError

_FLAGS = flags.FlagValues()
flags.DEFINE_string('model_dir', None, 'Folder of a training.', flag_values=_FLAGS)
flags.DEFINE_string('from_export', None, 'An earlier export, in place of --model_dir.', flag_values=_FLAGS)
flags.DEFINE_string('export_dir', None, "Folder of the model's versions.", flag_values=_FLAGS)
flags.DEFINE_integer('version', None, 'Number of the version; the next free one by default.', lower_bound=1,
                     flag_values=_FLAGS)
flags.DEFINE_multi_string('gin_param', [], 'Setting changed against the training.', flag_values=_FLAGS)
flags.DEFINE_list('formats', ['saved_model'], 'saved_model, and beside it tflite, onnx: files for devices in the '
                  'folder assets.extra of the version.', flag_values=_FLAGS)
flags.DEFINE_enum('weights', None, ['float32', 'float16', 'int8'], 'Type in which weights rest in the SavedModel, for '
                  'methods that have a choice; by default float16 where that loses nothing.', flag_values=_FLAGS)
command_line.define_import_flag(_FLAGS)
flags.mark_flag_as_required('export_dir', _FLAGS)
flags.mark_flags_as_mutual_exclusive(['model_dir', 'from_export'], required=True, flag_values=_FLAGS)


def main(argv: list[str]) -> None:
  """Loads the training in --model_dir or the weights of --from_export, exports them with a model card, prints where."""
  del argv
  import gin

  from dhpe_tf.inference import earlier_export
  from dhpe_tf.serving import devices, exporter, model_card
  from dhpe_tf.training.trained import load_trained

  unknown = sorted(set(_FLAGS.formats) - set(devices.FORMATS))
  if unknown or devices.FORMATS[0] not in _FLAGS.formats:
    raise UserError(f'--formats={",".join(_FLAGS.formats)}: {", ".join(unknown) or "saved_model is missing"}; give '
                    f'{devices.FORMATS[0]}, which holds the others, and any of {", ".join(devices.FORMATS[1:])}.')
  if _FLAGS.from_export:
    experiment, method = earlier_export.load(_FLAGS.from_export, _FLAGS.gin_param)
  else:
    experiment, method = load_trained(_FLAGS.model_dir, _FLAGS.gin_param)
  name = os.path.basename(os.path.abspath(_FLAGS.export_dir))
  card = model_card.describe(experiment.task, name, gin.config_str(max_line_length=120))
  print('exported to', exporter.export(method, _FLAGS.export_dir, card, _FLAGS.version, _FLAGS.formats,
                                        _FLAGS.weights))


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
