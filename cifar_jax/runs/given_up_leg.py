"""What stays of a leg that is given up, because another one takes its place."""

import pathlib
import shutil

from cifar_jax import output_files, own_files
from cifar_jax.runs import legs
from cifar_jax.runs.results import CONFIG, METRICS, RESULT, read_records


def keep(workdir: pathlib.Path) -> None:
  """Keeps what the current leg of a run has given in a folder, such as `leg2_given_up`.

  Its outputs are moved: they are of checkpoints whose steps the other leg has too, but not their
  weights. Its records and its configuration, which the other leg replaces, are copied. As long as
  the result of the earlier leg is there, all is that one's, and `legs.clear` moves it.

  Raises:
    InputError: the records or the result of an earlier leg cannot be read.
    OSError: the folder cannot be written.
  """
  if (workdir / RESULT).exists():
    return
  number, begun = len(legs.earlier(workdir)) + 1, max(legs.ends(workdir), default=0)
  moved = [*legs.OUTPUTS, events := legs.EVENTS.format(number)]
  moved = [name for name in moved if (workdir / name).exists()]
  records = read_records(workdir) if (workdir / METRICS).exists() else []
  has_records = any(record['step'] > begun for record in records)
  if not moved and not has_records:
    return
  folder = own_files.unused(workdir / f'leg{number}_given_up')
  folder.mkdir()
  for name in (CONFIG, METRICS) if has_records else (CONFIG,):
    shutil.copy(workdir / name, folder / name)
  output_files.sync_tree(folder)
  for name in moved:
    (workdir / name).rename(folder / ('events' if name == events else name))
