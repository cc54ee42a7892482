"""Analyses of trained nets from papers, such as deleting blocks or following gradients.

Each of these modules is one analysis and one command:

  lesion              the error without blocks, and with blocks exchanged
  path_length         the gradient along paths through the residual blocks
  branch_correlation  the correlation of the branches of Shake-Shake nets
  activations         activations and gradients by layer
  landscape           the loss along a line in the space of the parameters
  complexity          the error against operations, parameters, memory and time

`python -m cifar_jax.analysis.NAME --workdir DIR ...` writes `analysis/NAME.json` and
`analysis/NAME.png` into the directory of each run, and prints a table. `measures/NAME.py` measures,
`report/figures/NAME.py` draws; `command.py` and `runner.py` hold what the commands share.

The analyses rely only on the contract of `models/classifier.py`: gates of residual branches, and
names of submodules.
"""
