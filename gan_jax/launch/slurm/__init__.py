"""A study's groups as jobs of a Slurm cluster, submitted with submitit. No jax import."""

from gan_jax.launch.slurm.engine import Slurm
from gan_jax.launch.slurm.options import PREFIX, Options, call, check, read

__all__ = ["PREFIX", "Options", "Slurm", "call", "check", "read"]
