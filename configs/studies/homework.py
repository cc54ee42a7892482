"""The homework: ResNet-34 (He et al. 2015, arXiv 1512.03385), ten epochs on a tenth of CIFAR-10.

  python -m cifar_jax.study configs/studies/homework.py --workdir runs/homework

500 images per class, resized to 128x128; learning rate 0.01, momentum 0.9. The published run ended
at 45.0 % training and 43.41 % test accuracy, that is at errors of 55.0 and 56.59 %. Its text states
no weight decay, augmentation or schedule, so this study uses none.

It states neither the batch size nor how the weights start. The first entry learns as slowly as the
published run: without batch normalisation, from Torch's default initialisation, in batches of 32.
The second has batch normalisation and He's initialisation, and memorises the images.
"""

_SETTING = {
  'data.images_per_class': 500,
  'data.validation_size': 0,
  'augment.flip': False,
  'augment.pad': 0,
  'schedule.learning_rate': 0.01,
  'optimizer.momentum': 0.9,
  'optimizer.nesterov': False,
  'optimizer.weight_decay': 0.0,
  'train.test_each_epoch': True,
}
_CONFIG = '../resnet.py:depth=34,form=homework,epochs=10,schedule=constant'
_PUBLISHED = {'published': 56.59, 'published_train': 55.0}

STUDY = {
  'title': 'ResNet-34 on 500 images per class of CIFAR-10, resized to 128x128',
  'source': 'the published homework: accuracy 45.0 % in training, 43.41 % in test',
  'entries': [
    {
      'label': "without norms, Torch's initialisation",
      'config': _CONFIG,
      'overrides': _SETTING
      | {'model.norm': False, 'model.initialization': 'torch', 'train.batch_size': 32},
      **_PUBLISHED,
    },
    {
      'label': "batch normalisation, He's initialisation",
      'config': _CONFIG,
      'overrides': _SETTING,
      **_PUBLISHED,
    },
  ],
}
