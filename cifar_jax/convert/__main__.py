"""Converts the weights of a public PyTorch implementation to a file with our names, and back.

  python -m cifar_jax.convert FILE.safetensors --model NAME --rules pytorchcv --out DIR_OR_FILE

The result holds float32 arrays in Torch's layouts, named as our layers
(`stage1_block1.conv1.weight`); `cifar_jax.convert.to_variables(FILE, model)` reads it. With
`--to-torch` the command reads such a file and writes the implementation's state_dict.
"""

import dataclasses
from typing import TYPE_CHECKING

from cifar_jax import cli, models
from cifar_jax.config import command_line
from cifar_jax.convert.implementations import rule_names
from cifar_jax.errors import InputError

if TYPE_CHECKING:  # JAX is imported once the command line is valid
  import flax.linen as nn

SUFFIX = '.safetensors'


def main() -> None:
  """Reads the command line, converts, and prints what was written."""
  arguments = _parser().parse_args()
  from cifar_jax.convert import engine, files

  model = make_model(arguments.model, arguments.fields)
  before, after = ('own', arguments.rules) if arguments.to_torch else (arguments.rules, 'own')
  variables = engine.to_variables(arguments.file, model, before)
  arrays = engine.to_state_dict(variables, model, after)
  out = arguments.out
  if out.suffix != SUFFIX:
    out = out / f'{arguments.model}_{after}{SUFFIX}'
  if out.exists() and out.samefile(arguments.file):
    raise InputError(f'--out {out} is the file to be converted; give another one')
  # Torch's readers ask for `format`; the other two tell a person what the file is.
  files.write(out, arrays, {'format': 'pt', 'model': arguments.model, 'fields': arguments.fields})
  print(f'wrote {out}: {len(arrays)} arrays, named by the rules {after}')


def _parser() -> cli.Parser:
  parser = cli.Parser('python -m cifar_jax.convert', __doc__)
  parser.add_argument('file', type=cli.path, help='a safetensors file')
  parser.add_argument('--model', required=True, help='a name of python -m cifar_jax.models')
  parser.add_argument('--fields', default='', help='num_classes=100,shortcut=project,...')
  parser.add_argument('--rules', choices=rule_names(), default='own')
  parser.add_argument('--out', type=cli.path, required=True, help='a directory or .safetensors')
  parser.add_argument('--to-torch', action='store_true', help='from our names to those of --rules')
  return parser


def make_model(name: str, text: str) -> 'nn.Module':
  """Returns the module of a name.

  Args:
    name: of the model.
    text: its fields, as `num_classes=100,shortcut=project`; may be empty.

  Raises:
    InputError: an unknown name or field, or a value of the wrong type.
  """
  model = models.create(name)
  defaults = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
  defaults = {
    key: value for key, value in defaults.items() if isinstance(value, bool | int | float | str)
  }
  fields = command_line.arguments(text, **defaults)
  changed = {key: value for key, value in fields.items() if value != defaults[key]}
  return models.create(name, **changed)


if __name__ == '__main__':
  cli.run(main)
