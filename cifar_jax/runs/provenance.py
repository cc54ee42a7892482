"""The origin of a result: command, commit, versions and machine."""

import contextlib
import importlib.metadata
import os
import pathlib
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from cifar_jax import json_text
from cifar_jax.runtime import package_code, xla_flags
from cifar_jax.runtime.console import logger
from cifar_jax.runtime.jax_options import COMPILATION_CACHE

CODE = 'code'  # key of a result
CODES = 'codes'  # key of the `run_info` in a checkpoint: of all sessions so far
ROOT = pathlib.Path(__file__).parents[2]  # of the checkout, if this is one
COMMIT = 'CIFAR_JAX_COMMIT'  # environment variable: the commit of a copy that is no checkout
# `git archive` writes the commit into this file (.gitattributes).
COMMIT_FILE = pathlib.Path('cifar_jax', 'runs', 'commit.txt')
_PRECISION = 'jax_default_matmul_precision'  # JAX's setting for products of matrices
# JAX's settings on which its random numbers depend, beside the seed.
_RANDOM = ('jax_default_prng_impl', 'jax_threefry_partitionable', 'jax_random_seed_offset')
# The beginnings of variables that change how JAX, XLA, oneDNN or this package computes.
_PREFIXES = ('JAX_', 'XLA_', 'ONEDNN_', 'DNNL_', 'OMP_', 'CIFAR_JAX_')
# In Linux' names of a processor's features: instructions that compute with vectors and matrices.
_COMPUTES = re.compile(r'sse|ssse|fma|f16c|avx|amx|asimd|sve|sme(?!p)|bf16|i8mm')
_ROUNDS = re.compile('XLA_FLAGS|ONEDNN_|DNNL_|OMP_|JAX_DEFAULT_MATMUL')  # of these, what may round
# Of JAX, for debugging. With them sums are rounded in another order.
_SWITCHES = ('jax_disable_jit', 'jax_disable_most_optimizations')
PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


def describe(num_devices: int, module: str = 'cifar_jax.main') -> dict[str, Any]:
  """What a reader needs to repeat a result, ready for JSON.

  Call it before the work begins, so that the commit is the one that computed the result.

  Args:
    num_devices: number of devices in use; 0 for all.
    module: the command that runs.

  Returns:
    `command`, `commit`, `code` (the digest of this package's files), `versions`, `device` and
    `machine`.
  """
  return {
    'command': ' '.join([*_environment(), shlex.join(['python', '-m', module, *sys.argv[1:]])]),
    'commit': commit(ROOT),
    CODE: package_code.digest(),
    'versions': {'python': platform.python_version(), **own_version(), **versions()},
    'device': _devices(num_devices or jax.device_count()),
    'machine': _machine(),
  }


def hardware(mesh: Mesh) -> str:
  """What the rounding of a run depends on: its devices; on CPUs the machine and its cores too."""
  is_cpu = mesh.devices.flat[0].platform == 'cpu'
  return _devices(mesh.size) + (f', {_machine()}' if is_cpu else '')


def _devices(count: int) -> str:
  return f'{count} x {jax.devices()[0].device_kind}'


def _machine() -> str:
  """The processor, and the cores that this process may use of those that there are."""
  usable, present = xla_flags.num_processors(), os.cpu_count()
  cores = f'{present}' if usable == present else f'{usable} of {present}'
  return f'{_processor()}, {cores} cores'


def own_version() -> dict[str, str]:
  """The version of this package, by name; `{}` in a copy that is not installed."""
  with contextlib.suppress(importlib.metadata.PackageNotFoundError):
    return {'cifar_jax': importlib.metadata.version('cifar_jax')}
  return {}


def versions() -> dict[str, str]:
  """The versions of the packages that compute, by name."""
  return {name: importlib.metadata.version(name) for name in PACKAGES}


def random_settings() -> dict[str, Any]:
  """The settings of JAX that change all random numbers of a run, by name, ready for JSON."""
  return {name: getattr(jax.config, name) for name in _RANDOM}


