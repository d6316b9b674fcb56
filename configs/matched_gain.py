"""How much of "this loss is better" was a learning rate? The main job's losses, as they are and with matched gain.

`matched_gain(loss)` scales the generator's term so that its slope at logits 0 is that of `non_saturating`. Two games on
digits: the main job's first panel (MLP players, R1, Adam) at two thirds of its length, and the same under gradient
descent, where a gain acts as a learning rate. Losses that already have the gain of `non_saturating` are run once: with
matched gain they would be the same run.

    ./launch.sh matched_gain         # runs configs/matched_gain.py, then draws its figure and its table

The expected result and the run time are in experiments/studies/matched_gain.
"""

MATCHED = ["minimax", "non_saturating", "relativistic"]  # have the gain of non_saturating already
OTHERS = ["least_squares", "wasserstein", "hinge", "relativistic_average"]
GAMES = {  # title: fields
  "Adam": {"optimizer": "adam", "generator_rate": 1e-3, "discriminator_rate": 1e-3},
  "gradient descent": {"optimizer": "sgd", "generator_rate": 0.05, "discriminator_rate": 0.05},
}


def get_config():
  return {
    "baseline": "non_saturating",
    "panel": "Adam",
    "dataset": "digits",
    "model": "mlp",
    "batch_size": 64,
    "penalty": "r1",
    "penalty_weight": 0.5,
    "generator_rate": 1e-3,
    "discriminator_rate": 1e-3,
    "ema_decay": 0.995,
    "steps": 1000,
    "evaluate_every": 500,
    "checkpoint_every": 1000,
  }


def sweep(s):
  losses = s.param("loss", [*MATCHED, *OTHERS, *(f"matched_gain({loss})" for loss in OTHERS)])
  runs = s.product(losses, s.param("seed", range(5)))
  return s.chain(*(s.product(s.fixed(panel=panel, **fields), runs) for panel, fields in GAMES.items()))
