"""Bad input to `main`, as tables: what is typed, and the words that the line must say.

`test_bad_input.py` runs them.
"""

import pathlib

from cifar_jax import config as configs

ROOT = pathlib.Path(__file__).parent.parent
RESNET = str(ROOT / 'configs/resnet.py')

# A case: the command's arguments, and words of the line.
Case = tuple[list[str], list[str]]

# Values that each key cannot have, where its type is right.
IMPOSSIBLE = {
  'seed': ['-1', '4294967296', '99999999999999999999'],
  'data.name': ['cifar11', '', 'CIFAR10', 'cifar10/x', '../cifar10'],
  'data.data_dir': ['/nowhere/at/all', '/dev/null', 'no_such_directory'],
  'data.source': ['tfd', 'Archive', 'http://x'],
  'data.validation_size': ['-1', '240', '1000000000'],
  'data.images_per_class': ['-1', '99', '1000000000'],
  'data.image_size': ['-1', '1', '30', '33', '1000000'],
  'data.seed': ['-1', '4294967296'],
  'augment.pad': ['-1', '1000000'],
  'augment.padding': ['reflct', 'none', ''],
  'augment.cutout': ['-1', '1000000'],
  'augment.alternating_flip': ['true'],  # beside `flip`
  'augment.tta': ['flips', ''],
  'model.name': ['resnet_20', '', 'resnet', 'resnet20 ', 'densenet', '../resnet20', 'resnet-20'],
  'model.dtype': ['float8', 'float64', 'int32', ''],
  'loss.label_smoothing': ['-0.1', '1', '1.5', 'nan', 'inf'],
  'schedule.name': ['step', 'Cosine', ''],
  'schedule.learning_rate': ['0', '-0.1', 'nan', 'inf'],
  'schedule.boundaries': ['(0.75,0.5)', '(0.5,0.5)', '(0,)', '(1,)', '(-0.5,)', '(2,)', '(nan,)'],
  'schedule.factor': ['0', '-1', 'nan', 'inf'],
  'schedule.first_cycle_epochs': ['0', '-1', 'nan', 'inf'],
  'schedule.cycle_multiplier': ['0.5', '-1', 'nan', 'inf'],
  'schedule.patience': ['0', '-1'],
  'schedule.warmup_epochs': ['-1', '182', '1000', 'nan', 'inf'],
  'schedule.warmup_learning_rate': ['-0.1', 'nan', 'inf'],
  'schedule.start_factor': ['-0.1', '1.1', 'nan'],
  'schedule.peak': ['0', '1', 'nan'],
  'schedule.end_factor': ['-0.1', '1.1', 'nan'],
  'optimizer.momentum': ['-0.1', '1', '2', 'nan'],
  'optimizer.weight_decay': ['-1', 'nan', 'inf'],
  'optimizer.decayed': ['kernel', 'none', ''],
  'optimizer.clip_norm': ['-1', 'nan', 'inf'],
  'optimizer.norm_bias_factor': ['0', '-1', 'nan', 'inf'],
  'optimizer.whitening_until': ['-0.1', '1.1', 'nan'],
  'optimizer.lookahead_steps': ['-1'],
  'optimizer.lookahead_decay': ['-0.1', '1', 'nan'],
  'train.num_epochs': ['0', '-1', '0.5', 'nan', 'inf', '999999999999'],
  'train.batch_size': ['0', '-1', '241', '1000000000000'],
  'train.log_every_steps': ['0', '-1'],
  'train.nonfinite': ['ignore', ''],
  'train.steps_per_dispatch': ['-1'],
  'train.profile': ['-1'],
  'train.seeds': ['0', '-1', '4294967297'],
  'checkpoint.every_epochs': ['0', '-1'],
  'checkpoint.every_steps': ['-1'],
  'checkpoint.keep_last': ['0', '-1'],
  'sharding.num_devices': ['-1', '9', '1000000'],
  'model.survival_probability': ['-0.1', '0', '1.5', 'nan'],
  'model.survival_decay': ['linea', ''],
}

WORDS = {'data.name': 'unknown data set', 'model.name': 'unknown model', 'data.data_dir': 'has no'}

