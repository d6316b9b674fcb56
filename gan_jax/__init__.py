"""gan_jax: which GAN loss, and why did this one stop learning?

Importing the package imports nothing else: `launch.sh help`, a sweep's listing and a report start without jax.
"""

__version__ = "0.1.0"
