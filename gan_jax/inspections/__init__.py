"""Measurements of the game at a run's current state: local geometry and the duality gap."""

from gan_jax.inspections import duality, geometry

__all__ = ["duality", "geometry"]
