"""How strong a discriminator do two losses tolerate on colour pictures? `configs/dominance.py`, smaller, on CIFAR-10.

    ./launch.sh dominance --config configs/recipes/dominance_cifar.py --config.dataset_options.path=train.zip

Published: nothing comparable. DCGANs under plain gradient descent, level or with a discriminator that has a higher rate
or takes more steps, with three seeds. The results are in experiments/README.md.
"""

WIDTH = 64  # of the smallest maps of both players
RATE = 0.005  # of both players when they are level


def get_config():
  return {
    "baseline": "non_saturating",
    "panel": "learning rate",
    "dataset": "images",
    "dataset_options": {"path": "../shared/data/cifar10/train.zip"},
    "model": "dcgan",
    "latent_size": 32,
    "model_options": {"generator_width": WIDTH, "discriminator_width": WIDTH},
    "batch_size": 16,
    "optimizer": "sgd",
    "generator_rate": RATE,
    "discriminator_rate": RATE,
    "ema_decay": 0.99,
    "steps": 600,
    "probe_every": 20,
    "evaluate_every": 300,
    "evaluation_samples": 500,
    "checkpoint_every": 600,
  }


def sweep(s):
  rates = s.param("discriminator_rate", [RATE, 10 * RATE])
  steps = s.product(s.fixed(panel="discriminator steps"), s.param("n_critic", [5]))
  return s.product(s.chain(rates, steps), s.param("loss", ["minimax", "non_saturating"]), s.param("seed", range(3)))
