"""Every GAN loss: a pair of pure functions over logits, registered by name with a card of its formulas and source.

    from gan_jax import losses

    loss = losses.get("least_squares", target=0.5)
    discriminator_loss = loss.discriminator(real_logits, fake_logits)  # [B], minimised
    generator_loss = loss.generator(real_logits, fake_logits)  # [B], minimised

A high logit means "real" (but see `Card.symmetric`). To add a loss, write one function under `@register(Card(...))` in
the file of its family and one row of known values in `tests/support/known_losses.py`.
"""

# isort: off
# The registry first: a file that registers may import it from this package while it is being imported itself.
from gan_jax.losses.registry import CARDS, LOSSES, Card, card, halves, register

# isort: on
from gan_jax.core.registry import import_modules
from gan_jax.core.types import Loss
from gan_jax.losses.classes import CLASS_LOSSES
from gan_jax.losses.compose import (
  TRANSFORMATIONS,
  builder,
  controller,
  default_options,
  get,
  judge,
  once,
  optimal_logit,
  reads,
  signed,
  zero_sum,
)

__all__ = [
  "CARDS",
  "CLASS_LOSSES",
  "LOSSES",
  "TRANSFORMATIONS",
  "Card",
  "Loss",
  "builder",
  "card",
  "controller",
  "default_options",
  "get",
  "halves",
  "judge",
  "once",
  "optimal_logit",
  "reads",
  "register",
  "signed",
  "zero_sum",
]

import_modules(__name__, __path__)  # every family registers its losses
