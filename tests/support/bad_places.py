"""Bad workdirs, config files and weights of every kind, for the tables of `bad_input.py`."""

import json
import os
import pathlib
import pickle
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import safetensors.numpy

from cifar_jax.config import loading
from cifar_jax.runs.workdir import CHECKPOINTS, CONFIG, claim_workdir
from tests.support.bad_input import RESNET


class Hostile:
  """An object that makes a directory when Python's `pickle.load` reads it."""

  def __init__(self, canary: pathlib.Path) -> None:
    """Sets the directory, which shows that the object was loaded."""
    self.canary = canary

  def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
    """Makes `pickle.load` call `os.mkdir`."""
    return os.mkdir, (str(self.canary),)


def make(root: pathlib.Path) -> None:
  """Fills a folder with all bad workdirs, config files and weights."""
  _workdirs(root)
  _configs(root)
  _weights(root)


def _workdirs(root: pathlib.Path) -> None:
  (root / 'FILE').write_text('text')
  (root / 'OTHER').mkdir()
  (root / 'OTHER' / 'thesis.tex').write_text('text')
  config = loading.load(RESNET)
  config.data.validation_size = 40
  text = loading.to_json(config)
  for name, content in {
    'TORN': '{"seed": 0,',
    'VOID': '',
    'LIST': '[1]',
    'BYTES': '\udcff\udcfe',
    'NEWER': _changed(text, lambda c: c['optimizer'].update(lookahead=5)),
    'FEWER': _changed(text, lambda c: c.pop('schedule')),
    'WTYPES': _changed(text, lambda c: c['train'].update(batch_size='big', num_epochs=[1])),
  }.items():
    (root / name).mkdir()
    (root / name / CONFIG).write_bytes(content.encode(errors='surrogateescape'))
  (root / 'DIRS' / CONFIG).mkdir(parents=True)
  for name in ('RUN', 'METRICS', 'NOISE', 'MDIR', 'CFILE', 'CVOID', 'RESULT', 'RVOID', 'MPIPE'):
    with claim_workdir(root / name, config):
      pass
  good = json.dumps({'step': 1, 'epoch': 0.1, 'split': 'train', 'loss': 1.0, 'accuracy': 0.5})
  (root / 'METRICS' / 'metrics.jsonl').write_text(f'{good}\n{{"step": 2\n{good}\n')
  (root / 'NOISE' / 'metrics.jsonl').write_bytes(bytes(range(128, 256)) * 9)
  (root / 'MDIR' / 'metrics.jsonl').mkdir()
  (root / 'CFILE' / CHECKPOINTS).write_text('text')
  (root / 'CVOID' / CHECKPOINTS / '10').mkdir(parents=True)
  (root / 'RESULT' / 'result.json').write_text('{"test": {"accur')
  (root / 'RVOID' / 'result.json').write_text('{}')
  (root / 'LOCK' / 'lock').mkdir(parents=True)
  (root / 'LPIPE').mkdir()
  os.mkfifo(root / 'LPIPE' / 'lock')
  os.mkfifo(root / 'MPIPE' / 'metrics.jsonl')


def _changed(text: str, change: Callable[[dict[str, Any]], object]) -> str:
  values = json.loads(text)
  change(values)
  return json.dumps(values)


def _configs(root: pathlib.Path) -> None:
  begin = 'from cifar_jax import config\ndef get_config(text):\n  c = config.base("resnet20")\n'
  for name, code in {
    'NOT_PYTHON': 'def get_config(:',
    'RAISES': 'def get_config(text):\n  return 1 / 0',
    'IMPORTS': 'import nowhere',
    'EMPTY': '',
    'EXITS': 'raise SystemExit(0)',
    'DICT': 'def get_config(text):\n  return {"seed": 0}',
    'LACKS': f'{begin}  c.unlock()\n  del c["schedule"]\n  return c',
    'MORE': f'{begin}  c.unlock()\n  c.extra = 3\n  return c',
    'TYPES': f'{begin}  c.unlock()\n  c.train = {{"batch_size": "128"}}\n  return c',
  }.items():
    (root / f'{name}.py').write_text(code)
  (root / 'BINARY.py').write_bytes(bytes(range(256)))


def _weights(root: pathlib.Path) -> None:
  whole = safetensors.numpy.save({'head.weight': np.ones((3, 4), np.float32)})
  (root / 'A.safetensors').write_bytes(whole)
  (root / 'E.safetensors').write_bytes(b'')
  (root / 'C.safetensors').write_bytes(whole[:-5])
  (root / 'H.safetensors').write_bytes(struct.pack('<Q', 2**62) + whole)
  for name in ('P.safetensors', 'P.pth'):
    (root / name).write_bytes(pickle.dumps(Hostile(root / 'CANARY')))
