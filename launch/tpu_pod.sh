#!/usr/bin/env bash
# Starts a run on a Cloud TPU slice: all hosts run the same command, and JAX connects them.
#
#   launch/tpu_pod.sh [--dry-run] --nfs SERVER:/EXPORT --project P --zone Z --name N --type T
#     --version V [--spot] [--python python3.11] -- ARGUMENTS
#
# The options are those of launch/tpu_vm.sh, and --nfs. The export is mounted at ~/shared on each
# host, for workdir and data, so that all hosts write one checkpoint and the data are prepared once.
# In ARGUMENTS, --workdir and --config.data.data_dir must be below ../shared (relative to
# ~/cifar_jax).
set -euo pipefail
exec "$(dirname "$0")/tpu_vm.sh" --hosts all "$@"