def arithmetic() -> dict[str, str]:
  """What else the rounding of a run depends on, by name: instructions and settings of libraries."""
  words = next(iter(_cpuinfo('flags', 'Features')), '').split()
  variables = ' '.join(filter(_ROUNDS.match, _environment())) or 'none'
  if xla_flags.were_too_late():
    variables += ', and JAX started before cifar_jax was imported'
  return {
    "the processor's instructions": ' '.join(sorted(filter(_COMPUTES.match, words))),
    'the variables of XLA and oneDNN': variables,
    'the precision of products': str(getattr(jax.config, _PRECISION)),
    'the debugging switches of JAX': ' '.join(filter(_is_on, _SWITCHES)) or 'none',
  }


def _is_on(switch: str) -> bool:
  """Whether a switch of JAX is on; some can be read in one way alone, others in the other."""
  return bool(getattr(jax.config, switch, jax.config.values.get(switch)))


def warn_of_other_code(workdir: pathlib.Path, codes: Sequence[str]) -> None:
  """Logs a warning if the code of this package is not that of the last session of a run.

  Args:
    workdir: of the run.
    codes: the digests that its sessions recorded; earlier versions recorded none.
  """
  now = package_code.digest()
  if codes and codes[-1] != now:
    logger.warning(
      '%s was trained with other code of this package (%s) than this (%s), which may compute '
      'something else',
      *(workdir, codes[-1], now),
    )


def _environment() -> list[str]:
  """The variables of the user that change how JAX computes, in the syntax of a shell."""
  variables = {
    name: value
    for name, value in sorted(os.environ.items())
    if name.startswith(_PREFIXES)
    and name not in (COMMIT, COMPILATION_CACHE)
    and not xla_flags.is_own(name, value)
  }
  flags = xla_flags.without_own(variables.pop('XLA_FLAGS', ''))
  if flags:
    variables['XLA_FLAGS'] = flags
  return [f'{name}={shlex.quote(value)}' for name, value in variables.items()]


def commit(root: pathlib.Path) -> str | None:
  """The commit of the code, 12 digits, with `+changes` if files of a checkout differ from it.

  Args:
    root: of the code: a checkout; or a copy, whose commit is the variable `CIFAR_JAX_COMMIT`, or
      stands in a file if `git archive` made the copy, or is what pip noted if it installed a
      repository.

  Returns:
    The commit; None if nothing says it.
  """

  def git(*arguments: str) -> str:
    command = ['git', '-C', str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

  with contextlib.suppress(OSError, subprocess.CalledProcessError):
    # A copy that lies inside another project's checkout must not take that project's commit.
    if pathlib.Path(git('rev-parse', '--show-toplevel')).resolve() == root.resolve():
      changes = '+changes' if git('status', '--porcelain', '--', 'cifar_jax', 'configs') else ''
      return git('rev-parse', '--short=12', 'HEAD') + changes
  given, plus, changes = os.environ.get(COMMIT, '').partition('+')
  return given[:12] + plus + changes or _commit_of_archive(root) or _commit_that_pip_noted(root)


def _commit_of_archive(root: pathlib.Path) -> str | None:
  with contextlib.suppress(OSError):
    text = (root / COMMIT_FILE).read_text().strip()
    return None if text.startswith('$Format') else text[:12]
  return None


def _commit_that_pip_noted(root: pathlib.Path) -> str | None:
  """The commit of `pip install git+URL`, in the form of PEP 610, if that is the code in `root`."""
  with contextlib.suppress(
    importlib.metadata.PackageNotFoundError, ValueError, LookupError, TypeError
  ):
    installed = importlib.metadata.distribution('cifar_jax')
    if pathlib.Path(str(installed.locate_file(''))).resolve() == root.resolve():
      note = json_text.parse(installed.read_text('direct_url.json') or 'null')
      return str(note['vcs_info']['commit_id'])[:12]
  return None


def _processor() -> str:
  return next(iter(_cpuinfo('model name')), platform.processor() or platform.machine())


def _cpuinfo(*keys: str) -> list[str]:
  """The values that Linux gives for some keys, first those of the first core; none elsewhere."""
  cpuinfo = pathlib.Path('/proc/cpuinfo')
  lines = cpuinfo.read_text(errors='replace').splitlines() if cpuinfo.exists() else []
  return [line.partition(':')[2].strip() for line in lines if line.startswith(keys)]
