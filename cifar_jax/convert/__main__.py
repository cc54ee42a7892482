"""Converts weights: of a public PyTorch implementation to our names, and of a run to PyTorch's.

  python -m cifar_jax.convert FILE --model NAME --rules pytorchcv --out DIR_OR_FILE
  python -m cifar_jax.convert WORKDIR --rules akamaster --out DIR_OR_FILE

FILE is a safetensors file, or a checkpoint of PyTorch 1.6 or later (.pth, .pt), of which nothing is
run. The result holds float32 arrays in Torch's layouts, named as our layers
(`stage1_block1.conv1.weight`); `cifar_jax.convert.to_variables(FILE, model)` and
`--config.init.source=FILE` read it. With `--to-torch` the command reads such a file and writes the
implementation's state_dict.

Of a run the weights of a checkpoint are written, under the names of `--rules`. docs/weights.md says
which public repositories have which names. In PyTorch, `safetensors.torch.load_file(FILE)` gives
the state_dict. The header of the file names the classes and the normalisation of the images.
"""

import argparse
import json
import pathlib
from typing import TYPE_CHECKING, Any

from cifar_jax import cli
from cifar_jax.config import help_text
from cifar_jax.config.initialization import RULES
from cifar_jax.errors import InputError
from cifar_jax.evaluation.options import add_checkpoint, add_seed_index

if TYPE_CHECKING:  # JAX is imported once the command line is valid
  import flax.linen as nn

SUFFIX = '.safetensors'
# What the header of a file says of the run that it is of.
OF_RUN = ('run', 'step', 'seed', 'classes', 'mean', 'std')


def main() -> None:
  """Reads the command line, converts, and prints what was written."""
  parser = _parser()
  arguments, overrides = parser.parse_with_overrides()
  is_run = arguments.source.is_dir()
  _check_options(arguments, is_run, bool(overrides))
  from cifar_jax.convert import engine, files, net_fields

  name, rules, of_run = arguments.model, arguments.rules, dict[str, str]()
  if is_run:
    name, variables, model, of_run = _read_run(arguments, overrides)
  else:
    model = net_fields.make_model(name, arguments.fields)
    before, rules = ('own', rules) if arguments.to_torch else (rules, 'own')
    if before == 'own':
      header = files.metadata(arguments.source)
      _check_is_of(model, name, arguments.source, header)
      of_run = {key: header[key] for key in OF_RUN if key in header}
    variables = engine.to_variables(arguments.source, model, before)
  arrays = engine.to_state_dict(variables, model, rules)
  out = arguments.out
  if out.suffix != SUFFIX:
    out = out / f'{name}_{rules}{SUFFIX}'
    if out.exists():
      raise InputError(f'{out} is there already, perhaps of other weights: give a file in --out')
  if out.exists() and out.samefile(arguments.source):
    raise InputError(f'--out {out} is the file to be converted; give another one')
  # Torch's readers ask for `format`; the other two tell a person what the file is.
  about = {'model': name, 'fields': net_fields.as_text(net_fields.changed(name, model))} | of_run
  files.write(out, arrays, {'format': 'pt', **about})
  step = f', after {of_run["step"]} steps' if is_run else ''
  print(f'wrote {out}: {len(arrays)} arrays, named by the rules {rules}{step}')
  if is_run:
    mean, std = (', '.join(f'{x:.4f}' for x in json.loads(of_run[key])) for key in ('mean', 'std'))
    print(f'its images are (pixels / 255 - mean) / std: mean {mean}; std {std}')


def _parser() -> cli.Parser:
  parser = cli.Parser('python -m cifar_jax.convert', __doc__, help_text.of_finished_run)
  parser.add_argument('source', type=cli.path, metavar='FILE_OR_WORKDIR')
  parser.add_argument('--model', default='', help='a name of python -m cifar_jax.models')
  parser.add_argument('--fields', default='', help='num_classes=100,shortcut=project,...')
  parser.add_argument('--rules', choices=RULES, default='own')
  parser.add_argument(
    '--out',
    type=cli.path,
    required=True,
    help='a directory, or a .safetensors file to write or replace',
  )
  parser.add_argument('--to-torch', action='store_true', help='from our names to those of --rules')
  add_checkpoint(parser)
  add_seed_index(parser)
  return parser


def _check_options(arguments: argparse.Namespace, is_run: bool, has_overrides: bool) -> None:
  """Raises InputError for options that do not go with a file, or with a run."""
  source = arguments.source
  of_a_run = has_overrides or arguments.seed_index or arguments.checkpoint != 'last'
  if is_run and not (source / 'config.json').is_file():
    raise InputError(f'{source} holds no run: there is no {source / "config.json"}')
  if is_run and (arguments.model or arguments.fields or arguments.to_torch):
    raise InputError(
      f'{source} is a run, which has a model: leave out --model, --fields and --to-torch'
    )
  if not is_run and not arguments.model:
    raise InputError(f'--model is missing: which net are the weights in {source} of?')
  if not is_run and of_a_run:
    raise InputError(f'{source} is no run: leave out --checkpoint, --seed-index and --config')


def _read_run(
  arguments: argparse.Namespace, overrides: list[str]
) -> tuple[str, dict[str, Any], 'nn.Module', dict[str, str]]:
  """The name of a run's model, its variables at the checkpoint, its module, and its `OF_RUN`."""
  from cifar_jax.evaluation.restore import restore_net

  run: pathlib.Path = arguments.source
  net = restore_net(run, arguments.checkpoint, overrides, arguments.seed_index)
  variables = {'params': net.state.params, 'batch_stats': net.state.batch_stats}
  dataset = net.experiment.dataset
  of_run = {
    'run': run.resolve().name,
    'step': str(net.step),
    'classes': json.dumps(dataset.class_names),
    'mean': json.dumps(dataset.mean),
    'std': json.dumps(dataset.std),
  }
  if net.is_one_of_several_seeds:
    of_run['seed'] = str(net.experiment.seeds[0])
  return net.config.model.name, variables, net.experiment.model, of_run


def _check_is_of(
  model: 'nn.Module', name: str, source: pathlib.Path, about: dict[str, str]
) -> None:
  """Raises InputError if a file that this command wrote says that it is of another net.

  Args:
    model: the net of the options.
    name: its name.
    source: the file.
    about: the header of the file. Earlier versions wrote the `fields` of the options alone.
  """
  from cifar_jax.convert import net_fields

  if not about.get('model'):
    return
  own_name, text = about['model'], about.get('fields', '')
  is_of_fields = not text or net_fields.changed(name, model) == net_fields.changed(
    name, net_fields.make_model(name, text)
  )
  if own_name != name or not is_of_fields:
    fields = f' --fields {text}' if text else ''
    raise InputError(f'{source} says that it is of another net: give --model {own_name}{fields}')


if __name__ == '__main__':
  cli.run(main)
