"""Shake-Shake without skip connections or without BN: Gastaldi 2017, arXiv 1705.07485, section 5.

  python -m cifar_jax.study configs/studies/shake_shake_no_skip.py --workdir runs/no_skip

Net A has no skip connections. Net B has none either, and one convolution per branch with twice as
many blocks. Net C is net A without batch normalisation, with 14 layers and alpha near 0.5. Wider
ranges of alpha help at first, then the run diverges. The errors of table 5 are not available to us.
A run that diverges has no result in the table.
"""

STUDY = {
  'title': 'Shake-Shake without skip connections and without BN, on CIFAR-10',
  'source': 'Gastaldi 2017, arXiv 1705.07485, section 5',
  'overrides': {'data.validation_size': 0},
  'entries': [
    *(
      {'label': f'{net.upper()}: {mode}', 'config': f'../shake_shake.py:net={net},mode={mode}'}
      for net in ('a', 'b')
      for mode in ('E-E-B', 'S-E-I', 'S-S-I')
    ),
    {'label': 'C: E-E-B', 'config': '../shake_shake.py:net=c,mode=E-E-B'},
    *(
      {
        'label': f'C: S-E-I, alpha in {low} to {high}',
        'config': '../shake_shake.py:net=c,mode=S-E-I',
        'overrides': {'model.alpha_range': (low, high)},
      }
      for low, high in ((0.4, 0.6), (0.3, 0.7), (0.2, 0.8))
    ),
  ],
}
