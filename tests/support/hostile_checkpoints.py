"""Changes a checkpoint as someone would who also writes its checksums again."""

import json
import pathlib
from typing import Any

import tensorstore

from cifar_jax.runs import checksums


def change_arrays(checkpoint: pathlib.Path, name: str, changes: dict[str, Any]) -> None:
  """Changes the metadata of an array.

  Args:
    checkpoint: its folder.
    name: of the array, such as `params.head.kernel`.
    changes: values of the array's `.zarray`.
  """
  base = f'file://{checkpoint}/state/'
  store = tensorstore.KvStore.open({'driver': 'ocdbt', 'base': base}).result()
  key = f'{name}/.zarray'
  metadata = json.loads(store.read(key).result().value) | changes
  store.write(key, json.dumps(metadata).encode()).result()
  checksums.write(checkpoint)
