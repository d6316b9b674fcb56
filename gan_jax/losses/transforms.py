"""Transformations of a loss into another loss. They compose; each says which losses it can transform.

    loss = top_k(matched_gain(losses.get("hinge")), fraction=0.5)

All hyperparameters may be traced.
"""

from typing import Annotated

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core.checks import check_logits
from gan_jax.core.registry import Option
from gan_jax.core.types import Loss, LossFn

Number = Array | float


def mix(discriminator_of: Loss, generator_of: Loss) -> Loss:
  """The discriminator of one loss and the generator of another. Needs: a high logit means "real" in both."""
  return Loss(discriminator_of.discriminator, generator_of.generator)


def zero_sum(loss: Loss) -> Loss:
  """The generator's loss is minus the discriminator's, its terms on real examples included. Needs: nothing."""
  return Loss(loss.discriminator, lambda real, fake: -loss.discriminator(real, fake))


def temperature(loss: Loss, temperature: Annotated[Number, Option("divisor of the logits", above=0)] = 1.0) -> Loss:
  """The loss of logits divided by `temperature`. Its slopes shrink by the same factor: above 1, it is softer.

  Needs: nothing. It has the effect of a Lipschitz constant (Qin et al. 2018, arXiv:1811.09567): temperature T with a
  discriminator of Lipschitz constant K is temperature T / K with one of constant 1.
  """

  def warmed(half: LossFn) -> LossFn:
    def of_scaled(real: Array, fake: Array) -> Array:
      # Into float32 first: a quotient would be rounded in bfloat16. The loss itself refuses features if it must.
      real, fake = check_logits(real, fake, features=True)
      return half((real / temperature).astype(real.dtype), (fake / temperature).astype(fake.dtype))

    return of_scaled

  return Loss(warmed(loss.discriminator), warmed(loss.generator))


def matched_gain(loss: Loss) -> Loss:
  """The generator's term times -0.5 / s, s its slope at logits 0: its slope there becomes that of `non_saturating`.

  Without it, a comparison of losses at one learning rate is partly a comparison of learning rates.
  Needs: a generator whose slope s at logit 0 is negative. Every registered loss has one, but those whose card says
  `symmetric`: by name these are refused, and s = 0 gives NaN.
  """

  def generator(real: Array, fake: Array) -> Array:
    real, fake = check_logits(real, fake)
    zero = jnp.zeros_like(fake)  # of the same batch size, on which the slope of a loss of whole batches may depend
    slope = jax.grad(lambda f: jnp.sum(loss.generator(zero, f)))(zero)[0]
    values = loss.generator(real, fake)
    return values * (-0.5 / slope).astype(values.dtype)

  return Loss(loss.discriminator, generator)


def on_features(loss: Loss) -> Loss:
  """The loss of the discriminator's features [B, F] instead of its logits [B]; |x - y| is the Euclidean distance.

  The discriminator is then a network of features: nothing trains its logits, so what is measured of logits is missing.
  Needs: a distance between two batches, as its card's `of_features` says.
  """
  return loss


def top_k(
  loss: Loss, fraction: Annotated[Number, Option("share of the fakes that are used in G's loss", above=0, high=1)] = 0.5
) -> Loss:
  """The generator learns only from the ceil(fraction B) fakes of highest logit; its loss is their mean.

  Needs: a generator whose i-th value belongs to fake i ('none', 'paired' and 'all_pairs' of the cards). Where the
  loss also has batch averages of fake logits, the dropped fakes still count in those.
  Source: Sinha et al. 2020, arXiv:2002.06224.
  """

  def generator(real: Array, fake: Array) -> Array:
    values = loss.generator(real, fake)
    batch = fake.shape[0]
    # The 1e-5 absorbs rounding: 0.7 * 10 = 7.000000000000001 must give 7.
    k = jnp.clip(jnp.ceil(jnp.asarray(fraction, values.dtype) * batch - 1e-5), 1, batch)
    rank = jnp.argsort(jnp.argsort(-jax.lax.stop_gradient(fake)))
    return jnp.where(rank < k, values, 0) * (batch / k)

  return Loss(loss.discriminator, generator)


def label_smoothing(
  loss: Loss,
  real_target: Annotated[Number, Option("D's target for reals, instead of 1", 0, 1)] = 0.9,
  fake_target: Annotated[Number, Option("D's target for fakes, instead of 0", 0, 1)] = 0.0,
) -> Loss:
  """The discriminator's labels are `real_target` for reals and `fake_target` for fakes, instead of 1 and 0.

  Where its loss is A(r) + C(f), the smoothed one is t A(r) + (1-t) C(r) + (1-u) C(f) + u A(f), t and u the targets:
  the expected loss when labels are flipped with probability 1-t and u. `fake_target=0` is one-sided smoothing.

  Needs: a discriminator of pairing 'none' whose two terms agree at logit 0, where A(x) - C(x) = D(x, 0) - D(0, x): the
  logistic losses, `hinge`, `wasserstein`, `least_squares_probabilities`, `least_squares` in -1/+1 coding, `alpha_loss`.
  Sources: Salimans et al. 2016, arXiv:1606.03498, section 3.4 (one side); Szegedy et al. 2016, arXiv:1512.00567.
  """

  def discriminator(real: Array, fake: Array) -> Array:
    zero = jnp.zeros_like(fake)
    real_flip = loss.discriminator(real, zero) - loss.discriminator(zero, real)
    fake_flip = loss.discriminator(fake, zero) - loss.discriminator(zero, fake)
    smoothed = loss.discriminator(real, fake) - (1 - real_target) * real_flip + fake_target * fake_flip
    return smoothed.astype(real_flip.dtype)

  return Loss(discriminator, loss.generator)
