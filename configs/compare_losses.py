"""The main job: seven losses, five seeds each, on 1,797 real handwritten digits, and why the saturating loss stops.

The first panel is a healthy game: both MLP players start untrained, with R1 on the discriminator. In the second the
discriminator first trains alone and has no penalty, so that it wins: the three factors of the generator's gradient then
show which of them vanished.

    ./launch.sh                                             # or: ./launch.sh sweep configs/compare_losses.py
    ./launch.sh sweep configs/compare_losses.py --config.seed=0 --config.steps=1000 --out runs/short
"""

LOSSES = [
  "minimax",
  "non_saturating",
  "least_squares",
  "wasserstein",
  "hinge",
  "relativistic",
  "relativistic_average",
]
SEEDS = range(5)


def get_config():
  return {
    "baseline": "non_saturating",
    "panel": "level players, R1",
    "dataset": "digits",
    "model": "mlp",
    "batch_size": 64,
    "penalty": "r1",
    "penalty_weight": 0.5,
    "generator_rate": 1e-3,
    "discriminator_rate": 1e-3,
    "steps": 1500,
    "evaluate_every": 500,
    "checkpoint_every": 500,
  }


def sweep(s):
  ahead = s.fixed(
    panel="discriminator trained ahead",
    penalty="none",
    penalty_weight=0.0,
    head_start=600,
    steps=1000,
    evaluate_every=50,  # often, to follow the samples once the generator trains
  )
  return s.chain(
    s.product(s.param("loss", LOSSES), s.param("seed", SEEDS)),
    s.product(ahead, s.param("loss", ["minimax", "non_saturating"]), s.param("seed", SEEDS)),
  )
