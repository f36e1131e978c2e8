"""The files for servers: the manifest by the schemas of Kubernetes, and the settings that it names."""
import inspect
import pathlib
import re

import kubernetes_validate
import pytest
import yaml

from dhpe_tf import serving
from dhpe_tf.serving import batching
from dhpe_tf.serving.client import Client

FOLDER = pathlib.Path(serving.__file__).parent / 'deployment'
README = (FOLDER.parent / 'README.md').read_text(encoding='utf-8')


def documents():
  return list(yaml.safe_load_all((FOLDER / 'kubernetes.yaml').read_text(encoding='utf-8')))


def settings(name):
  """The lines of a file of settings without its comments."""
  return [line for line in (FOLDER / name).read_text().splitlines() if not line.startswith('#')]


@pytest.mark.parametrize('document', documents(), ids=lambda found: f'{found["kind"]}-{found["metadata"]["name"]}')
def test_the_manifest_fits_the_schemas_of_kubernetes(document):
  kubernetes_validate.validate(document, '1.31', strict=True)
  # The schemas are strict: a misspelt field does not pass.
  with pytest.raises(kubernetes_validate.ValidationError):
    kubernetes_validate.validate({**document, 'spec': {**document['spec'], 'replica': 1}}, '1.31', strict=True)


def test_services_find_their_servers_and_probes_their_ports():
  by_kind = {}
  for document in documents():
    by_kind.setdefault(document['kind'], {})[document['metadata']['name']] = document['spec']
  for name, service in by_kind['Service'].items():
    template = by_kind['Deployment'][name]['template']
    assert service['selector'].items() <= template['metadata']['labels'].items()
    container, = template['spec']['containers']
    ports = {port['name']: port['containerPort'] for port in container['ports']}
    assert {f'--port={ports["grpc"]}', f'--rest_api_port={ports["rest"]}'} <= set(container['args'])
    assert {port['port'] for port in service['ports']} == set(ports.values())
    assert container['readinessProbe']['httpGet']['path'] == '/v1/models/hands'
  assert '--enable_batching=true' in by_kind['Deployment']['hands']['template']['spec']['containers'][0]['args']
  assert 'batching' not in str(by_kind['Deployment']['hands-single'])


def test_prometheus_finds_the_metrics():
  # The messages of both files of settings come with no package.
  setting, = settings('monitoring.config')
  path, = re.fullmatch(r'prometheus_config { enable: true, path: "(.+)" }', setting).groups()
  annotations = documents()[0]['spec']['template']['metadata']['annotations']
  assert path == annotations['prometheus.io/path'] and path in README


def test_batches_are_those_of_the_loopback_server():
  found = {name: int(value) for name, value in (
      re.fullmatch(r'(\w+) { value: (\d+) }', line).groups() for line in settings('batching.config'))}
  usual = batching.Batching()
  assert found['max_batch_size'] == usual.max_batch_size == inspect.signature(Client).parameters['batch_size'].default
  assert found['max_enqueued_batches'] == usual.max_enqueued_batches
  assert set(found) == {'max_batch_size', 'batch_timeout_micros', 'max_enqueued_batches', 'num_batch_threads'}


def test_the_readme_names_the_files_and_flags():
  for file in FOLDER.iterdir():
    assert f'deployment/{file.name}' in README
  flags = set(re.findall(r'--[a-z_]+(?==)', README))
  in_manifest = {flag for document in documents() for flag in re.findall(r"'(--[a-z_]+)=", str(document))}
  assert {'--enable_batching', '--batching_parameters_file', '--monitoring_config_file'} <= flags & in_manifest
