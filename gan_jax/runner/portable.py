"""A trained generator as one file that runs without gan_jax, written with `jax.export`.

    import jax, jax.export
    generator = jax.export.deserialize(open("hinge.jaxexport", "rb").read())
    latents = jax.random.normal(jax.random.key(0), (16, generator.in_avals[0].shape[1]))
    images = generator.call(latents, jax.numpy.arange(16) % 10)   # latents float32 [B, Z], labels int32 [B]

The parameters are constants in it. A generator that is not given a class ignores the labels, which may all be 0. It runs
on the kinds of device in `generator.platforms` (a TPU only if jax has one), with any B where `in_avals` shows a letter,
and for years after: jax keeps reading such files for at least six months and calls them by a stable format.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, export

from gan_jax.core.errors import BadInput, blame
from gan_jax.runner.generator import Generator

PLATFORMS = ("cpu", "cuda", "tpu")


class Portable(NamedTuple):
  """An exported generator."""

  content: bytes  # of the file
  platforms: tuple[str, ...]
  batch: int | None  # the only B that it takes; None: any


def exported(generator: Generator, count: int) -> Portable:
  """The generator as the bytes of a file.

  Of a network whose code needs to know B, such as a user's own, it takes `count` samples at a time; one that is written
  for the devices at hand runs on those.

  Raises:
    BadInput: jax cannot export it at all; the message has its reason.
  """

  def gan_jax_generator(latents: Array, labels: Array) -> Array:  # the file contains its name
    return generator.generate(generator.parameters, latents, labels)

  reason: Exception | None = None
  for platforms in (PLATFORMS, (_here(),)):
    for batch in (None, count):
      try:
        found = export.export(jax.jit(gan_jax_generator), platforms=platforms)(*_arguments(generator, batch))
        return Portable(bytes(found.serialize()), platforms, batch)
      except Exception as error:  # what tracing and lowering raise depends on the network's own code
        reason = reason or error
  raise BadInput(f"run {generator.run} has a generator that jax cannot export: {blame(reason or RuntimeError())}")


def _arguments(generator: Generator, batch: int | None) -> tuple[Any, Any]:
  size = export.symbolic_shape("B")[0] if batch is None else batch
  latents = jax.ShapeDtypeStruct((size, generator.latent_size), jnp.float32)
  return latents, jax.ShapeDtypeStruct((size,), jnp.int32)


def _here() -> str:
  backend = jax.default_backend()
  return "cuda" if backend == "gpu" else backend
