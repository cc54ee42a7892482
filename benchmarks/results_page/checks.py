"""The rows of checks: for each result file, what was asked, and its answer in one line."""

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.speed import table

HEAD = '| check | result | source |'
Result = Mapping[str, Any]


def row(name: str, result: Result, link: str) -> str:
  """Returns a line of the table.

  Args:
    name: name of the result file, without its suffix; one of `CHECKS`.
    result: content of the file.
    link: path of the file, as seen from the page.
  """
  question, answer = CHECKS[name](result)
  return f'| {question} | {answer}{remark(result)} | [{name}]({link}), commit {result["commit"]} |'


def _first_steps(result: Result) -> tuple[str, str]:
  rows = result['rows']
  falls = sum(row['last_loss'] < row['first_loss'] for row in rows)
  return (
    f'{rows[0]["steps"]} steps of a small member of each of {len(rows)} families on real images',
    f'the training loss falls in {falls} of {len(rows)}',
  )


def _torch_parity(result: Result) -> tuple[str, str]:
  largest = max(net['largest_difference'] for net in result['nets'])
  return (
    f"logits of {len(result['nets'])} nets with the weights of pytorchcv's and torchvision's",
    f'differ by at most {largest:.1e}',
  )


def _pretrained_resnets(result: Result) -> tuple[str, str]:
  rows = result['rows']
  largest = max(row['largest_difference'] for row in rows)
  errors = (
    f'{row["model"]} {row["error_percent"]} % ({row["published_error_percent"]} % published)'
    for row in rows
  )
  return (
    f'public weights of {len(rows)} ResNets (akamaster/pytorch_resnet_cifar10) in our nets, on '
    f'{result["num_images"]:,} original test images',
    f'{"; ".join(errors)}; the logits are those of PyTorch to {largest:.1e}',
  )


def _published_predictions(result: Result) -> tuple[str, str]:
  errors = [row['error_percent'] for row in result['rows']]
  return (
    f'errors of {len(errors)} published models, from their published predictions',
    f'{result["num_equal"]} as published ({min(errors)} % to {max(errors)} %)',
  )


def _shared_errors(result: Result) -> tuple[str, str]:
  def describe(row: Any) -> str:
    own, among = (
      f'{values["mean"]:.2f} ({values["low"]:.2f} to {values["high"]:.2f})'
      for values in (row['with_published'], row['among_published'])
    )
    net = f'{row["net"]} ({row["error_percent"]:.2f} %)'
    return f'{net} with {len(row["published"])} nets {own}, these with one another {among}'

  return (
    'error consistency with the published nets whose error is within '
    f'{result["within_points"]:g} points',
    '; '.join(map(describe, result['rows'])),
  )


def _kills(moments: str) -> Callable[[Result], tuple[str, str]]:
  def describe(result: Result) -> tuple[str, str]:
    return (
      f'{sum(result["kills"].values())} kills (SIGKILL) {moments}',
      f'{result["runs_equal_to_the_bit"]} of {result["runs"]} runs equal the undisturbed one to '
      'the bit',
    )

  return describe


def _power_campaign(result: Result) -> tuple[str, str]:
  rows = result['rows']
  sound = sum(row['is_sound'] and row['is_equal'] for row in rows)
  return (
    f'{len(rows)} power failures: the disk of a run, copied while it trains and after its end',
    f'{sound} of {len(rows)} copies are sound, and resume to the undisturbed records and result',
  )


def _devices(result: Result) -> tuple[str, str]:
  rows = result['rows']
  loss = max(row['largest_relative_difference_of_loss'] for row in rows)
  accuracies = [result['of_one_device']['accuracy'], *(row['test_accuracy'] for row in rows)]
  counts = ', '.join(str(row['num_devices']) for row in rows[:-1])
  return (
    f'an epoch on 1, {counts} and {rows[-1]["num_devices"]} virtual devices',
    f'losses within {100 * loss:.2f} %, test accuracy {100 * min(accuracies):.1f} to '
    f'{100 * max(accuracies):.1f} %',
  )


def _compile_time(result: Result) -> tuple[str, str]:
  seconds = {row['net']: row['trace_seconds'] + row['compile_seconds'] for row in result['rows']}
  nets = {
    'resnet110': 'ResNet-110',
    'resnet1202': 'ResNet-1202',
    'preact_resnet1001': 'pre-activation 1001',
    'pyramidnet110_a48': 'PyramidNet-110',
    'pyramidnet272_a200_bottleneck': 'PyramidNet-272',
  }
  times = ', '.join(f'{title} {seconds[net]:.0f} s' for net, title in nets.items())
  return 'trace and compile a training step', times


