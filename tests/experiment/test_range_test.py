"""The learning-rate range test: its rates, its end, what it finds, and its command."""

import dataclasses
import math
import pathlib

import numpy as np
import PIL.Image
import pytest

from cifar_jax import range_test as command
from cifar_jax.errors import InputError
from cifar_jax.experiment import range_test
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.range_test import Point
from tests.support.sessions import Linear
from tests.support.trainer import Trainer, build_small


@pytest.fixture(scope='module')
def experiment(tiny_cifar: pathlib.Path) -> Experiment:
  """The experiment of a linear net."""
  return dataclasses.replace(build_small(tiny_cifar), model=Linear())


@pytest.mark.ci
def test_the_steps_are_those_of_training_at_rates_that_rise_by_one_factor(
  experiment: Experiment,
) -> None:
  points = list(range_test.measure(experiment, 1e-4, 1e-2, 21))
  rates, losses, smoothed = np.transpose(points)
  np.testing.assert_allclose(rates, np.geomspace(1e-4, 1e-2, 21), rtol=1e-5)
  trained = Trainer(range_test.with_rising_rate(experiment, 1e-4, 1e-2, 21)).run(21)
  np.testing.assert_allclose(losses, trained, rtol=1e-3)
  weights = 0.9 ** np.arange(21)[::-1]
  assert smoothed[-1] == pytest.approx((weights * losses).sum() / weights.sum())


def test_the_test_ends_where_the_loss_has_diverged(experiment: Experiment) -> None:
  points = list(range_test.measure(experiment, 1e-3, 1e6, 50))
  assert 5 < len(points) < 50
  best = min(point.smoothed for point in points)
  assert all(point.smoothed <= 4 * best and math.isfinite(point.loss) for point in points)


def test_the_steepest_and_the_lowest_loss_are_found() -> None:
  rates = np.geomspace(1e-4, 10, 101)
  # Falls like a logistic function around 0.01, and rises again from 1 on.
  losses = 2.3 - 1.5 / (1 + np.exp(-3 * np.log(rates / 0.01))) + np.maximum(0, np.log(rates)) ** 2
  points = [Point(*values) for values in zip(rates, losses, losses, strict=True)]
  assert range_test.find(points) == pytest.approx((0.01, 1.0), rel=0.2)
  # A jump in the mean of the first few losses is no fall.
  jumping = [points[0]._replace(smoothed=9.0), *points[1:]]
  assert range_test.find(jumping) == range_test.find(points)
  for useless in ([], points[:15], [Point(rate, rate, rate) for rate in rates]):
    with pytest.raises(InputError, match='the loss did not fall'):
      range_test.find(useless)


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
  """Runs the command in this process."""
  monkeypatch.setattr('sys.argv', ['range_test', '--config', 'resnet:depth=8', *words])
  command.main()


def test_the_command_draws_the_loss_and_says_what_it_found(
  experiment: Experiment,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  monkeypatch.setattr('cifar_jax.experiment.experiment.build', lambda config: experiment)
  picture = tmp_path / 'rates.png'
  run(monkeypatch, '--picture', str(picture), '--first', '1e-5', '--last', '1e4', '--steps', '60')
  assert 'take a schedule.learning_rate between' in capsys.readouterr().out
  with PIL.Image.open(picture) as image:
    assert image.size[0] > 500
  assert list(tmp_path.iterdir()) == [picture]


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (('--picture', 'x.jpg'), '--picture x.jpg must name a .png'),
    (('--picture', 'none/x.png'), 'directory that exists'),
    (('--picture', 'x.png', '--first', '2', '--last', '1'), '--first is 2 and --last 1'),
    (('--picture', 'x.png', '--first', 'nan'), '--first is nan'),
    (('--picture', 'x.png', '--steps', '3'), '--steps is 3; it must be at least 50'),
  ],
)
def test_bad_input_to_the_command_is_named(
  words: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  with pytest.raises(InputError) as error:
    run(monkeypatch, *words)
  assert message in str(error.value) and '\n' not in str(error.value)
