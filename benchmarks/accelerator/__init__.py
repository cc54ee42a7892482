"""Everything that waits for an accelerator, in one command of ten minutes.

  python -m benchmarks.accelerator --data-dir DATA --out DIR

`plan.py` lists the stages in the order of their worth, one module each. Each stage is a process
with its own time limit and writes `DIR/STAGE.json` anew after each row (`stage.py`), so that a run
that is cut off anywhere leaves what it has. `table.py` fills the tables of `docs/accelerator.md`
from these files. `floors.py` needs no accelerator: it counts what is in the training steps
(`program.py`, `traffic.py`). `dry_run.sh` runs all stages with `--tiny` in the Python of a machine
that has no more than JAX and PyTorch.
"""