# The arguments of each family's file: wrong values, and what stands in the line.
FAMILIES = {
  'alexnet': ['groups=3', 'groups=0', 'dropout=1.5', 'dropout=nan', 'local_response_norm=maybe'],
  'deformable': ['depth=21', 'depth=0', 'version=v3', 'dataset=mnst'],
  'densenet': ['depth=101', 'growth_rate=0', 'bc=yes', 'depth=-1', 'remat=2'],
  'efficientnet': ['variant=9', 'variant=-1', 'survival=2', 'survival=0'],
  'fractalnet': ['depth=21', 'columns=some', 'depth=0', 'regularize=perhaps'],
  'googlenet': ['auxiliary=both', 'depth=22'],
  'plain_net': ['depth=21', 'depth=0', 'shortcut=pad'],
  'preact_resnet': ['depth=165', 'order=f', 'depth=1'],
  'pyramidnet': [
    *('depth=111', 'alpha=-1', 'alpha=nan', 'growth=div', 'block=wide', 'recipe=own', 'remat=2')
  ],
  'resnet': ['depth=19', 'form=imagnet', 'shortcut=zero', 'schedule=step', 'depth=1e9'],
  'resnext': ['depth=28', 'cardinality=0', 'base_width=0', 'depth=-29'],
  'se_resnet': ['name=se_resnt110', 'name='],
  'shake_shake': [],
  'speedrun': ['widths=64_256', 'widths=0_4_4', 'rate=0', 'epochs=0', 'dtype=float16'],
  'stochastic_depth': ['depth=111'],
  'vgg': [],
  'wide_resnet': ['depth=29', 'widen_factor=0'],
}  # fmt: skip


def typed(key: str, value: str) -> list[str]:
  """The command line of `main` with one override."""
  return ['--config', RESNET, f'--config.{key}={value}']


def misspelt_keys() -> dict[str, Case]:
  """Each key of the base, with a letter left out: the line must name the right one."""
  cases = {}
  for key in configs.flatten(configs.load(RESNET)):
    section, _, name = key.rpartition('.')
    wrong = f'{section}.{name[:-2]}{name[-1:]}'.strip('.')
    cases[f'{key} misspelt'] = (typed(wrong, '1'), [name])
  return cases


def mistyped_keys() -> dict[str, Case]:
  """Each key of the base that is not a text, with a value of another type."""
  cases = {}
  for key, value in configs.flatten(configs.load(RESNET)).items():
    if isinstance(value, str):
      continue
    wrong = {bool: 'perhaps', int: '12.5', float: '0,1', tuple: 'half'}[type(value)]
    cases[f'{key} mistyped'] = (typed(key, wrong), [key, wrong])
    cases[f'{key} empty'] = (typed(key, ''), [key])
  return cases


def impossible_values() -> dict[str, Case]:
  """Each key with each value it cannot have: the line names the key, without its section."""
  return {
    f'{key}={value}': (typed(key, value), [WORDS.get(key, key.rpartition('.')[2])])
    for key, values in IMPOSSIBLE.items()
    for value in values
  }


def families() -> dict[str, Case]:
  """Each family's arguments, misspelt, mistyped and impossible."""
  cases = {}
  for family, wrong in FAMILIES.items():
    path = str(ROOT / f'configs/{family}.py')
    for text in [*wrong, 'epochs=0', 'epochs=many', 'epoch=3', 'dataset=cifr10', 'epochs', '=3']:
      words = [text.partition('=')[2] or text.partition('=')[0]]
      if text in ('epochs=0', 'name='):
        words = []
      if (family, text) == ('pyramidnet', 'epochs=0'):  # the recipe's own
        continue
      cases[f'{family}:{text}'] = (['--config', f'{path}:{text}'], words)
  return cases


