"""The nets and the recipe of both sides; both import this module, so it imports nothing."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Net:
  """A net of the race.

  Attributes:
    title: name as papers write it.
    config: configuration file with its arguments.
    cpu_batch: number of images of a step on a CPU, unless `--batch` is given.
    overrides: assignments of configuration keys, beside `OVERRIDES`.
  """

  title: str
  config: str
  cpu_batch: int = 128
  overrides: tuple[str, ...] = ()


NETS = {
  'resnet20': Net('ResNet-20', 'configs/resnet.py:depth=20'),
  'resnet110': Net('ResNet-110', 'configs/resnet.py:depth=110'),
  'wrn_16_4': Net('WRN-16-4', 'configs/wide_resnet.py:depth=16,widen_factor=4'),
  # A step of 128 images takes half a minute on two cores.
  'wrn_28_10': Net('WRN-28-10', 'configs/wide_resnet.py:depth=28,widen_factor=10', cpu_batch=32),
  'pyramidnet110_a48': Net('PyramidNet-110 α48', 'configs/pyramidnet.py:depth=110,alpha=48'),
  'shake_shake_26_2x32d': Net('Shake-Shake 26 2x32d', 'configs/shake_shake.py:base_width=32'),
  'densenet_bc_100_12': Net('DenseNet-BC-100-12', 'configs/densenet.py:depth=100,growth_rate=12'),
  'vgg16_bn': Net('VGG-16', 'configs/vgg.py:model=vgg16_bn'),
  'alexnet': Net('AlexNet', 'configs/alexnet.py'),
  'fractalnet20': Net('FractalNet-20', 'configs/fractalnet.py:regularize=false', cpu_batch=32),
  'efficientnet_b0': Net(
    'EfficientNet-B0',
    'configs/efficientnet.py:survival=1.0',
    cpu_batch=32,
    overrides=('model.dropout=0',),
  ),
  'shake_shake_resnext_29_2x4x64d': Net(
    'Shake-Shake ResNeXt-29 2x4x64d',
    'configs/shake_shake.py:net=resnext,dataset=cifar10',
    cpu_batch=16,
  ),
  'deformable_resnet20': Net('deformable ResNet-20', 'configs/deformable.py:depth=20'),
}
DTYPES = ('float32', 'bfloat16')
BATCH = 128

MOMENTUM, WEIGHT_DECAY, LEARNING_RATE, EPOCHS, PAD = 0.9, 5e-4, 0.1, 200, 4
OVERRIDES = (  # of each net's configuration, so that both sides have the same recipe
  'data.validation_size=0',
  f'augment.pad={PAD}',
  'augment.padding=zero',
  'augment.flip=true',
  'schedule.name=cosine',
  f'schedule.learning_rate={LEARNING_RATE}',
  'schedule.warmup_epochs=0',
  f'optimizer.momentum={MOMENTUM}',
  'optimizer.nesterov=true',
  f'optimizer.weight_decay={WEIGHT_DECAY}',
  'optimizer.decayed=all',
  f'train.num_epochs={EPOCHS}',
  'sharding.num_devices=1',
)


def overrides(net: str, dtype: str, batch: int, data_dir: str) -> list[str]:
  """Returns the arguments that follow `--config FILE` in a comparison of a net of `NETS`."""
  row = (f'model.dtype={dtype}', f'train.batch_size={batch}', f'data.data_dir={data_dir}')
  return [f'--config.{assignment}' for assignment in (*OVERRIDES, *NETS[net].overrides, *row)]
