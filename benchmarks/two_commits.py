"""Compares the training speed of two checkouts on the same machine, in interleaved runs.

  python -m benchmarks.two_commits OLD NEW --rounds 5

OLD and NEW are folders of the repository at two commits. Each round trains every net for a few
steps with both of them, by the public command alone, so that any two commits can be compared. The
speed is that of the run's records, which leave compilation out.
"""

import argparse
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile
from typing import Any

# Net: configuration, batch size, steps of a run, steps of a record.
NETS: dict[str, tuple[str, int, int, int]] = {
  'resnet20': ('configs/resnet.py:depth=20,dataset=shapes', 128, 50, 10),
  'densenet_bc_100_12': ('configs/densenet.py:depth=100,dataset=shapes', 32, 16, 4),
}


def train(checkout: pathlib.Path, net: str, cache: pathlib.Path) -> float:
  """Returns the median speed of a short run, in images per second.

  Args:
    checkout: folder of the repository.
    net: a key of `NETS`.
    cache: folder of compiled programs, so that only the first run compiles.
  """
  config, batch_size, num_steps, log_every_steps = NETS[net]
  with tempfile.TemporaryDirectory() as folder:
    command = [
      *(sys.executable, '-m', 'cifar_jax.main', '--config', config, '--workdir', f'{folder}/run'),
      f'--config.train.batch_size={batch_size}',
      f'--config.train.log_every_steps={log_every_steps}',
      f'--config.data.images_per_class={num_steps * batch_size // 10}',
      '--config.train.num_epochs=1',
      '--config.data.validation_size=0',
    ]
    environment = os.environ | {
      'PYTHONPATH': str(checkout),
      'JAX_COMPILATION_CACHE_DIR': str(cache / checkout.name),
    }
    subprocess.run(command, cwd=checkout, env=environment, check=True, stderr=subprocess.DEVNULL)
    records = pathlib.Path(folder, 'run', 'metrics.jsonl').read_text().splitlines()
  speeds = [json.loads(record).get('images_per_second') for record in records]
  return statistics.median(speed for speed in speeds if speed)


def commit(checkout: pathlib.Path) -> str:
  """Returns the commit of a checkout, with `+changes` where its files differ from it."""
  git = ['git', '-C', str(checkout)]
  head = subprocess.run([*git, 'rev-parse', '--short=12', 'HEAD'], capture_output=True, text=True)
  changes = subprocess.run([*git, 'status', '--porcelain'], capture_output=True, text=True)
  return head.stdout.strip() + ('+changes' if changes.stdout.strip() else '')


def compare(checkouts: list[pathlib.Path], net: str, rounds: int) -> dict[str, Any]:
  """Returns the speeds of a net in both checkouts, and the ratio new to old of each round."""
  speeds: list[list[float]] = [[], []]
  with tempfile.TemporaryDirectory() as cache:
    for round_number in range(rounds + 1):  # the first round compiles, and does not count
      for side in (0, 1) if round_number % 2 else (1, 0):
        speed = train(checkouts[side], net, pathlib.Path(cache))
        if round_number:
          speeds[side].append(speed)
  old, new = speeds
  ratios = [b / a for a, b in zip(old, new, strict=True)]
  quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
  return {
    'net': net,
    'batch_size': NETS[net][1],
    'old_images_per_second': old,
    'new_images_per_second': new,
    'ratio': statistics.median(ratios),
    'quartiles': [quartiles[0], quartiles[2]],
  }


def main() -> None:
  """Compares two checkouts, prints a line per net, and writes all numbers to `--out` if given."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('old', type=pathlib.Path)
  parser.add_argument('new', type=pathlib.Path)
  parser.add_argument('--nets', nargs='+', choices=NETS, default=list(NETS))
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--out', type=pathlib.Path, metavar='FILE.json')
  arguments = parser.parse_args()
  checkouts = [arguments.old.resolve(), arguments.new.resolve()]
  rows = []
  for net in arguments.nets:
    row = compare(checkouts, net, arguments.rounds)
    rows.append(row)
    low, high = row['quartiles']
    print(f'{net}: new / old {row["ratio"]:.3f} (quartiles {low:.3f} to {high:.3f})', flush=True)
  if arguments.out:
    words = ['OLD', 'NEW', *sys.argv[3:]]
    result = {
      'command': 'python -m benchmarks.two_commits ' + shlex.join(words),
      'commits': dict(zip(('old', 'new'), map(commit, checkouts), strict=True)),
      'cores': os.cpu_count(),
      'nets': rows,
    }
    arguments.out.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
  main()
