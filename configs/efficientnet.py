"""EfficientNet on CIFAR: Tan and Le 2019, arXiv 1905.11946.

  python -m cifar_jax.main --config configs/efficientnet.py
  python -m cifar_jax.main --config configs/efficientnet.py:variant=1,dataset=cifar100

Published error: 1.1 % on CIFAR-10 and 8.3 % on CIFAR-100 (table 5, B7), after training on ImageNet
and fine-tuning on images enlarged to ImageNet's size. The paper has no error of nets trained from
scratch on 32 pixels. This recipe is ours, not the paper's: 200 epochs with batches of 128 images,
one cosine from 0.1 to zero, a warm-up of five epochs, Nesterov momentum, and a weight decay of 5e-4
(as in configs/wide_resnet.py) of the kernels alone. Dropout and drop-connect are those of the
authors' code; their RMSProp and its learning rate are made for ImageNet.
"""

from ml_collections import ConfigDict

from cifar_jax.config import arguments, base

# By variant, B0 to B7: `efficientnet_params` in the authors' efficientnet_builder.py.
DROPOUT = {0: 0.2, 1: 0.2, 2: 0.3, 3: 0.3, 4: 0.4, 5: 0.4, 6: 0.5, 7: 0.5}


def get_config(text: str = '') -> ConfigDict:
  """Returns the configuration of the recipe.

  Args:
    text: variant (0 to 7), survival (probability that the last block survives drop-connect),
      dataset, epochs.
  """
  args = arguments(text, variant=0, survival=0.8, dataset='cifar10', epochs=200)
  config = base(f'efficientnet_b{args.variant}', args.dataset)
  config.model.update(
    survival_probability=args.survival,  # survival_prob in efficientnet_builder.py
    dropout=DROPOUT.get(args.variant, 0.2),
  )
  config.schedule.update(name='cosine', learning_rate=0.1, warmup_epochs=5.0)
  config.optimizer.update(momentum=0.9, nesterov=True, weight_decay=5e-4, decayed='kernels')
  config.train.update(num_epochs=args.epochs, batch_size=128)
  return config
