# What all launch scripts check, and how they quote; they source this file. Words of the command
# line end up in a unit of systemd, in YAML or in a remote shell, where an unchecked one could become
# something else.

fail() {
  echo "$0: $1" >&2
  exit 2
}

# check_form OPTION VALUE PATTERN WORDS: the value matches the whole pattern, which WORDS describe.
check_form() {
  [[ $2 =~ ^($3)$ ]] || fail "$1 is $(printf %q "$2"); it must be $4"
}

check_python() { check_form --python "$1" 'python3\.[0-9]+' 'a name such as python3.11'; }
check_number() { check_form "$1" "$2" '[1-9][0-9]{0,5}' 'a number'; }
check_extra() { check_form --extra "$1" '[a-z]*[0-9]*' 'an extra of pyproject.toml'; }

check_image() {
  check_form --image "$1" '[a-zA-Z0-9][a-zA-Z0-9._:/-]*(@sha256:[0-9a-f]{64})?' \
    'NAME, NAME:TAG or NAME@sha256:DIGEST'
}

check_arguments() {
  (($#)) || fail 'give the arguments of cifar_jax.main after --'
  check_words "$@"
}

# A line end could begin a new directive or a new command. No argument of cifar_jax.main needs one.
check_words() {
  local word
  for word; do
    [[ $word != *[[:cntrl:]]* ]] || fail "$(printf %q "$word") has a control character"
  done
}

# shell_words WORD...: the words as one line that any POSIX shell reads. The %q of printf, as in the
# messages above, has forms of bash alone: $'\303' for a letter that the locale lacks.
shell_words() {
  local word line='' quote="'\''"
  for word; do
    [[ $word =~ ^[a-zA-Z0-9_./:=@%+,-]+$ ]] || word="'${word//"'"/"$quote"}'"
    line+=" $word"
  done
  printf %s "${line:1}"
}

# show WORD...: prints a command.
show() { shell_words "$@" && echo; }

# run WORD...: prints a command and, without --dry-run, runs it.
run() {
  show "$@"
  [[ $dry_run ]] || "$@"
}

# A clone in the place of the copy may have changes that its owner has not committed.
# shellcheck disable=SC2016,SC2034 # for the remote shell, which expands it; used by other scripts
check_copy='if [ -e cifar_jax/.git ]; then echo "cifar_jax there is a clone: move it away" >&2; exit 2; fi'
