"""What is measured of the game where a run stands, at evaluations: its Jacobian and its duality gap."""

from gan_jax.core.registry import import_modules

import_modules(__name__, __path__)  # every file registers its inspections
