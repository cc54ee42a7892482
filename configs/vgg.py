"""VGG on CIFAR: Simonyan and Zisserman 2014, arXiv 1409.1556, as bearpaw/pytorch-classification.

  python -m cifar_jax.main --config configs/vgg.py
  python -m cifar_jax.main --config configs/vgg.py:model=vgg16_bn,head=mlp,dataset=cifar100

The paper has no CIFAR; the published errors are those of the table below. Recipe (bearpaw's
TRAINING.md and the defaults of its cifar.py): 164 epochs of 128 images, rate 0.1, a tenth at epochs
81 and 122, decay 5e-4, momentum 0.9 without Nesterov's; zero padding of 4, flip. Without batch
normalisation the rate is the 0.05 of chengyangfu/pytorch-vgg-cifar10's main.py, which trains those
nets too. All of them train on all 50,000 images (`--config.data.validation_size=0`).
"""

from ml_collections import ConfigDict

from cifar_jax import config as configs

# Error in percent, by model and head.
VARIANTS = {
  ('vgg19_bn', 'linear'): {'cifar10': 6.66, 'cifar100': 28.05},  # bearpaw's README
  ('vgg16_bn', 'linear'): {'cifar10': 7.36},  # kuangliu/pytorch-cifar's README
  # weiaicunzai/pytorch-cifar100's README, whose recipe is another, and who drops but the first
  # hidden layer
  ('vgg11_bn', 'mlp'): {'cifar100': 31.36},
  ('vgg13_bn', 'mlp'): {'cifar100': 28.00},
  ('vgg16_bn', 'mlp'): {'cifar100': 27.07},
  ('vgg19_bn', 'mlp'): {'cifar100': 27.77},
}


def get_config(text: str = '') -> ConfigDict:
  """Arguments: model (a name), head (linear, mlp), dataset, epochs."""
  arguments = configs.arguments(
    text, model='vgg19_bn', head='linear', dataset='cifar10', epochs=164
  )
  config = configs.base(arguments.model, arguments.dataset)
  # Section 3.1: a half of the hidden layers; the linear head has none.
  config.model.update(head=arguments.head, dropout=0.5 if arguments.head == 'mlp' else 0.0)
  config.schedule.update(name='piecewise', factor=0.1, boundaries=(81 / 164, 122 / 164))
  config.schedule.learning_rate = 0.1 if '_bn' in arguments.model else 0.05
  config.optimizer.update(momentum=0.9, nesterov=False, weight_decay=5e-4)
  config.train.update(num_epochs=arguments.epochs, batch_size=128)
  return config
