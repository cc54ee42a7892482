"""The columns that the table of models can be sorted by."""

# For each its key in a row; `published` is the error on the chosen data set.
SORTS = {
  'parameters': 'num_params',
  'multiply_adds': 'multiply_adds',
  'memory': 'training_bytes',
  'depth': 'depth',
  'error': 'published',
  'name': 'name',
}
