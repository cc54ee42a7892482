"""How far beta is from alpha, M1 to M5: Gastaldi 2017, arXiv 1705.07485, section 4 (table 4).

  python -m cifar_jax.study configs/studies/shake_shake_backward.py --workdir runs/shake_backward

The intervals are those of `cifar_jax/models/shake_coefficients.py`, where it says which of them are
the paper's words. Table 4's errors we have not seen; the three rows of table 1 frame them. With M1
the paper's training error stays very high.
"""

STUDY = {
  'title': 'Shake-Shake 26 2x32d, Image: where beta lies, given alpha, on CIFAR-10',
  'source': 'Gastaldi 2017, arXiv 1705.07485, section 4; published: table 1',
  'overrides': {'data.validation_size': 0},
  'entries': [
    {
      'label': f'{label}',
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
