"""ResNets with stochastic depth: Huang et al. 2016, arXiv 1603.09382.

  python -m cifar_jax.study configs/studies/resnet_stochastic_depth.py --workdir runs/survival

The paper's errors are those at the epoch with the best validation error. The errors of constant
depth (6.41 and 27.22) are from runs of the same authors. All errors are as quoted by the DenseNet
paper (arXiv 1608.06993, table 2).
"""

STUDY = {
  'title': 'ResNets with stochastic depth',
  'source': 'Huang et al. 2016, arXiv 1603.09382, by arXiv 1608.06993, table 2; best by validation',
  'entries': [
    {
      'label': label,
      'config': f'../stochastic_depth.py:{arguments}',
      'published': published,
    }
    for label, arguments, published in (
      ('CIFAR-10, 110, constant depth', 'survival=1.0', 6.41),
      ('CIFAR-10, 110, linear to 0.5', 'survival=0.5', 5.23),
      ('CIFAR-10, 110, uniform 0.5', 'survival=0.5,decay=uniform', None),
      ('CIFAR-10, 1202, linear to 0.5', 'depth=1202', 4.91),
      ('CIFAR-100, 110, constant depth', 'survival=1.0,dataset=cifar100', 27.22),
      ('CIFAR-100, 110, linear to 0.5', 'survival=0.5,dataset=cifar100', 24.58),
    )
  ],
}
