"""Six losses as the discriminator's Lipschitz constant K grows from 0.1 to 100, and four as a gradient penalty weakens.

A spectrally normalised discriminator has constant 1. A loss of its logits divided by the temperature 1 / K is the same
loss with a discriminator of constant K. The first panel has no bound; the study rescales the logits of its networks.

    ./launch.sh lipschitz                  # runs configs/lipschitz.py, then draws its figure and its table
    ./launch.sh lipschitz --full           # longer and wider: for a GPU

The expected result and the run time are in experiments/studies/lipschitz.
"""

LOSSES = ["minimax", "non_saturating", "least_squares", "hinge", "f_gan_kl", "wasserstein"]
PENALISED = ["minimax", "non_saturating", "least_squares", "wasserstein"]
CONSTANTS = [0.1, 1.0, 10.0, 100.0]
WEIGHTS = [10.0, 0.1, 0.001]  # of R1: a larger weight makes the discriminator flatter


def get_config():
  return {
    "panel": "no bound",
    "dataset": "digits",
    "model": "mlp",
    "model_options": {"generator_width": 64, "discriminator_width": 64},
    "steps": 1000,
    "probe_every": 50,
    "evaluate_every": 1000,
    "checkpoint_every": 1000,
    "evaluation_samples": 1000,
    "ema_decay": 0.99,
  }


def sweep(s):
  seeds = s.param("seed", range(5))
  spectral = s.fixed(weight_constraint="spectral")
  warmed = s.param("loss", [f"temperature({name})" for name in LOSSES])
  return s.chain(
    seeds,
    *(
      s.product(spectral, s.fixed(panel=f"spectral, K = {k:g}", loss_options={"temperature": 1 / k}), warmed, seeds)
      for k in CONSTANTS
    ),
    *(
      s.product(
        s.fixed(panel=f"R1, weight {weight:g}", penalty="r1", penalty_weight=weight), s.param("loss", PENALISED), seeds
      )
      for weight in WEIGHTS
    ),
  )
