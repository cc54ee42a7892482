"""PyramidNet on CIFAR: Han et al. 2017, arXiv 1610.02915; ShakeDrop: Yamada et al., 1802.02375.

  python -m cifar_jax.main --config configs/pyramidnet.py
  python -m cifar_jax.main --config configs/pyramidnet.py:depth=272,alpha=200,dataset=cifar100
  python -m cifar_jax.main --config configs/pyramidnet.py:growth=mul,alpha=4.75
  python -m cifar_jax.main --config configs/pyramidnet.py:alpha=270,shake_drop=true,dataset=cifar100
  python -m cifar_jax.main --config \
    configs/pyramidnet.py:depth=272,alpha=200,shake_drop=true,recipe=autoaugment
  python -m cifar_jax.main --config configs/pyramidnet.py:short=true

Published error (table 4 and the authors' README) on CIFAR-10 / CIFAR-100, percent:

  110, alpha 48    4.62 / 23.31      110, mul 4.75   4.62 / 23.16      164, alpha 48   4.21 / 19.52
  110, alpha 84    4.27 / 20.21      110, mul 8      4.50 / 20.94      164, alpha 84   3.96 / 18.32
  110, alpha 270   3.73 / 18.25      110, mul 27     4.06 / 18.79      164, alpha 270  3.48 / 17.01
  200, alpha 240   3.44 / 16.51      236, alpha 220  3.40 / 16.37      272, alpha 200  3.31 / 16.35

Nets of 164 and more layers have bottlenecks. All recipes use Nesterov momentum, crops padded by 4
with zeros and flips, and train on all 50,000 images (`--config.data.validation_size=0`).
`remat=true` fits the deep nets into less memory.

`short=true` is the net that dnddnjs/pytorch-cifar10 trained in place of 110 layers, alpha 48: each
stage has 17 of its 18 blocks, so that the last width is 61 instead of 64, and there are 1,558,881
parameters. The text that goes with the code states 4.81 %, the lowest error of any epoch on the
test images; this run looks at them after each epoch too. Its momentum is not Nesterov's.
"""

from ml_collections import ConfigDict

from cifar_jax.config import arguments, base, one_of

# Depth and alpha of the nets of table 4 that have bottlenecks; other nets have basic blocks.
BOTTLENECK_NETS = {(164, 48.0), (164, 84.0), (164, 270.0), (200, 240.0), (236, 220.0), (272, 200.0)}
STEPS = {'name': 'piecewise', 'factor': 0.1, 'boundaries': (0.5, 0.75)}
RECIPES = {
  # The authors' README (jhkim89/PyramidNet). On CIFAR-100 the rate is that of `LEARNING_RATES`.
  'paper': {
    'schedule': STEPS | {'learning_rate': 0.1},
    'optimizer': {'weight_decay': 1e-4},
    'train': {'num_epochs': 300, 'batch_size': 128},
  },
  # The README of ShakeDrop's authors (imenurok/ShakeDrop): on both data sets, PyramidNet's recipe
  # for CIFAR-100. Published error on CIFAR-100 with 110 layers and alpha 270: 16.22 % with one draw
  # per batch (as owruby/shake-drop_pytorch quotes the paper).
  'shake_drop': {
    'schedule': STEPS | {'learning_rate': 0.5},
    'optimizer': {'weight_decay': 1e-4},
    'train': {'num_epochs': 300, 'batch_size': 128},
  },
  # dnddnjs/pytorch-cifar10, `pyramidnet/train.py`, with the epochs of the text that goes with it.
  'short': {
    'data': {'validation_size': 0},
    'schedule': STEPS | {'learning_rate': 0.1},
    'optimizer': {'weight_decay': 1e-4, 'nesterov': False},
    'train': {'num_epochs': 300, 'batch_size': 128, 'test_each_epoch': True},
  },
  # Cubuk et al. 2019, arXiv 1805.09501, and its `train_cifar.py`, which clips the sum of gradient
  # and decay; here the gradient alone is clipped. Published error with 272 layers, alpha 200 and
  # ShakeDrop, without learnt policies (as here): 2.7 and 14.0 %.
  'autoaugment': {
    'schedule': {'name': 'cosine', 'learning_rate': 0.05},
    'optimizer': {'weight_decay': 5e-5, 'clip_norm': 5.0},
    'train': {'num_epochs': 1800, 'batch_size': 64},
  },
}
LEARNING_RATES = {('paper', 'cifar100'): 0.5}  # by recipe and data set, where not the recipe's
# What shares a draw of ShakeDrop, by recipe. AutoAugment's `shake_drop.py` draws for each image;
# the other recipes draw once per batch.
LEVELS = {'autoaugment': 'image'}


def get_config(text: str = '') -> ConfigDict:
  """Returns the configuration of a recipe.

  Args:
    text: depth, alpha, growth (add, mul), block (basic, bottleneck; by default the one of the
      published net), short, shake_drop, remat, recipe (one of `RECIPES`; by default `shake_drop`
      with ShakeDrop, `short` with short stages and otherwise `paper`), dataset, epochs (0 for the
      recipe's).
  """
  args = arguments(
    text,
    depth=110,
    alpha=48.0,
    growth='add',
    block='',
    short=False,
    shake_drop=False,
    remat=False,
    recipe='',
    dataset='cifar10',
    epochs=0,
  )
  growth = {'add': 'a', 'mul': 'mul_'}[one_of('growth', args.growth, ('add', 'mul'))]
  has_bottlenecks = args.growth == 'add' and (args.depth, args.alpha) in BOTTLENECK_NETS
  default_block = 'bottleneck' if has_bottlenecks else 'basic'
  block = one_of('block', args.block or default_block, ('basic', 'bottleneck'))
  default_recipe = 'shake_drop' if args.shake_drop else 'short' if args.short else 'paper'
  recipe = one_of('recipe', args.recipe or default_recipe, tuple(RECIPES))

  suffix = ('_bottleneck' if block == 'bottleneck' else '') + ('_short' if args.short else '')
  config = base(f'pyramidnet{args.depth}_{growth}{args.alpha:.15g}{suffix}', args.dataset)
  config.model.update(survival_probability=1.0, shake_drop='', remat=args.remat)
  config.model.update(first_relu=False, last_norm=True, shortcut='pad')  # figures 6d and 5
  if args.shake_drop:  # p_L is 0.5 in both papers
    config.model.update(survival_probability=0.5, shake_drop=LEVELS.get(recipe, 'batch'))
  config.optimizer.update(momentum=0.9, nesterov=True)
  config.update(RECIPES[recipe])
  if (recipe, args.dataset) in LEARNING_RATES:
    config.schedule.learning_rate = LEARNING_RATES[recipe, args.dataset]
  config.train.num_epochs = args.epochs or config.train.num_epochs
  return config
