"""Benchmarks and checks, each a module for `python -m`; their results are in `results/`."""
