"""Plain nets against residual ones: He et al. 2015, arXiv 1512.03385, figure 6 and table 6.

  python -m cifar_jax.study configs/studies/plain_and_residual.py --workdir runs/plain_and_residual

The training error of plain nets rises with their depth; that of residual nets falls. The paper
shows the errors of plain nets in a figure, but prints no numbers.
"""

STUDY = {
  'title': 'Plain and residual nets by depth, on CIFAR-10',
  'source': 'He et al. 2015, arXiv 1512.03385, table 6',
  'entries': [
    *(
      {'label': f'plain-{depth}', 'config': f'../plain_net.py:depth={depth}'}
      for depth in (20, 32, 44, 56)
    ),
    *(
      {
        'label': f'ResNet-{depth}',
        'config': f'../resnet.py:depth={depth}',
        'published': published,
      }
      for depth, published in ((20, 8.75), (32, 7.51), (44, 7.17), (56, 6.97))
    ),
  ],
}
