"""DCGAN on MNIST from its IDX files (28x28), minimax against non-saturating, in a folder that you name.

./launch.sh sweep configs/mnist_dcgan.py --config.data_dir=../shared/data/mnist
"""


def get_config():
  return {
    "dataset": "mnist",
    "data_dir": "",
    "model": "dcgan",
    "latent_size": 64,
    "generator_width": 64,
    "discriminator_width": 64,
    "generator_rate": 2e-4,
    "discriminator_rate": 2e-4,
    "penalty": "r1",
    "penalty_weight": 1.0,
    "steps": 3000,
    "evaluate_every": 500,
    "checkpoint_every": 500,
  }


def sweep(s):
  return s.param("loss", ["minimax", "non_saturating"])
