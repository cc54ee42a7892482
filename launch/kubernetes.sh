#!/usr/bin/env bash
# Starts a run on Kubernetes with GPUs: a JobSet with one pod per host.
#
#   launch/kubernetes.sh [--dry-run] --image IMAGE --claim CLAIM --hosts N --gpus PER_HOST
#     [--name cifar-jax] -- ARGUMENTS
#
# IMAGE was built by launch/container.sh and pushed to where the cluster finds it. CLAIM is a
# PersistentVolumeClaim that all pods can write (ReadWriteMany). It is mounted as /runs in them:
# --workdir and --config.data.data_dir must be below /runs. ARGUMENTS are those of
# `python -m cifar_jax.main`.
set -euo pipefail
cd "$(dirname "$0")"

dry_run='' image='' claim='' hosts='' gpus='' name=cifar-jax
while (($#)); do
  case $1 in
    --dry-run) dry_run=yes; shift ;;
    --image | --claim | --hosts | --gpus | --name) printf -v "${1#--}" %s "${2:?}"; shift 2 ;;
    --) shift; break ;;
    *) echo "$0: unknown argument $1" >&2; exit 2 ;;
  esac
done
for needed in image claim hosts gpus; do
  [[ ${!needed} ]] || { echo "$0: --$needed is missing" >&2; exit 2; }
done
(($#)) || { echo "$0: give the arguments of cifar_jax.main after --" >&2; exit 2; }

# The pods' names are known beforehand. JAX's detection would ask the cluster for them, and the pods
# would need rights to do so.
set -- "$@" --coordinator "$name-host-0-0.$name:8476" --num_processes "$hosts"
arguments=''
for word; do
  word=${word//\\/\\\\} word=${word//\"/\\\"}
  word=${word//\$(/\$\$(}  # Kubernetes would expand $(NAME)
  arguments+=", \"$word\""
done
manifest=$(< jobset.yaml)
manifest=${manifest//@NAME/"$name"} manifest=${manifest//@IMAGE/"$image"}
manifest=${manifest//@HOSTS/"$hosts"} manifest=${manifest//@GPUS/"$gpus"}
manifest=${manifest//@CLAIM/"$claim"} manifest=${manifest//@ARGUMENTS/"[${arguments:2}]"}

printf 'kubectl apply --filename - <<END\n%s\nEND\n' "$manifest"
[[ $dry_run ]] || kubectl apply --filename - <<< "$manifest"
echo "# to follow the run: kubectl logs --follow --selector jobset.sigs.k8s.io/jobset-name=$name"
