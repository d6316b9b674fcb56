"""One run on scikit-learn's digits: the non-saturating loss, MLP players, R1. About 10 s on 2 cores.

./launch.sh train configs/digits.py --config.loss=hinge
"""


def get_config():
  return {
    "dataset": "digits",
    "model": "mlp",
    "loss": "non_saturating",
    "penalty": "r1",
    "penalty_weight": 0.1,
    "steps": 6000,
  }
