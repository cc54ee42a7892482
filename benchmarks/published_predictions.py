"""Evaluates the published predictions of 30 models, and compares the errors with the paper's.

  python -m benchmarks.published_predictions FILE.npz --config.data.data_dir=DIR

FILE.npz holds the class that each model predicted for each of CIFAR-10's test images, an integer
array under the model's name, as published with Recht et al. 2018
(github.com/modestyachts/CIFAR-10.1, `model_predictions/original_predictions`). Exits with 1 unless
each error, rounded as the paper rounds, is the paper's. Writes
`results/published_predictions.json`.
"""

import argparse
import sys

from benchmarks import result_file
from cifar_jax.evaluation import scorecard
from cifar_jax.evaluation.predictions import check_predictions, read_predictions
from cifar_jax.evaluation.sources import load_ground_truth

RESULT = result_file.FOLDER / 'published_predictions.json'

# Accuracies on the original test set, in percent: Recht et al. 2018, arXiv 1806.00451, Table 1,
# under the names of the published files.
PUBLISHED = {
  'shake_shake_26_2x64d_SSI_cutout16': '97.1',
  'shake_shake_26_2x96d_SSI': '97.1',
  'shake_shake_26_2x64d_SSI': '97.0',
  'wrn_28_10_cutout16': '97.0',
  'shake_drop': '96.9',
  'shake_shake_26_2x32d_SSI': '96.6',
  'darc': '96.6',
  'resnext_29_4x64d': '96.4',
  'pyramidnet_basic_110_270': '96.3',
  'resnext_29_8x64d': '96.2',
  'wrn_28_10': '95.9',
  'pyramidnet_basic_110_84': '95.7',
  'densenet_BC_100_12': '95.5',
  'nas': '95.4',
  'wide_resnet_tf': '95.0',
  'resnet_preact_bottleneck_164': '94.2',
  'vgg16_keras': '93.6',
  'resnet_basic_110': '93.5',
  'resnet_preact_basic_110': '93.4',
  'resnet_basic_56': '93.3',
  'resnet_basic_44': '93.0',
  'vgg_15_BN_64': '93.0',
  'resnetv2_tf': '92.7',
  'resnet_basic_32': '92.5',
  'cudaconvnet': '88.5',
  'random_features_256k_aug': '85.6',
  'random_features_32k_aug': '85.0',
  'random_features_256k_no_aug': '84.2',
  'random_features_32k_no_aug': '83.3',
  'alexnet_tf_ben': '82.0',
}


def main() -> None:
  """Evaluates each model, and compares its error with the published one."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('file', metavar='FILE.npz')
  arguments, overrides = parser.parse_known_args()
  placeholders = {word: '--config.data.data_dir=DIR' for word in overrides}
  origin = result_file.origin('published_predictions', placeholders | {arguments.file: 'FILE.npz'})
  models, _ = read_predictions(arguments.file)
  truth = load_ground_truth('test', overrides)
  rows = []
  for model in models:
    check_predictions(model, truth)
    card = scorecard.compute(model, truth)
    accuracy = f'{100 * card["accuracy"]:.1f}'
    rows.append(
      {'name': model.name, 'num_images': card['num_images']}
      | {'num_wrong': card['num_images'] - card['num_correct']}
      | {'error_percent': round(card['error_percent'], 2)}
      | {'published_error_percent': round(100 - float(PUBLISHED[model.name]), 1)}
      | {'equal': accuracy == PUBLISHED[model.name]}
    )
    result_file.print_row(rows[-1])
  rows.sort(key=lambda row: row['error_percent'])
  equal = sum(row['equal'] for row in rows)
  print(f'{equal} of {len(PUBLISHED)} equal')
  data = 'the official labels of the 10,000 test images'
  result_file.write(RESULT, origin | {'data': data, 'num_equal': equal, 'rows': rows})
  sys.exit(equal != len(PUBLISHED) or {row['name'] for row in rows} != PUBLISHED.keys())


if __name__ == '__main__':
  main()
