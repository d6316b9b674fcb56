"""Mode coverage on the grid of 25 Gaussians: two time-scale rates and discriminator steps under the non-saturating loss.

./launch.sh sweep configs/grid.py
"""


def get_config():
  return {
    "dataset": "grid",
    "model": "mlp",
    "latent_size": 2,
    "batch_size": 128,
    "generator_rate": 2e-4,
    "discriminator_rate": 2e-4,
    "penalty": "r1",
    "penalty_weight": 0.1,
    "steps": 5000,
  }


def sweep(s):
  seeds = s.param("seed", range(3))
  return s.chain(
    s.product(s.fixed(panel="two time-scale"), s.param("discriminator_rate", [1e-4, 2e-4, 4e-4, 8e-4]), seeds),
    s.product(s.fixed(panel="discriminator steps"), s.param("n_critic", [1, 2, 5]), seeds),
  )
