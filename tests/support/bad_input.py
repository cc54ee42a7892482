"""Cases of bad input to `main`, as tables: the arguments, and words that the message must hold.

`tests/commands/test_bad_input.py` runs them.
"""

from cifar_jax.config import loading
from tests.support.paths import ROOT

RESNET = str(ROOT / 'configs/resnet.py')

LARGE = '9' * 400  # more digits than any number of a machine has

# A case: the arguments of the command, and words that its one-line message must hold.
Case = tuple[list[str], list[str]]

# For each key, impossible values of the right type.
IMPOSSIBLE = {
  'seed': ['-1', '4294967296', '99999999999999999999'],
  'data.name': ['cifar11', '', 'CIFAR10', 'cifar10/x', '../cifar10'],
  'data.data_dir': ['/nowhere/at/all', '/dev/null', 'no_such_directory'],
  'data.source': ['tfd', 'Archive', 'http://x'],
  'data.validation_size': ['-1', '240', '1000000000', '12.5', 'nan'],
  'data.test_size': ['0', '-1', '12.5', 'nan'],
  'data.images_per_class': ['-1', '99', '1000000000'],
  'data.image_size': ['-1', '1', '30', '33', '1000000'],
  'data.resize': ['stretch', ''],
  'data.seed': ['-1', '4294967296'],
  'augment.pad': ['-1', '1000000', LARGE],
  'augment.padding': ['reflct', 'none', ''],
  'augment.cutout': ['-1', '1000000', LARGE],
  'augment.crops': ['six', ''],
  'augment.blur': ['1e308'],
  'augment.randaugment': [LARGE],
  'augment.augmix': ['-1', '101', LARGE],
  'augment.augmix_severity': ['0', '11', 'nan'],
  'augment.alternating_flip': ['true'],  # impossible together with `flip`, which is on
  'augment.tta': ['flips', ''],
  'model.name': [
    'resnet_20',
    '',
    'resnet',
    'resnet20 ',
    'densenet',
    '../resnet20',
    'resnet-20',
    f'resnet{LARGE}',
    f'wrn_16_{LARGE}',
  ],
  'model.dtype': ['float8', 'float64', 'int32', ''],
  'init.source': ['/nowhere/at/all', 'no.safetensors', '/dev/null', 'gs://bucket/run'],
  'init.checkpoint': ['first', ''],
  'init.rules': ['timm', ''],
  'init.head': ['old', ''],
  'init.frozen': ['stem'],  # impossible without init.source
  'loss.label_smoothing': ['-0.1', '1', '1.5', 'nan', 'inf'],
  'schedule.name': ['step', 'Cosine', ''],
  'schedule.learning_rate': ['0', '-0.1', 'nan', 'inf'],
  'schedule.boundaries': ['(0.75,0.5)', '(0.5,0.5)', '(0,)', '(1,)', '(-0.5,)', '(2,)', '(nan,)'],
  'schedule.factor': ['0', '-1', 'nan', 'inf'],
  'schedule.first_cycle_epochs': ['0', '-1', 'nan', 'inf'],
  'schedule.cycle_multiplier': ['0.5', '-1', 'nan', 'inf'],
  'schedule.patience': ['-1', '2147483648'],
  'schedule.monitor': ['accuracy', ''],
  'schedule.threshold': ['-0.1', '1', 'nan'],
  'schedule.smallest_drop': ['-1', 'nan', 'inf'],
  'schedule.warmup_epochs': ['-1', '182', '1000', 'nan', 'inf'],
  'schedule.warmup_learning_rate': ['-0.1', 'nan', 'inf'],
  'schedule.start_factor': ['-0.1', '1.1', 'nan'],
  'schedule.peak': ['0', '1', 'nan'],
  'schedule.end_factor': ['-0.1', '1.1', 'nan'],
  'optimizer.name': ['adam', 'SGD', ''],
  'optimizer.beta2': ['-0.1', '1', 'nan'],
  'optimizer.momentum': ['-0.1', '1', '2', 'nan'],
  'optimizer.weight_decay': ['-1', 'nan', 'inf'],
  'optimizer.decayed': ['kernel', 'none', ''],
  'optimizer.clip_norm': ['-1', 'nan', 'inf'],
  'optimizer.norm_bias_factor': ['0', '-1', 'nan', 'inf'],
  'optimizer.whitening_until': ['-0.1', '1.1', 'nan'],
  'optimizer.lookahead_steps': ['-1'],
  'optimizer.lookahead_decay': ['-0.1', '1', 'nan'],
  'optimizer.ema_decay': ['-0.1', '1', 'nan'],
  'optimizer.sam_radius': ['-0.1', 'nan', 'inf'],
  'train.num_epochs': ['0', '-1', '0.5', 'nan', 'inf', '999999999999', '1e308'],
  'train.batch_size': ['0', '-1', '241', '1000000000000', LARGE],
  'train.accumulation': ['0', '-1', '3'],
  'train.trackers': ['tensorboard', 'wandb,'],
  'train.patience': ['-1'],
  'train.log_every_steps': ['0', '-1', LARGE],
  'train.best_threshold': ['-0.1', '1', 'nan'],
  'train.nonfinite': ['ignore', ''],
  'train.steps_per_dispatch': ['-1'],
  'train.profile': ['-1'],
  'train.seeds': ['0', '-1', '4294967297', '100000'],
  'checkpoint.every_epochs': ['0', '-1'],
  'checkpoint.every_steps': ['-1'],
  'checkpoint.keep_last': ['0', '-1'],
  'sharding.num_devices': ['-1', '9', '1000000', LARGE],
  'model.base_width': [LARGE],
  'model.survival_probability': ['-0.1', '0', '1.5', 'nan'],
  'model.survival_decay': ['linea', ''],
}

