"""BigGAN on CIFAR-10 with labels, in the size of StudioGAN, without and with DiffAugment.

    ./launch.sh sweep configs/recipes/biggan_cifar10.py --config.dataset_options.path=cifar-10-python.tar.gz

Published: FID 4.16, and 3.35 with DiffAugment (StudioGAN 2022, 50,000 samples against the training set). Cost: logged
12.8 hours for 100,000 steps on a card of 2020.
"""


def get_config():
  return {
    "loss": "hinge",
    "dataset": "cifar10",
    "flips": True,
    "model": "biggan",
    "conditional": True,
    "latent_size": 80,
    "batch_size": 64,
    "n_critic": 5,
    "optimizer_options": {"beta1": 0.5, "beta2": 0.999},
    "generator_rate": 2e-4,
    "discriminator_rate": 2e-4,
    "ema_decay": 0.9999,
    "steps": 100_000,
    "probe_every": 500,
    "evaluate_every": 10_000,
    "evaluation_samples": 10_000,
    "checkpoint_every": 5000,
  }


def sweep(s):
  return s.param("discriminator_augmentation", ["none", "color + translation + cutout"])
