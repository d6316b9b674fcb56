"""Conditional GANs (a projection discriminator) on the digits: two losses, three seeds.

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
