"""Runs every test in this folder in a folder of bad workdirs, config files and weights."""

from tests.support.commands import place, quiet

__all__ = ['place', 'quiet']
