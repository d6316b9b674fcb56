"""Every registered loss, each tuned with the same 64 draws of three runs, on the digits: for a GPU.

    ./launch.sh tournament --full               # or: ./launch.sh sweep configs/tournaments/every_loss.py
    ./launch.sh tournament --full --halving     # on two cores: configs/tournaments/every_loss_halved.py

As configs/tournament.py, with a budget of 8 draws for the comparison, and two runs that judge what one has chosen.
"""

DRAWN = ["generator_rate", "discriminator_rate", "optimizer_options.beta1", "penalty_weight"]


def get_config():
  return {
    "baseline": "non_saturating",
    "panel": "tuned losses",
    "dataset": "digits",
    "model": "mlp",
    "batch_size": 64,
    "penalty": "r1",
    "steps": 1500,
    "probe_every": 100,
    "evaluate_every": 500,
    "checkpoint_every": 500,
  }


def draws(s, runs):
  ranges = [s.log_uniform(1e-4, 1e-2), s.log_uniform(1e-4, 1e-2), s.uniform(0, 0.9), s.log_uniform(0.01, 10)]
  return s.sobol(64, dict(zip(DRAWN, ranges, strict=True)), runs=runs)


def sweep(s):
  return s.product(s.param("loss", s.every("loss")), draws(s, runs=3))


def roles():
  return {"compared": ["loss"], "drawn": DRAWN}
