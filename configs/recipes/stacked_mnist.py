"""Stacked MNIST: three random digits as the colours of one image, 1,000 modes (Metz et al. 2017; PacGAN, VEEGAN).

    ./launch.sh sweep configs/recipes/stacked_mnist.py --config.dataset_options.data_dir=../shared/data/mnist

The number of modes that 26,000 samples reach is `modes/covered`. Published: DCGAN 99, PacGAN2 1,000 (Lin et al. 2018, with
another network); R3GAN 1,000 (Huang et al. 2024).
"""


def get_config():
  return {
    "loss": "non_saturating",
    "dataset": "stacked_mnist",
    "model": "dcgan",
    "model_options": {"generator_width": 128, "discriminator_width": 128},
    "latent_size": 128,
    "batch_size": 64,
    "generator_rate": 2e-4,
    "discriminator_rate": 2e-4,
    "steps": 50_000,
    "probe_every": 500,
    "evaluate_every": 5000,
    "evaluation_samples": 26_000,
    "checkpoint_every": 5000,
  }


def sweep(s):
  return s.chain(
    s.param("packing", [1, 2]),
    s.fixed(loss="relativistic", penalty="r1_r2", penalty_weight=1.0),
  )
