"""Runs built to end in each of the verdict's seven states: four settings per state, and five hard cases.

The title of a run's panel is the state that it is built to end in; BUILT and CASES say why it should. Settings and
thresholds were chosen on seeds 0 to 4; the runs here have other seeds.

    ./launch.sh verdicts             # runs configs/verdicts.py, then prints and writes the confusion matrix

The expected result and the run time are in experiments/studies/verdicts.
"""

RING = {  # eight modes in the plane, Adam; without a penalty, R1's weight is 0
  "dataset": "ring",
  "latent_size": 4,
  "penalty": "r1",
  "penalty_weight": 0.0,
  "steps": 1500,
  "probe_every": 25,
  "evaluate_every": 75,
  "checkpoint_every": 1500,
}
DIGITS = {"optimizer": "sgd"}  # plain gradient descent: a small gradient is a small step


def ring(loss, generator_rate, discriminator_rate, **fields):
  rates = {"generator_rate": generator_rate, "discriminator_rate": discriminator_rate}
  return {**RING, "loss": loss, **rates, **fields}


def digits(loss, generator_rate, discriminator_rate, **fields):
  rates = {"generator_rate": generator_rate, "discriminator_rate": discriminator_rate}
  return {**DIGITS, "loss": loss, **rates, **fields}


BUILT = {
  # Level players at rates at which these games are known to learn; on the ring with a weak R1.
  "healthy": [
    ring("non_saturating", 3e-3, 3e-3, penalty_weight=0.05),
    ring("relativistic", 3e-3, 3e-3, penalty_weight=0.05),
    digits("non_saturating", 0.1, 0.1),
    digits("hinge", 0.1, 0.1),
  ],
  # The saturating loss against a discriminator that is 20 to 100 times as fast, without a penalty.
  "discriminator_dominates": [
    ring("minimax", 1e-3, 2e-2),
    ring("minimax", 1e-4, 1e-2),
    digits("minimax", 0.03, 0.6),
    digits("minimax", 0.03, 0.5, head_start=200),
  ],
  # A discriminator that learns nothing, or next to nothing.
  "generator_dominates": [
    ring("hinge", 1e-3, 1e-6),
    ring("relativistic", 1e-3, 0.0),
    digits("minimax", 0.1, 0.0),
    digits("non_saturating", 0.1, 1e-4),
  ],
  # Wasserstein's loss without a Lipschitz constraint: the game is bilinear in the logits and rotates about its
  # equilibrium. With Adam's beta1 = 0 it does not, at the same rates: momentum causes it (Gidel et al. 2019,
  # arXiv:1807.04740).
  "oscillating": [
    ring("wasserstein", 5e-4, 5e-4),
    ring("wasserstein", 1e-3, 1e-3),
    ring("wasserstein", 1e-2, 1e-2),
    ring("wasserstein", 2e-2, 2e-2),
  ],
  # The loss of the healthy game at five to ten times its rates and without its penalty: all samples become one point.
  "mode_collapse": [
    ring("non_saturating", 2e-2, 2e-2, optimizer_options={"beta1": 0.3}),
    ring("non_saturating", 2.5e-2, 2.5e-2, optimizer_options={"beta1": 0.3}),
    ring("non_saturating", 3e-2, 1.5e-2),
    ring("non_saturating", 3e-2, 1.5e-2, optimizer_options={"beta1": 0.0}),
  ],
  # Exponential losses at large rates; an unbounded loss beyond gradient descent's limit of stability.
  "diverged": [
    ring("f_gan_reverse_kl_practical", 1e-2, 1e-2),
    ring("f_gan_kl", 0.3, 0.3),
    digits("wasserstein", 1.0, 1.0),
    digits("wasserstein", 0.03, 0.6),
  ],
  # A generator, or both players, with a learning rate of zero or nearly zero.
  "stalled": [
    ring("non_saturating", 0.0, 1e-3),
    ring("hinge", 1e-8, 1e-3),
    digits("minimax", 0.0, 0.1),
    digits("hinge", 1e-5, 1e-5),
  ],
}


# Cases that a single measurement would judge wrongly. Adam without momentum, at a rate at which the digits are learnt.
FAST = {"generator_rate": 5e-3, "discriminator_rate": 5e-3, "optimizer_options": {"beta1": 0.0}, "loss": "minimax"}
LONG = {"steps": 1500, "probe_every": 30, "evaluate_every": 150, "checkpoint_every": 1500}
CASES = [
  # A discriminator with five updates per step ranks nearly every pair rightly, while the samples improve.
  {
    "panel": "healthy",
    "loss": "wasserstein",
    "penalty": "gradient_penalty",
    "n_critic": 5,
    "generator_rate": 1e-3,
    "discriminator_rate": 1e-3,
    "optimizer_options": {"beta1": 0.0, "beta2": 0.9},
  },
  # The data have only two of ten classes, so a generator of ones and sevens has lost none.
  {"panel": "healthy", "dataset": "digits_two", **digits("non_saturating", 0.1, 0.1)},
  # Trained on ten images until it has memorised them, and compared with all images.
  {"panel": "mode_collapse", "dataset": "digits_ten", **FAST, **LONG},
  # One image of each class: all classes are present, without variety within them.
  {"panel": "mode_collapse", "dataset": "digits_ten", "conditional": True, **FAST},
  # Data far beyond the generator's reach: its gradient has not vanished, and it moves, but comes no nearer.
  {"panel": "stalled", **ring("hinge", 3e-4, 3e-4, dataset="ring_far", penalty="none", penalty_weight=None)},
]


def get_config():
  return {
    "panel": "healthy",
    "dataset": "digits",
    "model": "mlp",
    "latent_size": 8,
    "model_options": {"generator_width": 48, "discriminator_width": 48},
    "batch_size": 64,
    "ema_decay": 0.9,
    "steps": 800,
    "probe_every": 20,
    "evaluate_every": 80,
    "evaluation_samples": 500,
    "checkpoint_every": 800,
  }


def sweep(s):
  runs = [{"panel": state, **fields} for state, built in BUILT.items() for fields in built]
  hard = s.product(CASES, s.param("seed", [10, 11, 12, 13, 14]))
  return [*s.product(runs, s.param("seed", [10, 11, 12])), *hard]