def _densenet_remat(result: Result) -> tuple[str, str]:
  without, with_it = (result[key]['total_bytes'] / 1e9 for key in ('without_remat', 'with_remat'))
  return (
    f'memory of a step of DenseNet-BC-100 at batch {result["batch_size"]}, field `remat`',
    f'{without:.1f} to {with_it:.1f} GB',
  )


def _model_rates(result: Result) -> tuple[str, str]:
  rates = {row['model']: row['gigamultiplyadds_per_second'] for row in result['rows']}
  reference = rates['resnet18_imagenet']
  slowest = sorted(rates, key=lambda name: rates[name])[:3]
  shares = ', '.join(f'{rates[name] / reference:.2f} ({name})' for name in slowest)
  return (
    f'multiply-adds a second of a training step, of {len(rates)} nets against resnet18_imagenet',
    f'the lowest are {shares} (goal: 0.2)',
  )


def remark(result: Result) -> str:
  """Returns what a row says of its circumstances, after a semicolon; '' if there is nothing."""
  return f'; {result["remark"]}' if 'remark' in result else ''


def _plain_jit(result: Result) -> tuple[str, str]:
  rows = result['rows']
  finite = sum(row['is_finite'] for row in rows)
  return (
    f'evaluation and gradient of {len(rows)} registered names by a plain `jax.jit`, as users do',
    f'{finite} of {len(rows)} end with finite values',
  )


def _seeds(result: Result) -> tuple[str, str]:
  gain = result['times_the_seeds_per_hour']
  low, high = gain['quartiles']
  return (
    f'{result["seeds"]} seeds of ResNet-8 at once on two cores, against one after the other',
    f'{gain["median"]:.2f} times as many seeds an hour ({low:.2f} to {high:.2f})',
  )


def _augment_cost(result: Result) -> tuple[str, str]:
  def share(name: str) -> str:
    return f'{100 * result["rows"][name]["share_of_step"]:.1f} %'

  return (
    f'cost of augmentation, as a share of a ResNet-20 step at batch {result["batch_size"]}',
    f'all the ordinary ones together {share("ordinary, together")} (goal: under 10), with '
    f'AutoAugment {share("ordinary and autoaugment")}, RandAugment N = 2 alone '
    f'{share("randaugment, N = 2")}',
  )


def _scaling(result: Result) -> tuple[str, str]:
  program = result['programs'][0]
  devices = _listed([each['devices'] for each in result['programs']])
  return (
    f'what a compiled step of {program["model"]} sends on {devices} devices',
    f'{program["bytes"]:,} B in {program["collectives"]} collectives ([scaling](scaling.md))',
  )


def _listed(numbers: list[int]) -> str:
  """Numbers in words: 8, or 8 and 16, or 8, 16 and 32."""
  *first, last = map(str, numbers)
  return f'{", ".join(first)} and {last}' if first else last


def _speed(setting: str) -> Callable[[Result], tuple[str, str]]:
  def describe(result: Result) -> tuple[str, str]:
    ratios: dict[str, list[float]] = {}
    for row in result['rows']:
      ratios.setdefault(row['dtype'], []).append(row['train']['ratio']['median'])
    ranges = [
      f'{dtype} {min(values):.2f} to {max(values):.2f} in {len(values)} nets'
      if len(values) > 1
      else f'{dtype} {values[0]:.2f} in one net'
      for dtype, values in ratios.items()
    ]
    unfinished = sum(map(table.was_not_compiled, result['rows']))
    if unfinished:
      ranges.append(f'PyTorch not compiled in {unfinished} of {len(result["rows"])} rows')
    return (
      f'training speed against PyTorch on the same cores, {setting}',
      f'{"; ".join(ranges)} ([speed](speed.md))',
    )

  return describe


CHECKS: dict[str, Callable[[Result], tuple[str, str]]] = {
  'first_steps': _first_steps,
  'torch_parity': _torch_parity,
  'pretrained_resnets': _pretrained_resnets,
  'published_predictions': _published_predictions,
  'shared_errors': _shared_errors,
  'kill_campaign': _kills('at seven kinds of moments of a run'),
  'kill_campaign_end': _kills('while a run is tested, drawn and reported'),
  'power_campaign': _power_campaign,
  'devices': _devices,
  'compile_time': _compile_time,
  'densenet_remat': _densenet_remat,
  'model_rates': _model_rates,
  'plain_jit': _plain_jit,
  'seeds': _seeds,
  'augment_cost': _augment_cost,
  'scaling_resnet20': _scaling,
  'scaling_wrn_28_10': _scaling,
  'speed_cpu': _speed('with AVX-512'),
  'speed_cpu_further': _speed('with AVX-512, further nets'),
  'speed_cpu_amx': _speed('with AMX'),
  'speed_cpu_avx2': _speed('with AVX2'),
  'speed_cpu_before_onednn': _speed('before oneDNN'),
  'speed_cpu_bfloat16': _speed('before oneDNN'),
}