# Words of the message for a key whose name the message need not hold.
WORDS = {'data.name': 'unknown data set', 'model.name': 'unknown model', 'data.data_dir': 'has no'}

# For each file of a family: impossible arguments. The message must hold their value.
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
    *('depth=111', 'alpha=-1', 'alpha=nan', 'growth=div', 'block=wide', 'recipe=own', 'remat=2'),
    'short=perhaps',
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


def with_override(key: str, value: str) -> list[str]:
  """The arguments of `main` with one override."""
  return ['--config', RESNET, f'--config.{key}={value}']


def misspelt_keys() -> dict[str, Case]:
  """Each key of the base with a letter missing; the message must name the right key."""
  cases = {}
  for key in loading.flatten(loading.load(RESNET)):
    section, _, name = key.rpartition('.')
    wrong = f'{section}.{name[:-2]}{name[-1:]}'.strip('.')
    cases[f'{key} misspelt'] = (with_override(wrong, '1'), [name])
  return cases


def mistyped_keys() -> dict[str, Case]:
  """Each key of the base that is not a string, with a value of another type, and without one."""
  cases = {}
  for key, value in loading.flatten(loading.load(RESNET)).items():
    if isinstance(value, str):
      continue
    wrong = {bool: 'perhaps', int: '12.5', float: '0,1', tuple: 'half'}[type(value)]
    cases[f'{key} mistyped'] = (with_override(key, wrong), [key, wrong])
    cases[f'{key} empty'] = (with_override(key, ''), [key])
  return cases


def impossible_values() -> dict[str, Case]:
  """Each key with each impossible value; the message must name the key, without its section."""
  return {
    f'{key}={value}': (with_override(key, value), [WORDS.get(key, key.rpartition('.')[2])])
    for key, values in IMPOSSIBLE.items()
    for value in values
  }


def families() -> dict[str, Case]:
  """The arguments of each family's file: misspelt, mistyped and impossible."""
  cases = {}
  for family, wrong in FAMILIES.items():
    path = str(ROOT / f'configs/{family}.py')
    for text in [*wrong, 'epochs=0', 'epochs=many', 'epoch=3', 'dataset=cifr10', 'epochs', '=3']:
      words = [text.partition('=')[2] or text.partition('=')[0]]
      if text in ('epochs=0', 'name='):
        words = []
      if (family, text) == ('pyramidnet', 'epochs=0'):  # there it means the epochs of the recipe
        continue
      cases[f'{family}:{text}'] = (['--config', f'{path}:{text}'], words)
  return cases


