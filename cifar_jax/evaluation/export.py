"""Exports a trained net as StableHLO, which a process with JAX alone can run; see `export.py`."""

import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from cifar_jax import output_files
from cifar_jax.augment import views
from cifar_jax.errors import InputError
from cifar_jax.evaluation.restore import Restored, restore_net
from cifar_jax.models import layers

PLATFORMS = ('cpu', 'cuda', 'tpu')
BATCH = 'batch'  # the name of the free dimension
INPUT = 'uint8 [batch, height, width, 3]: pixels from 0 to 255, before any normalisation'
OUTPUT = 'float32 [batch, classes]: logits'


def export_net(member: Restored) -> Any:
  """Exports the classification of a restored run, with the normalisation in front of it.

  Convolutions are those of XLA, which every platform has; those of oneDNN are functions of this
  package.

  Args:
    member: the run, which need not have its data.

  Returns:
    A `jax.export.Exported` for all `PLATFORMS`. Its argument is `INPUT`, where the batch has any
    size, and its result `OUTPUT`.

  Raises:
    InputError: the net needs to know the size of the batch.
  """
  from jax import export

  experiment, state = member.experiment, member.state
  variables = jax.device_get({'params': state.params, 'batch_stats': state.batch_stats})

  def classify(images: jax.Array) -> Any:
    with layers.plain_forms():
      inputs = views.whole(experiment.normalize(images), experiment.augmentation)
      return experiment.model.apply(variables, inputs, train=False)

  height, width, channels = experiment.image_shape
  shape = export.symbolic_shape(f'{BATCH}, {height}, {width}, {channels}')
  try:
    return export.export(jax.jit(classify), platforms=PLATFORMS)(
      jax.ShapeDtypeStruct(shape, jnp.uint8)
    )
  except (TypeError, jax.errors.JAXTypeError) as error:
    reason = ' '.join(str(error).split())[:300]
    raise InputError(
      f'{member.config.model.name} cannot be exported with a free batch size ({reason}): use '
      'images.shape[0] in the net, where it uses len(images)'
    ) from error


def write(member: Restored, out: pathlib.Path) -> None:
  """Writes an exported net to `out`, and what it is to `out` with `.json` at its end.

  Raises:
    InputError: flatbuffers is not installed, the net cannot be exported, a file cannot be
      written, or the second one would replace another file.
  """
  try:
    import flatbuffers  # noqa: F401 (`jax.export` writes its files with it)
  except ImportError as error:
    raise InputError('export needs flatbuffers: pip install flatbuffers') from error
  beside = out.with_name(f'{out.name}.json')
  output_files.check_is_own(beside, 'class_names', 'platforms')
  output_files.make_folder(out.parent)
  content = export_net(member).serialize()
  height, width, _ = member.experiment.image_shape
  description = {
    'model': member.config.model.name,
    'run': member.workdir.resolve().name,
    'step': member.step,
    'seed': member.experiment.seeds[0],
    'class_names': list(member.experiment.dataset.class_names),
    'image_size': [height, width],
    'input': INPUT,
    'output': OUTPUT,
    'platforms': list(PLATFORMS),
  }
  with output_files.replacing(beside) as temporary:
    temporary.write_text(json.dumps(description, indent=2) + '\n', encoding='utf-8')
    with output_files.replacing(out, [beside]) as temporary_net:
      temporary_net.write_bytes(content)


def export_run(
  run: pathlib.Path, out: pathlib.Path, checkpoint: str, overrides: list[str], seed_index: int
) -> None:
  """Exports a run, and prints what was written.

  Args:
    run: the workdir. The run's data are not needed.
    out: the file to write.
    checkpoint: one of `config.initialization.CHECKPOINT_CHOICES`.
    overrides: `--config.SECTION.KEY=VALUE`.
    seed_index: index of the seed, from 0, in a run that trained several seeds.

  Raises:
    InputError: the run cannot be restored, or as for `write`.
  """
  member = restore_net(run, checkpoint, overrides, seed_index)
  write(member, out)
  size = out.stat().st_size / 1e6
  print(f'wrote {out} ({size:.1f} MB) and {out.name}.json: {member.config.model.name}, step '
        f'{member.step}, for {", ".join(PLATFORMS)}')  # fmt: skip
