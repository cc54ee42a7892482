"""Copies of a run's metric log in Weights & Biases and MLflow: the key `train.trackers`.

`metrics.jsonl` is the master copy. `copies.py` decides what a service still lacks; the other files
each speak to one service.
"""
