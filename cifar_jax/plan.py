"""The section `train` of a configuration: how long, in what portions, and what is done besides."""

import dataclasses
import math

from cifar_jax.errors import InputError

NONFINITE = ('stop', 'skip')
_LEAST = {
  'num_epochs': 1,
  'batch_size': 1,
  'log_every_steps': 1,
  'steps_per_dispatch': 0,
  'seeds': 1,
  'profile': 0,
}


@dataclasses.dataclass(frozen=True)
class Plan:
  """The section `train`.

  Attributes:
    num_epochs: times that each training image is used; need not be whole.
    batch_size: images of a step over all devices, in training and evaluation; of each seed.
    log_every_steps: steps between two records of the training metrics.
    nonfinite: what follows a loss or gradient that is not finite: `stop`, or `skip`, which goes
      back to the last good checkpoint and on without that batch.
    steps_per_dispatch: steps that a call of the compiled program takes, where nothing is to be done
      between them; 0 to choose. An accelerator may be done with a small net's step before the host
      has made the next call: there it is `dispatch.ON_ACCELERATORS`. On CPUs, where a step takes
      far longer than a call and its convolutions are faster outside of a loop, it is 1.
    seeds: how many runs are trained at once, on the same data: that of the configuration's `seed`
      and of those that follow it. Each is what it would be alone, to float32 rounding, but that
      `nonfinite=skip` leaves a batch out for all where it is wrong for one.
    profile: after how many steps some are traced (see `profile.py`); 0 for never.
    deterministic: whether a GPU computes the same bits each time. XLA is told so before JAX starts
      (`backend.make_deterministic`), which costs speed; CPUs and TPUs always do.
  """

  num_epochs: float = 200.0
  batch_size: int = 128
  log_every_steps: int = 50
  nonfinite: str = 'stop'
  steps_per_dispatch: int = 0
  seeds: int = 1
  profile: int = 0
  deterministic: bool = False

  def __post_init__(self) -> None:
    """Raises InputError for a value out of range."""
    for name, least in _LEAST.items():
      if not least <= getattr(self, name) < math.inf:
        raise InputError(f'train.{name} is {getattr(self, name)}; it is at least {least}')
    if self.nonfinite not in NONFINITE:
      raise InputError(
        f'train.nonfinite is {self.nonfinite!r}; it is one of {", ".join(NONFINITE)}'
      )