COMBINATIONS: dict[str, Case] = {
  'no arguments': ([], ['--config']),
  'no value of --config': (['--config'], ['--config']),
  'a missing file': (['--config', 'configs/resnt.py'], ['configs/resnt.py']),
  'a directory': (['--config', str(ROOT / 'configs')], ['configs']),
  'a file that is not Python': (['--config', 'NOT_PYTHON.py'], ['NOT_PYTHON.py', 'SyntaxError']),
  'a config that raises an error': (['--config', 'RAISES.py'], ['RAISES.py', 'ZeroDivisionError']),
  'a config that imports a missing module': (['--config', 'IMPORTS.py'], ['IMPORTS.py', 'nowhere']),
  'a config without get_config': (['--config', 'EMPTY.py'], ['EMPTY.py', 'get_config']),
  'a binary config': (['--config', 'BINARY.py'], ['BINARY.py']),
  'a config that exits': (['--config', 'EXITS.py'], ['EXITS.py']),
  'a config that returns a dict': (['--config', 'DICT.py'], ['DICT.py', 'ConfigDict']),
  'a config without a section': (['--config', 'LACKS.py'], ['LACKS.py', 'schedule']),
  'a config with an unknown section': (['--config', 'MORE.py'], ['MORE.py', 'extra']),
  'a config with a value of another type': (['--config', 'TYPES.py'], ['TYPES.py', 'batch_size']),
  'an unknown flag': (['--config', RESNET, '--workdr=x'], ['--workdr=x']),
  'a stray word': (['--config', RESNET, 'stray'], ['stray']),
  'a flag without its dots': (['--config', RESNET, '--configtrain=1'], ['--configtrain']),
  'an override without a value': (['--config', RESNET, '--config.seed'], ['--config.seed']),
  'a value for a section': (['--config', RESNET, '--config.train=1'], ['section']),
  'a key below a value': (['--config', RESNET, '--config.seed.x=1'], ['seed.x']),
  'an empty key': (['--config', RESNET, '--config.=1'], ['--config.']),
  'an unknown field of the model': (['--config', RESNET, '--config.model.dropout=1'], ['dropout']),
  'a field of the model of another type': (
    ['--config', RESNET, '--config.model.base_width=wide'], ['model.base_width', 'wide', 'int'],
  ),
  'tfds and shapes': (
    ['--config', f'{RESNET}:dataset=shapes', '--config.data.source=tfds'], ['shapes'],
  ),
  'folder without a directory': (
    ['--config', f'{RESNET}:dataset=folder', '--config.data.image_size=32'], ['data_dir'],
  ),
  'folder without a size': (
    ['--config', f'{RESNET}:dataset=folder', '--config.data.data_dir=pets'], ['image_size'],
  ),
  'a workdir among the images': (
    ['--config', f'{RESNET}:dataset=folder', '--config.data.data_dir=.'], ['--workdir elsewhere'],
  ),
  'an unprepared data set': (
    ['--config', f'{RESNET}:dataset=svhn_cropped', '--config.data.data_dir=.'], ['svhn_cropped'],
  ),
  'a data set without images': (['--config', f'{RESNET}:dataset=imdb_reviews'], ['imdb_reviews']),
  'warm-up beyond the end': (
    ['--config', f'{RESNET}:epochs=2', '--config.schedule.warmup_epochs=2'], ['warmup_epochs'],
  ),
  'too many cycles': (
    ['--config', f'{RESNET}:schedule=sgdr,epochs=999', '--config.schedule.first_cycle_epochs=0.001',
     '--config.schedule.cycle_multiplier=1'], ['first_cycle_epochs'],
  ),
  'a plateau schedule that does not lower the rate': (
    ['--config', f'{RESNET}:schedule=plateau', '--config.schedule.factor=1'], ['factor'],
  ),
  'a plateau schedule without validation images': (
    ['--config', f'{RESNET}:schedule=plateau', '--config.data.validation_size=0'],
    ['schedule.monitor', 'validation_size'],
  ),
  'five crops of images that are not cropped': (
    ['--config', RESNET, '--config.augment.crops=five', '--config.augment.pad=0'],
    ['augment.crops'],
  ),
  'early stopping without validation images': (
    ['--config', RESNET, '--config.train.patience=3', '--config.data.validation_size=0'],
    ['train.patience', 'validation_size'],
  ),
  'early stopping with lookahead': (
    ['--config', RESNET, '--config.train.patience=3', '--config.optimizer.lookahead_steps=5'],
    ['train.patience', 'lookahead_steps'],
  ),
  'two averages of the weights': (
    [
      *('--config', RESNET),
      *('--config.optimizer.lookahead_steps=5', '--config.optimizer.ema_decay=0.9'),
    ],
    ['lookahead_steps', 'ema_decay'],
  ),
  'a number of classes': (
    ['--config', RESNET, '--config.model.num_classes=5'], ['model.num_classes', 'of the data'],
  ),
  'a batch that does not divide over the devices': (
    ['--config', RESNET, '--config.train.batch_size=12', '--config.sharding.num_devices=8'],
    ['batch_size', '12', '8'],
  ),
  'the workdir of another run': (
    ['--config', RESNET, '--workdir', 'RUN', '--config.seed=5'], ['seed was 0 and is now 5'],
  ),
}  # fmt: skip

# For each bad workdir of `bad_places.py`: its name, and words of the message.
WORKDIRS = {
  'whose name is too long': ('x' * 300, ['xxx', 'too long']),
  'whose lock is a pipe': ('LPIPE', ['LPIPE', 'pipe']),
  'whose metrics are a pipe': ('MPIPE', ['MPIPE', 'pipe']),
  'that is a file': ('FILE', ['FILE', 'directory']),
  'below a file': ('FILE/run', ['FILE']),
  'that holds other files': ('OTHER', ['OTHER', 'no run']),
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
  'with an empty result': ('RVOID', ['result.json']),
  'whose lock is a directory': ('LOCK', ['LOCK']),
}


def workdirs() -> dict[str, Case]:
  """Good arguments in each bad workdir."""
  return {
    f'workdir {case}': (['--config', RESNET, '--workdir', name], words)
    for case, (name, words) in WORKDIRS.items()
  }


MAIN = (
  misspelt_keys() | mistyped_keys() | impossible_values() | families() | COMBINATIONS | workdirs()
)
