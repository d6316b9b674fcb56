"""Distances between the batch of real logits and the batch of fake logits, from the differences within and between them.

They are the same for logits of opposite sign, so a high logit need not mean "real" (`Card.symmetric`). Each is a function
of distances alone, so it may be taken of features [B, F] as well: `on_features(mmd)`. Then r - f in a card's formula is
the Euclidean distance |r - f|.
"""

from collections.abc import Callable
from typing import Annotated

import jax.numpy as jnp
from jax import Array

from gan_jax.core.registry import Option
from gan_jax.core.types import Loss
from gan_jax.losses.registry import Card, halves, minus, register

Number = Array | float
Function = Callable[[Array], Array]  # of differences, element by element


def differences(one: Array, other: Array) -> Array:
  """[B, B]: the differences of logits [B], or the distances |x - y| of features [B, F], whose slope at 0 is taken as 0.

  Not |x|^2 + |y|^2 - 2 x.y: in float32 that loses the small distances of a generator which has collapsed.
  """
  apart = one[:, None] - other[None, :]
  if one.ndim == 1:
    return apart
  squares = jnp.sum(jnp.square(apart), axis=-1)
  return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def batch_value(value: Array, fake: Array) -> Array:
  """[B]: the value of the whole batch at every example."""
  return jnp.broadcast_to(value, fake.shape[:1])


def _between(function: Function, one: Array, other: Array) -> Array:
  """The mean over all B^2 pairs of a real and a fake: they are independent, so none is left out."""
  return jnp.mean(function(differences(one, other)))


def _within(function: Function, batch: Array) -> Array:
  """The mean over all pairs of different examples of one batch, which makes it unbiased; 0 for a batch of one."""
  size = len(batch)
  values = function(differences(batch, batch))
  different = ~jnp.eye(size, dtype=bool)
  return jnp.sum(jnp.where(different, values, 0)) / max(size * (size - 1), 1)


def _pull(derivative: Function, real: Array, fake: Array) -> Array:
  """[B]: the derivative of B (2 between - within) by each fake, from the function's derivative, which is odd."""
  to_reals = jnp.mean(derivative(fake[None, :] - real[:, None]), axis=0)
  from_fakes = jnp.sum(derivative(fake[None, :] - fake[:, None]), axis=0) / max(fake.size - 1, 1)
  return 2 * (to_reals - from_fakes)


def _energy(real: Array, fake: Array) -> Array:
  distance = 2 * _between(jnp.abs, real, fake) - _within(jnp.abs, real) - _within(jnp.abs, fake)
  return batch_value(distance, fake)


ENERGY = "2 mean_i mean_j abs(r_i - f_j) - mean_pairs abs(r_i - r_j) - mean_pairs abs(f_i - f_j)"
UNSIGNED = "none is best without a bound on D, and a best one times -1 is as good"


@register(
  Card(
    title="Energy distance",
    discriminator=minus(ENERGY),
    generator=ENERGY,
    zero_sum=True,
    pairing="average",
    optimal_logit=f"{UNSIGNED}: the loss grows in proportion to the logits",
    slope="2 mean_i sign(f - r_i) - 2 sum_i sign(f - f_i) / (B - 1)",
    slope_at=lambda real, fake: _pull(jnp.sign, real, fake),
    saturates="never as a batch; a fake beyond all other logits has no slope: the other fakes push as the reals pull",
    reference="Szekely and Rizzo 2013, J. Stat. Plan. Inference 143; on critics: Bellemare et al. 2017, arXiv:1705.10743",
    symmetric=True,
    of_features=True,
  )
)
def energy() -> Loss:
  """2 E|r - f| - E|r - r'| - E|f - f'|, which G minimises and D maximises: the squared Cramer distance, twice.

  Unbiased: r and r' are different examples. A function of the whole batch: every entry of [B] is the same. Uses [B, B]
  memory. D's value is unbounded, so it needs a Lipschitz discriminator. The Cramer GAN takes it of vectors of features,
  as `on_features(energy)` does, and gives D a surrogate without E|r - r'|; here both players have the whole distance.
  Sources: Szekely and Rizzo 2013, "Energy statistics"; Bellemare et al. 2017, arXiv:1705.10743.
  """
  return halves(lambda real, fake: -_energy(real, fake), _energy, of_features=True)


def _gaussian(sigma: Number) -> Function:
  return lambda difference: jnp.exp(-(difference**2) / (2 * sigma**2))


def _near(sigma: Number, lower: Number) -> Function:
  """The kernel of pairs that D draws together: flat where they are nearer than sqrt(lower)."""
  return lambda difference: jnp.exp(-jnp.maximum(difference**2, lower) / (2 * sigma**2))


def _far(sigma: Number, upper: Number) -> Function:
  """The kernel of pairs that D drives apart: flat where they are farther than sqrt(upper)."""
  return lambda difference: jnp.exp(-jnp.minimum(difference**2, upper) / (2 * sigma**2))


