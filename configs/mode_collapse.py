"""Mode collapse under PacGAN's protocol, shortened and narrowed: seven methods on the ring, six on the grid.

Differences from the protocol (Lin et al. 2018, arXiv:1712.04086): 4,000 steps at rate 1e-3 instead of 400,000 at 1e-4,
a generator of width 64 instead of 400, 32 maxout units instead of 200, 5 seeds instead of 10. A packed discriminator
sees 100 packs at a time, as in the paper. `--full` restores all but the number of seeds.

    ./launch.sh mode_collapse              # runs configs/mode_collapse.py, then draws its figure and its table
    ./launch.sh mode_collapse --full       # the published length and width: for a GPU

The expected result and the run time are in experiments/studies/mode_collapse.
"""

METHODS = {  # title: fields
  "GAN": {},
  "PacGAN2": {"packing": 2, "batch_size": 200},
  "PacGAN4": {"packing": 4, "batch_size": 400},
  "relativistic": {"loss": "relativistic"},
  "GAN, R1 + R2": {"penalty": "r1_r2", "penalty_weight": 0.01},
  "relativistic, R1 + R2": {"loss": "relativistic", "penalty": "r1_r2", "penalty_weight": 0.01},
  "unrolled GAN, 5 steps": {"unroll_steps": 5, "unroll_rate": 0.03},
}
# The derivative through unrolled steps of maxout units is right: finite differences over 1e-8 of the weights agree with
# it. But it is large, and the function is discontinuous: a discriminator step uses the slope of each unit's largest
# piece, which changes abruptly where another piece becomes the largest.
RING_ONLY = ("unrolled GAN, 5 steps",)  # five times the work of any other


def get_config():
  return {
    "panel": "ring",
    "dataset": "ring",
    "model": "pacgan",
    "latent_size": 2,
    "model_options": {"generator_width": 64, "discriminator_width": 32, "depth": 4},
    "batch_size": 100,
    "order": "simultaneous",
    "fakes": "same_images",
    "generator_rate": 1e-3,
    "discriminator_rate": 1e-3,
    "optimizer_options": {"beta1": 0.8},
    "ema_decay": 0.0,
    "steps": 4000,
    "probe_every": 100,
    "evaluate_every": 1000,
    "evaluation_samples": 2500,
    "checkpoint_every": 1000,
  }


def sweep(s):
  seeds = s.param("seed", range(5))
  methods = [(data, title, fields) for data in ("ring", "grid") for title, fields in METHODS.items()]
  return s.chain(
    *(
      s.product(s.fixed(panel=data, dataset=data, **fields), seeds)
      for data, title, fields in methods
      if data == "ring" or title not in RING_ONLY
    )
  )
