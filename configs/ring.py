"""Mode coverage on the ring of eight Gaussians: seven losses, three seeds, with and without R1.

./launch.sh sweep configs/ring.py
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


def get_config():
  return {
    "baseline": "non_saturating",
    "panel": "no penalty",
    "dataset": "ring",
    "model": "mlp",
    "latent_size": 2,
    "batch_size": 128,
    "generator_rate": 2e-4,
    "discriminator_rate": 2e-4,
    "steps": 5000,
  }


def sweep(s):
  runs = s.product(s.param("loss", LOSSES), s.param("seed", range(3)))
  return s.chain(runs, s.product(s.fixed(panel="R1", penalty="r1", penalty_weight=0.1), runs))
