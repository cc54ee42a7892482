"""Residual nets with squeeze-and-excitation on CIFAR: Hu et al. 2018, arXiv 1709.01507.

  python -m cifar_jax.main --config configs/se_resnet.py:name=se_preact_resnet110

Published error (tables 4 and 5), on CIFAR-10 and CIFAR-100, of pre-activation nets with
squeeze-and-excitation, and without it in brackets: 5.21 and 23.85 % with 110 layers (6.37 and
26.88 %), 4.39 and 21.31 % with 164 (5.46 and 24.33 %). The reduction is 16 (section 6.1); the rest
of the recipe is that of the net itself, here configs/preact_resnet.py and configs/resnet.py. Other
residual nets are trained by their own recipes with `--config.model.squeeze_excitation=16`.
"""

from ml_collections import ConfigDict

from cifar_jax.config import arguments, base
from cifar_jax.errors import InputError

# By model, as in the nets' own recipes; 0 for other models.
WARMUP_EPOCHS = {'se_preact_resnet110': 1.0, 'se_preact_resnet164': 1.0, 'se_resnet110': 1.0}


def get_config(text: str = '') -> ConfigDict:
  """Returns the configuration of the recipe.

  Args:
    text: name (of the model, se_resnet... or se_preact_resnet...), dataset, epochs.
  """
  args = arguments(text, name='se_preact_resnet110', dataset='cifar10', epochs=182)
  if not args.name.startswith(('se_resnet', 'se_preact_resnet')):
    raise InputError(
      f'{args.name} has another recipe than a ResNet: take the one of its family, with '
      '--config.model.squeeze_excitation=16'
    )
  config = base(args.name, args.dataset)
  config.model.squeeze_excitation = 16
  config.schedule.update(name='piecewise', learning_rate=0.1, factor=0.1, boundaries=(0.5, 0.75))
  config.schedule.warmup_epochs = WARMUP_EPOCHS.get(args.name, 0.0)
  config.schedule.warmup_learning_rate = 0.01
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=1e-4)
  config.train.update(num_epochs=args.epochs, batch_size=128)
  return config
