"""What bfloat16 does to a vanishing gradient: minimax, a discriminator that is trained alone, six rates, digits.

The generator is never trained. The higher the discriminator's rate, the more surely it rejects the fakes, and the
smaller the minimax gradient becomes. Every run is there twice, with layers in float32 and in bfloat16.

    ./launch.sh precision            # runs configs/precision.py, then compares the gradients at its end

The expected result and the run time are in experiments/studies/precision.
"""

WIDTH = 64
RATES = [1e-4, 1e-3, 1e-2, 0.03, 0.06, 0.1]


def get_config():
  return {
    "dataset": "digits",
    "model": "mlp",
    "latent_size": 16,
    "model_options": {"generator_width": WIDTH, "discriminator_width": WIDTH},
    "loss": "minimax",
    "head_start": 2**31 - 1,
    "ema_decay": 0.0,
    "steps": 500,
    "probe_every": 50,
    "evaluate_every": 500,
    "evaluation_samples": 500,
    "checkpoint_every": 500,
  }


def sweep(s):
  return s.product(
    s.param("discriminator_rate", RATES), s.param("precision", ["float32", "bfloat16"]), s.param("seed", range(5))
  )
