"""The analyses as methods of a run, for programs and notebooks."""

import importlib
import pathlib
from collections.abc import Mapping
from typing import Any

from cifar_jax.analysis import runner
from cifar_jax.errors import InputError
from cifar_jax.picture import Analysis
from cifar_jax.python_errors import in_words_of_python


class Analyses:
  """A method for each analysis of a run; its options are those of the command.

  Attributes:
    workdir: the directory of the run's files.
  """

  workdir: pathlib.Path

  def lesion(self, **options: Any) -> Analysis:
    """The error without blocks, and with blocks exchanged: Veit et al. 2016, arXiv 1605.06431.

    Args:
      **options: those of the command, such as `num_images=500` and `draws=5`.
    """
    return self._analyse('lesion', options)

  def path_length(self, **options: Any) -> Analysis:
    """The gradient along paths of each length: Veit et al. 2016; options are the command's."""
    return self._analyse('path_length', options)

  def branch_correlation(self, **options: Any) -> Analysis:
    """The correlation of Shake-Shake's branches: Gastaldi 2017; options are the command's."""
    return self._analyse('branch_correlation', options)

  def activations(self, **options: Any) -> Analysis:
    """Activations and gradients by layer; options are the command's."""
    return self._analyse('activations', options)

  def landscape(self, **options: Any) -> Analysis:
    """The loss along a random direction, or to another run; options are the command's."""
    return self._analyse('landscape', options)

  def complexity(self, **options: Any) -> Analysis:
    """Operations, parameters, memory and time; options are the command's."""
    return self._analyse('complexity', options)

  @in_words_of_python()
  def _analyse(self, name: str, options: Mapping[str, Any]) -> Analysis:
    """Runs an analysis with the options of its command.

    Raises:
      InputError: an option or its value is wrong, or the net has nothing to measure.
    """
    parser = importlib.import_module(f'cifar_jax.analysis.{name}').make_parser()
    words = ['--workdir', str(self.workdir)]
    known = sorted(set(vars(parser.parse_args(words))) - {'workdir', 'picture'})
    if unknown := sorted(options.keys() - set(known)):
      raise InputError(f'{name} has no option {unknown[0]!r}; there are {", ".join(known)}')
    given = [(option, value) for option, value in options.items() if value is not None]
    words += [f'--{option.replace("_", "-")}={value}' for option, value in given]
    arguments = parser.parse_args(words)
    arguments.overrides = []
    results, table, figure = runner.measure_run(name, self.workdir, arguments)
    return Analysis(results, table, figure([results]))
