"""Minimax and non-saturating on data and model with disjoint supports, with and without gradient penalties.

The data are N(0, 1) along a line in the plane; the generator maps one number to a curve that starts off the line. So
JS(data, model) is exactly log 2, with gradient zero, until the curve lies on the line. The discriminator first trains
alone for 500 steps, until it separates them. Two games: level players under Adam, and plain gradient descent (under
which a small gradient is a small step) with a discriminator twenty times as fast. Each game has two losses x five
penalties (none included) x five seeds. R1 at weight 0.1, with its factor 1/2, and the zero-centred penalty at 0.05,
without one, are the same penalty at different points. At the published weight 10 of the one-centred penalties, gradient
descent diverged within five steps, at a fifth of the present rate.

    ./launch.sh paths_to_equilibrium      # runs configs/paths_to_equilibrium.py, then draws its figure and its table

The expected result and the run time are in experiments/studies/paths_to_equilibrium.
"""

PENALTIES = {  # name: weight
  "none": 0.0,
  "gradient_penalty": 0.1,
  "gradient_penalty_zero_centred": 0.05,
  "dragan": 0.1,
  "r1": 0.1,
}
GAMES = {  # title: fields
  "level players, Adam": {"optimizer": "adam", "generator_rate": 1e-3, "discriminator_rate": 1e-3},
  "fast discriminator, gradient descent": {
    "optimizer": "sgd",
    "generator_rate": 5e-3,
    "discriminator_rate": 0.1,
  },
}


def get_config():
  return {
    "panel": "level players, Adam",
    "dataset": "line",
    "model": "mlp",
    "latent_size": 1,
    "model_options": {"generator_width": 64, "discriminator_width": 64},
    "batch_size": 128,
    "generator_rate": 1e-3,
    "discriminator_rate": 1e-3,
    "ema_decay": 0.0,
    "head_start": 500,
    "steps": 3000,
    "probe_every": 50,
    "evaluate_every": 250,
    "checkpoint_every": 3000,
  }


def sweep(s):
  runs = s.product(s.param("loss", ["minimax", "non_saturating"]), s.param("seed", range(5)))
  return s.chain(
    *(
      s.product(s.fixed(panel=panel, **fields), s.fixed(penalty=penalty, penalty_weight=weight), runs)
      for panel, fields in GAMES.items()
      for penalty, weight in PENALTIES.items()
    )
  )
