"""A generator that takes noise and a class, a projection discriminator: two losses, three seeds, on the embedded digits.

./launch.sh sweep configs/digits_conditional.py
"""


def get_config():
  return {
    "dataset": "digits",
    "model": "mlp",
    "conditional": True,
    "penalty": "r1",
    "penalty_weight": 0.1,
    "steps": 4000,
  }


def sweep(s):
  return s.product(s.param("loss", ["non_saturating", "hinge"]), s.param("seed", range(3)))
