"""PyramidNet's residual units and shortcuts: Han et al. 2017, arXiv 1610.02915, figures 5 and 6.

  python -m cifar_jax.study configs/studies/pyramidnet_units.py --workdir runs/pyramidnet_units

The only published error here is that of the unit the paper chooses (table 4). The paper compares
the other units on nets of different sizes.
"""

STUDY = {
  'title': 'PyramidNet-110, alpha 48: residual units and shortcuts, on CIFAR-10',
  'source': 'Han et al. 2017, arXiv 1610.02915, figures 5 and 6; published: table 4',
  'overrides': {'data.validation_size': 0},
  'entries': [
    *(
      {
        'label': f'unit ({letter}) {name}',
        'config': '../pyramidnet.py',
        'overrides': {'model.first_relu': first_relu, 'model.last_norm': last_norm},
        'published': published,
      }
      for letter, name, first_relu, last_norm, published in (
        ('a', 'pre-activation', True, False, None),
        ('b', 'without the first ReLU', False, False, None),
        ('c', 'with a last BN', True, True, None),
        ('d', 'both: the paper’s', False, True, 4.62),
      )
    ),
    *(
      {
        'label': f'shortcut: {name}',
        'config': '../pyramidnet.py',
        'overrides': {'model.shortcut': shortcut},
      }
      for name, shortcut in (
        ('projection', 'project'),
        ('projection where the maps shrink', 'mixed'),
      )
    ),
  ],
}
