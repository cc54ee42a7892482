"""`python -m cifar_jax.models` lists the models with their exact parameter counts."""

from cifar_jax import models


def main() -> None:
  """Prints a line for each registered model: its name and counts on CIFAR-10 and CIFAR-100."""
  print(f'{"model":32}{"parameters, 10 classes":>24}{"100 classes":>16}')
  for name in models.NAMES:
    params = models.abstract_variables(models.create(name))['params']
    ten = models.count(params)
    hundred = ten + 90 * (params['head']['kernel'].shape[0] + 1)  # weights and a bias a class
    print(f'{name:32}{ten:24,}{hundred:16,}')
  print('\nOther names within these grammars work too:')
  for family in models.FAMILIES:
    print(f'  {family.GRAMMAR}')


if __name__ == '__main__':
  main()
