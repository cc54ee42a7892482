"""The modes of Shake-Shake: Gastaldi 2017, arXiv 1705.07485, table 1.

  python -m cifar_jax.study configs/studies/shake_shake_modes.py --workdir runs/shake_shake_modes

The letters of a mode stand for the forward pass, the backward pass (each Even, Shake or Keep) and
the level (Batch or Image). The paper's errors are those of the last epoch, means of three runs
(five for 96d).
"""

# Test error in percent of 2x32d, 2x64d and 2x96d, by mode. The table has no further numbers.
TABLE_1: dict[str, tuple[float, ...]] = {
  'E-E-B': (4.27, 3.76, 3.58),
  'E-S-B': (4.44,),
  'S-K-B': (4.11,),
  'S-E-B': (3.47, 3.30),
  'S-S-B': (3.67, 3.07),
  'E-S-I': (4.11,),
  'S-K-I': (4.09,),
  'S-E-I': (3.47, 3.20),
  'S-S-I': (3.55, 2.98, 2.86),
}

STUDY = {
  'title': 'Shake-Shake 26 on CIFAR-10',
  'source': 'Gastaldi 2017, arXiv 1705.07485, table 1',
  'overrides': {'data.validation_size': 0},
  'entries': [
    {
      'label': f'2x{width}d {mode}',
      'config': f'../shake_shake.py:base_width={width},mode={mode}',
      'published': errors[i],
    }
    for i, width in enumerate((32, 64, 96))
    for mode, errors in TABLE_1.items()
    if i < len(errors)
  ],
}
