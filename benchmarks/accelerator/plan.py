"""The stages, the most wanted numbers first, and the time that each may take."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Entry:
  """A stage of the plan.

  Attributes:
    name: of the stage's module here and of its file.
    seconds: its limit in a run of ten minutes on a GPU. The time that earlier stages leave is
      shared out.
    tiny_seconds: its limit in a run of five minutes on two cores, in the smallest sizes.
    title: what it measures.
  """

  name: str
  seconds: float
  tiny_seconds: float
  title: str


STAGES = (
  Entry('card', 40, 10, 'the card, its rates, versions'),
  Entry('speed_run', 70, 35, 'the speed run: time to 94 %'),
  Entry('race', 180, 40, 'training and evaluation against PyTorch'),
  Entry('families', 100, 55, 'ten steps of every family in both dtypes'),
  Entry('commands', 55, 90, 'every analysis and evaluation once on a small run'),
  Entry('options', 75, 45, 'dispatches, padding, seeds, determinism, kills'),
  Entry('reproduction', 80, 25, "a paper's number"),
)


def limit(stages: Sequence[Entry], index: int, left: float, *, tiny: bool) -> float:
  """Returns the seconds that a stage may take.

  Args:
    stages: those of this run.
    index: of the stage; those before it have ended.
    left: seconds until the end of the run.
    tiny: whether the sizes are the smallest.
  """
  shares = [stage.tiny_seconds if tiny else stage.seconds for stage in stages[index:]]
  return left * shares[0] / sum(shares)
