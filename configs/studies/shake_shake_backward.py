"""Shake-Shake by the range of beta given alpha: Gastaldi 2017, arXiv 1705.07485, section 4.

  python -m cifar_jax.study configs/studies/shake_shake_backward.py --workdir runs/shake_backward

The ranges M1 to M5 are defined in `cifar_jax/models/shake_shake_coefficients.py`, which states
which of them the paper gives. Their errors (table 4) are not available to us; three rows of table 1
are added for comparison. With M1, the training error in the paper stays very high.
"""

STUDY = {
  'title': 'Shake-Shake 26 2x32d, Image: where beta lies, given alpha, on CIFAR-10',
  'source': 'Gastaldi 2017, arXiv 1705.07485, section 4; published: table 1',
  'overrides': {'data.validation_size': 0},
  'entries': [
    {
      'label': label,
      'config': f'../shake_shake.py:base_width=32,mode=S-S-I,backward={backward}',
      'published': published,
    }
    for label, backward, published in (
      ('Keep: beta is alpha', 'keep', 4.09),
      ('Even: beta is 0.5', 'even', 3.47),
      ('Shake: beta is drawn anew', 'shake', 3.55),
      ('M1', 'm1', None),
      ('M2', 'm2', None),
      ('M3', 'm3', None),
      ('M4', 'm4', None),
      ('M5', 'm5', None),
    )
  ],
}
