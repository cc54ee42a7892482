"""The configuration that every recipe starts from: each section with the defaults of its class."""

import dataclasses
from typing import Any

from ml_collections import ConfigDict

from cifar_jax.config.augmentation import AugmentSettings
from cifar_jax.config.dataset import DataSettings, default_validation_size
from cifar_jax.config.initialization import InitSettings
from cifar_jax.config.optimization import LossSettings, OptimizerSettings, ScheduleSettings
from cifar_jax.config.section import Section
from cifar_jax.config.training import CheckpointSettings, ShardingSettings, TrainSettings


def base(model: str, dataset: str = 'cifar10') -> ConfigDict:
  """Makes the configuration that a recipe changes.

  Args:
    model: a model's name. The section `model` holds the arguments of `models.create`; a recipe adds
      the fields of its family.
    dataset: a data set's name.

  Returns:
    A locked configuration: the number `seed`, the section `model` and one section for each class of
    settings.
  """
  data = DataSettings(name=dataset, validation_size=default_validation_size(dataset))
  config = _free({'seed': 0})
  _add(config, (data, AugmentSettings()))
  config.model = _free({'name': model, 'dtype': 'float32', 'module': ''})
  _add(config, (InitSettings(), LossSettings(), ScheduleSettings(), OptimizerSettings()))
  _add(config, (TrainSettings(), CheckpointSettings(), ShardingSettings()))
  config.lock()
  config.model.unlock()  # a recipe adds the fields of its family
  return config


def _add(config: ConfigDict, sections: tuple[Section, ...]) -> None:
  for section in sections:
    config[section.NAME] = _free(dataclasses.asdict(section))


def _free(values: dict[str, Any]) -> ConfigDict:
  """A section whose keys take any type: `loading` converts and checks the types.

  A `ConfigDict` by itself refuses numbers of numpy.
  """
  return ConfigDict(values, type_safe=False)
