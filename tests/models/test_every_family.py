"""Counts, logits and learning of every family, by the table `family_table.py`.

The contract of the nets is tested in `test_family_contract.py`.
"""

from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cifar_jax import models
from cifar_jax.models.classifier import HasAuxiliaryLogits
from cifar_jax.models.cost import shared_traces
from tests.models.family_table import FAMILIES
from tests.support import fill
from tests.support.family_row import Count, Reference, Training, label, stored
from tests.support.filled import filled_variables
from tests.support.paths import REFERENCE
from tests.support.small_nets import keys_of, make, scopes, streams

COUNTS = {name: count for row in FAMILIES.values() for name, count in row.counts.items()}
SLOW = {name for row in FAMILIES.values() for name in row.slow}
REFERENCES = [reference for row in FAMILIES.values() for reference in row.references]
SHARE_TRACES = shared_traces.share_traces()  # deep nets have many equal blocks
# To learn takes seconds for each net; these stand for all in the quick tests.
QUICK = ('resnet', 'pyramidnet', 'shake_shake')
TRAININGS = [
  pytest.param(training, marks=[] if family in QUICK else pytest.mark.slow, id=label(training))
  for family, row in FAMILIES.items()
  for training in row.trainings
]


def test_the_table_covers_all_names_and_references() -> None:
  assert set(FAMILIES) == set(models.FAMILIES)
  for family, row in FAMILIES.items():
    assert set(row.counts) == set(models.FAMILIES[family].names)
  files = [path.stem for path in REFERENCE.glob('*_torch.json')] + ['torch_nets']
  known = {(file, key) for file in files for key in stored(file)}
  assert {(reference.file, reference.key) for reference in REFERENCES} == known


@pytest.mark.parametrize(
  ('name', 'expected'), [(name, COUNTS[name]) for name in COUNTS if name not in SLOW]
)
def test_parameter_counts_are_exact(name: str, expected: Count) -> None:
  classes = 1000 if name.endswith('_imagenet') else 10
  with nn.intercept_methods(SHARE_TRACES):
    params = models.abstract_variables(models.create(name, num_classes=classes))['params']
  count = models.count(params)
  if isinstance(expected, tuple):
    assert (count, count + 9 * models.count(params['head'])) == expected
  else:
    assert count == expected


@pytest.mark.parametrize('reference', REFERENCES, ids=label)
def test_logits_are_those_of_torch(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
  # Both sides fill their weights, norms and statistics by name, so that a wrong stride, ReLU or
  # shortcut changes the logits. Nothing is random at test time.
  model, expected = make(reference.net, monkeypatch), stored(reference.file)[reference.key]
  variables = filled_variables(model, reference.image_size)
  assert models.count(variables['params']) == expected['num_params']
  logits = jax.jit(lambda variables, images: model.apply(variables, images, train=False))(
    variables, fill.images(size=reference.image_size)
  )
  assert logits.dtype == jnp.float32
  np.testing.assert_allclose(logits, np.array(expected['logits']), rtol=2e-4, atol=2e-4)


def reachable(params: Any) -> Iterator[str]:
  """The paths of the parameters that the loss depends on.

  Batch normalisation subtracts the bias of the convolution before it, whose gradient is therefore
  rounding only.
  """
  by_path = dict(scopes(params))
  for path, tree in by_path.items():
    has_norm = (*path[:-1], path[-1].replace('conv', 'norm')) in by_path.keys() - {path}
    for name in tree:
      if not (name == 'bias' and has_norm) and not isinstance(tree[name], dict):
        yield ''.join(f'[{key!r}]' for key in (*path, name))


@pytest.mark.parametrize('training', TRAININGS)
def test_the_loss_falls_and_the_gradient_reaches_every_parameter(
  training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
  model = make(training.net, monkeypatch)
  variables = filled_variables(model, max(training.image_size, 32))
  images, labels = fill.images(8, training.image_size), jnp.arange(8) % 4

  def loss(params: Any, key: jax.Array) -> Any:
    logits, updates = model.apply(
      variables | {'params': params},
      images,
      train=True,
      rngs=streams(key),
      mutable=['batch_stats', 'auxiliary_logits'],
    )
    main, *auxiliary = (
      jnp.mean(optax.softmax_cross_entropy_with_integer_labels(each, labels))
      for each in (logits, *jax.tree.leaves(updates.get('auxiliary_logits')))
    )
    assert bool(auxiliary) == isinstance(model, HasAuxiliaryLogits)
    return main + sum(auxiliary), main

  @jax.jit
  def step(params: Any, key: jax.Array) -> Any:
    (_, main), gradient = jax.value_and_grad(loss, has_aux=True)(params, key)
    params = jax.tree.map(lambda p, g: p - training.rate * g, params, gradient)
    return params, main, jax.tree.map(jnp.any, gradient)

  params = jax.tree_util.tree_map_with_path(
    lambda path, leaf: 0 * leaf if training.zeros in keys_of(path) else leaf,
    variables['params'],
  )
  losses, reached = [], []
  for key in jax.random.split(jax.random.key(2), training.steps):
    params, main, reached_now = step(params, key)
    losses.append(float(main))
    leaves = jax.tree_util.tree_leaves_with_path(reached_now)
    reached.append({jax.tree_util.keystr(path) for path, is_reached in leaves if is_reached})
  expected = set(reachable(params))
  assert expected <= set.union(*reached)
  assert not training.each_step or all(expected <= now for now in reached)
  assert np.mean(losses[-3:]) < training.loss_ratio * np.mean(losses[:3])
