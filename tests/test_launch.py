"""The launch scripts: valid shell, and with --dry-run exactly the commands that they would run."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import tomllib

import pytest
import yaml

from cifar_jax.runs import provenance
from tests.support.launch_scripts import LAUNCH, NEEDED, QUOTED, RUN, SCRIPTS, TPU, dry_run, launch
from tests.support.paths import ROOT


def test_every_script_has_a_row_of_options() -> None:
  assert list(NEEDED) == SCRIPTS


@pytest.mark.parametrize('script', SCRIPTS)
def test_a_script_is_valid_shell_and_rejects_unknown_and_missing_options(script: str) -> None:
  subprocess.run(['bash', '-n', str(LAUNCH / script)], check=True)
  assert 'set -euo pipefail' in (LAUNCH / script).read_text()
  incomplete = [] if script == 'service.sh' else [[*NEEDED[script][:-2], '--', *RUN]]
  for options in (['--unknown'], NEEDED[script], *incomplete):
    done = launch(script, '--dry-run', *options)
    assert done.returncode == 2 and done.stderr.count('\n') == 1, (options, done)
    assert not done.stdout


def test_a_service_restarts_except_after_statuses_that_a_person_must_act_on() -> None:
  lines = dry_run('service.sh').splitlines()
  assert lines[0] == f'python3.11 -m venv {ROOT}/.venv'
  assert shlex.split(lines[1])[3:] == [
    *('install', '--quiet', '--editable', f'{ROOT}[cuda13]'),
    *('--constraint', f'{ROOT}/constraints/py3.11.txt'),
  ]
  command = ' '.join(
    f'"{word}"' for word in (f'{ROOT}/.venv/bin/python', '-m', 'cifar_jax.main', *RUN)
  )
  assert f'ExecStart={command}' in lines
  assert 'Restart=on-failure' in lines and 'RestartPreventExitStatus=1 2 3' in lines
  assert 'StartLimitBurst=20' in lines  # a fault that comes again each time ends some day
  assert lines[-2] == 'systemctl --user restart cifar_jax'


def test_a_service_escapes_what_systemd_would_expand() -> None:
  done = launch('service.sh', '--dry-run', '--', '--workdir', 'a$b%c"d\\e')
  assert '"--workdir" "a$$b%%c\\"d\\\\e"\n' in done.stdout


def test_a_gpu_machine_receives_the_commit_and_starts_the_service(tmp_path: pathlib.Path) -> None:
  copy, start = dry_run('gpu_vm.sh').splitlines()
  *words, remote = shlex.split(copy)
  assert words == ['git', 'archive', 'HEAD', '|', 'ssh', 'me@host']
  check, unpack = remote.rsplit('; ', 1)
  assert unpack == 'mkdir -p cifar_jax && tar -x -C cifar_jax'
  for is_clone in (False, True):  # which may have changes of its owner's
    if is_clone:
      (tmp_path / 'cifar_jax' / '.git').mkdir(parents=True)
    done = subprocess.run(['sh', '-c', check], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, 'move it away' in done.stderr) == (2 * is_clone, is_clone)
  [ssh, host, command] = shlex.split(start)
  assert (ssh, host) == ('ssh', 'me@host')
  assert shlex.split(command) == [
    *('cifar_jax/launch/service.sh', '--extra', 'cuda13', '--python', 'python3.11', '--', *RUN)
  ]


@pytest.mark.parametrize('shell', ['bash', 'sh'])
@pytest.mark.parametrize('locale', ['C', 'C.UTF-8'])
def test_a_remote_shell_gets_every_word_as_it_was_given(shell: str, locale: str) -> None:
  arguments = ['größe', "it's", '~', 'a\\b', '$HOME', '`x`', '', '#', '*', 'k=[1, 2]', '!', '{a,b}']
  done = launch('gpu_vm.sh', '--dry-run', 'me@host', '--', *arguments, locale=locale)
  ssh = done.stdout.splitlines()[-1]
  [*_, command] = shlex.split(ssh)
  _, words = command.split(' -- ', 1)
  for line, expected in ((f'printf "%s\\n" {words}', arguments), (f'printf "%s\\n" {ssh}', None)):
    printed = subprocess.run([shell, '-c', line], capture_output=True, text=True, check=True)
    assert printed.stdout.splitlines() == (expected or ['ssh', 'me@host', command])


def test_a_tpu_vm_is_created_receives_the_commit_and_starts_the_service() -> None:
  describe, create, archive, copy, start = map(shlex.split, dry_run('tpu_vm.sh').splitlines())
  tpu, zone = ['gcloud', 'compute', 'tpus', 'tpu-vm'], ['--project', 'p', '--zone', 'z']
  assert describe == [*tpu, 'describe', 'n', *zone]
  assert create == [
    *(*tpu, 'create', 'n', *zone, '--accelerator-type', 't', '--version', 'v', '--spot')
  ]
  assert archive[:2] == ['git', 'archive']
  assert copy == [*tpu, 'scp', 'cifar_jax.tar', 'n:cifar_jax.tar', *zone, '--worker', '0']
  assert start[:-1] == [*tpu, 'ssh', 'n', *zone, '--worker', '0', '--command']
  assert start[-1].split('; ')[-1].split(' -- ')[1] == QUOTED


def test_a_slice_runs_one_command_on_all_hosts_with_a_shared_disk() -> None:
  *_, copy, start = map(shlex.split, dry_run('tpu_pod.sh').splitlines())
  assert copy[-1] == 'all' and start[-3:-1] == ['all', '--command']
  assert 'sudo mount -t nfs server:/export shared' in start[-1]
  assert start[-1].split('; ')[-1].split(' -- ')[1] == f'{QUOTED} --coordinator auto'


def test_a_slice_needs_its_shared_disk_and_arguments_among_its_own_options() -> None:
  for arguments, words in (
    ([*TPU, '--', '--nfs', 'server:/export'], '--nfs is missing'),
    ([*TPU, '--nfs', 'server:/export', '--'], 'give the arguments of cifar_jax.main after --'),
    ([*TPU, '--nfs', 'server:/export', '--name', '--', '--config', 'a'], 'unknown argument'),
  ):
    done = launch('tpu_pod.sh', '--dry-run', *arguments)
    assert done.returncode == 2 and words in done.stderr and not done.stdout


def test_slurm_starts_one_process_per_gpu_and_lets_the_job_be_requeued() -> None:
  submit, *script = dry_run('slurm.sh').splitlines()
  sbatch, *options = shlex.split(submit.removesuffix("<<'END'"))
  assert sbatch == 'sbatch' and {'--requeue', '--signal=TERM@90'} < set(options)
  assert {'--nodes=2', '--ntasks-per-node=4', '--gpus-per-node=4', '--partition=fast'} < set(
    options
  )
  assert script[1] == f'srun --kill-on-bad-exit=1 .venv/bin/python -m cifar_jax.main {QUOTED}'


@pytest.mark.parametrize(
  ('status', 'minutes', 'requeues'),
  [
    *((status, 60, 0) for status in (0, 1, 2, 3)),
    *((status, 1, 1000) for status in (129, 130, 143)),
    *((status, 1, 5) for status in (4, 134)),
    *((status, 1, 0) for status in (70, 126, 127, 132, 137, 139)),  # they would come again
    *((status, 60, 100) for status in (4, 70, 139)),
  ],
)
def test_slurm_requeues_after_failures_that_may_pass_and_not_for_ever(
  tmp_path: pathlib.Path, status: int, minutes: int, requeues: int
) -> None:
  script = dry_run('slurm.sh').split("<<'END'\n")[1].removesuffix('END\n')
  script = f'SECONDS={60 * minutes}\n{script}'
  for name, body in (('srun', f'exit {status}'), ('scontrol', f'echo "$@" > {tmp_path}/requeued')):
    (tmp_path / name).write_text(f'#!/bin/sh\n{body}\n')
    (tmp_path / name).chmod(0o755)
  environment = {'PATH': f'{tmp_path}:/usr/bin:/bin', 'SLURM_JOB_ID': '7'}
  for earlier in {max(requeues - 1, 0), requeues}:  # Slurm counts them, from the first one on
    count = {'SLURM_RESTART_COUNT': str(earlier)} if earlier else {}
    done = subprocess.run(['bash', '-c', script], env=environment | count)
    assert (tmp_path / 'requeued').exists() == (earlier < requeues)
    assert done.returncode == (0 if earlier < requeues else status)
    (tmp_path / 'requeued').unlink(missing_ok=True)


def test_kubernetes_receives_a_complete_jobset() -> None:
  text = dry_run('kubernetes.sh')
  manifest = yaml.safe_load(text.split("<<'END'\n")[1].split('\nEND\n')[0])
  assert (manifest['apiVersion'], manifest['kind']) == ('jobset.x-k8s.io/v1alpha2', 'JobSet')
  assert '@' not in json.dumps(manifest).replace('$@', '')
  assert manifest['spec']['failurePolicy']['maxRestarts'] > 0
  [replicated] = manifest['spec']['replicatedJobs']
  job = replicated['template']['spec']
  assert job['completionMode'] == 'Indexed' and job['backoffLimit'] == 0
  assert job['completions'] == job['parallelism'] == 2
  [container] = job['template']['spec']['containers']
  assert container['resources']['limits'] == {'nvidia.com/gpu': 8}
  assert job['template']['spec']['securityContext']['runAsNonRoot'] is True
  assert container['securityContext']['capabilities'] == {'drop': ['ALL']}
  coordinator = f'{manifest["metadata"]["name"]}-{replicated["name"]}-0-0.cifar-jax:8476'
  processes = ['--coordinator', coordinator, '--num_processes', '2']
  assert container['args'] == [*RUN, *processes]
  # Runs the container's shell with printf in the place of Python, to see its arguments.
  shell = [word.replace('exec python', 'printf "%s\\n"') for word in container['command']]
  done = subprocess.run(
    shell + container['args'], env={'JOB_COMPLETION_INDEX': '1'}, capture_output=True, text=True
  )
  assert done.stdout.splitlines()[2:] == [*RUN, *processes, '--process_id', '1']


def test_kubernetes_passes_every_dollar_on() -> None:
  arguments = ['x$$(HOSTNAME)y', 'a$$b', '$(HOME)', '$', 'a$b']
  done = launch('kubernetes.sh', '--dry-run', *NEEDED['kubernetes.sh'], '--', *arguments)
  manifest = yaml.safe_load(done.stdout.split("<<'END'\n")[1].split('\nEND\n')[0])
  [replicated] = manifest['spec']['replicatedJobs']
  [container] = replicated['template']['spec']['template']['spec']['containers']
  # From the left, as Kubernetes does: $$ is $, and $(NAME) the value of a variable.
  expand = lambda word: re.sub(r'\$(\$|\(\w+\))', lambda m: '$' * (m[1] == '$'), word)  # noqa: E731
  assert [expand(word) for word in container['args'][: len(arguments)]] == arguments


def test_a_container_is_built_and_restarts() -> None:
  build, folder, start, _ = dry_run('container.sh').splitlines()
  words, commit = shlex.split(build), provenance.commit(ROOT) or ''
  assert words[:6] == [
    *('docker', 'build', '--file', 'launch/Containerfile', '--build-arg', 'EXTRA=cuda13'),
  ]
  assert words[6] == '--build-arg' and words[7].startswith(f'COMMIT={commit.partition("+")[0]}')
  assert words[8:] == ['--tag', 'i', '.']
  assert shlex.split(folder)[:2] == ['mkdir', '-p']
  docker_run = shlex.split(start)
  assert docker_run[-len(RUN) - 1 :] == ['i', *RUN]
  assert docker_run[docker_run.index('--restart') + 1] == 'on-failure:10'
  assert docker_run[docker_run.index('--volume') + 1] == f'{ROOT}/runs:/runs'
  assert docker_run[docker_run.index('--user') + 1] == f'{os.getuid()}:{os.getgid()}'
  assert launch('container.sh', '--dry-run', '--image', 'i', '--build-only').stdout == build + '\n'


def test_the_container_file_copies_what_the_installation_needs() -> None:
  text = (LAUNCH / 'Containerfile').read_text()
  for copied in re.findall(r'^COPY (.*) \S+$', text, re.MULTILINE):
    assert all((ROOT / path).exists() for path in copied.split())
  project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
  assert project['readme'] in text and project['license-files'][0] in text
  assert re.search(r'^FROM \S+@sha256:[0-9a-f]{64}$', text, re.MULTILINE)
  assert re.search(r'^USER [1-9]\d*:[1-9]\d*$', text, re.MULTILINE)  # a number, for runAsNonRoot
  extra = re.search(r'^ARG EXTRA=(\w+)$', text, re.MULTILINE)
  assert extra is not None and extra[1] in project['optional-dependencies']


def test_no_script_holds_an_address_or_a_path_of_one_machine() -> None:
  for path in LAUNCH.iterdir():
    assert not re.search(
      r'https?://(?!\S*(jobset|kubernetes)\S*)|/(home|Users)/|\.io/\w+/', path.read_text()
    ), path
