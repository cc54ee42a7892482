"""The fields of a net in the text of `--fields` and of the head of a file of weights."""

import dataclasses
from typing import Any

import flax.linen as nn

from cifar_jax import models
from cifar_jax.config import command_line

# They change no weight's meaning in an evaluation.
_OF_TRAINING = ('num_classes', 'dropout', 'initialization', 'remat')


def changed(name: str, model: nn.Module) -> dict[str, Any]:
  """The fields in which a module differs from that of its name alone."""
  defaults = _plain(models.create(name))
  return {key: value for key, value in _plain(model).items() if value != defaults[key]}


def as_text(fields: dict[str, Any]) -> str:
  """Fields as `--fields` takes them."""
  return ','.join(f'{key}={value}' for key, value in fields.items())


def make_model(name: str, text: str) -> nn.Module:
  """Returns the module of a name.

  Args:
    name: of the model.
    text: its fields, as `num_classes=100,shortcut=project`; may be empty.

  Raises:
    InputError: an unknown name or field, or a value of the wrong type.
  """
  defaults = _plain(models.create(name))
  fields = command_line.arguments(text, **defaults)
  return models.create(name, **{key: fields[key] for key in fields if fields[key] != defaults[key]})


def differences(model: nn.Module, other: nn.Module) -> dict[str, Any]:
  """The fields of another net of the same class that differ, with its values.

  Those that change nothing in an evaluation, and the number of classes, are left out.
  """
  ours = _plain(model)
  return {
    key: value
    for key, value in _plain(other).items()
    if key not in _OF_TRAINING and ours.get(key) != value
  }


def _plain(model: nn.Module) -> dict[str, Any]:
  """The fields of a module that `--fields` can set."""
  fields = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
  return {
    key: value for key, value in fields.items() if isinstance(value, bool | int | float | str)
  }
