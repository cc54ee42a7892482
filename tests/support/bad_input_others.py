"""Cases of bad input to `evaluate`, `models` and `convert`, in the form of `bad_input.py`."""

from tests.support.bad_input import Case

EVALUATE: dict[str, Case] = {
  'no arguments': ([], ['--workdir']),
  'a missing workdir': (['--workdir', 'nowhere'], ['nowhere', 'no run']),
  'a file as workdir': (['--workdir', 'FILE'], ['FILE']),
  'no checkpoint': (['--workdir', 'RUN'], ['RUN', 'no checkpoint']),
  'only empty checkpoints': (['--workdir', 'CVOID'], ['intact']),
  'checkpoints are a file': (['--workdir', 'CFILE'], ['checkpoint']),
  'a workdir in a bucket': (['--workdir', 'gs://bucket/run'], ['gs://bucket/run', 'this machine']),
  'predictions in a bucket': (['--predictions', 'gs://b/x.npz'], ['gs://b/x.npz', 'this machine']),
  'unknown split': (['--workdir', 'RUN', '--split', 'val'], ['val', 'validation']),
  'unknown checkpoint': (['--workdir', 'RUN', '--checkpoint', 'first'], ['first', 'best']),
  'unknown flag': (['--workdir', 'RUN', '--splt=test'], ['--splt']),
  'misspelt section': (['--workdir', 'RUN', '--config.modl.name=x'], ['modl', 'model']),
  'another seed': (['--workdir', 'RUN', '--config.data.seed=3'], ['data.seed was 0 and is now 3']),
  'torn config': (['--workdir', 'TORN'], ['config.json']),
  'empty config': (['--workdir', 'VOID'], ['config.json']),
  'a list for a config': (['--workdir', 'LIST'], ['config.json']),
  'a config of a version with more keys': (['--workdir', 'NEWER'], ['lookahead']),
  'a config of a version with fewer sections': (['--workdir', 'FEWER'], ['config.json']),
  'a config with wrong types': (['--workdir', 'WTYPES'], ['config.json']),
}

MODELS: dict[str, Case] = {
  'unknown family': (['--family', 'resnt'], ['resnt', 'resnet']),
  'unknown sort': (['--sort', 'size'], ['size']),
  'unknown data set': (['--dataset', 'mnist'], ['mnist']),
  'unknown flag': (['--familiy=resnet'], ['--familiy']),
  'a stray word': (['resnet20', 'stray'], ['stray']),
  'an unknown model': (['resnt20'], ['resnt20', 'resnet20']),
  'a model with an option of the table': (['resnet20', '--sort', 'error'], ['resnet20']),
  'a model with a data set': (['resnet20', '--dataset', 'cifar100'], ['resnet20']),
  'json without a name': (['--json'], ['--json']),
  'json in no folder': (
    ['--family', 'alexnet', '--json', 'nowhere/table.json'],
    ['nowhere'],
  ),
  'json over a directory': (['--family', 'alexnet', '--json', 'OTHER'], ['OTHER']),
  'json below a file': (['--family', 'alexnet', '--json', 'FILE/table.json'], ['FILE']),
  'plot in no folder': (['--family', 'resnet', '--plot', 'nowhere/table.png'], ['nowhere']),
  'plot of an unknown format': (['--family', 'resnet', '--plot', 'table.jpgg'], ['table.jpgg']),
}


def converting(file: str, *more: str) -> list[str]:
  """The arguments of `convert` for a file."""
  return [file, '--model', 'resnet20', '--out', 'o', *more]


CONVERT: dict[str, Case] = {
  'no arguments': ([], ['FILE_OR_WORKDIR']),
  'no --model': (['A.safetensors', '--out', 'o'], ['--model']),
  'no --out': (['A.safetensors', '--model', 'resnet20'], ['--out']),
  'a missing file': (converting('no.safetensors'), ['no.safetensors']),
  'a directory': (converting('OTHER'), ['OTHER']),
  'a directory that is no run': (['OTHER', '--out', 'o'], ['OTHER', 'holds no run']),
  'a file that no PyTorch wrote': (converting('P.pth'), ['P.pth', 'safetensors.torch.save_file']),
  'a checkpoint of a file': (
    converting('A.safetensors', '--checkpoint', 'best'), ['A.safetensors', 'is no run'],
  ),
  'a model of a run': (converting('RUN'), ['RUN', 'leave out --model']),
  'an empty file': (converting('E.safetensors'), ['E.safetensors']),
  'a cut file': (converting('C.safetensors'), ['C.safetensors']),
  'a huge header': (converting('H.safetensors'), ['H.safetensors']),
  'a pickle': (converting('P.safetensors'), ['P.safetensors']),
  'arrays of another model': (converting('A.safetensors'), ['not of this model']),
  'unknown model': (['A.safetensors', '--model', 'resnt20', '--out', 'o'], ['resnt20']),
  'unknown field': (converting('A.safetensors', '--fields', 'depht=3'), ['depht']),
  'mistyped field': (converting('A.safetensors', '--fields', 'num_classes=ten'), ['ten']),
  'no classes': (converting('A.safetensors', '--fields', 'num_classes=0'), ['0']),
  'unknown rules': (converting('A.safetensors', '--rules', 'timm'), ['timm']),
  'rules of other models': (
    ['A.safetensors', '--model', 'vgg16', '--rules', 'nobody', '--out', 'o'], ['nobody'],
  ),
}  # fmt: skip
