"""Measurements of the game at a run's current state: local geometry and the duality gap."""

from gan_jax.core.registry import import_modules

import_modules(__name__, __path__)  # every file registers its inspections
