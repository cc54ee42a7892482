"""The cost of a model: parameters, operations, memory and depth, counted in its trace.

Training does not import this package.
"""
