"""Cases of bad input to `main` whose message must also say what would be right.

They have the form of `bad_input.py`.
"""

from tests.support.bad_input import RESNET, Case
from tests.support.paths import ROOT

PYRAMIDNET = str(ROOT / 'configs/pyramidnet.py')

HINTS: dict[str, Case] = {
  'hint: argument misspelt': (['--config', f'{RESNET}:dept=20'], ['dept', 'depth']),
  'hint: argument without value': (['--config', f'{RESNET}:depth'], ['depth', 'NAME=VALUE']),
  'hint: argument of wrong type': (['--config', f'{RESNET}:depth=deep'], ['depth', 'deep', 'int']),
  'hint: argument not allowed': (
    ['--config', f'{PYRAMIDNET}:block=wide'], ['wide', 'bottleneck'],
  ),
  'hint: depth 111': (['--config', f'{PYRAMIDNET}:depth=111'], ['111', '6n + 2', '110']),
  'hint: section misspelt': (
    ['--config', RESNET, '--config.optimiser.momentum=0'], ['optimizer'],
  ),
  'hint: section assigned': (
    ['--config', RESNET, '--config.optimizer=sgd'], ['section', 'momentum'],
  ),
  'hint: key misspelt': (
    ['--config', RESNET, '--config.optimizer.weight_decy=0'], ['weight_decay'],
  ),
  'hint: key of wrong type': (
    ['--config', RESNET, '--config.train.batch_size=big'], ['big', 'int'],
  ),
  'hint: batch 0': (['--config', RESNET, '--config.train.batch_size=0'], ['batch_size', '0']),
  'hint: epochs 0': (['--config', f'{RESNET}:epochs=0'], ['num_epochs', '0']),
  'hint: more devices than there are': (
    ['--config', RESNET, '--config.sharding.num_devices=9'], ['num_devices', '9', '8'],
  ),
  'hint: batch larger than the training split': (
    ['--config', RESNET, '--config.train.batch_size=1024'], ['1024', '200'],
  ),
  'hint: unknown model': (['--config', RESNET, '--config.model.name=resnet_20'], ['resnet20']),
  'hint: unknown dtype': (
    ['--config', RESNET, '--config.model.dtype=float8'], ['float8', 'bfloat16'],
  ),
  'hint: unknown schedule': (['--config', RESNET, '--config.schedule.name=step'], ['piecewise']),
  'hint: warm-up longer than the run': (
    ['--config', f'{RESNET}:epochs=2', '--config.schedule.warmup_epochs=5'], ['warmup_epochs'],
  ),
  'hint: negative smoothing': (
    ['--config', RESNET, '--config.loss.label_smoothing=-1'], ['label_smoothing'],
  ),
  'hint: survival probability above 1': (
    ['--config', RESNET, '--config.model.survival_probability=2'], ['survival_probability'],
  ),
  'hint: unknown data set': (
    ['--config', RESNET, '--config.data.name=cifar11'], ['cifar11', 'cifar10'],
  ),
  'hint: missing data directory': (
    ['--config', RESNET, '--config.data.data_dir=/nowhere'], ['/nowhere'],
  ),
  'hint: no images left to train on': (
    ['--config', RESNET, '--config.data.validation_size=240'], ['validation_size', '240'],
  ),
  'hint: more images per class than there are': (
    ['--config', RESNET, '--config.data.images_per_class=99'], ['images_per_class', '99'],
  ),
  'hint: seed out of range': (
    ['--config', RESNET, '--config.seed=4294967296'], ['seed', '4294967296'],
  ),
  'hint: weight decay NaN': (
    ['--config', RESNET, '--config.optimizer.weight_decay=nan'], ['weight_decay', 'nan'],
  ),
  'hint: image size that cannot be halved twice': (
    ['--config', RESNET, '--config.data.image_size=30'], ['30x30', 'image_size'],
  ),
  'hint: the learning rate in another section': (
    ['--config', RESNET, '--config.optimizer.learning_rate=1'], ['schedule.learning_rate'],
  ),
  'hint: the learning rate by its short name': (
    ['--config', RESNET, '--config.optimizer.lr=1'], ['schedule.learning_rate'],
  ),
  'hint: a number is no flag': (['--config', RESNET, '--noconfig.augment.pad'], ['augment.pad']),
  'hint: a recipe misspelt': (['--config', 'resnt:depth=20'], ['did you mean resnet?', 'vgg']),
  'hint: the arguments asked for': (['--config', f'{RESNET}:help'], ['depth=20', 'epochs=182']),
  'hint: a workdir in a bucket': (
    ['--config', RESNET, '--workdir', 'gs://bucket/run'], ['gs://bucket/run', 'this machine'],
  ),
  'hint: data in a bucket': (
    ['--config', RESNET, '--config.data.data_dir=s3://bucket'], ['s3://bucket', 'this machine'],
  ),
  'hint: workdir with a list': (['--config', RESNET, '--workdir', 'LIST'], ['LIST']),
}  # fmt: skip
