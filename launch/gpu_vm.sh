#!/usr/bin/env bash
# Starts a run on one machine with NVIDIA GPUs, in any cloud or under a desk, over ssh.
#
#   launch/gpu_vm.sh [--dry-run] [--python python3.11] HOST -- ARGUMENTS
#
# HOST is a name that ssh understands. It needs the NVIDIA driver, Python and systemd. ARGUMENTS are
# those of `python -m cifar_jax.main`. The last commit is copied to ~/cifar_jax on HOST.
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/checks.bash

dry_run='' python=python3.11 host=''
while (($#)); do
  case $1 in
    --dry-run) dry_run=yes; shift ;;
    --python) python=${2:?}; shift 2 ;;
    --) shift; break ;;
    -*) fail "unknown argument $1" ;;
    *) host=$1; shift ;;
  esac
done
[[ $host ]] || fail 'give HOST -- ARGUMENTS'
check_python "$python"
check_arguments "$@"

copy="$check_copy; mkdir -p cifar_jax && tar -x -C cifar_jax"
start="cifar_jax/launch/service.sh --extra cuda13 --python $python -- $(shell_words "$@")"
printf 'git archive HEAD | ' && show ssh "$host" "$copy"
show ssh "$host" "$start"
[[ $dry_run ]] && exit
git archive HEAD | ssh "$host" "$copy"
# shellcheck disable=SC2029 # expanded here on purpose: the words are quoted for the host
ssh "$host" "$start"
