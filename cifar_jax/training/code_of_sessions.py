"""The code of all sessions of a run, in their order: commit, files of this package, own net."""

from collections.abc import Mapping
from typing import Any

from cifar_jax.experiment.experiment import Experiment
from cifar_jax.models import own_net
from cifar_jax.runs import provenance
from cifar_jax.runtime import package_code
from cifar_jax.runtime.console import logger

_COMMITS = 'commits'  # key of the `run_info` in a checkpoint
# By the keys of a result those of the `run_info`.
_KEYS = {provenance.CODE: provenance.CODES, own_net.KEY: own_net.KEY_OF_SESSIONS}


def note(run_info: dict[str, Any], experiment: Experiment, commit: str | None) -> None:
  """Adds this session's code to that of the earlier ones, where it is not that of the last one.

  Args:
    run_info: what the checkpoints of the session will say of the run; it is changed.
    experiment: what is trained.
    commit: the commit that this session runs; None if it is not known.
  """
  if package_code.is_edited():
    logger.warning(
      'files of this package have changed since this process imported it: restart it to be sure '
      'which code runs'
    )
  code, net = package_code.digest(), own_net.describe(experiment.own_net)
  now = {_COMMITS: commit, provenance.CODES: code, own_net.KEY_OF_SESSIONS: net}
  for key, value in now.items():
    values = run_info.setdefault(key, [])
    if value != '' and values[-1:] != [value]:  # only a net of the user's own has a description
      values.append(value)


def in_result(run_info: Mapping[str, Any]) -> dict[str, str | None]:
  """What the result of a run says of its code: `commit`, `code` and, of an own net, `own_net`.

  Each names what all sessions had, one after the other. A commit that is not known is `unknown`
  beside others, and None alone.

  Args:
    run_info: as `note` left it.
  """
  commits = run_info[_COMMITS]
  named = [commit or 'unknown' for commit in commits] if any(commits) else []
  digests = {key: ', '.join(run_info[of_sessions]) for key, of_sessions in _KEYS.items()}
  return {'commit': ', '.join(named) or None} | {key: text for key, text in digests.items() if text}
