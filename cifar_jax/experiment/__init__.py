"""An experiment: a configuration made into pure functions and arrays. Nothing here touches a disk.

Read `experiment.py` (the objects that a run needs), `state.py`, `train_step.py`, `epoch_order.py`
and `eval_step.py`.
"""

from cifar_jax.experiment.experiment import Experiment, build

__all__ = ['Experiment', 'build']
