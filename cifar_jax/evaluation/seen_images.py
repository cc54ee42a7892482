"""The images that a run has seen: those that it was trained on, and those that it was chosen by."""

from collections.abc import Mapping
from typing import Any

from cifar_jax import data, paths
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data.dataset import check_same_data


def may_be_shared(ours: DataSettings, theirs: DataSettings) -> bool:
  """Whether two data sets may have images in common.

  They may if both have one name, for a folder may be a copy of the other; or if one of the two
  `data.data_dir` is the other one, or lies in it.
  """
  if ours.name == theirs.name or not ours.data_dir or not theirs.data_dir:
    return ours.name == theirs.name
  place, other = (paths.local(of.data_dir).resolve() for of in (ours, theirs))
  return place.is_relative_to(other) or other.is_relative_to(place)


def of_run(settings: DataSettings, run_info: Mapping[str, Any]) -> set[bytes]:
  """The bytes of each image that a run has seen.

  Args:
    settings: the section `data` of the run.
    run_info: of a checkpoint of the run.

  Raises:
    InputError: the data of the run are gone, or are not as they were.
  """
  dataset = data.load(settings)
  check_same_data(dataset, run_info)
  splits = dataset.train, dataset.validation
  return {image.tobytes() for split in splits for image in split.images}
