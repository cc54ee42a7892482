"""Races our nets against PyTorch on the same machine, with equal nets, batches and augmentation.

  python -m benchmarks.speed

Each side computes in a separate process and reads from a pipe how many steps to take, so that only
one side computes at any moment. Rounds of both sides alternate (A B A B ...). `nets.py` lists the
nets and the recipe, `jax_side.py` and `torch_side.py` are the two sides, `compare.py` is the race,
`rows.py` measures a whole row, and `ratios.py` is the arithmetic. The PyTorch side imports nothing
of this project but `nets.py`, `serve.py`, `torch_nets.py`, `torch_training.py` and
`benchmarks/torch_reference`, as its Python may have no JAX.
"""
