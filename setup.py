"""Puts `configs/` into the package, as `cifar_jax/configs`; all else stands in pyproject.toml."""

from setuptools import find_packages, setup

CONFIGS = {'cifar_jax.configs': 'configs', 'cifar_jax.configs.studies': 'configs/studies'}

setup(
  packages=[*find_packages(include=['cifar_jax*']), *CONFIGS],
  package_dir=CONFIGS,
  # An editable install adds the clone to Python's path. By setuptools' other way, a hook, the
  # folder `cifar_jax` of a clone would hide the package from a Python that starts beside it.
  options={'editable_wheel': {'mode': 'compat'}},
)
