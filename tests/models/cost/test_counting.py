"""The cost of a model: by hand for single layers, as in the literature for the papers' nets."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from cifar_jax import models
from cifar_jax.models.cost import counting, jaxpr_walk

IMAGES = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
IMAGE_BYTES = 4 * 32 * 32 * 3
IMAGES_OF_ZEROS = jnp.zeros(IMAGES.shape)
# Millions of multiply-adds as the literature counts them, and depth. A WRN's name also counts three
# shortcut convolutions, which are not on the longest path.
FIGURES = {
  'resnet20': (40.55, 20),
  'wrn_28_10': (5243.3, 26),
  'pyramidnet110_a48': (403.8, 110),
  'shake_shake_26_2x32d': (426.7, 26),
  'preact_resnet164': (244.5, 164),
}


Body = Callable[[nn.Module, jax.Array, bool], jax.Array]  # (module, images, train) -> features


class Net(nn.Module):
  """Any function of the images, with a head of two classes."""

  body: Body

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    x = self.body(self, images, train)
    return nn.Dense(2, name='head')(jnp.mean(x, axis=(1, 2)))


def conv(features: int, size: int = 3, **fields: Any) -> nn.Conv:
  padding = ((size // 2, size // 2),) * 2
  return nn.Conv(features, (size, size), padding=padding, use_bias=False, **fields)


def measure(body: Body) -> counting.Cost:
  return counting.measure(Net(body))


@pytest.mark.parametrize(
  ('layer', 'multiply_adds', 'channels'),
  [
    (lambda: conv(8), 32 * 32 * 8 * 9 * 3, 8),
    (lambda: conv(8, strides=2), 16 * 16 * 8 * 9 * 3, 8),
    (lambda: conv(6, feature_group_count=3), 32 * 32 * 6 * 9, 6),
    (lambda: conv(8, kernel_dilation=2), 30 * 30 * 8 * 9 * 3, 8),
    (lambda: nn.Dense(5), 32 * 32 * 5 * 3, 5),
  ],
  ids=['same', 'strided', 'grouped', 'dilated', 'dense'],
)
def test_one_layer_by_hand(
  layer: Callable[[], nn.Module], multiply_adds: int, channels: int
) -> None:
  measured = measure(lambda _, x, train: layer()(x))
  assert measured.multiply_adds == multiply_adds + 2 * channels  # and the head
  assert measured.depth == 2


def test_operations_on_parameters_alone_cost_nothing() -> None:
  def body(module: Any, x: jax.Array, train: bool) -> jax.Array:
    weights = module.param('weights', nn.initializers.ones, (64, 64))
    return conv(3)(x) * jnp.sum(weights @ weights)

  assert measure(body).multiply_adds == 32 * 32 * 3 * 27 + 2 * 3
  assert measure(body).num_params == 64 * 64 + 81 + 8


def test_forward_bytes_by_hand() -> None:
  # The maximum is at the ReLU: the images, the convolution's 8 channels and the ReLU's.
  expected = IMAGE_BYTES + 2 * 4 * 32 * 32 * 8
  assert measure(lambda _, x, train: nn.relu(conv(8)(x))).forward_bytes == expected

  # Within a call the values die as they would without it.
  def long(x: jax.Array) -> jax.Array:
    return jnp.exp(jnp.sin(jnp.cos(x)))

  called = measure(lambda _, x, train: jax.jit(long)(conv(8)(x)))
  assert called.forward_bytes == measure(lambda _, x, train: long(conv(8)(x))).forward_bytes
  assert called.forward_bytes == expected
  # A shortcut lives until it is added.
  shortcut = measure(lambda _, x, train: (lambda y: y + long(y))(conv(8)(x)))
  assert shortcut.forward_bytes == IMAGE_BYTES + 3 * 4 * 32 * 32 * 8


def test_operations_that_the_logits_do_not_need_are_not_counted() -> None:
  def body(module: Any, x: jax.Array, train: bool) -> jax.Array:
    module.sow('intermediates', 'aside', conv(64, name='other')(x))
    return conv(4)(x)

  assert measure(body).multiply_adds == 32 * 32 * 4 * 27 + 2 * 4


class Step(nn.Module):
  """A step of the loops below: a residual block."""

  @nn.compact
  def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
    return x + nn.relu(conv(8)(x)), None


def unrolled(module: nn.Module, x: jax.Array, train: bool) -> jax.Array:
  x = conv(8)(x)
  for _ in range(5):
    x, _ = Step()(x, None)
  return x


def scanned(_: nn.Module, x: jax.Array, train: bool) -> jax.Array:
  scan = nn.scan(Step, variable_axes={'params': 0}, split_rngs={'params': True}, length=5)
  return scan()(conv(8)(x), None)[0]


def rematerialised(module: nn.Module, x: jax.Array, train: bool) -> jax.Array:
  x = conv(8)(x)
  for _ in range(5):
    x, _ = nn.remat(Step)()(x, None)
  return x


def test_a_scan_costs_the_sum_of_its_steps() -> None:
  scan, loop = measure(scanned), measure(unrolled)
  assert scan == loop
  assert scan.depth == 7 and scan.multiply_adds == 32 * 32 * 8 * 9 * (3 + 5 * 8) + 16


def test_rematerialisation_saves_training_memory_only() -> None:
  remat, loop = measure(rematerialised), measure(unrolled)
  assert remat._replace(training_bytes=0) == loop._replace(training_bytes=0)
  # The images, and the inputs of each of the five steps and of the head.
  inputs = IMAGE_BYTES + 5 * 4 * 32 * 32 * 8 + 4 * 8
  assert remat.training_bytes == inputs < loop.training_bytes


def test_a_conditional_costs_its_costliest_branch() -> None:
  wide = jnp.ones((5, 5, 3, 4))
  thin = jnp.ones((1, 1, 3, 4))

  def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(
      x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )

  def body(_: nn.Module, x: jax.Array, train: bool) -> jax.Array:
    def once(x: jax.Array) -> jax.Array:
      return convolve(x, wide)

    def twice(x: jax.Array) -> jax.Array:
      return convolve(convolve(x, thin)[..., :3], thin)

    return jax.lax.cond(jnp.sum(x) > 0, once, twice, x)

  measured = measure(body)
  assert measured.multiply_adds == 32 * 32 * 25 * 3 * 4 + 2 * 4
  assert measured.depth == 2 + 1


def test_a_while_counts_one_step() -> None:
  def step(state: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
    count, x = state
    return count + 1, jnp.einsum('bhwc,cd->bhwd', x, jnp.ones((3, 3)))

  def loop(x: jax.Array) -> jax.Array:
    return jax.lax.while_loop(lambda state: state[0] < 9, step, (0, x))[1]

  walked = jaxpr_walk.walk(jax.make_jaxpr(loop)(IMAGES).jaxpr, [0])
  assert walked.multiply_adds == 32 * 32 * 9 and walked.depths == [1]


def test_training_bytes_by_hand() -> None:
  def body(_: nn.Module, x: jax.Array, train: bool) -> jax.Array:
    x = conv(8)(x)  # keeps the images, for its weights' gradient
    x = nn.relu(x)  # keeps a mask, one byte per entry
    x = conv(4)(x)  # keeps the rectified values
    x = x * jax.lax.stop_gradient(jnp.exp(x))  # keeps the exponentials, which have no gradient
    return x + conv(4)(IMAGES_OF_ZEROS)  # keeps nothing, because its input is no activation

  pixels = 32 * 32
  # The last term is the head's input.
  expected = IMAGE_BYTES + 8 * pixels + 4 * 8 * pixels + 4 * 4 * pixels + 4 * 4
  assert measure(body).training_bytes == expected


def test_a_number_that_a_conditional_keeps_is_no_activation() -> None:
  def body(_: nn.Module, x: jax.Array, train: bool) -> jax.Array:
    x = conv(8)(x)
    return jax.lax.cond(jnp.sum(x) > 0, nn.relu, lambda x: x, x)

  # The images, the index of the branch, ReLU's mask and the head's input. JAX also keeps the zeros
  # of ReLU's gradient.
  assert measure(body).training_bytes == IMAGE_BYTES + 4 + 8 * 32 * 32 + 4 * 8


def test_an_activation_that_two_layers_keep_counts_once() -> None:
  def body(_: nn.Module, x: jax.Array, train: bool) -> jax.Array:
    return conv(4)(x) + conv(4)(x)

  assert measure(body).training_bytes == IMAGE_BYTES + 4 * 4


@pytest.mark.ci
@pytest.mark.parametrize('name', FIGURES)
def test_costs_of_the_papers_nets_are_those_of_the_literature(name: str) -> None:
  measured = counting.measure(models.create(name))
  millions, depth = FIGURES[name]
  assert math.isclose(measured.multiply_adds, 1e6 * millions, abs_tol=5e4)
  assert measured.depth == depth
  assert measured.num_params == models.num_params(models.create(name))


def test_a_model_is_measured_on_images_of_its_own_size() -> None:
  class Large(Net):
    image_size = 64

  small, large = (counting.measure(net(lambda _, x, train: conv(4)(x))) for net in (Net, Large))
  assert large.multiply_adds - 8 == 4 * (small.multiply_adds - 8)
