#!/usr/bin/env bash
# A run on a Cloud TPU slice of several hosts: each runs the same command, and JAX finds the others.
#
#   launch/tpu_pod.sh [--dry-run] --nfs SERVER:/EXPORT --project P --zone Z --name N --type T
#     --version V [--spot] [--python python3.11] -- ARGUMENTS
#
# As launch/tpu_vm.sh, and the export is mounted at ~/shared of each host: workdir and data belong
# there, so that a checkpoint is one and the data are prepared once. ARGUMENTS therefore have
# --workdir and --config.data.data_dir below ../shared (they count from ~/cifar_jax).
set -euo pipefail
[[ " $* " == *' --nfs '* ]] || { echo "$0: --nfs is missing" >&2; exit 2; }
[[ " $* " == *' -- '* ]] || { echo "$0: give the arguments of cifar_jax.main after --" >&2; exit 2; }
exec "$(dirname "$0")/tpu_vm.sh" --hosts all "$@" --coordinator auto
