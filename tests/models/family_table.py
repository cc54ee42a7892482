"""The table of model families for `test_every_family.py`: one row per family."""

from typing import Any

from cifar_jax.models import googlenet, vgg
from cifar_jax.models.layers import heads
from tests.models import exact_counts
from tests.support.family_row import Net, Reference, Row, Training, references

NARROW = ((heads, 'HIDDEN_WIDTH', 64), (vgg, 'WIDTHS', (8, 16, 32, 64, 64)))
# Four of the nine modules: the net compiles in half the time.
INCEPTIONS = {name: googlenet.INCEPTIONS[name] for name in ('3a', '4a', '4d', '5a')}
SIXTEENTH = {'width': 1 / 16}
SMALL_GOOGLENET = Net(
  'googlenet',
  SIXTEENTH | {'auxiliary': True, 'dropout': 0.0},
  ((googlenet, 'INCEPTIONS', INCEPTIONS),),
)
TINY_RESNET = {'stage_sizes': (1, 1, 1, 1), 'base_width': 8}
# Nets B and C of Shake-Shake's section 5.
ONE_CONV = {'skip': False, 'branch_convs': 1}
NO_NORMS = {'skip': False, 'norm': False, 'alpha_range': (0.4, 0.6)}
TINY_EFFICIENTNET: dict[str, Any] = {
  'width': 0.25,
  'depth': 0.3,
}  # seven blocks of 8 to 80 channels
REFERENCE_EFFICIENTNET = {'width': 0.25, 'depth': 0.6}

