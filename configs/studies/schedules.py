"""Learning rate schedules on ResNet-56: He et al. 2015, arXiv 1512.03385, table 6.

  python -m cifar_jax.study configs/studies/schedules.py --workdir runs/schedules

SGDR (Loshchilov and Hutter 2017, arXiv 1608.03983) doubles the length of each cycle. Four cycles,
the first of 12.5 epochs, end just after the 182 epochs of the run, so the run ends with a low rate.
"""

STUDY = {
  'title': 'Schedules of the learning rate, ResNet-56 on CIFAR-10',
  'source': 'piecewise: He et al. 2015, arXiv 1512.03385, table 6',
  'entries': [
    {'label': 'constant', 'config': '../resnet.py:depth=56,schedule=constant'},
    {
      'label': 'piecewise, a tenth at 1/2 and 3/4',
      'config': '../resnet.py:depth=56,schedule=piecewise',
      'published': 6.97,
    },
    {'label': 'cosine', 'config': '../resnet.py:depth=56,schedule=cosine'},
    {
      'label': 'SGDR, four cycles',
      'config': '../resnet.py:depth=56,schedule=sgdr',
      'overrides': {'schedule.first_cycle_epochs': 12.5, 'schedule.cycle_multiplier': 2.0},
    },
    {
      'label': 'plateau, a tenth after 11 epochs without gain',
      'config': '../resnet.py:depth=56,schedule=plateau',
    },
  ],
}
