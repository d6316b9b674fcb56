"""Seven losses, three seeds each, on real colour images: CIFAR-10, with a small SNDCGAN, sized for two cores.

    ./launch.sh sweep configs/recipes/compare_losses_cifar.py --config.dataset_options.path=../shared/data/cifar10/train.zip

Published: nothing comparable. The zip holds JPEG copies of CIFAR-10 in ten folders, so figures compare only with one
another. It takes 13 minutes; the results are in experiments/README.md. The distance is the Frechet distance in the
features of a convolutional classifier of the same data, which is trained once.
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
    "dataset": "images",
    "dataset_options": {"path": "../shared/data/cifar10/train.zip"},
    "flips": True,
    "model": "sndcgan",
    "model_options": {"generator_width": 128, "discriminator_width": 64},
    "latent_size": 64,
    "batch_size": 16,
    "optimizer_options": {"beta1": 0.5, "beta2": 0.99},
    "generator_rate": 5e-4,
    "discriminator_rate": 5e-4,
    "lens": "minimax + non_saturating",
    "steps": 600,
    "probe_every": 50,
    "evaluate_every": 200,
    "evaluation_samples": 500,
    "checkpoint_every": 200,
  }


def sweep(s):
  return s.product(s.param("loss", LOSSES), s.param("seed", range(3)))
