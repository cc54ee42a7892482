"""The sections of a configuration: their fields, defaults and limits, without JAX."""

import dataclasses
import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from cifar_jax.config.augmentation import AugmentSettings
from cifar_jax.config.base import base
from cifar_jax.config.dataset import DataSettings
from cifar_jax.config.initialization import InitSettings
from cifar_jax.config.optimization import LossSettings, OptimizerSettings, ScheduleSettings
from cifar_jax.config.section import Limits, Section
from cifar_jax.config.training import CheckpointSettings, ShardingSettings, TrainSettings
from cifar_jax.errors import InputError

SECTIONS: tuple[type[Section], ...] = (
  DataSettings,
  AugmentSettings,
  InitSettings,
  LossSettings,
  ScheduleSettings,
  OptimizerSettings,
  TrainSettings,
  CheckpointSettings,
  ShardingSettings,
)
FIELDS = [(section, field) for section in SECTIONS for field in dataclasses.fields(section)]
LIMITED = [(section, field) for section, field in FIELDS if 'limits' in field.metadata]
NUMBERS = [(section, field) for section, field in FIELDS if field.type in (int, float)]

Field = dataclasses.Field[Any]


# Values beside which any value of another field can be set.
COMPATIBLE: dict[type[Section], dict[str, Any]] = {
  DataSettings: {'name': 'cifar10'},
  AugmentSettings: {'pad': 0},
}


def name_of(value: Any) -> str:
  """The name of a section or a field, as the id of a test."""
  return value.name if isinstance(value, dataclasses.Field) else value.NAME


def make(section: type[Section], name: str, value: Any) -> Section:
  """A section with one value that may differ from the default."""
  others = {} if name == 'crops' else COMPATIBLE.get(section, {})  # crops need a pad
  return section(**(others | {name: value}))


def assert_refused(section: type[Section], name: str, value: Any) -> None:
  with pytest.raises(InputError) as error:
    make(section, name, value)
  message = str(error.value)
  assert message.startswith(f'{section.NAME}.{name} is {value!r}; it must be ')
  assert '\n' not in message


def next_to(bound: float, kind: type, direction: float) -> float:
  """The number of type `kind` that follows `bound` upwards (inf) or downwards (-inf)."""
  if kind is int:
    return int(bound) + (1 if direction > 0 else -1)
  return math.nextafter(bound, direction)


def numbers_at(limits: Limits, kind: type) -> Iterator[tuple[float, bool]]:
  """Numbers at each bound and just outside or inside, and whether the limits allow them."""
  for bound, is_lower, is_included in (
    (limits.at_least, True, True),
    (limits.above, True, False),
    (limits.at_most, False, True),
    (limits.below, False, False),
  ):
    if bound is not None:
      outwards = -math.inf if is_lower else math.inf
      yield kind(bound), is_included
      yield next_to(bound, kind, outwards), False
      yield next_to(bound, kind, -outwards), True


@pytest.mark.parametrize('section', SECTIONS, ids=name_of)
def test_a_section_of_the_base_has_the_fields_and_defaults_of_its_class(
  section: type[Section],
) -> None:
  defaults = {field.name: field.default for field in dataclasses.fields(section)}
  if section is DataSettings:
    assert defaults['name'] is dataclasses.MISSING
    defaults['name'] = 'cifar10'
  assert base('resnet20')[section.NAME].to_dict() == defaults
  assert dataclasses.asdict(section(**base('resnet20')[section.NAME])) == defaults


def test_the_base_has_no_other_sections() -> None:
  assert set(base('resnet20')) == {section.NAME for section in SECTIONS} | {'seed', 'model'}
  assert base('resnet20').model.to_dict() == {'name': 'resnet20', 'dtype': 'float32', 'module': ''}


def test_shapes_has_fewer_validation_images() -> None:
  assert base('resnet20', 'shapes').data.validation_size == 2000
  assert base('resnet20', 'cifar100').data.validation_size == 5000