FAMILIES = {
  'alexnet': Row(
    exact_counts.ALEXNET,
    small=(Net('alexnet', {'groups': 2}),),
    trainings=(
      Training(
        Net('alexnet', {'groups': 2, 'local_response_norm': True, 'dropout': 0.2}),
        steps=6,
        loss_ratio=1.0,
        image_size=32,
      ),
    ),
    references=references(
      'alexnet_vgg_torch',
      *('alexnet', 'alexnet local_response_norm', 'alexnet_imagenet'),
      constants=NARROW,
    ),
  ),
  'vgg': Row(
    exact_counts.VGG,
    small=(Net('vgg11_lrn_bn', {}, NARROW), Net('vgg16_c', {'head': 'mlp'}, NARROW)),
    trainings=(
      Training(
        Net('vgg11_lrn_bn', {'head': 'mlp', 'dropout': 0.1}, NARROW), rate=0.3, image_size=32
      ),
    ),
    references=references(
      'alexnet_vgg_torch', 'vgg11_lrn_bn', 'vgg16_c_bn', 'vgg13_bn head mlp', constants=NARROW
    ),
  ),
  'googlenet': Row(
    exact_counts.GOOGLENET,
    small=(SMALL_GOOGLENET,),
    trainings=(
      Training(SMALL_GOOGLENET, rate=0.05, loss_ratio=0.7, image_size=32, each_step=False),
    ),
    references=(
      Reference('googlenet_torch', '3x3_3x3', Net('googlenet', SIXTEENTH)),
      Reference('googlenet_torch', '3x3', Net('googlenet_imagenet', SIXTEENTH)),
      Reference('googlenet_torch', '5x5', Net('googlenet_imagenet', SIXTEENTH | {'five': '5x5'})),
    ),
  ),
  'resnet': Row(
    exact_counts.RESNET,
    small=(Net('resnet8'), Net('se_resnet8'), Net('plain8')),
    trainings=(Training(Net('resnet8')),),
    references=(
      *references('torch_nets', 'plain14', 'resnet20_bottleneck'),
      *(
        Reference('torch_nets', f'resnet8 {shortcut}', Net('resnet8', {'shortcut': shortcut}))
        for shortcut in ('pad', 'pool_pad', 'project')
      ),
      Reference(
        'torch_nets',
        'resnet14 pool_pad survival 0.5',
        Net('resnet14', {'shortcut': 'pool_pad', 'survival_probability': 0.5}),
      ),
      Reference('torch_nets', 'resnet18_imagenet tiny', Net('resnet18_imagenet', TINY_RESNET)),
      Reference('torch_nets', 'resnet18_homework tiny', Net('resnet18_homework', TINY_RESNET)),
    ),
  ),
  'preact_resnet': Row(
    exact_counts.PREACT_RESNET,
    small=(
      *(Net('preact_resnet8'), Net('preact_resnet8_order_b'), Net('preact_resnet11_bottleneck')),
    ),
    trainings=(Training(Net('preact_resnet8')),),
    references=references(
      'torch_nets',
      *('preact_resnet8', 'preact_resnet14', 'preact_resnet11_bottleneck'),
      *(f'preact_resnet14_order_{order}' for order in 'abcd'),
    ),
  ),
  'wide_resnet': Row(
    exact_counts.WIDE_RESNET,
    small=(Net('wrn_10_2'),),
    trainings=(Training(Net('wrn_10_1')),),
    references=references('torch_nets', 'wrn_10_2', 'wrn_16_1', 'wrn_10_2_b131'),
  ),
  'resnext': Row(
    exact_counts.RESNEXT,
    small=(Net('resnext_11_2x4d'),),
    trainings=(Training(Net('resnext_11_2x4d')),),
    references=references('torch_nets', 'resnext_20_4x2d', 'se_resnext_11_2x4d'),
  ),
  'densenet': Row(
    exact_counts.DENSENET,
    small=(Net('densenet_10_4'), Net('densenet_bc_10_4')),
    trainings=(Training(Net('densenet_bc_10_4', {'remat': True}), steps=20, loss_ratio=0.7),),
    references=references('densenet_torch', 'densenet_10_5', 'densenet_bc_16_5'),
    slow=(
      *('densenet_100_12', 'densenet_100_24', 'densenet_bc_250_24', 'densenet_bc_190_40'),
      *('densenet_bc_40_48', 'densenet_bc_40_60'),
    ),
  ),
  'fractalnet': Row(
    exact_counts.FRACTALNET,
    small=(Net('fractalnet10_w4', {'drop_path': 0.15}),),
    trainings=(
      Training(
        Net('fractalnet10_w4', {'drop_path': 0.15, 'dropout': 0.1}),
        rate=0.02,
        steps=30,
        loss_ratio=0.8,
        image_size=32,
        each_step=False,
      ),
    ),
    references=(
      Reference(
        'fractalnet_torch',
        'fractalnet20_w4 deepest',
        Net('fractalnet20_w4', {'columns': 'deepest'}),
      ),
      *(
        Reference('fractalnet_torch', f'{name} all', Net(name))
        for name in ('fractalnet20_w4', 'fractalnet40_w4')
      ),
    ),
  ),
  'pyramidnet': Row(
    exact_counts.PYRAMIDNET,
    small=(Net('pyramidnet8_a12'), Net('pyramidnet11_a12_bottleneck')),
    trainings=(
      Training(
        Net(
          'pyramidnet8_mul_1.5',
          {'shortcut': 'project', 'first_relu': True, 'shake_drop': 'image'}
          | {'survival_probability': 0.5},
        ),
      ),
    ),
    references=(
      *references(
        'torch_nets', 'pyramidnet8_a12', 'pyramidnet14_a10', 'pyramidnet11_a12_bottleneck'
      ),
      *references(
        'pyramidnet_torch',
        *('pyramidnet14_mul_4', 'pyramidnet11_mul_2.5_bottleneck', 'pyramidnet8_a9'),
        *('pyramidnet14_a9', 'pyramidnet8_a6'),
      ),
    ),
    slow=(
      *('pyramidnet110_mul_8', 'pyramidnet110_a84', 'pyramidnet110_mul_27', 'pyramidnet110_a270'),
      *('pyramidnet164_a48_bottleneck', 'pyramidnet164_a270_bottleneck'),
      *('pyramidnet200_a240_bottleneck', 'pyramidnet236_a220_bottleneck'),
      'pyramidnet272_a200_bottleneck',
    ),
  ),
  'shake_shake': Row(
    exact_counts.SHAKE_SHAKE,
    small=(Net('shake_shake_8_2x4d'),),
    trainings=(
      Training(Net('shake_shake_8_3x2d', {'norm': False}), rate=0.15, steps=15),
      Training(Net('shake_shake_8_2x2d', NO_NORMS), rate=0.5, steps=15),
    ),
    references=(
      *references('torch_nets', 'shake_shake_26_2x4d'),
      Reference('shake_shake_torch', 'three branches', Net('shake_shake_8_3x4d')),
      Reference(
        'shake_shake_torch',
        'no shortcuts, one convolution a branch',
        Net('shake_shake_8_2x4d', ONE_CONV),
      ),
      Reference('shake_shake_torch', 'no shortcuts, no norms', Net('shake_shake_8_2x4d', NO_NORMS)),
    ),
  ),
  'shake_shake_resnext': Row(
    exact_counts.SHAKE_RESNEXT,
    small=(Net('shake_shake_resnext_11_2x1x4d'),),
    trainings=(
      Training(Net('shake_shake_resnext_11_2x1x1d', {'backward': 'm4'}), rate=0.05, steps=15),
    ),
    references=(Reference('shake_shake_torch', 'resnext', Net('shake_shake_resnext_11_2x2x4d')),),
  ),
  'deformable': Row(
    exact_counts.DEFORMABLE,
    small=(Net('deformable_resnet8', {'modulated': True}),),
    trainings=(
      Training(Net('deformable_resnet8', {'modulated': True}), loss_ratio=0.5, zeros='offset_conv'),
    ),
    references=(
      Reference('deformable_torch', 'v1', Net('deformable_resnet8')),
      Reference('deformable_torch', 'v2', Net('deformable_resnet8', {'modulated': True})),
    ),
  ),
  'efficientnet': Row(
    exact_counts.EFFICIENTNET,
    small=(Net('efficientnet_b0', TINY_EFFICIENTNET),),
    trainings=(
      Training(
        Net('efficientnet_b0', TINY_EFFICIENTNET | {'survival_probability': 0.5}),
        loss_ratio=0.8,
        each_step=False,
      ),
    ),
    references=(
      Reference(
        'efficientnet_torch', 'efficientnet_b0', Net('efficientnet_b0', REFERENCE_EFFICIENTNET)
      ),
      Reference(
        'efficientnet_torch',
        'efficientnet_b0_imagenet',
        Net('efficientnet_b0_imagenet', REFERENCE_EFFICIENTNET),
      ),
    ),
    slow=tuple(
      name
      for name in exact_counts.EFFICIENTNET
      if name not in ('efficientnet_b0', 'efficientnet_b2', 'efficientnet_b3_imagenet')
    ),
  ),
  'speed_net': Row(
    exact_counts.SPEED_NET,
    small=(Net('speed_net_30_4_8'),),
    trainings=(Training(Net('speed_net_30_4_8'), rate=2.0, image_size=12),),
    references=references('speed_net_torch', 'speed_net_30_4_8'),
  ),
}
