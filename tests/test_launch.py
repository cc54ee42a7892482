"""The launch scripts: sound shell, and with --dry-run the very commands that they would run."""

import json
import pathlib
import re
import shlex
import subprocess
import tomllib

import pytest
import yaml

ROOT = pathlib.Path(__file__).parent.parent
LAUNCH = ROOT / 'launch'
SCRIPTS = sorted(path.name for path in LAUNCH.glob('*.sh'))
RUN = ['--config', 'configs/resnet.py:depth=20', '--workdir', 'runs/a b']  # a word with a space
QUOTED = '--config configs/resnet.py:depth=20 --workdir runs/a\\ b'
TPU = ['--project', 'p', '--zone', 'z', '--name', 'n', '--type', 't', '--version', 'v']
NEEDED = {
  'container.sh': ['--image', 'i'],
  'gpu_vm.sh': ['me@host'],
  'kubernetes.sh': ['--image', 'i', '--claim', 'c', '--hosts', '2', '--gpus', '8'],
  'service.sh': ['--extra', 'cuda'],
  'slurm.sh': ['--partition', 'fast', '--nodes', '2', '--gpus', '4'],
  'tpu_pod.sh': ['--nfs', 'server:/export', *TPU],
  'tpu_vm.sh': ['--spot', *TPU],
}


