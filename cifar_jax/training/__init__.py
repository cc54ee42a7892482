"""Training a run: the order of operations, and nothing else.

Read `session.py`, then `loop.py`, then `finish.py`.
"""
