"""Evaluates runs on other images than those of their data set, such as CIFAR-10.1 or a folder.

They are chosen by `--config.data.name`, and prepared as the images of the run were: of the same
size, resized in the same way, and normalised by the statistics of its training images.
"""

import dataclasses
import os
import pathlib
import zlib
from collections.abc import Sequence

import numpy as np

from cifar_jax import data, paths
from cifar_jax.config.command_line import override_data
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data import folder
from cifar_jax.data.dataset import Split, select_split
from cifar_jax.errors import InputError
from cifar_jax.evaluation import seen_images
from cifar_jax.evaluation.ensemble import restore_nets
from cifar_jax.evaluation.predictions import GroundTruth
from cifar_jax.evaluation.restore import Restored
from cifar_jax.runtime.console import logger

_SECTION, _NAME = '--config.data.', '--config.data.name='


def is_chosen(overrides: list[str]) -> bool:
  """Whether overrides choose other data than those of a run: they name a data set."""
  return any(word.startswith(_NAME) for word in overrides)


def restore(
  runs: list[pathlib.Path], checkpoint: str, overrides: list[str], seed_index: int = 0
) -> tuple[list[Restored], DataSettings]:
  """Restores runs for other data.

  Args:
    runs: the workdirs.
    checkpoint: one of `config.initialization.CHECKPOINT_CHOICES`.
    overrides: `--config.SECTION.KEY=VALUE`; those of the section `data` describe the other data.
    seed_index: index of the seed, from 0, in runs that trained several seeds.

  Returns:
    The runs, without their own data, and the settings of the other data.

  Raises:
    InputError: a run cannot be restored, or the runs or settings do not go together.
  """
  own = [word for word in overrides if not word.startswith(_SECTION)]
  members = restore_nets(runs, checkpoint, own, seed_index)
  height, width, _ = members[0].experiment.image_shape
  settings = DataSettings(
    name='',
    validation_size=0,
    image_size=height if height == width else 0,
    resize=DataSettings(**members[0].config.data).picture_resizing,
  )
  return members, override_data(settings, [word for word in overrides if word not in own])


def load(member: Restored, settings: DataSettings, split: str) -> GroundTruth:
  """Loads a split of other data, with the labels that the run's classes have.

  Args:
    member: the run.
    settings: the section `data` of the other data.
    split: one of `config.dataset.SPLITS`. Of a folder of classes alone every image is a test image.

  Raises:
    InputError: the images cannot be read, have another size, or have a class that the run lacks.
  """
  if settings.name == 'folder' and split == 'test':
    class_names, images = folder.load_test(settings)
  else:
    dataset = data.load(settings)
    class_names, images = dataset.class_names, select_split(dataset, split)
  check_size(member, settings, images)
  return GroundTruth(
    _labels_of_run(member, class_names, images),
    member.experiment.dataset.class_names,
    images.images,
  )


def num_trained_on(members: Sequence[Restored], settings: DataSettings, truth: GroundTruth) -> int:
  """The number of other images that runs were trained on, or chosen by; logs a warning of any.

  Args:
    members: the runs.
    settings: the section `data` of the other data.
    truth: the other images. They are compared where they `seen_images.may_be_shared`.
  """
  if truth.images is None:
    return 0
  given = [image.tobytes() for image in truth.images]
  known: set[bytes] = set()
  for member in members:
    own = DataSettings(**member.config.data)
    if not seen_images.may_be_shared(own, settings):
      continue
    try:
      seen = seen_images.of_run(own, member.run_info)
    except InputError as error:
      logger.warning(
        'whether these images are among those that %s was trained on is not known, because its '
        'data are not there as they were: %s',
        *(member.workdir, error),
      )
      continue
    known |= seen
    if number := sum(image in seen for image in given):
      logger.warning(
        '%d of these %d images are among those that %s was trained on or chosen by, so this is no '
        'test; leave out data.name for its own test images',
        *(number, len(given), member.workdir),
      )
  return sum(image in known for image in given)


def check_size(member: Restored, settings: DataSettings, images: Split) -> None:
  """Raises InputError unless images of other data have the size that a run was trained on."""
  shape = member.experiment.image_shape
  if images.images.shape[1:] != shape:
    raise InputError(
      f'the images of {settings.name} are {images.images.shape[1:]}, and {member.workdir} was '
      f'trained on {shape}: leave out data.image_size'
    )


def _labels_of_run(member: Restored, class_names: tuple[str, ...], images: Split) -> np.ndarray:
  """The labels of images by the classes of a run, int32 `[n]`; classes are the same by name."""
  known = {name: label for label, name in enumerate(member.experiment.dataset.class_names)}
  if unknown := [name for name in class_names if name not in known]:
    raise InputError(
      f'{member.workdir} has no class {unknown[0]!r}; it has {", ".join(list(known)[:20])}'
    )
  return np.array([known[name] for name in class_names], np.int32)[images.labels]


def title(settings: DataSettings) -> str:
  """The name of other data in titles; for a folder also that of its directory."""
  directory = paths.local(settings.data_dir).name if settings.name == 'folder' else ''
  return f'{settings.name} {directory}'.rstrip()


def file_stem(settings: DataSettings) -> str:
  """The name of other data in file names, different for other folders and other settings."""
  stem = title(settings).replace('/', '_').replace(' ', '_')
  place = paths.local(settings.data_dir).resolve() if settings.data_dir else ''
  values = dataclasses.asdict(settings) | {'data_dir': os.fsencode(place)}
  return f'{stem}_{zlib.crc32(repr(sorted(values.items())).encode()):08x}'
