"""How strong a discriminator does each loss tolerate? Seven losses, ten strengths along three axes, five seeds, digits.

The players are level at first: one update each per step, the same rate and width, no penalty. Then the discriminator is
made stronger in one respect at a time: more updates per step (`n_critic`), a higher learning rate, more hidden units.
The optimizer is plain gradient descent, under which a small gradient is a small step; the rates are repeated under
Adam, which normalises the gradient's size.

    ./launch.sh dominance            # runs configs/dominance.py, then draws its phase diagrams and its table
    ./launch.sh dominance --full     # four times as long, with more samples: for a GPU

The expected result and the run time are in experiments/studies/dominance.
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
WIDTH = 32  # of both players when they are level
RATE, ADAM_RATE = 0.03, 1e-3  # of both players when they are level
SEEDS = range(5)


def get_config():
  return {
    "baseline": "non_saturating",
    "panel": "learning rate",
    "dataset": "digits",
    "model": "mlp",
    "latent_size": 16,
    "model_options": {"generator_width": WIDTH, "discriminator_width": WIDTH},
    "batch_size": 64,
    "optimizer": "sgd",
    "generator_rate": RATE,
    "discriminator_rate": RATE,
    "ema_decay": 0.99,
    "steps": 800,
    "probe_every": 20,
    "evaluate_every": 200,
    "evaluation_samples": 500,
    "checkpoint_every": 800,
  }


def sweep(s):
  rates = lambda level: s.param("discriminator_rate", [round(level * k, 6) for k in (1, 3, 10, 30)])  # noqa: E731
  strengths = s.chain(
    s.product(s.fixed(panel="learning rate"), rates(RATE)),
    s.product(s.fixed(panel="discriminator steps"), s.param("n_critic", [2, 5, 10])),
    s.product(s.fixed(panel="width"), s.param("model_options.discriminator_width", [WIDTH * k for k in (2, 4, 8)])),
    s.product(s.fixed(panel="learning rate, Adam", optimizer="adam", generator_rate=ADAM_RATE), rates(ADAM_RATE)),
  )
  return s.product(strengths, s.param("loss", LOSSES), s.param("seed", SEEDS))
