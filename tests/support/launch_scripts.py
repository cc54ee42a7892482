"""Runs the scripts of `launch/` with --dry-run."""

import subprocess

from tests.support.paths import ROOT

LAUNCH = ROOT / 'launch'
SCRIPTS = sorted(path.name for path in LAUNCH.glob('*.sh'))
RUN = ['--config', 'configs/resnet.py:depth=20', '--workdir', 'runs/a b']  # a word with a space
QUOTED = "--config configs/resnet.py:depth=20 --workdir 'runs/a b'"
TPU = ['--project', 'p', '--zone', 'z', '--name', 'n', '--type', 't', '--version', 'v']
NEEDED = {
  'container.sh': ['--image', 'i'],
  'gpu_vm.sh': ['me@host'],
  'kubernetes.sh': ['--image', 'i', '--claim', 'c', '--hosts', '2', '--gpus', '8'],
  'service.sh': ['--extra', 'cuda13'],
  'slurm.sh': ['--partition', 'fast', '--nodes', '2', '--gpus', '4'],
  'tpu_pod.sh': ['--nfs', 'server:/export', *TPU],
  'tpu_vm.sh': ['--spot', *TPU],
}


def launch(
  script: str, *arguments: str, locale: str = 'C.UTF-8'
) -> subprocess.CompletedProcess[str]:
  """Runs a script with a PATH that holds the system's tools alone, so that no cloud is reached."""
  command = ['bash', str(LAUNCH / script), *arguments]
  environment = {'PATH': '/usr/bin:/bin', 'HOME': '/home/me', 'LC_ALL': locale}
  return subprocess.run(command, capture_output=True, text=True, env=environment)


def dry_run(script: str, *options: str) -> str:
  """Returns the commands that a script prints with --dry-run and all options that it needs."""
  done = launch(script, '--dry-run', *NEEDED[script], *options, '--', *RUN)
  assert done.returncode == 0, done.stderr
  return done.stdout
