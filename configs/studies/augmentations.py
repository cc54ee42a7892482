"""Single augmentations on ResNet-18: DeVries and Taylor 2017, arXiv 1708.04552, table 1.

  python -m cifar_jax.study configs/studies/augmentations.py --workdir runs/augmentations

The recipe is that of the Cutout paper: 200 epochs, learning rate 0.1, divided by 5 at epochs 60,
120 and 160, weight decay 5e-4, all 50,000 training images. The published errors are from the
authors' README.
"""

NONE = {'augment.flip': False, 'augment.pad': 0}
JITTER = {'augment.brightness': 0.4, 'augment.contrast': 0.4, 'augment.saturation': 0.4}

STUDY = {
  'title': 'Augmentations one by one, ResNet-18 on CIFAR-10',
  'source': 'DeVries and Taylor 2017, arXiv 1708.04552, table 1 and README',
  'overrides': {
    'data.validation_size': 0,
    'schedule.factor': 0.2,
    'schedule.boundaries': (0.3, 0.6, 0.8),
    'optimizer.weight_decay': 5e-4,
  },
  'entries': [
    {'label': label, 'config': '../resnet.py:depth=18,epochs=200'} | more
    for label, more in (
      ('none', {'overrides': NONE}),
      ('flip', {'overrides': NONE | {'augment.flip': True}}),
      ('crop', {'overrides': NONE | {'augment.pad': 4}}),
      (
        'crop, padded by reflection',
        {'overrides': NONE | {'augment.pad': 4, 'augment.padding': 'reflect'}},
      ),
      ('Cutout 16', {'overrides': NONE | {'augment.cutout': 16}}),
      ('turns by 15 degrees', {'overrides': NONE | {'augment.rotate': 15.0}}),
      ('colour jitter', {'overrides': NONE | JITTER}),
      ('PCA colour noise', {'overrides': NONE | {'augment.pca_noise': 0.1}}),
      ('random erasing', {'overrides': NONE | {'augment.erase': 0.5}}),
      ('mixup', {'overrides': NONE | {'augment.mixup': 1.0}}),
      ('CutMix', {'overrides': NONE | {'augment.cutmix': 1.0}}),
      ('RandAugment', {'overrides': NONE | {'augment.randaugment': 1}}),
      ('AutoAugment', {'overrides': NONE | {'augment.autoaugment': True}}),
      ('flip and crop', {'published': 4.72}),
      ('flip, crop and Cutout 16', {'overrides': {'augment.cutout': 16}, 'published': 3.99}),
    )
  ],
}
