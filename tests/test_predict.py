import sys

import pytest
from PIL import Image

from dhpe_tf import command_line, predict
from dhpe_tf.serving import exporter, model_card
from tests.data.test_image_files import png_header
from tests.serving import toy


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
  folder = tmp_path_factory.mktemp('exported') / 'toy'
  exporter.export(toy.build_toy_model(), str(folder), model_card.describe(toy.TASK, 'toy'))
  return folder


def run(model, given, output, *arguments):
  # A later --box wins. The pictures of these tests show no hand.
  return command_line.call(predict.main, ['predict', f'--model={model}', f'--input={given}', f'--output={output}',
                                          '--box=whole', *arguments], predict._FLAGS)


def test_works_from_an_export_alone(exported, tmp_path):
  Image.fromarray(toy.bright_picture()).save(tmp_path / 'a.png')
  assert run(exported, tmp_path / 'a.png', tmp_path / 'out', '--box=10,5,30,30', '--side=left') == 0
  assert len(list((tmp_path / 'out').iterdir())) == 3


def test_a_folder_with_bad_files_is_finished_and_they_are_named(exported, tmp_path, capsys):
  Image.fromarray(toy.bright_picture()).save(tmp_path / 'b.png')
  Image.fromarray(toy.bright_picture()).save(tmp_path / 'b.jpg')
  (tmp_path / 'a.jpg').write_bytes(b'hello')
  (tmp_path / 'c.png').write_bytes(png_header(60000, 60000))
  assert run(exported, tmp_path, tmp_path / 'out') == 1
  error = capsys.readouterr().err
  assert 'a.jpg: not a picture' in error and 'c.png: its header announces' in error
  assert 'b.png: its results would replace those of' in error
  assert error.splitlines()[-1] == 'error: 3 of 4 pictures have no result, for the reasons above.'
  assert {path.name for path in (tmp_path / 'out').iterdir()} == {'b_overlay.jpg', 'b.obj', 'b.json'}


@pytest.mark.parametrize('arguments, message', [
    (['--box=all'], '--box=all: it must be four numbers'),
    (['--box=1,2,3'], '--box=1,2,3: it must be four numbers, left,top,width,height'),
    (['--box=1,2,3,x'], 'must be four numbers'), (['--box=500,2,3,4'], 'lies outside the picture'),
    (['--intrinsics=0,1,2,3'], 'focal lengths'),
    (['--intrinsics=nan,1,2,3'], '--intrinsics=nan,1,2,3: it must be four numbers'),
    (['--intrinsics=9,9,2,3', '--root_depth_m=inf'], '--root_depth_m=inf: it must be a number of metres'),
    (['--root_depth_m=nan'], '--root_depth_m'),
    (['--intrinsics=1e39,9,2,3'], '--intrinsics=1e39,9,2,3: it must be four numbers'),
    (['--intrinsics=9,9,2,3', '--root_depth_m=1e39'], '--root_depth_m=1e+39: it must be a number of metres'),
    (['--box=0,0,9e6,9e6'], 'more than 20 times as large as the picture'),
    (['--side=middle'], 'side')])
def test_bad_arguments_are_one_line(exported, tmp_path, arguments, message, capsys):
  Image.fromarray(toy.bright_picture()).save(tmp_path / 'a.png')
  assert run(exported, tmp_path / 'a.png', tmp_path / 'out', *arguments) == 1
  error = capsys.readouterr().err.splitlines()
  assert message in error[-1] and len(error) == 1


def test_missing_model_and_picture(exported, tmp_path, capsys):
  Image.fromarray(toy.bright_picture()).save(tmp_path / 'a.png')
  assert run(tmp_path / 'none', tmp_path / 'a.png', tmp_path / 'out') == 1
  assert 'none: no such folder; give an export' in capsys.readouterr().err
  assert run(tmp_path, tmp_path / 'a.png', tmp_path / 'out') == 1
  assert 'holds no config.gin' in capsys.readouterr().err
  assert run(exported, tmp_path / 'b.png', tmp_path / 'out') == 1
  assert 'b.png: no such file or folder' in capsys.readouterr().err


def test_results_that_cannot_be_written(exported, tmp_path, capsys):
  Image.fromarray(toy.bright_picture()).save(tmp_path / 'a.png')
  (tmp_path / 'file').write_text('')
  assert run(exported, tmp_path / 'a.png', tmp_path / 'file' / 'out') == 1
  assert 'cannot write' in capsys.readouterr().err


def test_results_never_lie_among_the_photographs(exported, tmp_path, capsys):
  photographs = tmp_path / 'photographs'
  photographs.mkdir()
  for name in ('a.jpg', 'a_overlay.jpg'):
    Image.fromarray(toy.bright_picture()).save(photographs / name)
  (photographs / 'a.json').write_text('labels')
  (tmp_path / 'linked').mkdir()
  (tmp_path / 'linked' / 'b.jpg').symlink_to(photographs / 'a.jpg')
  before = {path.name: path.read_bytes() for path in photographs.iterdir()}
  (tmp_path / 'other_name').symlink_to(photographs)
  for given in (photographs, photographs / 'a.jpg', tmp_path / 'linked'):
    for output in (photographs, tmp_path / 'other_name'):
      assert run(exported, given, output) == 1
      error = capsys.readouterr().err
      assert f'--output={output}: ' in error and 'choose another folder, such as' in error and error.count('\n') == 1
  assert {path.name: path.read_bytes() for path in photographs.iterdir()} == before
  for _ in range(2):
    assert run(exported, photographs, photographs / 'results') == 0
    assert len(list((photographs / 'results').iterdir())) == 6


def test_a_folder_in_the_place_of_a_result_stays(exported, tmp_path, capsys):
  Image.fromarray(toy.bright_picture()).save(tmp_path / 'a.png')
  (tmp_path / 'out' / 'a.json' / 'kept').mkdir(parents=True)
  assert run(exported, tmp_path / 'a.png', tmp_path / 'out') == 1
  assert 'a.json: it is a folder, which a file must not replace' in capsys.readouterr().err
  assert (tmp_path / 'out' / 'a.json' / 'kept').is_dir()
  assert len(list((tmp_path / 'out').iterdir())) == 1


def test_a_picture_without_a_hand_has_no_result(exported, tmp_path, capsys):
  Image.fromarray(toy.bright_picture()).save(tmp_path / 'a.png')
  arguments = ['predict', f'--model={exported}', f'--input={tmp_path / "a.png"}', f'--output={tmp_path / "out"}']
  assert command_line.call(predict.main, arguments, predict._FLAGS) == 1
  error = capsys.readouterr().err.splitlines()
  assert len(error) == 1 and 'a.png: no hand found; the best candidate scored 0.' in error[0]
  assert '--box=left,top,width,height' in error[0] and not (tmp_path / 'out').exists()


def test_the_program_takes_its_input_as_the_first_argument(monkeypatch, capsys):
  monkeypatch.setattr(sys, 'argv', ['dhpe-predict', 'none.jpg'])
  with pytest.raises(SystemExit) as caught:
    predict.program()
  assert caught.value.code == 1 and 'error: none.jpg: no such file' in capsys.readouterr().err
