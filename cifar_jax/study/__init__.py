"""Studies: a paper's table by one command. Read `table.py`, `plan.py`, `launch.py`, `__main__.py`.

Each run is a process of its own, `python -m cifar_jax.main`: a run's memory goes back when it ends,
one that dies takes no other with it, and its `result.json` holds the command that repeats it alone.
"""
