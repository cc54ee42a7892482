"""VGG on CIFAR: Simonyan and Zisserman 2014, arXiv 1409.1556, as bearpaw/pytorch-classification.

  python -m cifar_jax.main --config configs/vgg.py
  python -m cifar_jax.main --config configs/vgg.py:model=vgg16_bn,head=mlp,dataset=cifar100

The paper has no CIFAR results. Published error with the linear head: 6.66 % on CIFAR-10 and 28.05 %
on CIFAR-100 (vgg19_bn, bearpaw's README), 7.36 % on CIFAR-10 (vgg16_bn, kuangliu/pytorch-cifar's
README). With the head `mlp`, on CIFAR-100: 31.36 % (vgg11_bn), 28.00 (vgg13_bn), 27.07 (vgg16_bn)
and 27.77 (vgg19_bn); these are of weiaicunzai/pytorch-cifar100's README, which has another recipe
and drops only the first hidden layer.

Recipe (bearpaw's TRAINING.md and the defaults of its cifar.py): 164 epochs with batches of 128
images, learning rate 0.1, divided by 10 at epochs 81 and 122, weight decay 5e-4, momentum 0.9 (not
Nesterov), crops padded by 4 with zeros, flips. Without batch normalisation the rate is 0.05, as in
main.py of chengyangfu/pytorch-vgg-cifar10, which trains those nets too. All of them train on all
50,000 images (`--config.data.validation_size=0`).
"""

from ml_collections import ConfigDict

from cifar_jax.config import arguments, base


def get_config(text: str = '') -> ConfigDict:
  """Returns the configuration of the recipe.

  Args:
    text: model (a name), head (linear, mlp), dataset, epochs.
  """
  args = arguments(text, model='vgg19_bn', head='linear', dataset='cifar10', epochs=164)
  config = base(args.model, args.dataset)
  # Section 3.1: one half of each hidden layer is dropped; the linear head has no hidden layer.
  config.model.update(head=args.head, dropout=0.5 if args.head == 'mlp' else 0.0)
  config.schedule.update(name='piecewise', factor=0.1, boundaries=(81 / 164, 122 / 164))
  config.schedule.learning_rate = 0.1 if '_bn' in args.model else 0.05
  config.optimizer.update(momentum=0.9, nesterov=False, weight_decay=5e-4)
  config.train.update(num_epochs=args.epochs, batch_size=128)
  return config
