"""Ours against PyTorch on the same machine: the same nets, batches and augmentation.

  python -m benchmarks.speed

Each side computes in a process of its own, told over a pipe how many steps to take, so that only
one computes at any moment; rounds of both follow one another (A B A B ...). `nets.py` says what is
run, `ours.py` and `theirs.py` are the two sides, `compare.py` the race and `ratios.py` its
arithmetic. The side of PyTorch imports nothing of this project but `nets.py` and `serve.py`.
"""
