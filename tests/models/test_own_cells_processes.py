"""The digest of a net of a notebook is the same in each process that runs the same cells."""

import os
import subprocess
import sys

import pytest

from tests.models.own_code import DEFINED, IMPORTS


@pytest.mark.ci
def test_the_same_cells_have_the_same_digest_in_each_process() -> None:
  cells = [
    f'{IMPORTS}import numpy as np\nfrom cifar_jax.models import own_cells\nSLOPE = 5',
    *(text.format('SLOPE').replace('SHIFT', f'SHIFT{i}') for i, text in enumerate(DEFINED)),
    'A, B = {}, {}\nA["b"], B["a"] = B, A',
    'OTHERS = [nn.relu, nn.tanh, {"a", "b", "c"}, object(), {object(): 1}, np.random.default_rng(),'
    ' np.array([object()]), jax.vmap(nn.relu), nn.initializers.he_normal(), A]',
    'def net(x) -> type:\n  return A, B, OTHERS, ' + ', '.join(f'SHIFT{i}' for i in range(16)),
  ]
  program = '\n'.join(
    [
      'import linecache',
      f'for i, text in enumerate({cells!r}):',
      '  linecache.cache[f"<{i}>"] = (len(text), None, text.splitlines(True), f"<{i}>")',
      '  exec(compile(text, f"<{i}>", "exec"))',
      'definition = own_cells._Definition("__main__")',
      'definition.follow(net)',
      'print(*sorted(definition.values), own_cells.digest(net, object), sep="\\n")',
    ]
  )
  first, second = (
    subprocess.run(
      [sys.executable, '-c', program], env={**os.environ, 'PYTHONHASHSEED': seed},
      capture_output=True, text=True, check=True,
    ).stdout
    for seed in ('1', '2')
  )  # fmt: skip
  assert first == second and len(first.splitlines()) > 40 and ' at 0x' not in first
