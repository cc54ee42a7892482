#!/usr/bin/env bash
# Runs a training as a service of this host under systemd, which restarts it when it fails and when
# the host reboots. Call it on the host, in any directory; gpu_vm.sh and tpu_vm.sh do so.
#
#   launch/service.sh [--dry-run] [--extra cuda13] [--python python3.11] -- ARGUMENTS
#
# ARGUMENTS are those of `python -m cifar_jax.main`. Without --extra, JAX runs on the CPU.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/launch/checks.bash"

dry_run='' extra='' python=python3.11
while (($#)); do
  case $1 in
    --dry-run) dry_run=yes; shift ;;
    --extra) extra=${2:?}; shift 2 ;;
    --python) python=${2:?}; shift 2 ;;
    --) shift; break ;;
    *) fail "unknown argument $1" ;;
  esac
done
check_python "$python"
check_extra "$extra"
check_words "$root"
check_arguments "$@"

# Quotes words for systemd, so that it expands no specifier (%) and no variable ($) in them.
quoted() {
  local word
  for word; do
    word=${word//\\/\\\\} word=${word//\"/\\\"} word=${word//%/%%} word=${word//\$/\$\$}
    printf ' "%s"' "$word"
  done
}

export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}  # may be unset in a command of ssh
unit=$HOME/.config/systemd/user/cifar_jax.service
# A person must act on 1, 2 and 3 (docs/training.md). Other failures, such as a lost process, may pass; one
# that comes 20 times in an hour does not.
content="[Unit]
Description=cifar_jax
StartLimitIntervalSec=1h
StartLimitBurst=20

[Service]
WorkingDirectory=${root//%/%%}
ExecStart=$(quoted "$root/.venv/bin/python" -m cifar_jax.main "$@" | cut -c2-)
Restart=on-failure
RestartSec=10
RestartPreventExitStatus=1 2 3
TimeoutStopSec=90

[Install]
WantedBy=default.target"

version=${python#python}
run "$python" -m venv "$root/.venv"
run "$root/.venv/bin/python" -m pip install --quiet --editable "$root${extra:+[$extra]}" \
  --constraint "$root/constraints/py$version.txt"
run mkdir -p "${unit%/*}"
printf "cat > %s <<'END'\n%s\nEND\n" "$(shell_words "$unit")" "$content"
[[ $dry_run ]] || printf '%s\n' "$content" > "$unit"
run loginctl enable-linger
run systemctl --user daemon-reload
run systemctl --user enable cifar_jax
run systemctl --user reset-failed cifar_jax || true  # earlier starts no longer count
run systemctl --user restart cifar_jax
echo '# to follow the run: journalctl --user --unit cifar_jax --follow'
