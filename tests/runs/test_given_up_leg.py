"""A leg that is given up keeps what it has given, in a folder of its own."""

import json
import pathlib

import pytest

from cifar_jax.runs import given_up_leg, legs

RESULT = {'test': {'accuracy': 0.5}, 'num_epochs': 1, 'seconds': 1.0, 'device': 'cpu'}
RECORD = {'split': 'train', 'epoch': 1.0, 'loss': 1.0, 'accuracy': 0.5}


@pytest.mark.parametrize('last_step', [10, 20])
def test_records_of_the_leg_are_copied_with_its_configuration(
  last_step: int, tmp_path: pathlib.Path
) -> None:
  (tmp_path / 'leg1').mkdir()
  (tmp_path / 'leg1' / 'result.json').write_text(json.dumps(RESULT | {'num_steps': 10}))
  (tmp_path / 'config.json').write_text('{"seed": 5}')
  lines = [json.dumps(RECORD | {'step': step}) for step in (10, last_step)]
  (tmp_path / 'metrics.jsonl').write_text('\n'.join(lines) + '\n')
  given_up_leg.keep(tmp_path)
  folder = tmp_path / 'leg2_given_up'
  assert folder.exists() == (last_step > 10)  # else the leg has given nothing
  if folder.exists():
    assert (folder / 'metrics.jsonl').read_text() == (tmp_path / 'metrics.jsonl').read_text()
    assert (folder / 'config.json').read_text() == '{"seed": 5}'


def test_nothing_is_kept_of_a_leg_that_had_not_begun(tmp_path: pathlib.Path) -> None:
  (tmp_path / 'result.json').write_text('{}')  # of the earlier leg
  (tmp_path / legs.OUTPUTS[0]).mkdir()
  given_up_leg.keep(tmp_path)
  assert (tmp_path / legs.OUTPUTS[0]).exists() and not list(tmp_path.glob('*given_up*'))
