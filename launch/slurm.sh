#!/usr/bin/env bash
# Submits a run to a Slurm cluster: one process per GPU, which JAX connects by Slurm's variables.
#
#   launch/slurm.sh [--dry-run] --nodes N --gpus PER_NODE [--time 24:00:00] [--partition P]
#     [--account A] [--python .venv/bin/python] -- ARGUMENTS
#
# ARGUMENTS are those of `python -m cifar_jax.main`. --workdir must be on a disk that all nodes see,
# and so must the checkout, in which to call this script. The job is requeued when its time is over,
# when it is preempted, when a node fails and when a process is lost. It resumes from its checkpoint.
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/checks.bash

dry_run='' nodes='' gpus='' time=24:00:00 python=.venv/bin/python options=()
while (($#)); do
  case $1 in
    --dry-run) dry_run=yes; shift ;;
    --nodes | --gpus | --time | --python) printf -v "${1#--}" %s "${2:?}"; shift 2 ;;
    --partition | --account) options+=("$1=${2:?}"); shift 2 ;;
    --) shift; break ;;
    *) fail "unknown argument $1" ;;
  esac
done
[[ $nodes && $gpus ]] || fail 'give --nodes and --gpus'
check_number --nodes "$nodes"
check_number --gpus "$gpus"
check_words "$python"
check_arguments "$@"

# All processes of a node see all its GPUs, and JAX gives each process the GPU of its local number.
# --gpus-per-task would hide the other GPUs and change the numbers.
#
# `most` is how often the job may have been requeued before. A person must act on statuses 1, 2 and 3
# (docs/training.md). A long run saves and stops at a signal many times. Any other failure soon after
# the start would come again, unless it is a lost process.
script="#!/usr/bin/env bash
srun --kill-on-bad-exit=1 $(shell_words "$python" -m cifar_jax.main "$@")
status=\$?
case \$status in
  0 | 1 | 2 | 3) most=0 ;;
  129 | 130 | 143) most=1000 ;;
  4 | 134) most=\$((SECONDS < 600 ? 5 : 100)) ;;
  *) most=\$((SECONDS < 600 ? 0 : 100)) ;;
esac
((\${SLURM_RESTART_COUNT:-0} < most)) || exit \$status
scontrol requeue \$SLURM_JOB_ID"
# SIGTERM comes 90 s before the time is over, so that the run can save.
submit=(sbatch --job-name=cifar_jax "--nodes=$nodes" "--ntasks-per-node=$gpus"
  "--gpus-per-node=$gpus" "--time=$time" --signal=TERM@90 --requeue --open-mode=append "${options[@]}")
printf "%s <<'END'\n%s\nEND\n" "$(shell_words "${submit[@]}")" "$script"
[[ $dry_run ]] || "${submit[@]}" <<< "$script"
