"""Trained nets taken apart, as the papers did it.

Each module is one analysis and one command, `python -m cifar_jax.analysis.NAME --workdir DIR ...`,
which writes `analysis/NAME.json` and `analysis/NAME.png` into the run's directory and prints a
table. They see the nets through what the models offer anyway: the gates of their residual branches
(`gating.py`) and the activations of their named modules. `command.py` is what the commands share.
"""
