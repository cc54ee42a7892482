"""The origin of a result: command, commit, versions and machine."""

import importlib.metadata
import os
import pathlib
import platform
import shlex
import subprocess
import sys
from typing import Any

import jax

PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


def describe(num_devices: int, module: str = 'cifar_jax.main') -> dict[str, Any]:
  """What a reader needs to repeat a result, ready for JSON.

  Call it before the work begins, so that the commit is the one that computed the result.

  Args:
    num_devices: number of devices in use; 0 for all.
    module: the command that runs.

  Returns:
    `command`, `commit`, `versions`, `device` and `machine`.
  """
  return {
    'command': ' '.join([*_environment(), shlex.join(['python', '-m', module, *sys.argv[1:]])]),
    'commit': _commit(),
    'versions': {
      'python': platform.python_version(),
      **{name: importlib.metadata.version(name) for name in PACKAGES},
    },
    'device': f'{num_devices or jax.device_count()} x {jax.devices()[0].device_kind}',
    'machine': f'{_processor()}, {os.cpu_count()} cores',
  }


def _environment() -> list[str]:
  """The variables that change how JAX computes, in the syntax of a shell."""
  return [
    f'{name}={shlex.quote(value)}'
    for name, value in sorted(os.environ.items())
    if name.startswith(('JAX_', 'XLA_'))
  ]


def _commit() -> str | None:
  """The commit of the checkout, with `+changes` if files differ from it; None outside git."""
  root = pathlib.Path(__file__).parents[2]

  def git(*arguments: str) -> str:
    command = ['git', '-C', str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

  try:
    changes = '+changes' if git('status', '--porcelain', '--', 'cifar_jax', 'configs') else ''
    return git('rev-parse', '--short=12', 'HEAD') + changes
  except (OSError, subprocess.CalledProcessError):
    return None


def _processor() -> str:
  cpuinfo = pathlib.Path('/proc/cpuinfo')
  for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else ():
    if line.startswith('model name'):
      return line.partition(':')[2].strip()
  return platform.processor() or platform.machine()
