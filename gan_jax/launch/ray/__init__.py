"""A study's groups as tasks of Ray, on this machine or on a cluster. No jax import, and none of Ray."""

from gan_jax.launch.ray.engine import Ray
from gan_jax.launch.ray.options import PREFIX, Options, check, read

__all__ = ["PREFIX", "Options", "Ray", "check", "read"]
