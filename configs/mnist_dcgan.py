"""DCGAN on MNIST (28x28) with binary cross-entropy: minimax against non-saturating, without and with the class given.

    ./launch.sh mnist_dcgan --config.data_dir=../shared/data/mnist    # and the picture of their samples

The folder holds MNIST's IDX files. Rates, R1 weight, batch and width were chosen for digits that a person reads within
ten minutes on two cores. R1 holds the discriminator back where a DCGAN has batch normalisation.
"""


def get_config():
  return {
    "panel": "class not given",
    "dataset": "mnist",
    "data_dir": "",
    "model": "dcgan",
    "latent_size": 64,
    "generator_width": 32,
    "discriminator_width": 32,
    "batch_size": 64,
    "penalty": "r1",
    "penalty_weight": 3.0,
    "generator_rate": 6e-3,
    "discriminator_rate": 6e-3,
    "steps": 4000,
    "probe_every": 100,
    "evaluate_every": 500,
    "checkpoint_every": 500,
  }


def sweep(s):
  losses = s.param("loss", ["minimax", "non_saturating"])
  return s.chain(losses, s.product(s.fixed(panel="class given", conditional=True), losses))
