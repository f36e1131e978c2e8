"""The record of the hand task: one hand in one picture."""
from dhpe_tf.data.record_schema import Field, RecordSchema
from dhpe_tf.data.tfrecords import RecordType
from dhpe_tf.hand import hand_model, skeletons
from dhpe_tf.synthesis import objects
from dhpe_tf.tasks.hand.record_statistics import HandStatistics

_K, _POSE, _SHAPE = skeletons.NUM_KEYPOINTS, hand_model.NUM_POSE, hand_model.NUM_SHAPE
_ZERO, _NONE = 0.0, b''
_SHARE, _SIZE = (0., 1.), (1, 2**31 - 1)
FIELDS = {
    'image/encoded': Field('bytes', (), None, 'JPEG or PNG file', is_picture=True),
    'image/height': Field('int', (), None, 'px', limits=_SIZE),
    'image/width': Field('int', (), None, 'px', limits=_SIZE),
    'image/id': Field('bytes', (), None, 'name of the picture in its source'),
    'hand/side': Field('bytes', (), None, "'right' or 'left', as in an unmirrored picture", ('right', 'left')),
    'hand/joints_2d_px': Field('float', (_K, 2), None, 'x, y; pixel centres at +0.5'),
    'hand/joints_2d_valid': Field('float', (_K,), None, '1 where the 2D label counts, else 0', limits=_SHARE),
    'hand/visibility': Field('float', (_K,), 1.0, '1 seen, 0 hidden (labelled all the same)', limits=_SHARE),
    'hand/joints_3d_m': Field('float', (_K, 3), _ZERO, 'camera axes; relative to the root (middle MCP) if '
                              'camera/intrinsics are unknown'),
    'hand/joints_3d_valid': Field('float', (_K,), _ZERO, '1 where the 3D label counts; teacher labels less',
                                  limits=_SHARE),
    'hand/pose': Field('float', (_POSE,), _ZERO, 'axis-angle about the flat hand, radians; mirrored if left'),
    'hand/shape': Field('float', (_SHAPE,), _ZERO, 'shape coefficients'),
    'hand/has_parameters': Field('float', (), _ZERO, '1 where pose and shape belong to the built-in hand model',
                                  limits=_SHARE),
    'hand/box_px': Field('float', (4,), _ZERO, 'left, top, width, height; counts where fewer than two joints are '
                         'labelled; zeros for the whole picture'),
    'mask/encoded': Field('bytes', (), _NONE, 'PNG of one channel, 255 on the hand; empty where there is none',
                          is_picture=True),
    'hand/rotation': Field('float', (4,), _ZERO, 'unit quaternion (w, x, y, z), hand frame to camera axes, as pose '
                           'mirrored if left; zeros where it is unknown'),
    'object/kind': Field('bytes', (), _NONE, 'shape of the object in or before a rendered hand; empty where that is '
                         'unknown', ('', *objects.KINDS)),
    'object/half_sizes_m': Field('float', (3,), _ZERO, 'half sizes along its own axes, see synthesis.objects'),
    'bench/training_distance': Field('float', (4,), -1.0, 'to the nearest hand of the split train along each axis of '
                                     'the generalisation bench, see bench.axes; -1 where it is unknown'),
    'camera/intrinsics': Field('float', (3, 3), _ZERO, 'K in px; zeros where unknown'),
    'source': Field('bytes', (), _NONE, 'dataset or tool, and how the labels were made'),
    'group': Field('bytes', (), _NONE, 'person or session; splits never cut a group'),
}
SCHEMA = RecordSchema(FIELDS, 'image/id')
HAND_RECORD = RecordType(SCHEMA, lambda: HandStatistics(SCHEMA))
