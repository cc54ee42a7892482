"""Writes docs/results.md, and the best rows of the README, from the files in benchmarks/results."""