def launch(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
  command = ['bash', str(LAUNCH / script), *arguments]
  # An empty PATH but for the shell's own tools: nothing of a cloud could be started.
  return subprocess.run(
    command, capture_output=True, text=True, env={'PATH': '/usr/bin:/bin', 'HOME': '/home/me'}
  )


def dry_run(script: str, *options: str) -> str:
  done = launch(script, '--dry-run', *NEEDED[script], *options, '--', *RUN)
  assert done.returncode == 0, done.stderr
  return done.stdout


def words(line: str) -> list[str]:
  """As bash reads them, whose quotes of a line's end Python does not know."""
  done = subprocess.run(
    ['bash', '-c', f"printf '%s\\0' {line}"], capture_output=True, text=True, check=True
  )
  return done.stdout.split('\0')[:-1]


def test_every_script_is_known():
  assert list(NEEDED) == SCRIPTS


@pytest.mark.parametrize('script', SCRIPTS)
def test_it_is_sound_and_stops_at_what_it_does_not_know(script):
  subprocess.run(['bash', '-n', str(LAUNCH / script)], check=True)
  assert 'set -euo pipefail' in (LAUNCH / script).read_text()
  incomplete = [] if script == 'service.sh' else [[*NEEDED[script][:-2], '--', *RUN]]
  for wrong in (['--unknown'], NEEDED[script], *incomplete):
    done = launch(script, '--dry-run', *wrong)
    assert done.returncode == 2 and done.stderr.count('\n') == 1, (wrong, done)
    assert not done.stdout


def test_a_service_starts_again_but_not_after_an_answer_to_a_person():
  lines = dry_run('service.sh').splitlines()
  assert lines[0] == f'python3.11 -m venv {ROOT}/.venv '
  assert shlex.split(lines[1])[3:] == [
    *('install', '--quiet', '--editable', f'{ROOT}[cuda]'),
    *('--constraint', f'{ROOT}/constraints/py3.11.txt'),
  ]
  told = ' '.join(
    f'"{word}"' for word in (f'{ROOT}/.venv/bin/python', '-m', 'cifar_jax.main', *RUN)
  )
  assert f'ExecStart={told}' in lines
  assert 'Restart=on-failure' in lines and 'RestartPreventExitStatus=1 2 3' in lines
  assert lines[-2] == 'systemctl --user restart cifar_jax '


def test_a_service_keeps_what_systemd_would_fill_in():
  done = launch('service.sh', '--dry-run', '--', '--workdir', 'a$b%c"d\\e')
  assert '"--workdir" "a$$b%%c\\"d\\\\e"\n' in done.stdout


def test_a_gpu_machine_gets_the_commit_and_the_service():
  copy, start = dry_run('gpu_vm.sh').splitlines()
  assert shlex.split(copy) == [
    *('git', 'archive', 'HEAD', '|', 'ssh', 'me@host'),
    'mkdir -p cifar_jax && tar -x -C cifar_jax',
  ]
  [ssh, host, command] = shlex.split(start)
  assert (ssh, host) == ('ssh', 'me@host')
  assert shlex.split(command) == [
    *('cifar_jax/launch/service.sh', '--extra', 'cuda', '--python', 'python3.11', '--', *RUN)
  ]


def test_a_tpu_vm_is_made_and_gets_the_service():
  describe, create, archive, copy, start = map(words, dry_run('tpu_vm.sh').splitlines())
  tpu, place = ['gcloud', 'compute', 'tpus', 'tpu-vm'], ['--project', 'p', '--zone', 'z']
  assert describe == [*tpu, 'describe', 'n', *place]
  assert create == [
    *(*tpu, 'create', 'n', *place, '--accelerator-type', 't', '--version', 'v', '--spot')
  ]
  assert archive[:2] == ['git', 'archive']
  assert copy == [*tpu, 'scp', 'cifar_jax.tar', 'n:cifar_jax.tar', *place, '--worker', '0']
  assert start[:-1] == [*tpu, 'ssh', 'n', *place, '--worker', '0', '--command']
  assert start[-1].splitlines()[-1].split(' -- ')[1].strip() == QUOTED


def test_a_slice_runs_one_command_on_all_hosts_with_a_disk_in_common():
  *_, copy, start = map(words, dry_run('tpu_pod.sh').splitlines())
  assert copy[-1] == 'all' and start[-3:-1] == ['all', '--command']
  assert 'sudo mount -t nfs server:/export shared' in start[-1]
  assert start[-1].splitlines()[-1].split(' -- ')[1].strip() == f'{QUOTED} --coordinator auto'


def test_slurm_starts_one_process_for_each_gpu_and_requeues_the_job():
  submit, *script = dry_run('slurm.sh').splitlines()
  told = shlex.split(submit.removesuffix('<<END'))
  assert told[0] == 'sbatch' and '--requeue' in told and '--signal=TERM@90' in told
  assert {'--nodes=2', '--ntasks-per-node=4', '--gpus-per-node=4', '--partition=fast'} < set(told)
  assert script[1] == f'srun --kill-on-bad-exit=1 .venv/bin/python -m cifar_jax.main {QUOTED} '


@pytest.mark.parametrize(
  ('status', 'requeued'), [(0, False), (1, False), (2, False), (143, True), (134, True), (4, True)]
)
def test_slurm_requeues_after_what_may_pass(tmp_path, status, requeued):
  script = dry_run('slurm.sh').split('<<END\n')[1].removesuffix('END\n')
  for name, body in (('srun', f'exit {status}'), ('scontrol', f'echo "$@" > {tmp_path}/said')):
    (tmp_path / name).write_text(f'#!/bin/sh\n{body}\n')
    (tmp_path / name).chmod(0o755)
  environment = {'PATH': f'{tmp_path}:/usr/bin:/bin', 'SLURM_JOB_ID': '7'}
  done = subprocess.run(['bash', '-c', script], env=environment)
  assert (tmp_path / 'said').exists() == requeued
  assert done.returncode == (0 if requeued else status)


def test_kubernetes_gets_a_jobset():
  text = dry_run('kubernetes.sh')
  manifest = yaml.safe_load(text.split('<<END\n')[1].split('\nEND\n')[0])
  assert (manifest['apiVersion'], manifest['kind']) == ('jobset.x-k8s.io/v1alpha2', 'JobSet')
  assert '@' not in json.dumps(manifest).replace('$@', '')
  assert manifest['spec']['failurePolicy']['maxRestarts'] > 0
  [replicated] = manifest['spec']['replicatedJobs']
  job = replicated['template']['spec']
  assert job['completionMode'] == 'Indexed' and job['backoffLimit'] == 0
  assert job['completions'] == job['parallelism'] == 2
  [container] = job['template']['spec']['containers']
  assert container['resources']['limits'] == {'nvidia.com/gpu': 8}
  coordinator = f'{manifest["metadata"]["name"]}-{replicated["name"]}-0-0.cifar-jax:8476'
  joined = ['--coordinator', coordinator, '--num_processes', '2']
  assert container['args'] == [*RUN, *joined]
  # What the shell in the container makes of it, with another program in the place of Python.
  shell = [word.replace('exec python', 'printf "%s\\n"') for word in container['command']]
  done = subprocess.run(
    shell + container['args'], env={'JOB_COMPLETION_INDEX': '1'}, capture_output=True, text=True
  )
  assert done.stdout.splitlines()[2:] == [*RUN, *joined, '--process_id', '1']


def test_a_container_is_built_and_starts_again():
  build, folder, start, _ = dry_run('container.sh').splitlines()
  assert shlex.split(build) == [
    *('docker', 'build', '--file', 'launch/Containerfile', '--build-arg', 'EXTRA=cuda'),
    *('--tag', 'i', '.'),
  ]
  assert shlex.split(folder)[:2] == ['mkdir', '-p']
  told = shlex.split(start)
  assert told[-len(RUN) - 1 :] == ['i', *RUN]
  assert told[told.index('--restart') + 1] == 'on-failure:10'
  assert told[told.index('--volume') + 1] == f'{ROOT}/runs:/runs'
  assert launch('container.sh', '--dry-run', '--image', 'i', '--build-only').stdout == build + '\n'


def test_the_container_file_copies_what_the_installation_needs():
  text = (LAUNCH / 'Containerfile').read_text()
  for copied in re.findall(r'^COPY (.*) \S+$', text, re.MULTILINE):
    assert all((ROOT / path).exists() for path in copied.split())
  project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
  assert project['readme'] in text and project['license-files'][0] in text
  assert re.search(r'^ARG EXTRA=(\w+)$', text, re.MULTILINE)[1] in project['optional-dependencies']


def test_no_address_and_no_place_of_one_machine():
  for path in LAUNCH.iterdir():
    assert not re.search(
      r'https?://(?!\S*(jobset|kubernetes)\S*)|/(home|Users)/|\.io/\w+/', path.read_text()
    ), path
