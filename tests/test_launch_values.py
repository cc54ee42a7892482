"""The launch scripts refuse values that could become a directive, YAML or a command elsewhere."""

import pytest

from tests.support.launch_scripts import NEEDED, RUN, SCRIPTS, launch


@pytest.mark.parametrize('script', SCRIPTS)
def test_an_argument_with_a_line_end_or_another_control_character_is_refused(script: str) -> None:
  for word in ('a\nExecStartPre=/bin/sh', 'a\rb', 'a\x1bb'):
    done = launch(script, '--dry-run', *NEEDED[script], '--', *RUN, word)
    assert done.returncode == 2 and done.stdout == '' and 'a control character' in done.stderr


@pytest.mark.parametrize(
  ('script', 'option', 'value'),
  [
    ('kubernetes.sh', '--image', 'i"\n      hostNetwork: "true'),
    ('kubernetes.sh', '--image', 'i", "privileged": "true'),
    ('kubernetes.sh', '--claim', 'c" # '),
    ('kubernetes.sh', '--name', 'n"'),
    ('kubernetes.sh', '--hosts', '2\nactiveDeadlineSeconds: 1'),
    ('kubernetes.sh', '--gpus', '8}'),
    ('tpu_pod.sh', '--nfs', 'server:/export shared; touch x #'),
    ('tpu_pod.sh', '--nfs', '-o:/x'),
    ('tpu_vm.sh', '--python', 'python3.11; touch x'),
    ('tpu_vm.sh', '--hosts', '--command'),
    ('gpu_vm.sh', '--python', 'python3.11; touch x'),
    ('gpu_vm.sh', '--python', 'python3'),
    ('service.sh', '--python', '$(touch x)'),
    ('service.sh', '--extra', 'cuda] x'),
    ('slurm.sh', '--nodes', '2 --uid=0'),
    ('container.sh', '--image', '--privileged'),
    ('container.sh', '--runs', 'runs:/etc'),
  ],
)
def test_a_value_that_could_become_something_else_is_refused(
  script: str, option: str, value: str
) -> None:
  done = launch(script, '--dry-run', *NEEDED[script], option, value, '--', *RUN)
  assert done.returncode == 2 and done.stdout == ''
  assert f'{option} is' in done.stderr and 'it must be' in done.stderr


def test_an_image_can_be_named_by_its_digest() -> None:
  image = f'registry:5000/me/cifar_jax:1@sha256:{"0" * 64}'
  done = launch(
    'kubernetes.sh', '--dry-run', *NEEDED['kubernetes.sh'], '--image', image, '--', *RUN
  )
  assert f'image: "{image}"' in done.stdout
