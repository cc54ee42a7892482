"""Five orders of normalisation and activation: He et al. 2016, arXiv 1603.05027, table 2.

  python -m cifar_jax.study configs/studies/activation_orders.py --workdir runs/activation_orders

The paper's errors are medians of five runs. With `--seeds 5`, this study reports means of five.
"""

STUDY = {
  'title': 'Where normalisation and activation stand, on CIFAR-10',
  'source': 'He et al. 2016, arXiv 1603.05027, table 2',
  'entries': [
    {
      'label': f'ResNet-{depth} ({order}) {name}',
      'config': f'../preact_resnet.py:depth={depth},order={order}',
      'published': published[depth],
    }
    for depth in (110, 164)
    for order, name, published in (
      ('a', 'original', {110: 6.61, 164: 5.93}),
      ('b', 'BN after addition', {110: 8.17, 164: 6.50}),
      ('c', 'ReLU before addition', {110: 7.84, 164: 6.14}),
      ('d', 'ReLU-only pre-activation', {110: 6.71, 164: 5.91}),
      ('e', 'full pre-activation', {110: 6.37, 164: 5.46}),
    )
  ],
}
