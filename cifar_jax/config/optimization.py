"""The sections `loss`, `schedule` and `optimizer`: what is minimised, and how."""

import dataclasses
import itertools
from typing import ClassVar

from cifar_jax.config.section import Section, setting
from cifar_jax.errors import InputError

MONITORS = ('validation_accuracy', 'training_loss')
OPTIMIZERS = ('sgd', 'adamw', 'lion', 'muon')
SCHEDULES = ('constant', 'cosine', 'sgdr', 'piecewise', 'plateau', 'triangular')


@dataclasses.dataclass(frozen=True)
class LossSettings(Section):
  """The section `loss`.

  Attributes:
    label_smoothing: share of the target spread evenly over all classes in training: Szegedy et al.
      2016, arXiv 1512.00567, section 7. Validation and test losses are without it.
  """

  NAME: ClassVar[str] = 'loss'

  label_smoothing: float = setting(0.0, at_least=0, below=1)


@dataclasses.dataclass(frozen=True)
class ScheduleSettings(Section):
  """The section `schedule`: the learning rate of each step.

  Attributes:
    name: `constant`; `cosine` (half a period, down to zero); `sgdr` (cosine cycles, each longer
      than the one before: Loshchilov and Hutter 2017, arXiv 1608.03983); `piecewise` (multiplied by
      `factor` at each of `boundaries`); `plateau` (multiplied by `factor` each time that more than
      `patience` epochs have passed without a better score: `optim/plateau.py`); `triangular`
      (linearly up, then down).
    learning_rate: the highest rate.
    boundaries: for `piecewise`: increasing fractions of the run, between 0 and 1.
    factor: for `piecewise` and `plateau`.
    first_cycle_epochs: for `sgdr`: length of the first cycle, in epochs.
    cycle_multiplier: for `sgdr`: length of a cycle, as a multiple of the one before. The end of the
      run cuts off the last cycle where it does not fit.
    monitor: for `plateau`: the score, `validation_accuracy`, or `training_loss` averaged over the
      steps of an epoch, which needs no validation images.
    patience: for `plateau`: number of epochs in a row that may be without a better score.
    threshold: for `plateau`: relative gain from which a score counts as better, as in PyTorch.
    smallest_drop: for `plateau`: a drop of the rate by no more than this is left out, as in
      PyTorch, where it is called `eps`.
    warmup_epochs: epochs of a linear warm-up that replaces the beginning of the schedule; the
      schedule itself is not shifted.
    warmup_learning_rate: rate at which the warm-up begins; it rises to `learning_rate`.
    start_factor: for `triangular`: the rate at the start, as a share of `learning_rate`.
    peak: for `triangular`: fraction of the run at which `learning_rate` is reached.
    end_factor: for `triangular`: the rate at the end, as a share of `learning_rate`.
  """

  NAME: ClassVar[str] = 'schedule'

  name: str = setting('cosine', one_of=SCHEDULES)
  learning_rate: float = setting(0.1, above=0)
  boundaries: tuple[float, ...] = (0.5, 0.75)
  factor: float = setting(0.1, above=0)
  first_cycle_epochs: float = setting(10.0, above=0)
  cycle_multiplier: float = setting(2.0, at_least=1)
  monitor: str = setting('validation_accuracy', one_of=MONITORS)
  patience: int = setting(10, at_least=0, meaning='epochs')
  threshold: float = setting(1e-4, at_least=0, below=1, meaning='a share of the best')
  smallest_drop: float = setting(1e-8, at_least=0)
  warmup_epochs: float = setting(0.0, at_least=0)
  warmup_learning_rate: float = setting(0.0, at_least=0)
  start_factor: float = setting(0.2, at_least=0, at_most=1, meaning='a share of the rate')
  peak: float = setting(0.23, above=0, below=1, meaning='a fraction of the run')
  end_factor: float = setting(0.07, at_least=0, at_most=1, meaning='a share of the rate')

  def __post_init__(self) -> None:
    """Raises InputError for a value outside its limits, or for a contradiction between two."""
    super().__post_init__()
    if not all(a < b for a, b in itertools.pairwise((0.0, *self.boundaries, 1.0))):
      raise InputError(
        f'schedule.boundaries are {tuple(self.boundaries)}; they must be increasing fractions of '
        'the run, each between 0 and 1'
      )
    if self.name == 'plateau' and self.factor >= 1.0:
      raise InputError(f'schedule.factor is {self.factor}; for plateau it must be below 1')

  @property
  def needs_validation(self) -> bool:
    """Whether the rate depends on the accuracy on the validation images."""
    return self.name == 'plateau' and self.monitor == 'validation_accuracy'


