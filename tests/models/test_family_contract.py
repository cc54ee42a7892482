"""The contract of `models/classifier.py`, for the small nets of every family."""

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from cifar_jax import models
from cifar_jax.models import layers
from cifar_jax.models.classifier import Classifier, Gated, image_size
from cifar_jax.models.shake_shake_net import ShakeNet
from tests.models.family_table import FAMILIES
from tests.support import fill
from tests.support.family_row import Net, label
from tests.support.filled import filled_variables
from tests.support.small_nets import keys_of, make, scopes, streams

FLOAT32 = np.dtype('float32')
SMALL = [net for row in FAMILIES.values() for net in row.small]
# Residual nets with a gate for each block. `test_efficientnet.py` closes EfficientNet's gates.
RESIDUAL = [net for net in SMALL if isinstance(net.create(), layers.ResidualNet | ShakeNet)]


@pytest.mark.parametrize('net', SMALL, ids=label)
def test_every_net_fulfils_the_protocol(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
  model = make(net, monkeypatch, num_classes=7)
  assert isinstance(model, Classifier) and model.num_classes == 7
  if isinstance(model, Gated):  # the gates of a batch need neither variables nor images
    gates = model.apply({}, 4, train=False, method='draw_gates')
    assert gates is None or len(gates.forward) == model.num_blocks
    assert isinstance(model.has_shortcuts, bool)


@pytest.mark.ci
@pytest.mark.parametrize('net', SMALL, ids=label)
def test_a_net_runs_in_bfloat16_and_its_logits_are_finite(
  net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
  # Running the net in bfloat16 shows that each operation exists in it.
  model = make(net, monkeypatch, num_classes=7, dtype='bfloat16')
  train = functools.partial(model.apply, train=True, mutable=['batch_stats'])
  logits, _ = jax.jit(train)(
    filled_variables(model), fill.images(batch=4), rngs=streams(jax.random.key(0))
  )
  assert logits.shape == (4, 7) and logits.dtype == FLOAT32
  assert np.all(np.isfinite(logits))


@pytest.mark.parametrize('net', SMALL, ids=label)
def test_a_batch_of_free_size_is_classified(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
  model = make(net, monkeypatch, num_classes=7)
  size = image_size(model)
  shape = export.symbolic_shape(f'batch, {size}, {size}, 3')

  def classify(variables: Any, images: jax.Array) -> Any:
    with layers.plain_forms():  # as for an export
      return model.apply(variables, images, train=False)

  images = jax.ShapeDtypeStruct(shape, FLOAT32)
  logits = jax.eval_shape(classify, models.abstract_variables(model), images)
  assert logits.shape == (shape[0], 7)


@pytest.mark.parametrize(
  ('net', 'dtype'),
  [
    *((net, 'bfloat16') for net in SMALL),
    *(pytest.param(row.small[0], 'float32', marks=pytest.mark.ci) for row in FAMILIES.values()),
  ],
  ids=lambda value: value if isinstance(value, str) else label(value),
)
def test_all_results_are_float32_and_no_dtype_or_rank_is_promoted_implicitly(
  net: Net, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  model = make(net, monkeypatch, dtype=dtype)
  variables = models.abstract_variables(model)

  def loss(params: Any, others: Any, images: jax.Array, key: jax.Array) -> Any:
    logits, updates = model.apply(
      {'params': params, **others},
      images,
      train=True,
      rngs=streams(key),
      mutable=['batch_stats', 'auxiliary_logits'],
    )
    return jnp.sum(logits), updates

  def step(params: Any, others: Any, images: jax.Array, key: jax.Array) -> Any:
    logits = model.apply({'params': params, **others}, images, train=False)
    return logits, jax.grad(loss, has_aux=True)(params, others, images, key)

  assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {FLOAT32}
  params = variables.pop('params')
  images = jax.ShapeDtypeStruct((2, image_size(model), image_size(model), 3), jnp.float32)
  with jax.numpy_dtype_promotion('strict'), jax.numpy_rank_promotion('raise'):
    results = jax.eval_shape(step, params, variables, images, jax.random.key(0))
  assert {leaf.dtype for leaf in jax.tree.leaves(results)} == {FLOAT32}


@pytest.mark.parametrize('net', SMALL, ids=label)
def test_names_of_norms_head_and_blocks_follow_the_contract(
  net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
  model = make(net, monkeypatch, num_classes=7)
  variables = models.abstract_variables(model)
  params = variables['params']
  assert params['head']['kernel'].shape[-1] == 7
  by_path = dict(scopes(params))
  norms = {path for path, tree in scopes(variables.get('batch_stats', {})) if 'mean' in tree}
  assert norms == {path for path in by_path if 'norm' in path[-1]}
  for path in norms:
    channels = by_path[path]['bias'].shape[-1]
    convolution = by_path.get((*path[:-1], path[-1].replace('norm', 'conv')))
    if convolution:  # the norm is before the convolution, or after it
      assert channels in convolution['kernel'].shape[-2:], path
  if isinstance(model, Gated):
    blocks = [name for name in params if re.fullmatch(r'stage\d+_block\d+', name)]
    assert len(blocks) >= model.num_blocks


def is_in_branch(path: tuple[Any, ...]) -> bool:
  """Whether a parameter belongs to a residual branch alone."""
  keys = '/'.join(keys_of(path))
  for_both_paths = (
    keys.endswith(('norm1/scale', 'norm1/bias', 'norm_sum/scale', 'norm_sum/bias'))
    and 'branch' not in keys
  )
  return 'block' in keys and 'shortcut' not in keys and not for_both_paths


@pytest.mark.parametrize('net', RESIDUAL, ids=label)
def test_a_closed_gate_deletes_the_block(net: Net) -> None:
  # With every branch closed a net is its stem, its shortcuts and its head: the branches' parameters
  # do not matter.
  model: Any = net.create()
  variables, images = filled_variables(model), fill.images(batch=4)
  default = model.apply({}, 4, train=False, method='draw_gates')
  closed = jnp.zeros((model.num_blocks, 1) if default is None else default.forward.shape)
  gates = layers.Gates(closed, closed, jnp.ones(model.num_blocks))
  changed = jax.tree_util.tree_map_with_path(
    lambda path, leaf: leaf * 3.0 if is_in_branch(path) else leaf, variables['params']
  )

  @jax.jit
  def apply(params: Any, gates: layers.Gates | None) -> jax.Array:
    return model.apply(variables | {'params': params}, images, train=False, gates=gates)

  np.testing.assert_array_equal(apply(variables['params'], gates), apply(changed, gates))
  assert np.any(apply(variables['params'], gates) != apply(variables['params'], None))
