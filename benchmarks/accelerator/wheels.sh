#!/usr/bin/env bash
# Downloads the pure wheels that a machine with JAX and PyTorch, but without a network, still needs.
#
#   benchmarks/accelerator/wheels.sh PYTHON FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."

versions=$(grep -E '^(clu|ml-collections|tensorboardx)==' constraints/py3.12.txt)
# shellcheck disable=SC2086 # one word for each package
"${1:?}" -m pip download --quiet --no-deps --only-binary=:all: --dest "${2:?}" $versions
