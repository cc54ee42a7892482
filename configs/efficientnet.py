"""EfficientNet on CIFAR: Tan and Le 2019, arXiv 1905.11946.

  python -m cifar_jax.main --config configs/efficientnet.py
  python -m cifar_jax.main --config configs/efficientnet.py:variant=1,dataset=cifar100

Published error: 1.1 on CIFAR-10 and 8.3 on CIFAR-100 (table 5, B7), of nets trained on ImageNet and
fine-tuned on images enlarged to its size; from scratch on 32 pixels the paper has none. This recipe
is ours, not the paper's: 200 epochs of 128 images, one cosine from 0.1 to zero after five epochs of
warm-up, Nesterov momentum and decay 5e-4 (as configs/wide_resnet.py) of the kernels alone. From the
authors' code are dropout and drop-connect; their RMSProp and its rate are made for ImageNet.
"""

from ml_collections import ConfigDict

from cifar_jax import config as configs

# Dropout of B0 to B7: `efficientnet_params` in the authors' efficientnet_builder.py.
VARIANTS = {0: 0.2, 1: 0.2, 2: 0.3, 3: 0.3, 4: 0.4, 5: 0.4, 6: 0.5, 7: 0.5}


def get_config(text: str = '') -> ConfigDict:
  """Arguments: variant (0 to 7), survival (that drop-connect falls to), dataset, epochs."""
  arguments = configs.arguments(text, variant=0, survival=0.8, dataset='cifar10', epochs=200)
  config = configs.base(f'efficientnet_b{arguments.variant}', arguments.dataset)
  config.model.update(
    survival_probability=arguments.survival,  # survival_prob in the same file
    dropout=VARIANTS.get(arguments.variant, 0.2),
  )
  config.schedule.update(name='cosine', learning_rate=0.1, warmup_epochs=5.0)
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=5e-4, decayed='kernels')
  config.train.update(num_epochs=arguments.epochs, batch_size=128)
  return config
