"""The configs of the studies that are disturbed."""

from .materials import MARK

# Its checkpoints are three, as many as are kept, so that none of them may disappear.
MIXTURE = f'''"""A study to be disturbed. {MARK} ../../outside"""


def get_config():
  return {{
    "dataset": "ring", "panel": "{MARK}",
    "model_options": {{"generator_width": 16, "discriminator_width": 16, "depth": 1}},
    "latent_size": 2, "batch_size": 16, "steps": 600, "probe_every": 20, "evaluate_every": 100,
    "checkpoint_every": 200, "evaluation_samples": 200,
  }}


def sweep(s):
  return s.product(s.param("loss", ["non_saturating", "hinge", "wasserstein"]), s.param("seed", [0, 1]))
'''
# Of 24 runs, in four groups: a task of a launcher trains one.
FLEET = MIXTURE.replace('"latent_size"', '"most_members": 6, "latent_size"').replace("[0, 1]", "range(8)")
# In six groups, which train long enough for a cluster to see them. `SBATCH_PARTITION` and the like say where.
LONG_FLEET = (
  FLEET.replace('"most_members": 6', '"most_members": 4')
  .replace('"steps": 600', '"steps": 6000')
  .replace('"evaluate_every": 100', '"evaluate_every": 1000')
  .replace('"checkpoint_every": 200', '"checkpoint_every": 1000')
)
DIGITS = '''"""A study of images to be killed: two programs, one with convolutions."""


def get_config():
  return {
    "dataset": "digits", "model_options": {"generator_width": 4, "discriminator_width": 4},
    "latent_size": 4, "batch_size": 8, "steps": 60, "probe_every": 10, "evaluate_every": 30,
    "checkpoint_every": 20, "evaluation_samples": 100,
  }


def sweep(s):
  return s.product(s.param("model", ["mlp", "dcgan"]), s.param("loss", ["non_saturating", "hinge", "wasserstein"]))
'''
