"""The exact number of trainable parameters of every registered model.

A count is a pair for 10 and 100 classes; one number for 1000 classes (ImageNet forms), or for 10
where no source has a count for 100. The counts are computed layer by layer from the papers'
tables: those of the ResNet families by `tests/support/layer_counts.py`, the others in the test file
of their family. Where imgclsmob, torchvision or the authors publish a count, it is the same.
"""

from tests.support.family_row import Count
from tests.support.layer_counts import (
  CIFAR_STEM,
  IMAGENET_STEM,
  dense,
  norm,
  resnet_of_four_stages,
  squeeze_excitation,
  wide_resnet,
)

RESNET: dict[str, Count] = {
  'plain20': 269_722,  # the same as its residual net's: option A has no parameters
  'plain32': 464_154,
  'plain44': 658_586,
  'plain56': 853_018,
  'plain18': resnet_of_four_stages(18, False, CIFAR_STEM, dense(512, 10), plain=True),
  'plain34': resnet_of_four_stages(34, False, CIFAR_STEM, dense(512, 10), plain=True),
  'plain18_imagenet': resnet_of_four_stages(18, False, IMAGENET_STEM, dense(512, 1000), plain=True),
  'plain34_imagenet': resnet_of_four_stages(34, False, IMAGENET_STEM, dense(512, 1000), plain=True),
  'resnet20': (269_722, 275_572),
  'resnet32': (464_154, 470_004),
  'resnet44': (658_586, 664_436),
  'resnet56': (853_018, 858_868),
  'resnet110': (1_727_962, 1_733_812),
  'resnet110_stochastic_depth': (1_727_962, 1_733_812),
  'resnet1202': (19_421_274, 19_427_124),
  'resnet1202_stochastic_depth': (19_421_274, 19_427_124),
  'resnet164': (1_704_154, 1_727_284),
  'resnet1001': 10_328_602,
  'resnet18': 11_173_962,
  'resnet34': resnet_of_four_stages(34, False, CIFAR_STEM, dense(512, 10)),
  'resnet50': resnet_of_four_stages(50, True, CIFAR_STEM, dense(2048, 10)),
  'resnet101': resnet_of_four_stages(101, True, CIFAR_STEM, dense(2048, 10)),
  'resnet152': resnet_of_four_stages(152, True, CIFAR_STEM, dense(2048, 10)),
  'resnet18_imagenet': 11_689_512,
  'resnet34_imagenet': 21_797_672,
  'resnet50_imagenet': 25_557_032,
  'resnet101_imagenet': 44_549_160,
  'resnet152_imagenet': 60_192_808,
  # 7x7 stem with a bias, 512-128-10 at the end.
  'resnet34_homework': resnet_of_four_stages(
    34, False, IMAGENET_STEM + 64, dense(512, 128) + dense(128, 10)
  ),
  'se_resnet20': 274_847,
  'se_resnet110': 1_744_952,
}
PREACT_RESNET: dict[str, Count] = {
  'preact_resnet110': (1_730_522, 1_736_372),
  'preact_resnet164': (1_703_258, 1_726_388),
  'preact_resnet1001': (10_327_706, 10_350_836),
  # Figure 4: (a), (c) and (d) normalise after each convolution, so that they have the count of
  # their ResNet with projections (option B). (b) normalises after the addition instead, and not
  # after a projection.
  'preact_resnet110_order_a': 1_730_714,
  'preact_resnet110_order_b': 1_730_714 - norm(32) - norm(64),
  'preact_resnet110_order_c': 1_730_714,
  'preact_resnet110_order_d': 1_730_714,
  'preact_resnet164_order_a': 1_704_154,
  'preact_resnet164_order_b': 1_704_154 - norm(64) - norm(128) - norm(256),
  'preact_resnet164_order_c': 1_704_154,
  'preact_resnet164_order_d': 1_704_154,
}
WIDE_RESNET: dict[str, Count] = {
  **{
    f'wrn_{depth}_{k}': wide_resnet(depth, k)
    for depth in (16, 22, 28, 40)
    for k in (1, 2, 4, 8, 10, 12)
  },
  'wrn_16_4': (2_748_890, 2_772_020),
  'wrn_16_8': (10_961_370, 11_007_540),
  'wrn_16_10': (17_116_634, 17_174_324),
  'wrn_22_8': (17_158_106, 17_204_276),
  'wrn_28_10': (36_479_194, 36_536_884),
  'wrn_28_12': (52_517_850, 52_587_060),
  'wrn_40_1': (563_930, 569_780),
  'wrn_40_2': (2_243_546, 2_255_156),
  'wrn_40_4': (8_949_210, 8_972_340),
  'wrn_40_8': (35_748_314, 35_794_484),
  'wrn_40_10': (55_841_754, 55_899_444),
  # Table 2 prints 1.4, 1.2, 1.3 and 1.3 million for these; and 1.5 for the last, which no way of
  # counting its layers gives.
  'wrn_40_2_b131': wide_resnet(40, 2, (1, 3, 1)),
  'wrn_40_2_b31': wide_resnet(40, 2, (3, 1)),
  'wrn_40_2_b13': wide_resnet(40, 2, (1, 3)),
  'wrn_40_2_b311': wide_resnet(40, 2, (3, 1, 1)),
  'wrn_22_2_b313': wide_resnet(22, 2, (3, 1, 3)),
  'se_wrn_16_8': wide_resnet(16, 8, reduction=16),
  'se_wrn_28_10': wide_resnet(28, 10, reduction=16),
}
_RESNEXT_SE = 3 * sum(squeeze_excitation(features) for features in (256, 512, 1024))
RESNEXT: dict[str, Count] = {
  'resnext_29_4x64d': (17_562_442, 17_654_692),
  'resnext_29_8x64d': (34_426_698, 34_518_948),
  'resnext_29_16x64d': (68_155_210, 68_247_460),
  'resnext_29_32x4d': (4_775_754, 4_868_004),
  'se_resnext_29_8x64d': 34_426_698 + _RESNEXT_SE,
  'se_resnext_29_32x4d': 4_775_754 + _RESNEXT_SE,
}
# bearpaw's models/cifar/alexnet.py; two towers as in figure 2; torchvision's.
ALEXNET: dict[str, Count] = {
  'alexnet': (2_472_266, 2_495_396),
  'alexnet_imagenet': 60_965_224,
  'alexnet_one_tower_imagenet': 61_100_840,
}
# Those of A, B, D and E for ImageNet are torchvision's.
VGG: dict[str, Count] = {
  'vgg11': (9_225_610, 9_271_780),
  'vgg11_lrn': (9_225_610, 9_271_780),
  'vgg13': (9_410_122, 9_456_292),
  'vgg16_c': (10_001_226, 10_047_396),
  'vgg16': (14_719_818, 14_765_988),
  'vgg19': (20_029_514, 20_075_684),
  'vgg11_bn': (9_231_114, 9_277_284),
  'vgg11_lrn_bn': (9_231_114, 9_277_284),
  'vgg13_bn': (9_416_010, 9_462_180),
  'vgg16_c_bn': (10_009_674, 10_055_844),
  'vgg16_bn': (14_728_266, 14_774_436),
  'vgg19_bn': (20_040_522, 20_086_692),
  'vgg11_imagenet': 132_863_336,
  'vgg11_lrn_imagenet': 132_863_336,
  'vgg13_imagenet': 133_047_848,
  'vgg16_c_imagenet': 133_638_952,
  'vgg16_imagenet': 138_357_544,
  'vgg19_imagenet': 143_667_240,
  'vgg11_bn_imagenet': 132_868_840,
  'vgg11_lrn_bn_imagenet': 132_868_840,
  'vgg13_bn_imagenet': 133_053_736,
  'vgg16_c_bn_imagenet': 133_647_400,
  'vgg16_bn_imagenet': 138_365_992,
  'vgg19_bn_imagenet': 143_678_248,
}
GOOGLENET: dict[str, Count] = {
  'googlenet': (6_158_346, 6_250_596),
  'googlenet_imagenet': 6_624_904,
}
DENSENET: dict[str, Count] = {
  'densenet_40_12': (1_019_722, 1_060_132),
  'densenet_100_12': (6_979_642, 7_084_852),
  'densenet_100_24': (27_249_082, 27_457_972),
  'densenet_bc_100_12': (769_162, 800_032),
  'densenet_bc_250_24': (15_324_406, 15_480_556),
  'densenet_bc_190_40': (25_624_430, 25_821_620),
  'densenet_bc_40_36': (1_542_682, 1_578_412),
  'densenet_bc_40_48': (2_733_130, 2_780_740),  # 2.7M printed in the authors' README
  'densenet_bc_40_60': (4_261_690, 4_321_180),  # 4.3M
}
# The first is imgclsmob's count, too. The paper's table 1 prints 38.6M for it, 4.9M more than the
# layers have that its text and the authors' generator describe. The others are as in its table 3.
FRACTALNET: dict[str, Count] = {
  'fractalnet20': (33_724_618, 33_770_788),
  'fractalnet5_w16': (246_682, 258_292),
  'fractalnet10_w16': (836_106, 847_716),
  'fractalnet20_w16': (2_113_594, 2_125_204),
  'fractalnet40_w16': (4_767_210, 4_778_820),
  'fractalnet80_w16': (10_173_082, 10_184_692),
  'fractalnet160_w16': (21_083_466, 21_095_076),
}
# As the authors' code builds the nets.
PYRAMIDNET: dict[str, Count] = {
  'pyramidnet110_mul_4.75': (1_762_206, 1_769_136),
  'pyramidnet110_a48': (1_772_706, 1_778_556),
  'pyramidnet110_a48_short': (1_558_881, 1_564_461),
  'pyramidnet110_mul_8': (3_876_547, 3_888_157),
  'pyramidnet110_a84': (3_904_446, 3_913_536),
  'pyramidnet110_mul_27': (28_361_693, 28_400_663),
  'pyramidnet110_a270': (28_485_477, 28_511_307),
  'pyramidnet164_a48_bottleneck': (1_715_442, 1_738_572),
  'pyramidnet164_a84_bottleneck': (3_757_494, 3_793_584),
  'pyramidnet164_a270_bottleneck': (27_216_021, 27_319_071),
  'pyramidnet200_a240_bottleneck': (26_752_702, 26_844_952),
  'pyramidnet236_a220_bottleneck': (26_969_046, 27_054_096),
  'pyramidnet272_a200_bottleneck': (26_210_842, 26_288_692),
}
# Counted from the author's Lua code.
SHAKE_SHAKE: dict[str, Count] = {
  'shake_shake_26_2x32d': (2_923_162, 2_934_772),
  'shake_shake_26_2x64d': (11_653_978, 11_677_108),
  'shake_shake_26_2x96d': (26_192_922, 26_227_572),
  'shake_shake_26_2x112d': (35_640_442, 35_680_852),
}
SHAKE_RESNEXT: dict[str, Count] = {'shake_shake_resnext_29_2x4x64d': (34_437_450, 34_529_700)}
DEFORMABLE: dict[str, Count] = {  # with v1's offsets
  'deformable_resnet20': (326_854, 332_704),
  'deformable_resnet56': (1_034_782, 1_040_632),
  'deformable_resnet110': (2_096_674, 2_102_524),
}
# The published counts with 1000 classes, and the inputs of the last layer.
_EFFICIENTNETS = (
  *((5_288_548, 1280), (7_794_184, 1280), (9_109_994, 1408), (12_233_232, 1536)),
  *((19_341_616, 1792), (30_389_784, 2048), (43_040_704, 2304), (66_347_960, 2560)),
)
EFFICIENTNET: dict[str, Count] = {
  **{f'efficientnet_b{i}_imagenet': count for i, (count, _) in enumerate(_EFFICIENTNETS)},
  **{
    f'efficientnet_b{i}': (count - dense(inputs, 990), count - dense(inputs, 900))
    for i, (count, inputs) in enumerate(_EFFICIENTNETS)
  },
}
SPEED_NET: dict[str, Count] = {
  'speed_net_64_256_256': (1_971_352, 1_994_392),
  'speed_net_128_384_384': (4_604_440, 4_639_000),
}
