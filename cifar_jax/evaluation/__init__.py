"""Restores trained nets, predicts with one or several, and scores predictions."""
