"""Penalties on a player, by name: pure functions of the critic, of logits, of transformed examples, or of weights.

Norms are per sample over all non-batch axes, in float32, with a defined gradient at zero. A penalty that differentiates
logits with respect to images is only defined for a discriminator that does not couple the examples of a batch;
`game.check` refuses the combination. Conventions are in the names: `r1` has Mescheder's factor 1/2 (its weight is
gamma), `r1_full` has not. See `registry` for the kinds and how several are joined.
"""

# isort: off
# The registry first: a file that registers may import it from this package while it is being imported itself.
from gan_jax.penalties.registry import (
  PENALTIES,
  Moved,
  Penalty,
  get,
  names,
  of_consistency,
  of_critic,
  of_discriminator,
  of_generator,
  of_logits,
  of_parameters,
  of_the_generator,
  weight,
)

# isort: on
from gan_jax.core.registry import import_modules
from gan_jax.core.types import LogitMeans
from gan_jax.penalties.critic import norm_per_example, squared_norm_per_example

__all__ = [
  "PENALTIES",
  "LogitMeans",
  "Moved",
  "Penalty",
  "get",
  "names",
  "norm_per_example",
  "of_consistency",
  "of_critic",
  "of_discriminator",
  "of_generator",
  "of_logits",
  "of_parameters",
  "of_the_generator",
  "squared_norm_per_example",
  "weight",
]

import_modules(__name__, __path__)  # every file registers its penalties
