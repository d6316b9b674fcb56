"""A first GAN on the digits, with the class as an input: level players, and a discriminator that is trained first.

Plain gradient descent and no penalty, so that a small gradient is a small step. `head_start` is the number of first
steps in which only the discriminator is trained.

    ./launch.sh lesson                                    # trains it, and explains what is measured
    ./launch.sh sweep configs/lessons/first_gan.py        # trains it by itself
"""


def get_config():
  return {
    "baseline": "non_saturating",
    "panel": "level players",
    "dataset": "digits",
    "model": "mlp",
    "conditional": True,
    "optimizer": "sgd",
    "generator_rate": 0.1,
    "discriminator_rate": 0.1,
    "ema_decay": 0.99,
    "steps": 1000,
    "probe_every": 20,
    "evaluate_every": 100,
    "evaluation_samples": 1000,
    "checkpoint_every": 1000,
  }


def sweep(s):
  starts = s.chain(s.fixed(panel="level players"), s.fixed(panel="discriminator trained first", head_start=400))
  return s.product(starts, s.param("loss", ["minimax", "non_saturating"]), s.param("seed", range(3)))
