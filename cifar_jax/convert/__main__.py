"""Weights from a public PyTorch implementation into a file in our names, and back.

  python -m cifar_jax.convert FILE.safetensors --model NAME --rules pytorchcv --out DIR_OR_FILE

What comes out are float32 arrays in Torch's layouts, named as our layers
(`stage1_block1.conv1.weight`): `cifar_jax.convert.to_variables(FILE, model)` reads it. With
`--to-torch` such a file goes in, and the implementation's state_dict comes out.
"""

import argparse
import dataclasses
import pathlib

import flax.linen as nn

from cifar_jax import command, convert, models
from cifar_jax import config as configs
from cifar_jax.convert import files
from cifar_jax.errors import InputError

SUFFIX = '.safetensors'


def main() -> None:
  """Reads the command line, converts and says what was written."""
  arguments = _parser().parse_args()
  model = make_model(arguments.model, arguments.fields)
  before, after = ('own', arguments.rules) if arguments.to_torch else (arguments.rules, 'own')
  variables = convert.to_variables(arguments.file, model, before)
  arrays = convert.to_state_dict(variables, model, after)
  out = arguments.out
  if out.suffix != SUFFIX:
    out = out / f'{arguments.model}_{after}{SUFFIX}'
  if out.exists() and out.samefile(arguments.file):
    raise InputError(f'--out {out} is the file that is to be converted')
  # Readers in the Torch world ask for this format; the rest is for whoever finds the file.
  files.write(out, arrays, {'format': 'pt', 'model': arguments.model, 'fields': arguments.fields})
  print(f'wrote {out}: {len(arrays)} arrays under the names of {after}')


def _parser() -> argparse.ArgumentParser:
  parser = command.Parser(
    prog='python -m cifar_jax.convert',
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument('file', type=pathlib.Path, help='a safetensors file')
  parser.add_argument('--model', required=True, help='a name of python -m cifar_jax.models')
  parser.add_argument('--fields', default='', help='num_classes=100,shortcut=project,...')
  parser.add_argument('--rules', choices=convert.rule_names(), default='own')
  parser.add_argument('--out', type=pathlib.Path, required=True, help='a directory or .safetensors')
  parser.add_argument('--to-torch', action='store_true', help='from our names to those of --rules')
  return parser


def make_model(name: str, text: str) -> nn.Module:
  """The module of a name.

  Args:
    name: of the model.
    text: its fields, as `num_classes=100,shortcut=project`; may be empty.

  Raises:
    InputError: an unknown name or field, or a value of the wrong type.
  """
  default = models.create(name)
  known = {field.name: getattr(default, field.name) for field in dataclasses.fields(default)}
  known = {
    key: value for key, value in known.items() if isinstance(value, bool | int | float | str)
  }
  chosen = configs.arguments(text, **known)
  return models.create(name, **{key: chosen[key] for key in chosen if chosen[key] != known[key]})


if __name__ == '__main__':
  command.run(main)