@pytest.mark.parametrize(('section', 'field'), LIMITED, ids=name_of)
def test_limits_refuse_values_just_outside_and_allow_values_at_them(
  section: type[Section], field: Field
) -> None:
  limits = field.metadata['limits']
  if limits.one_of:
    assert field.type is str
    for value in limits.one_of:
      assert getattr(make(section, field.name, value), field.name) == value
    for value in ('', 'other', f'{limits.one_of[0]} ', limits.one_of[0].upper()):
      assert_refused(section, field.name, value)
    return
  assert isinstance(field.type, type)
  cases = list(numbers_at(limits, field.type))
  assert cases
  for number, is_allowed in cases:
    if is_allowed:
      assert getattr(make(section, field.name, number), field.name) == number
    else:
      assert_refused(section, field.name, number)


@pytest.mark.parametrize(('section', 'field'), NUMBERS, ids=name_of)
def test_every_number_has_limits_and_is_finite(section: type[Section], field: Field) -> None:
  assert 'limits' in field.metadata
  for value in (math.nan, math.inf, -math.inf):
    assert_refused(section, field.name, value)


def test_every_field_is_a_number_a_text_a_truth_value_or_the_boundaries() -> None:
  for section, field in FIELDS:
    is_boundaries = (section, field.name) == (ScheduleSettings, 'boundaries')
    assert field.type in (int, float, str, bool) or is_boundaries, field.name


@pytest.mark.parametrize(
  'boundaries', [(math.nan,), (math.inf,), (-math.inf,), (0.0,), (1.0,), (0.5, 0.5), (0.6, 0.5)]
)
def test_boundaries_are_increasing_fractions_of_the_run(boundaries: tuple[float, ...]) -> None:
  assert_contradiction('schedule.boundaries', ScheduleSettings, boundaries=boundaries)
  assert ScheduleSettings(boundaries=()).boundaries == ()


def assert_contradiction(beginning: str, section: type[Section], **fields: Any) -> None:
  with pytest.raises(InputError) as error:
    section(**fields)
  assert str(error.value).startswith(beginning) and '\n' not in str(error.value)


def test_values_that_contradict_each_other_are_refused() -> None:
  assert_contradiction('augment.resize is 40 and augment.pad 4', AugmentSettings, resize=40)
  assert_contradiction('augment.crops is five', AugmentSettings, crops='five', pad=0)
  assert_contradiction('augment.flip', AugmentSettings, alternating_flip=True)
  assert_contradiction('augment.autoaugment', AugmentSettings, autoaugment=True, randaugment=2)
  assert_contradiction('init.frozen', InitSettings, frozen='stem')
  assert_contradiction('schedule.factor', ScheduleSettings, name='plateau', factor=1.0)


def test_limits_are_read_as_the_end_of_a_sentence() -> None:
  assert str(Limits(at_least=0, below=1)) == 'at least 0 and below 1'
  assert str(Limits(above=0, at_most=2, meaning='degrees')) == 'above 0 and at most 2 (degrees)'
  assert str(Limits(one_of=('a', 'b'))) == 'one of a, b'
  assert Limits(at_least=0).allow(10**400)  # an integer that no float can hold


def test_checkpoints_are_due_at_their_steps_and_epochs() -> None:
  settings = CheckpointSettings(every_epochs=2, every_steps=3)
  assert [step for step in range(1, 10) if settings.due_after_step(step)] == [3, 6, 9]
  assert [epoch for epoch in range(6) if settings.due_after_epoch(epoch)] == [1, 3, 5]
  assert not any(map(CheckpointSettings().due_after_step, range(1, 10)))


def test_importing_the_configuration_does_not_import_jax() -> None:
  modules = ['dataset', 'augmentation', 'optimization', 'training', 'base', 'command_line']
  imports = '; '.join(f'import cifar_jax.config.{name}' for name in [*modules, 'loading'])
  code = f'import sys; {imports}; print({{"jax", "flax", "optax"}} & set(sys.modules))'
  result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
  assert result.stdout == 'set()\n'
