"""Finds a learning rate: `python -m cifar_jax.range_test --config RECIPE --picture FILE.png`.

Trains some steps from the initial weights of a recipe, with a rate that rises from step to step,
and draws the loss over the rate. A good `schedule.learning_rate` lies between the rate at which the
loss falls fastest and that at which it is lowest. Nothing but the picture is written. Any key of
the configuration can be set; the section `schedule` does not count.
"""

import math
import sys

from cifar_jax import cli, output_files
from cifar_jax.config import help_text, load, override
from cifar_jax.errors import InputError, ShortageError, is_out_of_memory
from cifar_jax.runtime import xla_flags

FEWEST_STEPS = 50


def main() -> None:
  """Reads the command line, then trains. JAX is imported once the command line is valid."""
  parser = cli.Parser(
    'python -m cifar_jax.range_test', __doc__, lambda: help_text.of_recipe(sys.argv[1:])
  )
  parser.add_argument('--config', required=True, metavar='RECIPE[:ARGUMENTS]')
  parser.add_argument(
    '--picture', type=cli.path, required=True, metavar='FILE.png', help='the picture to write'
  )
  parser.add_argument('--first', type=float, default=1e-5, help='lowest rate; by default 1e-5')
  parser.add_argument('--last', type=float, default=10.0, help='highest rate; by default 10')
  parser.add_argument('--steps', type=cli.positive, default=100, help='by default 100')
  arguments, overrides = parser.parse_with_overrides()
  path, first, last = arguments.picture, arguments.first, arguments.last
  if path.suffix.lower() != '.png' or path.is_dir() or not path.parent.is_dir():
    raise InputError(f'--picture {path} must name a .png file in a directory that exists')
  if not 0 < first < last < math.inf:
    raise InputError(f'--first is {first:g} and --last {last:g}; rates must be above 0 and rise')
  if arguments.steps < FEWEST_STEPS:
    raise InputError(f'--steps is {arguments.steps}; it must be at least {FEWEST_STEPS}')
  config = load(arguments.config)
  override(config, overrides)
  if config.train.deterministic:
    xla_flags.make_deterministic()

  from cifar_jax.experiment import experiment as experiments
  from cifar_jax.experiment import range_test
  from cifar_jax.experiment.state import abstract_state
  from cifar_jax.report.figures import range_test as range_test_figure
  from cifar_jax.runtime import console
  from cifar_jax.training import compilation, out_of_memory

  experiment = experiments.build(config)
  if not len(experiment.dataset.train):
    raise InputError(f'the data set {config.data.name} has no training images')
  steps = range_test.measure(experiment, first, last, arguments.steps)
  console.logger.info(compilation.announcement(abstract_state(experiment).params))
  try:
    points = list(console.bar(steps, 'rising rate', 'steps', arguments.steps))
  except Exception as error:
    if is_out_of_memory(error):
      raise ShortageError(out_of_memory.advice(experiment)) from error
    raise
  finding = range_test.find(points)
  title = f'{config.model.name}, {config.optimizer.name}'
  marks = {'falls fastest': finding.steepest, 'lowest': finding.lowest}
  rates, losses, smoothed = zip(*points, strict=True)
  figure = range_test_figure.figure(rates, losses, smoothed, marks, title)
  output_files.save_figure(figure, path)
  ends = 'does not diverge' if len(points) == arguments.steps else 'then diverges'
  print(
    f'the loss falls fastest at a rate of {finding.steepest:.2g}, is lowest at '
    f'{finding.lowest:.2g} and {ends} (up to {points[-1].rate:.2g}): take a '
    f'schedule.learning_rate between the first two\n{path}'
  )


if __name__ == '__main__':
  cli.run(main)
