"""Restored runs together with the images that they are evaluated on: their own, or other data."""

import dataclasses
import pathlib
import zlib
from typing import Any

from cifar_jax import paths
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data import corrupted
from cifar_jax.data.dataset import select_split
from cifar_jax.errors import InputError
from cifar_jax.evaluation import other_data
from cifar_jax.evaluation.ensemble import model_name, restore_ensemble
from cifar_jax.evaluation.predictions import GroundTruth
from cifar_jax.evaluation.restore import Restored
from cifar_jax.models import own_net
from cifar_jax.runs import provenance
from cifar_jax.runs.results import read_result
from cifar_jax.runtime import package_code


@dataclasses.dataclass(frozen=True)
class Trial:
  """One run, or several whose probabilities are averaged, and what they are evaluated on.

  Attributes:
    runs: the workdirs.
    members: the restored runs.
    checkpoint: one of `config.initialization.CHECKPOINT_CHOICES`.
    tta: one of `config.augmentation.VIEWS`.
    data: the section `data` of other data; None for the data of the runs.
  """

  runs: list[pathlib.Path]
  members: list[Restored]
  checkpoint: str
  tta: str
  data: DataSettings | None

  @property
  def has_corrupted_data(self) -> bool:
    """Whether the images are those of CIFAR-10-C or CIFAR-100-C."""
    return self.data is not None and self.data.name in corrupted.NAMES

  def truth(self, split: str) -> GroundTruth:
    """Returns the images and labels of a split; raises InputError if there are none."""
    member = self.members[0]
    if self.data is not None:
      return other_data.load(member, self.data, split)
    dataset = member.experiment.dataset
    images = select_split(dataset, split)
    return GroundTruth(images.labels, dataset.class_names, images.images)

  def num_trained_on(self, truth: GroundTruth) -> int:
    """As `other_data.num_trained_on`; 0 for the data of the runs."""
    return other_data.num_trained_on(self.members, self.data, truth) if self.data else 0

  def file_stem(self, split: str = '') -> str:
    """The beginning of file names, different for all that can be evaluated of a run."""
    words = [] if self.data is None else [other_data.file_stem(self.data)]
    words += [split, self._checkpoint_in_names()] if split else [self._checkpoint_in_names()]
    if self.tta != 'none':
      words.append(self.tta)
    if self.members[0].is_one_of_several_seeds:
      words.append(f'seed{self.members[0].experiment.seeds[0]}')
    if len(self.runs) > 1:
      paths = '\n'.join(str(run.resolve()) for run in self.runs)
      words.append(f'ensemble_of_{len(self.runs)}_{zlib.crc32(paths.encode()):08x}')
    return '_'.join(words)

  def _checkpoint_in_names(self) -> str:
    """The checkpoint, with its step if it is not that of the first run's result.

    So an evaluation of a run that has gone on since has another name than that of the result.
    """
    if self.is_of_result:
      return self.checkpoint
    step = f'step{self.members[0].step}'
    return step if self.checkpoint == 'last' else f'{self.checkpoint}_{step}'

  @property
  def is_of_result(self) -> bool:
    """Whether the first run has a result, whose last or best step is the one evaluated."""
    try:
      result = read_result(self.runs[0])
    except InputError:  # there is no result yet
      return False
    of_best = result.get('best') or {}
    step = result.get('num_steps') if self.checkpoint == 'last' else of_best.get('step')
    return bool(step == self.members[0].step)

  def images_name(self, split: str) -> str:
    """The images in titles: `test split`, or `cifar10_1, test split` of other data."""
    return (
      f'{split} split' if self.data is None else f'{other_data.title(self.data)}, {split} split'
    )

  def heading(self) -> str:
    """The beginning of what is printed: model, checkpoint and views."""
    steps = ', '.join(str(member.step) for member in self.members)
    name = model_name(self.members)
    return f'{name}, {self.checkpoint} checkpoint (step {steps}), tta {self.tta}'

  def details(self) -> dict[str, Any]:
    """What is evaluated, for the JSON file of the results."""
    details: dict[str, Any] = {
      'checkpoint': self.checkpoint,
      'tta': self.tta,
      provenance.CODE: package_code.digest(),
      **own_net.origin(self.members[0].experiment.own_net),
      'members': [_member_details(member) for member in self.members],
    }
    if self.data is not None:
      place = str(paths.local(self.data.data_dir).resolve()) if self.data.data_dir else ''
      details['data'] = dataclasses.asdict(self.data) | {'data_dir': place}
    return details


def open_trial(
  runs: list[pathlib.Path], checkpoint: str, tta: str, overrides: list[str], seed_index: int = 0
) -> Trial:
  """Restores the runs of a trial.

  Args:
    runs: the workdirs.
    checkpoint: one of `config.initialization.CHECKPOINT_CHOICES`.
    tta: one of `config.augmentation.VIEWS`.
    overrides: `--config.SECTION.KEY=VALUE`, such as another location of the data. If they name a
      data set, they describe other data than those of the runs.
    seed_index: index of the seed, from 0, in runs that trained several seeds.

  Raises:
    InputError: a run cannot be restored, or the runs and the data do not go together.
  """
  if other_data.is_chosen(overrides):
    members, settings = other_data.restore(runs, checkpoint, overrides, seed_index)
    return Trial(runs, members, checkpoint, tta, settings)
  members = restore_ensemble(runs, checkpoint, overrides, seed_index)
  return Trial(runs, members, checkpoint, tta, None)


def _member_details(member: Restored) -> dict[str, str | int]:
  workdir, model = str(member.workdir.resolve()), member.config.model.name
  details = {'workdir': workdir, 'model': model, 'step': member.step}
  return details | ({'seed': member.experiment.seeds[0]} if member.is_one_of_several_seeds else {})
