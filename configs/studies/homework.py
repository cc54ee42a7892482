"""The homework: ResNet-34 (He et al. 2015, arXiv 1512.03385), ten epochs on a tenth of CIFAR-10.

  python -m cifar_jax.study configs/studies/homework.py --workdir runs/homework

500 images per class, resized to 128x128; learning rate 0.01, momentum 0.9. The published run ended
at 45.0 % training and 43.41 % test accuracy, that is at errors of 55.0 and 56.59 %. It states no
weight decay, augmentation or schedule, so this study uses none, and no batch size, which is 128
here.
"""

STUDY = {
  'title': 'ResNet-34 on 500 images per class of CIFAR-10, resized to 128x128',
  'source': 'the published homework: accuracy 45.0 % in training, 43.41 % in test',
  'entries': [
    {
      'label': 'ResNet-34, homework stem and head',
      'config': '../resnet.py:depth=34,form=homework,epochs=10,schedule=constant',
      'overrides': {
        'data.images_per_class': 500,
        'data.validation_size': 0,
        'augment.flip': False,
        'augment.pad': 0,
        'schedule.learning_rate': 0.01,
        'optimizer.momentum': 0.9,
        'optimizer.nesterov': False,
        'optimizer.weight_decay': 0.0,
      },
      'published': 56.59,
      'published_train': 55.0,
    }
  ],
}
