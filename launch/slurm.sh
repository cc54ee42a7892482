#!/usr/bin/env bash
# A run on a Slurm cluster: one process for each GPU, which JAX joins by Slurm's own variables.
#
#   launch/slurm.sh [--dry-run] --nodes N --gpus PER_NODE [--time 24:00:00] [--partition P]
#     [--account A] [--python .venv/bin/python] -- ARGUMENTS
#
# ARGUMENTS are those of `python -m cifar_jax.main`; --workdir is on a disk that all nodes see. To
# be called in the checkout, on such a disk too. The job is requeued when its time is over, when it
# is preempted, when a node fails and when a process is lost, and goes on from its checkpoint.
set -euo pipefail
cd "$(dirname "$0")/.."

dry_run='' nodes='' gpus='' time=24:00:00 python=.venv/bin/python options=()
while (($#)); do
  case $1 in
    --dry-run) dry_run=yes; shift ;;
    --nodes | --gpus | --time | --python) printf -v "${1#--}" %s "${2:?}"; shift 2 ;;
    --partition | --account) options+=("$1=${2:?}"); shift 2 ;;
    --) shift; break ;;
    *) echo "$0: unknown argument $1" >&2; exit 2 ;;
  esac
done
[[ $nodes && $gpus ]] || { echo "$0: give --nodes and --gpus" >&2; exit 2; }
(($#)) || { echo "$0: give the arguments of cifar_jax.main after --" >&2; exit 2; }

# All GPUs of a node are visible to all its processes, and JAX takes one each: --gpus-per-task would
# hide the others and with them their numbers. 1, 2 and 3 are answers to a person (README.md).
script="#!/usr/bin/env bash
srun --kill-on-bad-exit=1 $(printf '%q ' "$python" -m cifar_jax.main "$@")
status=\$?
case \$status in
  0 | 1 | 2 | 3) exit \$status ;;
  *) scontrol requeue \$SLURM_JOB_ID ;;
esac"
# SIGTERM 90 s before the time is over leaves time to save.
submit=(sbatch --job-name=cifar_jax "--nodes=$nodes" "--ntasks-per-node=$gpus"
  "--gpus-per-node=$gpus" "--time=$time" --signal=TERM@90 --requeue --open-mode=append "${options[@]}")
printf '%q ' "${submit[@]}" && printf '<<END\n%s\nEND\n' "$script"
[[ $dry_run ]] || "${submit[@]}" <<< "$script"
