"""PyramidNet on CIFAR: Han et al. 2017, arXiv 1610.02915; ShakeDrop: 1802.02375.

  python -m cifar_jax.main --config configs/pyramidnet.py
  python -m cifar_jax.main --config configs/pyramidnet.py:depth=272,alpha=200,dataset=cifar100
  python -m cifar_jax.main --config configs/pyramidnet.py:growth=mul,alpha=4.75
  python -m cifar_jax.main --config configs/pyramidnet.py:alpha=270,shake_drop=true,dataset=cifar100
  python -m cifar_jax.main --config \
    configs/pyramidnet.py:depth=272,alpha=200,shake_drop=true,recipe=autoaugment

Published error and recipes in the tables below. All use Nesterov momentum, zero padding of 4 and
flip, and train on all 50,000 images (`--config.data.validation_size=0`). With `remat=true` the deep
ones fit into less memory.
"""

from ml_collections import ConfigDict

from cifar_jax import config as configs

# Table 4 and the authors' README: error in percent on CIFAR-10 and CIFAR-100.
VARIANTS = {
  'pyramidnet110_mul_4.75': (4.62, 23.16),
  'pyramidnet110_mul_8': (4.50, 20.94),
  'pyramidnet110_mul_27': (4.06, 18.79),
  'pyramidnet110_a48': (4.62, 23.31),
  'pyramidnet110_a84': (4.27, 20.21),
  'pyramidnet110_a270': (3.73, 18.25),
  'pyramidnet164_a48_bottleneck': (4.21, 19.52),
  'pyramidnet164_a84_bottleneck': (3.96, 18.32),
  'pyramidnet164_a270_bottleneck': (3.48, 17.01),
  'pyramidnet200_a240_bottleneck': (3.44, 16.51),
  'pyramidnet236_a220_bottleneck': (3.40, 16.37),
  'pyramidnet272_a200_bottleneck': (3.31, 16.35),
}
STEPS = {'name': 'piecewise', 'factor': 0.1, 'boundaries': (0.5, 0.75)}
RECIPES = {
  # The authors' README (jhkim89/PyramidNet), but for the rate on CIFAR-100: `LEARNING_RATES`.
  'paper': {
    'schedule': STEPS | {'learning_rate': 0.1},
    'optimizer': {'weight_decay': 1e-4},
    'train': {'num_epochs': 300, 'batch_size': 128},
  },
  # Its authors' README (imenurok/ShakeDrop): as PyramidNet on CIFAR-100, on both sets. There with
  # 110 layers and alpha 270: 16.22 at level batch (as owruby/shake-drop_pytorch quotes the paper).
  'shake_drop': {
    'schedule': STEPS | {'learning_rate': 0.5},
    'optimizer': {'weight_decay': 1e-4},
    'train': {'num_epochs': 300, 'batch_size': 128},
  },
  # Cubuk et al. 2019, arXiv 1805.09501, and its `train_cifar.py`, where the decay is clipped too.
  # With 272 layers, alpha 200 and ShakeDrop, without policies as here: 2.7 and 14.0.
  'autoaugment': {
    'schedule': {'name': 'cosine', 'learning_rate': 0.05},
    'optimizer': {'weight_decay': 5e-5, 'clip_norm': 5.0},
    'train': {'num_epochs': 1800, 'batch_size': 64},
  },
}
LEARNING_RATES = {('paper', 'cifar100'): 0.5}
LEVELS = {'autoaugment': 'image'}  # its `shake_drop.py` draws for each image; batch elsewhere


def get_config(text: str = '') -> ConfigDict:
  """Arguments: see below; an empty block or recipe and no epochs are chosen by the others."""
  arguments = configs.arguments(
    text,
    depth=110,
    alpha=48.0,
    growth='add',  # or mul
    block='',  # basic, bottleneck
    shake_drop=False,
    remat=False,
    recipe='',  # one of RECIPES
    dataset='cifar10',
    epochs=0,
  )
  growth = {'add': 'a', 'mul': 'mul_'}[configs.one_of('growth', arguments.growth, ('add', 'mul'))]
  name = f'pyramidnet{arguments.depth}_{growth}{arguments.alpha:.15g}'
  default = 'bottleneck' if f'{name}_bottleneck' in VARIANTS else 'basic'
  block = configs.one_of('block', arguments.block or default, ('basic', 'bottleneck'))
  default = 'shake_drop' if arguments.shake_drop else 'paper'
  recipe = configs.one_of('recipe', arguments.recipe or default, tuple(RECIPES))

  suffix = '_bottleneck' if block == 'bottleneck' else ''
  config = configs.base(name + suffix, arguments.dataset)
  config.model.update(survival_probability=1.0, shake_drop='', remat=arguments.remat)
  config.model.update(first_relu=False, last_norm=True, shortcut='pad')  # figures 6d and 5
  if arguments.shake_drop:  # p_L is 0.5 in both papers
    config.model.update(survival_probability=0.5, shake_drop=LEVELS.get(recipe, 'batch'))
  config.optimizer.update(momentum=0.9, nesterov=True)
  config.update(RECIPES[recipe])
  if (recipe, arguments.dataset) in LEARNING_RATES:
    config.schedule.learning_rate = LEARNING_RATES[recipe, arguments.dataset]
  config.train.num_epochs = arguments.epochs or config.train.num_epochs
  return config
