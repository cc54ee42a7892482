"""An experiment that goes on after the end of a run, with a schedule that begins there."""

import dataclasses

from ml_collections import ConfigDict

from cifar_jax.config.optimization import ScheduleSettings
from cifar_jax.errors import InputError
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.optim import optimizer
from cifar_jax.optim.schedules import make_schedule, shift


def continue_schedule(experiment: Experiment, config: ConfigDict, start: int) -> Experiment:
  """The experiment of a configuration whose schedule begins at a step of the run.

  Args:
    experiment: from `build`, with the schedule of the whole run.
    config: its configuration.
    start: the first step of the schedule; with 0 the experiment stays as it is.

  Raises:
    InputError: the rest of the run has no step, or is too short for the schedule.
  """
  if not start:
    return experiment
  num_steps = experiment.num_steps - start
  if num_steps < 1:
    raise InputError(
      f'train.num_epochs gives {experiment.num_steps} steps, which the run has taken: a schedule '
      'cannot begin after them; raise train.num_epochs'
    )
  num_epochs = num_steps * experiment.batch_size / len(experiment.dataset.train)
  schedule = make_schedule(num_steps, num_epochs, ScheduleSettings(**config.schedule))
  schedule = shift(schedule, start)
  frozen = experiment.init_settings.frozen_names
  tx = optimizer.make(schedule, experiment.optimizer_settings, frozen)
  return dataclasses.replace(experiment, schedule=schedule, tx=tx, schedule_start=start)
