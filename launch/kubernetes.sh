#!/usr/bin/env bash
# Starts a run on Kubernetes with GPUs: a JobSet with one pod per host.
#
#   launch/kubernetes.sh [--dry-run] --image IMAGE --claim CLAIM --hosts N --gpus PER_HOST
#     [--name cifar-jax] -- ARGUMENTS
#
# IMAGE was built by launch/container.sh and pushed to where the cluster finds it. CLAIM is a
# PersistentVolumeClaim that all pods can write (ReadWriteMany), as user and group 1000. It is mounted
# as /runs in them: --workdir and --config.data.data_dir must be below /runs. ARGUMENTS are those of
# `python -m cifar_jax.main`.
set -euo pipefail
cd "$(dirname "$0")"
. ./checks.bash

dry_run='' image='' claim='' hosts='' gpus='' name=cifar-jax
while (($#)); do
  case $1 in
    --dry-run) dry_run=yes; shift ;;
    --image | --claim | --hosts | --gpus | --name) printf -v "${1#--}" %s "${2:?}"; shift 2 ;;
    --) shift; break ;;
    *) fail "unknown argument $1" ;;
  esac
done
for needed in image claim hosts gpus; do
  [[ ${!needed} ]] || fail "--$needed is missing"
done
check_image "$image"
check_form --claim "$claim" '[a-z0-9]([a-z0-9.-]*[a-z0-9])?' 'the name of a claim'
check_form --name "$name" '[a-z]([a-z0-9-]{0,40}[a-z0-9])?' 'small letters, digits and -'
check_number --hosts "$hosts"
check_number --gpus "$gpus"
check_arguments "$@"

# The pods' names are known beforehand. JAX's detection would ask the cluster for them, and the pods
# would need rights to do so.
set -- "$@" --coordinator "$name-host-0-0.$name:8476" --num_processes "$hosts"
arguments=''
for word; do
  word=${word//\\/\\\\} word=${word//\"/\\\"}
  word=${word//\$/\$\$}  # Kubernetes expands $(NAME), and makes one $ of two
  arguments+=", \"$word\""
done
manifest=$(< jobset.yaml)
manifest=${manifest//@NAME/"$name"} manifest=${manifest//@IMAGE/"$image"}
manifest=${manifest//@HOSTS/"$hosts"} manifest=${manifest//@GPUS/"$gpus"}
manifest=${manifest//@CLAIM/"$claim"} manifest=${manifest//@ARGUMENTS/"[${arguments:2}]"}

printf "kubectl apply --filename - <<'END'\n%s\nEND\n" "$manifest"
[[ $dry_run ]] || kubectl apply --filename - <<< "$manifest"
echo "# to follow the run: kubectl logs --follow --selector jobset.sigs.k8s.io/jobset-name=$name"
