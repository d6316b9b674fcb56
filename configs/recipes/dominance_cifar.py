"""How strong a discriminator does each loss tolerate on colour pictures? `configs/dominance.py`, smaller, on CIFAR-10.

    ./launch.sh dominance --config configs/recipes/dominance_cifar.py --config.dataset_options.path=train.zip

Published: nothing comparable. DCGANs, level or with a discriminator that takes more steps or has a higher rate, under
plain gradient descent and under Adam, with three seeds. The results are in experiments/README.md.
"""

LOSSES = ["minimax", "non_saturating", "wasserstein", "hinge"]
WIDTH = 64  # of the smallest maps of both players
RATE, ADAM_RATE = 0.03, 5e-4  # of both players when they are level


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
  rates = lambda level: s.param("discriminator_rate", [round(level * k, 6) for k in (1, 10)])  # noqa: E731
  strengths = s.chain(
    s.product(s.fixed(panel="learning rate"), rates(RATE)),
    s.product(s.fixed(panel="discriminator steps"), s.param("n_critic", [5])),
    s.product(s.fixed(panel="learning rate, Adam", optimizer="adam", generator_rate=ADAM_RATE), rates(ADAM_RATE)),
  )
  return s.product(strengths, s.param("loss", LOSSES), s.param("seed", range(3)))
