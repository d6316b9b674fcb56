"""R3GAN on CIFAR-10 with labels (Huang et al. 2024, arXiv:2501.05441): relativistic pairing, R1 + R2, no normalisation.

    ./launch.sh train configs/recipes/r3gan_cifar10.py --config.dataset_options.path=cifar-10-python.tar.gz

A batch of 512 with R1 and R2 asks for 96 GiB on one card, in bfloat16 too: take `--config.batch_devices=8` on eight cards, or
a smaller batch. Published: FID 1.96. Cost: 14 GFLOP an image in each network; 8 L40 cards for 4 days (200 million images).
Augmentations are the geometric ones of ADA, and `cutout`. What differs: `affine` reads an image at its own resolution,
`translation` fills with gray instead of mirroring, and `color` is DiffAugment's, where ADA has five changes of colour, each
half as often.
"""

BATCH = 512
RAMP = 20_000_000  # images in which all schedules end
DECAY = 0.5 ** (BATCH / 5_000_000)  # half-life of 5 million images


def get_config():
  ramp = {"shape": "cosine", "images": RAMP}
  return {
    "loss": "relativistic",
    "penalty": "r1_r2",
    "penalty_weight": 0.05,
    "dataset": "cifar10",
    "flips": True,
    "model": "r3gan",
    "conditional": True,
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
      "penalty_weight": {"to": 0.005, **ramp},
      "optimizer_options.beta2": {"to": 0.99, **ramp},
      "ema_decay": {"to": DECAY, **ramp},
      "augmentation_strength": {"to": 0.55, **ramp},
    },
    "steps": 390_000,
    "probe_every": 500,
    "evaluate_every": 5000,
    "evaluation_samples": 10_000,
    "checkpoint_every": 5000,
  }