COMBINATIONS: dict[str, Case] = {
  'nothing typed': ([], ['--config']),
  'no value': (['--config'], ['--config']),
  'no such file': (['--config', 'configs/resnt.py'], ['configs/resnt.py']),
  'a directory': (['--config', str(ROOT / 'configs')], ['configs']),
  'no Python': (['--config', 'NOT_PYTHON.py'], ['NOT_PYTHON.py', 'SyntaxError']),
  'raises': (['--config', 'RAISES.py'], ['RAISES.py', 'ZeroDivisionError']),
  'imports what is not there': (['--config', 'IMPORTS.py'], ['IMPORTS.py', 'nowhere']),
  'no get_config': (['--config', 'EMPTY.py'], ['EMPTY.py', 'get_config']),
  'binary config': (['--config', 'BINARY.py'], ['BINARY.py']),
  'leaves the interpreter': (['--config', 'EXITS.py'], ['EXITS.py']),
  'returns a dict': (['--config', 'DICT.py'], ['DICT.py', 'ConfigDict']),
  'lacks a section': (['--config', 'LACKS.py'], ['LACKS.py', 'schedule']),
  'has a section of its own': (['--config', 'MORE.py'], ['MORE.py', 'extra']),
  'has a value of another type': (['--config', 'TYPES.py'], ['TYPES.py', 'batch_size']),
  'unknown flag': (['--config', RESNET, '--workdr=x'], ['--workdr=x']),
  'a stray word': (['--config', RESNET, 'stray'], ['stray']),
  'a flag without its dots': (['--config', RESNET, '--configtrain=1'], ['--configtrain']),
  'an override without a value': (['--config', RESNET, '--config.seed'], ['--config.seed']),
  'a section set': (['--config', RESNET, '--config.train=1'], ['section']),
  'below a value': (['--config', RESNET, '--config.seed.x=1'], ['seed.x']),
  'an empty key': (['--config', RESNET, '--config.=1'], ['--config.']),
  'an unknown field of the model': (['--config', RESNET, '--config.model.dropout=1'], ['dropout']),
  'tfds and shapes': (
    ['--config', f'{RESNET}:dataset=shapes', '--config.data.source=tfds'], ['shapes'],
  ),
  'folder without a directory': (
    ['--config', f'{RESNET}:dataset=folder', '--config.data.image_size=32'], ['data_dir'],
  ),
  'folder without a size': (
    ['--config', f'{RESNET}:dataset=folder', '--config.data.data_dir=.'], ['image_size'],
  ),
  'an unprepared data set': (
    ['--config', f'{RESNET}:dataset=svhn_cropped', '--config.data.data_dir=.'], ['svhn_cropped'],
  ),
  'no set of images': (['--config', f'{RESNET}:dataset=imdb_reviews'], ['imdb_reviews']),
  'warm-up beyond the end': (
    ['--config', f'{RESNET}:epochs=2', '--config.schedule.warmup_epochs=2'], ['warmup_epochs'],
  ),
  'cycles without number': (
    ['--config', f'{RESNET}:schedule=sgdr,epochs=999', '--config.schedule.first_cycle_epochs=0.001',
     '--config.schedule.cycle_multiplier=1'], ['first_cycle_epochs'],
  ),
  'a plateau that does not lower': (
    ['--config', f'{RESNET}:schedule=plateau', '--config.schedule.factor=1'], ['factor'],
  ),
  'a batch that does not divide': (
    ['--config', RESNET, '--config.train.batch_size=12', '--config.sharding.num_devices=8'],
    ['batch_size', '12', '8'],
  ),
  'workdir of another run': (
    ['--config', RESNET, '--workdir', 'RUN', '--config.seed=5'], ['seed was 0 and is now 5'],
  ),
}  # fmt: skip

# Workdirs of `bad_places.py`, and words of the line.
WORKDIRS = {
  'is a file': ('FILE', ['FILE', 'directory']),
  'below a file': ('FILE/run', ['FILE']),
  'of another kind': ('OTHER', ['OTHER', 'no run']),
  'with a torn config': ('TORN', ['config.json']),
  'with an empty config': ('VOID', ['config.json']),
  'with a list for a config': ('LIST', ['config.json']),
  'with a binary config': ('BYTES', ['config.json']),
  'whose config is a directory': ('DIRS', ['config']),
  'of a version with more keys': ('NEWER', ['optimizer.lookahead']),
  'with damaged metrics': ('METRICS', ['metrics.jsonl']),
  'with binary metrics': ('NOISE', ['metrics.jsonl']),
  'whose metrics are a directory': ('MDIR', ['metrics.jsonl']),
  'whose checkpoints are a file': ('CFILE', ['checkpoints']),
  'with a torn result': ('RESULT', ['result.json']),
  'with a result of nothing': ('RVOID', ['result.json']),
  'whose lock is a directory': ('LOCK', ['LOCK']),
}


def workdirs() -> dict[str, Case]:
  """A sound command line in each wrong workdir."""
  return {
    f'workdir {case}': (['--config', RESNET, '--workdir', name], words)
    for case, (name, words) in WORKDIRS.items()
  }


MAIN = (
  misspelt_keys() | mistyped_keys() | impossible_values() | families() | COMBINATIONS | workdirs()
)
