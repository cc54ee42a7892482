"""The sections `train`, `checkpoint` and `sharding`: how long, on what, and what is saved."""

import dataclasses
from typing import ClassVar

from cifar_jax.config.section import Section, setting, shortened
from cifar_jax.errors import InputError

# An accelerator can finish a small net's step before the host has dispatched the next one. Ten
# steps per dispatch share that cost, a signal need not wait long for their end, and a record every
# 50 steps falls between two dispatches.
STEPS_PER_DISPATCH_ON_ACCELERATORS = 10
TRACKERS = ('mlflow', 'wandb')


@dataclasses.dataclass(frozen=True)
class TrainSettings(Section):
  """The section `train`.

  Attributes:
    num_epochs: how often each training image is used; need not be whole.
    batch_size: images of a step over all devices, in training and evaluation; for each seed.
    accumulation: number of parts that a batch is divided into, for batches that do not fit in
      memory. The gradients of the parts are averaged, and the weights change once. Each part is
      normalised by its own batch statistics, and each part in turn updates the running ones.
    log_every_steps: steps between two records of the training metrics.
    best_threshold: relative gain from which a validation accuracy is the best so far, so that its
      epoch's checkpoint replaces the best one. The default is less than one of 10,000 images.
    patience: early stopping: the run ends after this number of epochs without a best validation
      accuracy, as if they were its last; 0 for never. Of several seeds the mean counts.
    test_each_epoch: whether to look at the test images after each epoch, as some published texts
      do: their figure is the best of all epochs. Then `result.json` has this figure too, as
      `best_by_test`; it is lower than the error on new images. Training does not depend on it.
    nonfinite: what to do after a loss or gradient that is not finite: `stop`, or `skip` (go back to
      the last good checkpoint and continue without that batch).
    steps_per_dispatch: steps per call of the compiled program, where nothing has to happen between
      them; 0 for the default of the platform: 10 on accelerators, and 1 on CPUs, where a step lasts
      far longer than a call and convolutions are faster outside a loop.
    seeds: number of runs trained at once on the same data: the configuration's `seed` and the ones
      after it. Each is what it would be alone, up to float32 rounding, except that `skip` leaves
      out a batch for all seeds if it fails for one.
    profile: number of steps before a few are traced (see `training/profiler.py`); 0 for never.
    deterministic: whether a GPU computes the same bits each time. This costs speed, and its XLA
      flags are set before JAX starts (`xla_flags.make_deterministic`). CPUs and TPUs are always
      deterministic.
    trackers: services that get a copy of the metric log, the configuration and pictures of the
      mistakes: `wandb` (Weights & Biases), `mlflow`, `wandb,mlflow`, or empty for none. Their
      libraries are extras of this package.
  """

  NAME: ClassVar[str] = 'train'

  num_epochs: float = setting(200.0, at_least=1)
  batch_size: int = setting(128, at_least=1)
  accumulation: int = setting(1, at_least=1, meaning='parts of a batch')
  log_every_steps: int = setting(50, at_least=1)
  best_threshold: float = setting(1e-4, at_least=0, below=1, meaning='a share of the best')
  patience: int = setting(0, at_least=0, meaning='epochs, 0 for never')
  test_each_epoch: bool = False
  nonfinite: str = setting('stop', one_of=('stop', 'skip'))
  steps_per_dispatch: int = setting(0, at_least=0)
  seeds: int = setting(1, at_least=1, at_most=1000, meaning='all are in memory')
  profile: int = setting(0, at_least=0)
  deterministic: bool = False
  trackers: str = ''

  def __post_init__(self) -> None:
    """Raises InputError for a value outside its limits, and for an unknown tracker."""
    super().__post_init__()
    for name in self.tracker_names:
      if name not in TRACKERS:
        raise InputError(
          f'train.trackers has {shortened(name)}; give {" or ".join(TRACKERS)}, or both with a '
          'comma between'
        )

  @property
  def tracker_names(self) -> tuple[str, ...]:
    """The names in `trackers`, each once."""
    return tuple(dict.fromkeys(self.trackers.split(','))) if self.trackers else ()


@dataclasses.dataclass(frozen=True)
class CheckpointSettings(Section):
  """The section `checkpoint`: when a checkpoint is due, and how many stay on disk.

  Attributes:
    every_epochs: epochs between two checkpoints. The end of the run always has one.
    every_steps: steps between two further checkpoints, counted from the beginning of the run; 0 for
      none.
    keep_last: number of newest checkpoints to keep. The best by validation accuracy stays too, and
      where a run is trained longer, the one at which it had ended.
  """

  NAME: ClassVar[str] = 'checkpoint'

  every_epochs: int = setting(1, at_least=1)
  every_steps: int = setting(0, at_least=0)
  keep_last: int = setting(2, at_least=1)

  def due_after_step(self, step: int) -> bool:
    """Whether a checkpoint is due after `step` steps of the run, inside an epoch or at its end."""
    return self.every_steps > 0 and step % self.every_steps == 0

  def due_after_epoch(self, epoch: int) -> bool:
    """Whether a checkpoint is due at the end of `epoch`, counted from 0."""
    return (epoch + 1) % self.every_epochs == 0


@dataclasses.dataclass(frozen=True)
class ShardingSettings(Section):
  """The section `sharding`.

  Attributes:
    num_devices: number of devices that a batch is split over; 0 for all.
  """

  NAME: ClassVar[str] = 'sharding'

  num_devices: int = setting(0, at_least=0)