def _squared_mmd(k: Function) -> Callable[[Array, Array], Array]:
  def squared_mmd(real: Array, fake: Array) -> Array:
    return batch_value(_within(k, real) + _within(k, fake) - 2 * _between(k, real, fake), fake)

  return squared_mmd


def _mmd_slope(real: Array, fake: Array, sigma: Number, lower: Number, upper: Number) -> Array:
  return _pull(lambda difference: difference / sigma**2 * _gaussian(sigma)(difference), real, fake)


KERNELS = "near(d) = e^(-max(d^2, lower) / (2 sigma^2)), far(d) = e^(-min(d^2, upper) / (2 sigma^2))"
PAPER = "Wang et al. 2019, arXiv:1812.09916"
ATTRACTIVE = Card(
  title="MMD with a bounded Gaussian kernel",
  discriminator=f"2 mean_i mean_j far(r_i - f_j) - mean_pairs near(r_i - r_j) - mean_pairs near(f_i - f_j), {KERNELS}",
  generator="mean_pairs k(r_i - r_j) + mean_pairs k(f_i - f_j) - 2 mean_i mean_j k(r_i - f_j), "
  "k(d) = e^(-d^2 / (2 sigma^2))",
  zero_sum=False,
  pairing="average",
  optimal_logit="no closed form in p/q; a best one times -1 is as good",
  slope="2 mean_i g(f - r_i) - 2 sum_i g(f - f_i) / (B - 1), g(d) = d / sigma^2 e^(-d^2 / (2 sigma^2))",
  slope_at=_mmd_slope,
  saturates="where |f - r| >> sigma: the reals' pull falls as e^-((f - r)^2 / (2 sigma^2)), so a separated batch has none",
  reference=f"{PAPER}, the attractive loss; the kernel of its code, github.com/richardwth/MMD-GAN",
  symmetric=True,
  of_features=True,
)
Sigma = Annotated[Number, Option("width of the Gaussian kernel", above=0)]
Lower = Annotated[Number, Option("squared distance below which D draws no pair nearer", low=0)]
Upper = Annotated[Number, Option("squared distance above which D drives no pair farther", above=0)]


@register(ATTRACTIVE)
def mmd(sigma: Sigma = 1.0, lower: Lower = 0.25, upper: Upper = 4.0) -> Loss:
  """The squared maximum mean discrepancy of the logits, E k(r, r') + E k(f, f') - 2 E k(r, f), k Gaussian.

  G minimises it; D maximises it with a kernel that is flat, as a hinge is, for pairs of one kind nearer than
  sqrt(lower) and for a real and a fake farther than sqrt(upper). Unbiased: r and r' are different examples, and all B^2
  pairs of a real and a fake count (their code leaves out real i with fake i). A function of the whole batch: every entry
  of [B] is the same. Uses [B, B] memory. The paper's D has 16 outputs, as `on_features(mmd)` has F.
  Source: Wang et al. 2019, arXiv:1812.09916, section 4 for the bounds (0.25 and 4 at sigma 1).
  """
  near, far = _near(sigma, lower), _far(sigma, upper)

  def discriminator(real: Array, fake: Array) -> Array:
    return batch_value(2 * _between(far, real, fake) - _within(near, real) - _within(near, fake), fake)

  return halves(discriminator, _squared_mmd(_gaussian(sigma)), of_features=True)


@register(
  ATTRACTIVE._replace(
    title="MMD with a bounded Gaussian kernel, repulsive",
    discriminator=f"mean_pairs far(r_i - r_j) - mean_pairs near(f_i - f_j), {KERNELS}",
    reference=f"{PAPER}, the repulsive loss; the kernel of its code, github.com/richardwth/MMD-GAN",
  )
)
def mmd_repulsive(sigma: Sigma = 1.0, lower: Lower = 0.25, upper: Upper = 4.0) -> Loss:
  """The generator of `mmd` against a D that drives reals apart and draws fakes together: E k(r, r') - E k(f, f').

  D's attractive loss would draw the reals together as well, and so discourage it from seeing their details. Reals
  farther apart than sqrt(upper) and fakes nearer than sqrt(lower) have no slope. D compares no real with any fake.
  Source: Wang et al. 2019, arXiv:1812.09916, the repulsive loss with lambda = 1.
  """
  near, far = _near(sigma, lower), _far(sigma, upper)

  def discriminator(real: Array, fake: Array) -> Array:
    return batch_value(_within(far, real) - _within(near, fake), fake)

  return halves(discriminator, _squared_mmd(_gaussian(sigma)), of_features=True)


WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0)  # of the Gaussians
POWERS = (0.2, 0.5, 1.0, 2.0, 5.0)  # of the rational quadratic kernels
SQUARED_MMD = "mean_pairs k(r_i - r_j) + mean_pairs k(f_i - f_j) - 2 mean_i mean_j k(r_i - f_j)"


