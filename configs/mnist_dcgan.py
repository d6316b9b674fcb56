"""DCGAN on MNIST (28x28) with binary cross-entropy: minimax against non-saturating, without and with the class given.

    ./launch.sh mnist_dcgan --config.dataset_options.data_dir=../shared/data/mnist    # runs configs/mnist_dcgan.py

The folder holds MNIST's IDX files; after `./launch.sh fetch mnist` none need be named. R1 regularises the
discriminator in place of DCGAN's batch normalisation. The rates are ten times DCGAN's, so that digits are readable
after minutes on two cores; at three times these rates, runs failed within 2,000 steps.
"""


def get_config():
  return {
    "panel": "class not given",
    "dataset": "mnist",
    "model": "dcgan",
    "latent_size": 64,
    "model_options": {"generator_width": 32, "discriminator_width": 32},
    "batch_size": 32,
    "penalty": "r1",
    "penalty_weight": 1.0,
    "generator_rate": 2e-3,
    "discriminator_rate": 2e-3,
    "steps": 7000,
    "probe_every": 100,
    "evaluate_every": 500,
    "checkpoint_every": 500,
  }


def sweep(s):
  losses = s.param("loss", ["minimax", "non_saturating"])
  return s.chain(losses, s.product(s.fixed(panel="class given", conditional=True), losses))
