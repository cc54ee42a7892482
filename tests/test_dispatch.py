"""Several steps in one dispatch: never past a stop, and the run that single steps give."""

import dataclasses
import types

import jax
import numpy as np
import pytest
from test_loop import POISONED, last_state, make, session
from test_step import Trainer, build

from cifar_jax import checkpoint, dispatch, experiment
from cifar_jax.report import runs

GROUP = 3


@pytest.mark.parametrize(
  'end,every,at,taken',
  [
    (25, (10, 0), [], [4, 4, 1, 1, 4, 4, 1, 1, 4, 1]),
    (12, (0, 0), [6], [4, 1, 1, 4, 1, 1]),
    (9, (0, 3), [0], [1] * 9),
  ],
)
def test_a_group_never_goes_past_a_stop(end, every, at, taken):
  found = []
  while sum(found) < end:
    found.append(dispatch.num_steps(sum(found), end, 4, every, at))
  assert found == taken


def test_steps_of_one_dispatch_are_those_taken_one_by_one(tiny_cifar):
  single, together = Trainer(build(tiny_cifar)), Trainer(build(tiny_cifar))
  single.run(GROUP)
  together.step = experiment.train_step(together.parts, GROUP)
  given = together.state.params['head']['kernel']
  together.run(1)
  assert given.is_deleted() and int(together.state.step) == GROUP
  for one, other in zip(
    jax.tree.leaves(single.state), jax.tree.leaves(together.state), strict=True
  ):
    assert one.dtype == other.dtype and one.shape == other.shape
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def grouped(data_dir, size):
  parts = make(data_dir, 'skip')  # 25 steps, of which one is skipped; records every 4
  plan = dataclasses.replace(parts.plan, steps_per_dispatch=size)
  # A checkpoint after step 6, in the middle of what would be a group.
  return dataclasses.replace(
    parts, plan=plan, checkpoints=checkpoint.Policy(every_steps=6, keep_last=9)
  )


def records(run):
  return [
    {name: value for name, value in record.items() if name != 'images_per_second'}
    for record in runs.read_records(run)
  ]


@pytest.fixture(scope='module')
def whole(tiny_cifar, tmp_path_factory):
  """A run in groups, and its result."""
  run = tmp_path_factory.mktemp('runs') / 'whole'
  return run, session(grouped(tiny_cifar, GROUP), run)


def test_a_run_has_the_records_of_one_with_single_steps(tiny_cifar, whole, tmp_path):
  run, result = whole
  single = session(grouped(tiny_cifar, 1), tmp_path / 'single')
  for expected, found in zip(records(tmp_path / 'single'), records(run), strict=True):
    assert found == {
      key: value if isinstance(value, str) else pytest.approx(value, rel=1e-5)
      for key, value in expected.items()
    }
  assert single['skipped_steps'] == result['skipped_steps'] == [POISONED]
  saved = [
    sorted(p.name for p in (r / 'checkpoints').iterdir()) for r in (run, tmp_path / 'single')
  ]
  assert saved[0] == saved[1]


def test_a_resumed_run_is_the_same_to_the_bit(tiny_cifar, whole, tmp_path):
  parts, run = grouped(tiny_cifar, GROUP), tmp_path / 'run'
  assert session(parts, run, stop_after=6) is None
  session(parts, run)
  assert last_state(parts, run) == last_state(parts, whole[0])
  assert records(run) == records(whole[0])


def test_what_is_chosen_takes_single_steps_on_cpus_alone(tiny_cifar):
  parts = build(tiny_cifar)
  assert parts.steps_per_dispatch == 1
  accelerator = types.SimpleNamespace(
    devices=np.array([types.SimpleNamespace(platform='gpu')], object)
  )
  elsewhere = dataclasses.replace(parts, mesh=accelerator)
  assert elsewhere.steps_per_dispatch == dispatch.ON_ACCELERATORS
  plan = dataclasses.replace(parts.plan, steps_per_dispatch=7)
  assert dataclasses.replace(elsewhere, plan=plan).steps_per_dispatch == 7
