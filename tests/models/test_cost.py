"""What a model costs: by hand for single layers, against the figures of the papers' nets."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from cifar_jax import models
from cifar_jax.models import cost, walk

IMAGES = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
IMAGE_BYTES = 4 * 32 * 32 * 3
IMAGES_OF_ZEROS = jnp.zeros(IMAGES.shape)
# Millions of multiply-adds as the literature counts them, and depth. A WRN's name counts its three
# shortcut convolutions too, which lie beside the longest chain.
FIGURES = {
  'resnet20': (40.55, 20),
  'wrn_28_10': (5243.3, 26),
  'pyramidnet110_a48': (403.8, 110),
  'shake_shake_26_2x32d': (426.7, 26),
  'preact_resnet164': (244.5, 164),
}


class Net(nn.Module):
  """Any function of the images and the module, with a head of two classes."""

  body: object

  @nn.compact
  def __call__(self, images, *, train):
    x = self.body(self, images, train)
    return nn.Dense(2, name='head')(jnp.mean(x, axis=(1, 2)))


def conv(features, size=3, **fields):
  padding = ((size // 2, size // 2),) * 2
  return nn.Conv(features, (size, size), padding=padding, use_bias=False, **fields)


def measure(body):
  return cost.measure(Net(body))


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
def test_one_layer_by_hand(layer, multiply_adds, channels):
  measured = measure(lambda _, x, train: layer()(x))
  assert measured.multiply_adds == multiply_adds + 2 * channels  # and the head
  assert measured.depth == 2


def test_parameters_and_what_is_made_of_them_alone_cost_nothing():
  def body(module, x, train):
    weights = module.param('weights', nn.initializers.ones, (64, 64))
    return conv(3)(x) * jnp.sum(weights @ weights)

  assert measure(body).multiply_adds == 32 * 32 * 3 * 27 + 2 * 3
  assert measure(body).num_params == 64 * 64 + 81 + 8


def test_forward_bytes_by_hand():
  # The images, the convolution's 8 channels and their ReLU; then those go.
  expected = IMAGE_BYTES + 2 * 4 * 32 * 32 * 8
  assert measure(lambda _, x, train: nn.relu(conv(8)(x))).forward_bytes == expected

  # Within a call the values die as they would without it.
  def long(x):
    return jnp.exp(jnp.sin(jnp.cos(x)))

  called = measure(lambda _, x, train: jax.jit(long)(conv(8)(x)))
  assert called.forward_bytes == measure(lambda _, x, train: long(conv(8)(x))).forward_bytes
  assert called.forward_bytes == expected
  # A shortcut stays until it is added.
  shortcut = measure(lambda _, x, train: (lambda y: y + long(y))(conv(8)(x)))
  assert shortcut.forward_bytes == IMAGE_BYTES + 3 * 4 * 32 * 32 * 8


def test_what_the_logits_do_not_need_is_not_counted():
  def body(module, x, train):
    module.sow('intermediates', 'aside', conv(64, name='other')(x))
    return conv(4)(x)

  assert measure(body).multiply_adds == 32 * 32 * 4 * 27 + 2 * 4


class Step(nn.Module):
  @nn.compact
  def __call__(self, x, _):
    return x + nn.relu(conv(8)(x)), None


def unrolled(_, x, train):
  x = conv(8)(x)
  for _ in range(5):
    x, _ = Step()(x, None)
  return x


def scanned(_, x, train):
  scan = nn.scan(Step, variable_axes={'params': 0}, split_rngs={'params': True}, length=5)
  return scan()(conv(8)(x), None)[0]


def rematerialised(_, x, train):
  x = conv(8)(x)
  for _ in range(5):
    x, _ = nn.remat(Step)()(x, None)
  return x


def test_a_scan_costs_what_its_steps_cost():
  scan, loop = measure(scanned), measure(unrolled)
  assert scan == loop
  assert scan.depth == 7 and scan.multiply_adds == 32 * 32 * 8 * 9 * (3 + 5 * 8) + 16


def test_rematerialisation_saves_memory_in_training_only():
  remat, loop = measure(rematerialised), measure(unrolled)
  assert remat._replace(training_bytes=0) == loop._replace(training_bytes=0)
  # The images, and what goes into each of the five steps and into the head.
  inputs = IMAGE_BYTES + 5 * 4 * 32 * 32 * 8 + 4 * 8
  assert remat.training_bytes == inputs < loop.training_bytes


def test_a_conditional_costs_its_costliest_branch():
  wide = jnp.ones((5, 5, 3, 4))
  thin = jnp.ones((1, 1, 3, 4))

  def convolve(x, kernel):
    return jax.lax.conv_general_dilated(
      x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )

  def body(_, x, train):
    def once(x):
      return convolve(x, wide)

    def twice(x):
      return convolve(convolve(x, thin)[..., :3], thin)

    return jax.lax.cond(jnp.sum(x) > 0, once, twice, x)

  measured = measure(body)
  assert measured.multiply_adds == 32 * 32 * 25 * 3 * 4 + 2 * 4
  assert measured.depth == 2 + 1


def test_a_while_counts_one_step():
  def step(state):
    count, x = state
    return count + 1, jnp.einsum('bhwc,cd->bhwd', x, jnp.ones((3, 3)))

  def loop(x):
    return jax.lax.while_loop(lambda state: state[0] < 9, step, (0, x))[1]

  walked = walk.walk(jax.make_jaxpr(loop)(IMAGES).jaxpr, [0])
  assert walked.multiply_adds == 32 * 32 * 9 and walked.depths == [1]


def test_training_bytes_by_hand():
  def body(_, x, train):
    x = conv(8)(x)  # its weights' gradient needs the images
    x = nn.relu(x)  # a mask, one byte an entry
    x = conv(4)(x)  # the rectified values
    x = x * jax.lax.stop_gradient(jnp.exp(x))  # the exponentials; nothing flows into them
    return x + conv(4)(IMAGES_OF_ZEROS)  # nothing: no activation goes into this one

  pixels = 32 * 32
  kept = IMAGE_BYTES + 8 * pixels + 4 * 8 * pixels + 4 * 4 * pixels + 4 * 4  # and the head's input
  assert measure(body).training_bytes == kept


def test_what_two_layers_keep_counts_once():
  def body(_, x, train):
    return conv(4)(x) + conv(4)(x)

  assert measure(body).training_bytes == IMAGE_BYTES + 4 * 4


@pytest.mark.parametrize('name', FIGURES)
def test_the_papers_nets(name):
  measured = cost.measure(models.create(name))
  millions, depth = FIGURES[name]
  assert math.isclose(measured.multiply_adds, 1e6 * millions, abs_tol=5e4)
  assert measured.depth == depth
  assert measured.num_params == models.num_params(models.create(name))


def test_a_model_is_measured_on_images_of_its_own_size():
  class Large(Net):
    image_size = 64

  small, large = (cost.measure(net(lambda _, x, train: conv(4)(x))) for net in (Net, Large))
  assert large.multiply_adds - 8 == 4 * (small.multiply_adds - 8)
