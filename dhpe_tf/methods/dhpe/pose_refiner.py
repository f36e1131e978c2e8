"""The 2D pose refiner f_Ref: one round of Eq. 6 (paper section 3.2).

  j2D(t) = j2D(t-1) + f_Ref(h(t), F(x), Reg(M(h(t))), j2D(t-1)),

h [63], F(x) [2048], the mesh's 3D skeleton Reg(M(h)) [63], j2D [42]: 2216 inputs, 42 outputs.
"""
from collections.abc import Sequence

import gin
import tensorflow as tf

from dhpe_tf.methods.dhpe import mesh_regressor


@gin.configurable(module='dhpe')
def pose_refiner(feature_size: int, hidden: Sequence[int] = (), gain: float = 0.01) -> tf.keras.Model:
  """Builds the refiner of 2D joints: the paper's single layer of 2216 x 42 weights by default.

  The paper says that it "generates a refined estimate"; the offset is our reading.

  Args:
    feature_size: length of the feature vector.
    hidden: units of hidden layers.
    gain: see `mesh_regressor.offset_network`.

  Returns:
    A model from a dict `parameters` [B, 63], `features` [B, F], `joints_3d` [B, 63] and `joints_2d` [B, 42] to an
    offset [B, 42] of the 2D joints, in crop units.
  """
  sizes = {'parameters': mesh_regressor.PARAMETER_SIZE, 'features': feature_size,
           'joints_3d': mesh_regressor.JOINTS_3D_SIZE, 'joints_2d': mesh_regressor.JOINTS_2D_SIZE}
  return mesh_regressor.offset_network(sizes, mesh_regressor.JOINTS_2D_SIZE, hidden, gain, 'pose_refiner')
