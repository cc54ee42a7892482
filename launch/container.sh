#!/usr/bin/env bash
# Builds the image, and starts a run in a container on this machine's GPUs, with Docker.
#
#   launch/container.sh [--dry-run] --image NAME [--extra cuda13] [--runs DIR] [--gpus all]
#     (--build-only | -- ARGUMENTS)
#
# ARGUMENTS are those of `python -m cifar_jax.main`. DIR (by default runs/) is mounted as /runs in
# the container. --workdir and --config.data.data_dir must be below /runs to outlast the container.
# The run has the user and group of the caller, so that its files are the caller's, and no capability
# of root. With --gpus none the run uses the CPU. --build-only builds the image, for example for a cluster.
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/checks.bash

dry_run='' image='' extra=cuda13 runs=runs gpus=all build_only=''
while (($#)); do
  case $1 in
    --dry-run) dry_run=yes; shift ;;
    --build-only) build_only=yes; shift ;;
    --image | --extra | --runs | --gpus) printf -v "${1#--}" %s "${2:?}"; shift 2 ;;
    --) shift; break ;;
    *) fail "unknown argument $1" ;;
  esac
done
[[ $image ]] || fail '--image is missing'
check_image "$image"
check_extra "$extra"
check_form --runs "$runs" '[^:[:cntrl:]]+' 'a folder without a colon in its path'
[[ $build_only ]] || check_arguments "$@"

commit=$(git describe --always --abbrev=12 --dirty=+changes --exclude='*' 2>/dev/null || true)
run docker build --file launch/Containerfile --build-arg "EXTRA=$extra" --build-arg "COMMIT=$commit" \
  --tag "$image" .
[[ $build_only ]] && exit
run mkdir -p "$runs"
devices=()
[[ $gpus == none ]] || devices=(--gpus "$gpus")
# Docker restarts after any status but 0, so at most ten times. When stopped, a run has 90 s to save.
run docker run --detach --name cifar_jax --restart on-failure:10 --stop-timeout 90 \
  --user "$(id -u):$(id -g)" --cap-drop ALL --security-opt no-new-privileges \
  "${devices[@]}" --volume "$(realpath -m "$runs"):/runs" "$image" "$@"
echo '# to follow the run: docker logs --follow cifar_jax'
