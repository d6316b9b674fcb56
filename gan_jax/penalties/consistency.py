"""Consistency penalties: the logit of an example should equal that of its augmented or slightly perturbed copy.

Signature: `(critic, images: Moved) -> [B]` for the discriminator, `(generate, noise, key) -> [B]` for the generator.
"""

from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan_jax.core.checks import at_least_float32
from gan_jax.core.errors import BadInput
from gan_jax.core.registry import Option
from gan_jax.core.types import Critic, Key
from gan_jax.penalties.critic import squared_norm_per_example
from gan_jax.penalties.registry import Moved, of_consistency, of_generator

LATENT_SHIFT = 0.07
Shift = Annotated[
  ArrayLike, Option("standard deviation of the perturbation of the latent, whose own is 1", 0, traced=True)
]


def shift_latent(noise: Array, key: Key, shift: ArrayLike = LATENT_SHIFT) -> Array:
  """z + s e, e ~ N(0, I), s = `shift`."""
  return noise + jnp.asarray(shift, noise.dtype) * jax.random.normal(key, noise.shape, noise.dtype)


def _squared_difference(critic: Critic, images: Array, copies: Array) -> Array:
  return jnp.square(at_least_float32(critic(images)) - at_least_float32(critic(copies)))


@of_consistency(10, augments=True)  # both halves; Zhao et al. 2021, section 3
def bcr(critic: Critic, images: Moved) -> Array:
  """(D(x) - D(T(x)))^2 + (D(G(z)) - D(T(G(z))))^2: balanced consistency under the config's `augmentation` T.

  Source: Zhao et al. 2021, "Improved consistency regularization for GANs" (arXiv:2002.04724), algorithm 1.
  """
  real = _squared_difference(critic, images.real, images.real_augmented)
  return real + _squared_difference(critic, images.fake, images.fake_augmented)


@of_consistency(5)  # Zhao et al. 2021, lambda_dis
def zcr(critic: Critic, images: Moved, *, shift: Shift = LATENT_SHIFT) -> Array:
  """(D(G(z)) - D(G(z + s e)))^2, s = `shift`: the discriminator's half of latent consistency.

  Source: Zhao et al. 2021 (arXiv:2002.04724), algorithm 2.
  """
  return _squared_difference(critic, images.fake, images.shifted(shift))


@of_generator(0.5)  # Zhao et al. 2021, lambda_gen
def zcr_generator(generate: Callable[[Array], Array], noise: Array, key: Key, *, shift: Shift = LATENT_SHIFT) -> Array:
  """-|G(z) - G(z + s e)|^2, s = `shift`: the generator's half, which rewards variety (Zhao et al. 2021, algorithm 2)."""
  images, nearby = at_least_float32(generate(noise)), at_least_float32(generate(shift_latent(noise, key, shift)))
  return -squared_norm_per_example(images - nearby)


@of_generator(1e-3)  # Choi et al. 2023, tau on CIFAR-10
def transport_cost(generate: Callable[[Array], Array], noise: Array, key: Key) -> Array:
  """|z - G(z)|^2, by which G maps noise to images nearby: the cost of the losses `uotm_*` (Choi et al. 2023,
  arXiv:2305.14777, algorithm 1). z is read as an image, value by value.

  Raises:
    BadInput: noise of another size than the images.
  """
  del key
  images = at_least_float32(generate(noise)).reshape(len(noise), -1)
  if images.shape != noise.shape:
    raise BadInput(
      f"generator_penalty 'transport_cost' expected latent_size={images.shape[1]}, as many numbers as an image has, got "
      f"{noise.shape[1]}"
    )
  return squared_norm_per_example(noise - images)
