"""The tournament with successive halving: sixteen draws of each of sixteen losses, of which four are trained to the end.

    ./launch.sh tournament --halving        # or: ./launch.sh sweep configs/tournaments/halved.py

The losses, draws and seeds of configs/tournament.py. At step 200 the better half of each loss's draws goes on, and at
step 400 the better half of those: 55 % of the steps are saved. What is found is each loss's best draw. How good a loss is
with a smaller budget, and whether one is surely better than another, is not: the stopped draws are not known to the end.
"""

LOSSES = [
  "minimax",
  "non_saturating",
  "least_squares",
  "wasserstein",
  "hinge",
  "relativistic",
  "relativistic_average",
  "relativistic_average_least_squares",
  "relativistic_average_hinge",
  "f_gan_kl",
  "f_gan_reverse_kl",
  "f_gan_squared_hellinger",
  "f_gan_pearson",
  "kl_hinge",
  "dual_contrastive",
  "energy",
]
DRAWN = ["generator_rate", "discriminator_rate", "optimizer_options.beta1", "penalty_weight"]


def get_config():
  return {
    "baseline": "non_saturating",
    "panel": "tuned losses",
    "dataset": "digits",
    "model": "mlp",
    "batch_size": 64,
    "penalty": "r1",
    "steps": 1000,
    "probe_every": 100,
    "evaluate_every": 200,
    "checkpoint_every": 500,
  }


def sweep(s):
  ranges = [s.log_uniform(1e-4, 1e-2), s.log_uniform(1e-4, 1e-2), s.uniform(0, 0.9), s.log_uniform(0.01, 10)]
  return s.product(s.param("loss", LOSSES), s.sobol(16, dict(zip(DRAWN, ranges, strict=True)), runs=2))


def roles():
  return {"compared": ["loss"], "drawn": DRAWN}


def halving():
  return {"at": [200, 400], "keep": 0.5}
