"""Sixteen losses, each tuned with the same budget: sixteen draws of both rates, beta1 and the weight of R1, on the digits.

    ./launch.sh tournament                  # or: ./launch.sh sweep configs/tournament.py
    ./launch.sh tournament --halving        # 45 % of the steps: configs/tournaments/halved.py
    ./launch.sh tournament --full           # every loss, 64 draws: configs/tournaments/every_loss.py

Every loss gets the same draws, and each draw two seeds of its own, which all losses share. So a draw can be chosen by
one run and judged by the other, and losses are compared draw by draw. All 512 runs are one compiled program.
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
    "evaluate_every": 500,
    "checkpoint_every": 500,
  }


def sweep(s):
  ranges = [s.log_uniform(1e-4, 1e-2), s.log_uniform(1e-4, 1e-2), s.uniform(0, 0.9), s.log_uniform(0.01, 10)]
  return s.product(s.param("loss", LOSSES), s.sobol(16, dict(zip(DRAWN, ranges, strict=True)), runs=2))


def roles():
  return {"compared": ["loss"], "drawn": DRAWN}