@dataclasses.dataclass(frozen=True)
class OptimizerSettings(Section):
  """The section `optimizer`: the rule by which gradients change the weights.

  Attributes:
    name: `sgd`; `adamw` (Loshchilov and Hutter 2019, arXiv 1711.05101); `lion` (Chen et al. 2023,
      arXiv 2302.06675); `muon` (Jordan et al. 2024, kellerjordan.github.io/posts/muon), with Adam
      (β1 = 0.9; Nesterov's form if `nesterov`) for the last layer and all that is no kernel, and
      with updates scaled so that learning rate and decay are those of AdamW (Liu et al. 2025, arXiv
      2502.16982). The last three need a far lower `schedule.learning_rate` than `sgd`, and a higher
      `weight_decay`.
    momentum: decay of the running sum (`sgd`) or mean of gradients; 0 for none. It is β1 of `adamw`
      and of `lion`.
    beta2: decay of the running mean of squared gradients (`adamw`, and the Adam of `muon`), or of
      the mean that `lion` keeps; 0 for the papers' values, 0.999 and (`lion`) 0.99.
    nesterov: whether the momentum of `sgd` and `muon` is Nesterov's.
    weight_decay: multiple of the parameter that `sgd` adds to its gradient (L2). The others
      subtract it from the parameter, times the learning rate (decoupled decay).
    decayed: `all` parameters, as in the papers, or only `kernels` (convolutions, dense layers).
    clip_norm: largest global norm of the gradient; 0 for no limit.
    norm_bias_factor: factor of the learning rate of the normalisations' biases; their decay keeps
      the common rate.
    whitening_until: fraction of the run after which the parameters of whitening layers are frozen.
    lookahead_steps: steps between two averages of the weights and of the batch statistics
      (`optim/lookahead.py`); 0 for none.
    lookahead_decay: decay of lookahead's average per step, at the end of the run.
    ema_decay: decay per step of an exponential moving average of the weights and of the batch
      statistics, which are then evaluated in their place (`optim/ema.py`); 0 for none.
    sam_radius: sharpness-aware minimisation: the gradient is taken where the loss is highest within
      this distance of the weights (`optim/sam.py`), the paper's ρ; 0 for none. A step takes twice
      the time.
  """

  NAME: ClassVar[str] = 'optimizer'

  name: str = setting('sgd', one_of=OPTIMIZERS)
  momentum: float = setting(0.9, at_least=0, below=1)
  beta2: float = setting(0.0, at_least=0, below=1, meaning="0 for the paper's value")
  nesterov: bool = True
  weight_decay: float = setting(1e-4, at_least=0)
  decayed: str = setting('all', one_of=('all', 'kernels'))
  clip_norm: float = setting(0.0, at_least=0, meaning='0 for no limit')
  norm_bias_factor: float = setting(1.0, above=0)
  whitening_until: float = setting(1.0, at_least=0, at_most=1, meaning='a fraction of the run')
  lookahead_steps: int = setting(0, at_least=0, meaning='0 for none')
  lookahead_decay: float = setting(0.95, at_least=0, below=1)
  ema_decay: float = setting(0.0, at_least=0, below=1, meaning='0 for none')
  sam_radius: float = setting(0.0, at_least=0, meaning='0 for none')


# Adam's default rate: Kingma and Ba 2015, algorithm 1. Muon's updates are scaled to AdamW's, and
# Lion takes a third to a tenth of AdamW's rate: Chen et al. 2023, section 5.
_USUAL_RATES = {'adamw': 1e-3, 'lion': 1e-4, 'muon': 1e-3}


def doubt_about_rate(optimizer: OptimizerSettings, schedule: ScheduleSettings) -> str:
  """A warning if a rate was meant for `sgd`; '' if there is nothing to doubt.

  The steps of the other rules have the size of the rate, however small the gradient is.
  """
  usual = _USUAL_RATES.get(optimizer.name)
  if usual is None or schedule.learning_rate <= 20 * usual:
    return ''
  return (
    f'schedule.learning_rate={schedule.learning_rate:g} is high for optimizer.name='
    f'{optimizer.name}, whose usual rate is about {usual:g}'
  )
