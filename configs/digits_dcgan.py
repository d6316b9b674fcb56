"""A small DCGAN on the 8x8 digits, of which a laptop can train a population.

./launch.sh sweep configs/digits_dcgan.py
"""


def get_config():
  return {
    "dataset": "digits",
    "model": "dcgan",
    "model_options": {"generator_width": 32, "discriminator_width": 32},
    "penalty": "r1",
    "penalty_weight": 0.1,
    "steps": 1500,
    "evaluate_every": 500,
    "checkpoint_every": 500,
  }


def sweep(s):
  return s.product(s.param("loss", ["non_saturating", "relativistic"]), s.param("seed", range(2)))
