"""Studies: all runs of a paper's table, started by one command.

Read `definition.py`, `plan.py`, `study_file.py`, `launch.py` and `__main__.py`, in this order.

Each run is a separate process, `python -m cifar_jax.main`: its memory is freed when it ends, a
crash does not affect the other runs, and its `result.json` holds the command that repeats the run.
`launch.py` says what that costs, and how compilation is paid once for all seeds.
"""
