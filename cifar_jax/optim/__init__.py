"""Optimizers, learning-rate schedules and the groups of parameters with rules of their own."""
