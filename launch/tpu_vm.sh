#!/usr/bin/env bash
# Starts a run on a Cloud TPU VM, and creates the VM if it does not exist.
#
#   launch/tpu_vm.sh [--dry-run] --project P --zone Z --name N --type T --version V
#     [--spot] [--python python3.11] -- ARGUMENTS
#
# T is an accelerator type with one host, such as v5litepod-8. V is its software version, such as
# v2-alpha-tpuv5-lite. ARGUMENTS are those of `python -m cifar_jax.main`. The last commit is copied
# to ~/cifar_jax on the VM. Given again, for example after a preemption, the script resumes the run.
#
# launch/tpu_pod.sh adds --hosts all. All hosts need --nfs SERVER:/EXPORT, which is mounted at ~/shared,
# and get --coordinator auto.
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/checks.bash

dry_run='' project='' zone='' name='' type='' version='' python=python3.11 hosts=0 nfs='' spot=()
while (($#)); do
  case $1 in
    --dry-run) dry_run=yes; shift ;;
    --spot) spot=(--spot); shift ;;
    --project | --zone | --name | --type | --version | --python | --hosts | --nfs)
      printf -v "${1#--}" %s "${2:?}"; shift 2 ;;
    --) shift; break ;;
    *) fail "unknown argument $1" ;;
  esac
done
for needed in project zone name type version; do
  [[ ${!needed} ]] || fail "--$needed is missing"
done
check_python "$python"
[[ ! $nfs ]] || check_form --nfs "$nfs" '[][a-zA-Z0-9.:][][a-zA-Z0-9.:-]*:/[a-zA-Z0-9._/-]*' \
  'SERVER:/EXPORT'
check_form --hosts "$hosts" '0|all' '0 or all'
check_arguments "$@"
if [[ $hosts == all ]]; then
  [[ $nfs ]] || fail '--nfs is missing'
  set -- "$@" --coordinator auto
fi

place=(--project "$project" --zone "$zone")
tpu=(gcloud compute tpus tpu-vm)
show "${tpu[@]}" describe "$name" "${place[@]}"
state=absent
if [[ ! $dry_run ]]; then
  state=$("${tpu[@]}" describe "$name" "${place[@]}" --format 'value(state)') || state=absent
fi
if [[ $state == PREEMPTED ]]; then
  run "${tpu[@]}" delete "$name" "${place[@]}" --quiet
  state=absent
fi
if [[ $state == absent ]]; then
  run "${tpu[@]}" create "$name" "${place[@]}" --accelerator-type "$type" --version "$version" \
    "${spot[@]}"
fi

archive=$(mktemp --suffix .tar)
trap 'rm -f "$archive"' EXIT
show git archive HEAD --output cifar_jax.tar
git archive HEAD --output "$archive"
show "${tpu[@]}" scp cifar_jax.tar "$name:cifar_jax.tar" "${place[@]}" --worker "$hosts"
[[ $dry_run ]] ||
  "${tpu[@]}" scp "$archive" "$name:cifar_jax.tar" "${place[@]}" --worker "$hosts"

# The images of TPU VMs have an older Python.
start="set -e; command -v $python || sudo apt-get install -y $python-venv; "
[[ $nfs ]] && start+="command -v mount.nfs || sudo apt-get install -y nfs-common; \
mkdir -p shared && { mountpoint -q shared || sudo mount -t nfs $nfs shared; }; \
sudo chown \$USER shared; "
start+="$check_copy; mkdir -p cifar_jax && tar -x -C cifar_jax -f cifar_jax.tar; \
cifar_jax/launch/service.sh --extra tpu --python $python -- $(shell_words "$@")"
run "${tpu[@]}" ssh "$name" "${place[@]}" --worker "$hosts" --command "$start"
