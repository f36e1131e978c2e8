import numpy as np
import pytest

from dhpe_tf.synthesis import objects

SIZES = {'sphere': [0.03, 0.03, 0.03], 'box': [0.01, 0.02, 0.03], 'cylinder': [0.02, 0.02, 0.05]}
VOLUMES = {'sphere': 4 / 3 * np.pi * 0.03 ** 3, 'box': 8 * 0.01 * 0.02 * 0.03, 'cylinder': np.pi * 0.02 ** 2 * 0.1}


@pytest.mark.parametrize('kind', SIZES)
def test_meshes_are_closed_outward_and_of_their_volume(kind):
  vertices, normals = objects.mesh(kind, np.array(SIZES[kind]))
  corners = vertices[objects.FACES]
  volume = np.einsum('fi,fi->', corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
  assert volume == pytest.approx(VOLUMES[kind], rel=0.04)
  across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
  area = np.linalg.norm(across, axis=1)
  agree = np.einsum('fi,fi->f', across, normals[objects.FACES].mean(1))[area > 1e-9] / area[area > 1e-9]
  assert agree.min() > 0.9
  np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize('kind', SIZES)
def test_support_is_how_far_the_mesh_reaches(kind):
  directions = np.random.default_rng(0).normal(size=[50, 3])
  directions /= np.linalg.norm(directions, axis=1, keepdims=True)
  vertices, _ = objects.mesh(kind, np.array(SIZES[kind]))
  reach = objects.support_m(np.array([kind]), np.array([SIZES[kind]]), directions)[0]
  np.testing.assert_allclose((vertices @ directions.T).max(0), reach, rtol=0.03)


def test_sizes_lie_between_their_limits():
  kind = np.array(objects.KINDS * 20)
  sizes = objects.sample_sizes(kind, 0, sphere_m=(0.01, 0.02), cylinder_half_height_m=(0.5, 0.6))
  assert not sizes[kind == 'none'].any()
  spheres, cylinders = sizes[kind == 'sphere'], sizes[kind == 'cylinder']
  assert (spheres >= 0.01).all() and (spheres <= 0.02).all() and (spheres == spheres[:, :1]).all()
  assert (cylinders[:, 2] >= 0.5).all() and (cylinders[:, 0] == cylinders[:, 1]).all()
  np.testing.assert_array_equal(objects.sample_sizes(kind, 0), objects.sample_sizes(kind, 0))
