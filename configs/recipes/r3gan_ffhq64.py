"""R3GAN on faces, FFHQ at 64 x 64 (Huang et al. 2024, arXiv:2501.05441), from a folder or zip of pictures.

    ./launch.sh train configs/recipes/r3gan_ffhq64.py --config.dataset_options.path=ffhq-64x64.zip

Published: FID 1.95. Larger pictures are cropped and resized to 64 x 64. The augmentations differ
from the published ones as those of r3gan_cifar10 do.
"""

BATCH = 256
RAMP = 20_000_000  # images in which all schedules end
DECAY = 0.5 ** (BATCH / 500_000)  # half-life of half a million images


def get_config():
  ramp = {"shape": "cosine", "images": RAMP}
  return {
    "loss": "relativistic",
    "penalty": "r1_r2",
    "penalty_weight": 2.0,
    "dataset": "images",
    "dataset_options": {"resolution": "64"},
    "flips": True,
    "model": "r3gan",
    "model_options": {"generator_width": 768, "discriminator_width": 768, "wide_until": 32},
    "latent_size": 64,
    "batch_size": BATCH,
    "discriminator_augmentation": "flip + rotation + translation + affine + color + cutout",
    "augmentation_strength": 0.0,
    "optimizer_options": {"beta1": 0.0, "beta2": 0.9},
    "generator_rate": 2e-4,
    "discriminator_rate": 2e-4,
    "ema_decay": 0.0,
    "schedules": {
      "generator_rate": {"to": 5e-5, **ramp},
      "discriminator_rate": {"to": 5e-5, **ramp},
      "penalty_weight": {"to": 0.2, **ramp},
      "optimizer_options.beta2": {"to": 0.99, **ramp},
      "ema_decay": {"to": DECAY, **ramp},
      "augmentation_strength": {"to": 0.3, **ramp},
    },
    "steps": 390_000,
    "probe_every": 500,
    "evaluate_every": 5000,
    "evaluation_samples": 10_000,
    "checkpoint_every": 5000,
  }
