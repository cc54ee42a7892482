"""Wide ResNets with and without dropout: Zagoruyko and Komodakis 2016, arXiv 1605.07146, table 6.

  python -m cifar_jax.study configs/studies/wide_resnet_dropout.py --workdir runs/wide_dropout

Images are normalised by mean and standard deviation. The paper's errors are medians of five runs.
"""

STUDY = {
  'title': 'Dropout in wide ResNets, on CIFAR-10',
  'source': 'Zagoruyko and Komodakis 2016, arXiv 1605.07146, table 6 and README',
  'overrides': {'data.validation_size': 0},
  'entries': [
    {
      'label': f'WRN-{depth}-{width}, {f"dropout {dropout}" if dropout else "no dropout"}',
      'config': f'../wide_resnet.py:depth={depth},widen_factor={width},dropout={dropout}',
      'published': published,
    }
    for depth, width, dropout, published in (
      (16, 4, 0.0, 5.02),
      (16, 4, 0.3, 5.24),
      (52, 1, 0.0, 6.43),
      (52, 1, 0.3, 6.28),
      (28, 10, 0.0, 4.00),
      (28, 10, 0.3, 3.89),
    )
  ],
}