def _mixture(terms: Callable[[Array], list[Array]], scale: Number) -> Function:
  """The sum of some functions of d / scale."""
  return lambda difference: sum(terms(difference / scale), jnp.zeros(()))


def _gaussians(d: Array) -> list[Array]:
  return [jnp.exp(-(d**2) / (2 * width**2)) for width in WIDTHS]


def _rational_quadratics(d: Array) -> list[Array]:
  return [(1 + d**2 / (2 * power)) ** -power for power in POWERS]


def _falling_gaussians(d: Array) -> list[Array]:
  """Minus the derivatives of `_gaussians`."""
  return [d / width**2 * jnp.exp(-(d**2) / (2 * width**2)) for width in WIDTHS]


def _falling_rational_quadratics(d: Array) -> list[Array]:
  return [d * (1 + d**2 / (2 * power)) ** (-power - 1) for power in POWERS]


def _mixture_card(title: str, kernel: str, falling: str, slopes: Callable, saturates: str, reference: str) -> Card:
  """The card of a zero-sum MMD, of the texts of k(d) and of g(d), minus its derivative."""
  return Card(
    title=title,
    discriminator=f"{minus(SQUARED_MMD)}, {kernel}",
    generator=f"{SQUARED_MMD}, {kernel}",
    zero_sum=True,
    pairing="average",
    optimal_logit="no closed form in p/q; a best one times -1 is as good",
    slope=f"2 mean_i g(f - r_i) - 2 sum_i g(f - f_i) / (B - 1), {falling}",
    slope_at=lambda real, fake, scale: _pull(_mixture(slopes, scale), real, fake) / scale,
    saturates=saturates,
    reference=reference,
    symmetric=True,
    of_features=True,
  )


Scale = Annotated[Number, Option("unit of distance: the kernel is taken of d / scale", above=0)]


def _written(term: Callable[[float], str], numbers: tuple[float, ...]) -> str:
  return " + ".join(term(number) for number in numbers)


@register(
  _mixture_card(
    "MMD with a mixture of Gaussian kernels",
    f"k(d) = {_written(lambda w: f'e^(-d^2 / ({2 * w * w:g} scale^2))', WIDTHS)}",
    f"g(d) = d / scale^2 ({_written(lambda w: f'1 / {w * w:g} e^(-d^2 / ({2 * w * w:g} scale^2))', WIDTHS)})",
    _falling_gaussians,
    "where |f - r| >> 16 scale: the pull of the reals falls as e^-((f - r)^2 / (512 scale^2))",
    "Li et al. 2017, arXiv:1705.08584 (widths 1, 2, 4, 8, 16)",
  )
)
def mmd_gaussian_mixture(scale: Scale = 1.0) -> Loss:
  """The squared MMD with k(d) = sum_s e^(-d^2 / (2 s^2)), s = 1, 2, 4, 8, 16 times `scale`; D maximises, G minimises it.

  Unbiased, as `mmd`; a function of the whole batch. MMD GAN as published takes it of features of an autoencoding D, with
  the reconstruction error beside it; here D has no decoder, and needs a Lipschitz constraint.
  Source: Li et al. 2017, "MMD GAN" (arXiv:1705.08584).
  """
  distance = _squared_mmd(_mixture(_gaussians, scale))
  return halves(lambda real, fake: -distance(real, fake), distance, of_features=True)


@register(
  _mixture_card(
    "MMD with a mixture of rational quadratic kernels",
    f"k(d) = {_written(lambda a: f'(1 + d^2 / ({2 * a:g} scale^2))^(-{a:g})', POWERS)}",
    f"g(d) = d / scale^2 ({_written(lambda a: f'(1 + d^2 / ({2 * a:g} scale^2))^(-{a + 1:g})', POWERS)})",
    _falling_rational_quadratics,
    "slowly: a real at distance d >> scale pulls as (d / scale)^-1.4, by the kernel of the heaviest tail",
    "Binkowski et al. 2018, arXiv:1801.01401 (powers 0.2, 0.5, 1, 2, 5)",
  )
)
def mmd_rational_quadratic(scale: Scale = 1.0) -> Loss:
  """The squared MMD with k(d) = sum_a (1 + d^2 / (2 a))^-a, a = 0.2, 0.5, 1, 2, 5, d in units of `scale`.

  D maximises, G minimises it. Unbiased, as `mmd`. The tails of the kernel are heavy, so a separated batch keeps a slope. The
  paper adds a gradient penalty on the witness function, mean k(., r) - mean k(., f); here D is held by a weight constraint.
  Source: Binkowski et al. 2018, "Demystifying MMD GANs" (arXiv:1801.01401).
  """
  distance = _squared_mmd(_mixture(_rational_quadratics, scale))
  return halves(lambda real, fake: -distance(real, fake), distance, of_features=True)
