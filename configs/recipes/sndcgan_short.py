"""SNDCGAN on CIFAR-10 pictures for 20,000 steps, hinge against non-saturating, judged by KID: for one GPU.

    GAN_JAX_EXTRA=features ./launch.sh sweep configs/recipes/sndcgan_short.py --config.dataset_options.path=train.zip

Published: nothing comparable; the whole recipe is sndcgan_cifar10.py. The pictures are a folder or zip of JPEG copies of
CIFAR-10, and the features are those of EfficientNet-Lite0, so neither distance is a FID. The results are in
experiments/README.md: 69 steps a second of both on an H200, after some minutes of compilation. A tenth of the training
does not need the slow average of the whole recipe.
"""


def get_config():
  return {
    "baseline": "non_saturating",
    "dataset": "images",
    "dataset_options": {"path": "train.zip"},
    "model": "sndcgan",
    "latent_size": 128,
    "batch_size": 64,
    "optimizer_options": {"beta1": 0.5, "beta2": 0.999},
    "generator_rate": 2e-4,
    "discriminator_rate": 2e-4,
    "ema_decay": 0.999,
    "metrics": "kid + frechet",
    "metric_options": {"kid": {"features": "lite0"}, "frechet": {"features": "lite0"}},
    "steps": 20_000,
    "probe_every": 500,
    "evaluate_every": 2500,
    "evaluation_samples": 10_000,
    "checkpoint_every": 2500,
  }


def sweep(s):
  return s.param("loss", ["non_saturating", "hinge"])
