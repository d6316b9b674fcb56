"""SNDCGAN on CIFAR-10 (Miyato et al. 2018; Kurach et al. 2019): hinge, non-saturating, and WGAN-GP without normalisation.

    ./launch.sh sweep configs/recipes/sndcgan_cifar10.py --config.dataset_options.path=cifar-10-python.tar.gz

Published: FID 25.27 (non-saturating, spectral normalisation, 200,000 steps; Kurach et al. 2019, against the test set).
Cost: 0.27 TFLOP a step of batch 64, 55 PFLOP in all; WGAN-GP, with five updates of the discriminator, four times that.
"""

ADAM = {"beta1": 0.5, "beta2": 0.999}


def get_config():
  return {
    "baseline": "non_saturating",
    "loss": "non_saturating",
    "dataset": "cifar10",
    "model": "sndcgan",
    "latent_size": 128,
    "batch_size": 64,
    "optimizer_options": ADAM,
    "generator_rate": 2e-4,
    "discriminator_rate": 2e-4,
    "ema_decay": 0.9999,
    "steps": 200_000,
    "probe_every": 500,
    "evaluate_every": 10_000,
    "evaluation_samples": 10_000,
    "checkpoint_every": 10_000,
  }


def sweep(s):
  gp = s.fixed(
    loss="wasserstein",
    penalty="gradient_penalty",
    penalty_weight=10.0,
    n_critic=5,
    optimizer_options={"beta1": 0.0, "beta2": 0.9},
    **{"model_options.spectral": "none"},
  )
  return s.chain(s.param("loss", ["non_saturating", "hinge"]), gp)
