"""Several steps in one dispatch: they end at each stop and give the same run as single steps."""

import dataclasses
import functools
import pathlib
import types
from typing import Any, cast

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from cifar_jax.config.training import STEPS_PER_DISPATCH_ON_ACCELERATORS, CheckpointSettings
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.train_step import make_train_step
from cifar_jax.training import dispatch
from tests.support.launcher import records_without_speed
from tests.support.sessions import POISONED, last_state, make_poisoned, run_session, stop_session
from tests.support.trainer import Trainer, build_small

GROUP = 3


@pytest.mark.parametrize(
  'end,every,at,expected',
  [
    (25, (10, 0), [], [4, 4, 1, 1, 4, 4, 1, 1, 4, 1]),
    (12, (0, 0), [6], [4, 1, 1, 4, 1, 1]),
    (9, (0, 3), [0], [1] * 9),
  ],
)
def test_a_group_never_goes_past_a_stop(
  end: int, every: tuple[int, ...], at: list[int], expected: list[int]
) -> None:
  sizes: list[int] = []
  while sum(sizes) < end:
    sizes.append(dispatch.next_num_steps(sum(sizes), end, 4, every, at))
  assert sizes == expected


@pytest.mark.ci
def test_the_steps_of_one_dispatch_equal_single_steps(tiny_cifar: pathlib.Path) -> None:
  single, together = Trainer(build_small(tiny_cifar)), Trainer(build_small(tiny_cifar))
  single.run(GROUP)
  together.step = make_train_step(together.experiment, GROUP)
  donated = together.state.params['head']['kernel']
  together.run(1)
  assert donated.is_deleted() and int(together.state.step) == GROUP
  for leaf, expected in zip(
    jax.tree.leaves(together.state), jax.tree.leaves(single.state), strict=True
  ):
    assert leaf.dtype == expected.dtype and leaf.shape == expected.shape
    np.testing.assert_allclose(leaf, expected, rtol=1e-4, atol=1e-5)


@functools.cache
def grouped(data_dir: pathlib.Path, steps_per_dispatch: int) -> Experiment:
  """An experiment of 25 steps, of which one is skipped, with a record every 4 steps."""
  experiment = make_poisoned(data_dir, 'skip')
  return dataclasses.replace(
    experiment,
    train_settings=dataclasses.replace(
      experiment.train_settings, steps_per_dispatch=steps_per_dispatch
    ),
    # There is a checkpoint after step 6, within a possible group.
    checkpoint_settings=CheckpointSettings(every_steps=6, keep_last=9),
  )


@pytest.fixture(scope='module')
def grouped_run(
  tiny_cifar: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[pathlib.Path, dict[str, Any]]:
  """A run in groups, and its result."""
  run = tmp_path_factory.mktemp('runs') / 'grouped'
  return run, run_session(grouped(tiny_cifar, GROUP), run)


@pytest.mark.slow
def test_a_run_in_groups_has_the_records_of_a_run_in_single_steps(
  tiny_cifar: pathlib.Path, grouped_run: tuple[pathlib.Path, dict[str, Any]], tmp_path: pathlib.Path
) -> None:
  run, result = grouped_run
  single = run_session(grouped(tiny_cifar, 1), tmp_path / 'single')
  expected_records = records_without_speed(tmp_path / 'single')
  for record, expected in zip(records_without_speed(run), expected_records, strict=True):
    assert record == {
      key: value if isinstance(value, str) else pytest.approx(value, rel=1e-5)
      for key, value in expected.items()
    }
  assert single['skipped_steps'] == result['skipped_steps'] == [POISONED]
  checkpoints = [
    sorted(path.name for path in (folder / 'checkpoints').iterdir())
    for folder in (run, tmp_path / 'single')
  ]
  assert checkpoints[0] == checkpoints[1]


@pytest.mark.ci
def test_a_resumed_run_in_groups_equals_an_undisturbed_one_to_the_bit(
  tiny_cifar: pathlib.Path, grouped_run: tuple[pathlib.Path, dict[str, Any]], tmp_path: pathlib.Path
) -> None:
  experiment, run = grouped(tiny_cifar, GROUP), tmp_path / 'run'
  stop_session(experiment, run, num_dispatches=6)
  run_session(experiment, run)
  assert last_state(experiment, run) == last_state(experiment, grouped_run[0])
  assert records_without_speed(run) == records_without_speed(grouped_run[0])


def test_the_default_is_single_steps_on_cpus_and_groups_elsewhere(
  tiny_cifar: pathlib.Path,
) -> None:
  experiment = build_small(tiny_cifar)
  assert experiment.steps_per_dispatch == 1
  accelerator = types.SimpleNamespace(
    devices=np.array([types.SimpleNamespace(platform='gpu')], object)
  )
  elsewhere = dataclasses.replace(experiment, mesh=cast(Mesh, accelerator))
  assert elsewhere.steps_per_dispatch == STEPS_PER_DISPATCH_ON_ACCELERATORS
  settings = dataclasses.replace(experiment.train_settings, steps_per_dispatch=7)
  assert dataclasses.replace(elsewhere, train_settings=settings).steps_per_dispatch == 7
