"""Wide ResNets by width and depth: Zagoruyko and Komodakis 2016, arXiv 1605.07146, table 4.

  python -m cifar_jax.study configs/studies/wide_resnet_grid.py --workdir runs/wide_resnet_grid

The errors of table 4 are with ZCA whitening. This study normalises images by mean and standard
deviation, for which the paper prints 4.53 for 40-4, 4.27 for 16-8 and 4.00 for 28-10 (table 5,
medians of five runs).
"""

STUDY = {
  'title': 'Wide ResNets by depth and width, without dropout, on CIFAR-10',
  'source': 'Zagoruyko and Komodakis 2016, arXiv 1605.07146, table 4 (ZCA)',
  'overrides': {'data.validation_size': 0},
  'entries': [
    {
      'label': f'WRN-{depth}-{width}',
      'config': f'../wide_resnet.py:depth={depth},widen_factor={width}',
      'published': published,
    }
    for depth, width, published in (
      (40, 1, 6.85),
      (40, 2, 5.33),
      (40, 4, 4.97),
      (40, 8, 4.66),
      (28, 10, 4.17),
      (28, 12, 4.33),
      (22, 8, 4.38),
      (22, 10, 4.44),
      (16, 8, 4.81),
      (16, 10, 4.56),
    )
  ],
}
