#!/usr/bin/env bash
# Runs all stages with --tiny on CPUs, in a new environment like that of a machine without a network.
#
#   benchmarks/accelerator/dry_run.sh ENVIRONMENT DATA OUT [PYTHON [TORCH_PYTHON]]
#
# ENVIRONMENT is a directory for the environment (kept: a second call is quick), DATA holds
# cifar-10-batches-bin, OUT gets the results. PYTHON is Python 3.12 (default: python3.12). The packages
# are those of packages.txt. The ones that such a machine lacks travel as pure wheels, and are unpacked
# beside the code as there. MINUTES (default: 5) is for a slow machine. PyTorch is that of TORCH_PYTHON (default: of ENVIRONMENT, if it has it).
set -euo pipefail
cd "$(dirname "$0")/../.."

environment=${1:?} data=$(realpath "${2:?}") out=$(realpath -m "${3:?}") python=${4:-python3.12}
torch_python=${5:-$environment/bin/python}
wheels=$environment/wheels site=$environment/site
if [[ ! -e $environment/ready ]]; then
  "$python" -m venv "$environment"
  "$environment/bin/python" -m pip install --quiet --no-compile --requirement benchmarks/accelerator/packages.txt
  # Packages that orbax-checkpoint declares, and such a machine lacks all the same.
  "$environment/bin/python" -m pip uninstall --quiet --yes importlib_resources
  benchmarks/accelerator/wheels.sh "$environment/bin/python" "$wheels"
  "$environment/bin/python" -m pip install --quiet --no-index --no-deps --no-compile \
    --target "$site" "$wheels"/*.whl
  touch "$environment/ready"
fi
for name in tensorflow_datasets importlib_resources; do
  if PYTHONPATH=$site "$environment/bin/python" -c "import $name" 2>/dev/null; then
    echo "$name is installed, so this would prove nothing" >&2
    exit 1
  fi
done
"$environment/bin/python" -m pip list --format freeze
JAX_PLATFORMS=cpu PYTHONPATH=$site:$PWD "$environment/bin/python" -m benchmarks.accelerator --tiny \
  --data-dir "$data" --out "$out" --minutes "${MINUTES:-5}" --torch-python "$torch_python"
