"""The f-GAN family: two losses for every row of the table of f-divergences.

D_f(p||q) >= E_p g(v) - E_q f*(g(v)), with equality where g(v) = f'(p/q). So the discriminator minimises
-g(r) + f*(g(f)), whose least value is -D_f(p||q). `f_gan_<row>` is that zero-sum game, G minimises -f*(g(f));
`f_gan_<row>_practical` has the generator that the paper trains instead, -g(f).

Source: Nowozin, Cseke and Tomioka 2016, arXiv:1606.00709, eqs. 6 and 7; section 3.2 for the practical generator.
"""

import inspect
from collections.abc import Callable
from typing import Annotated

from jax import Array

from gan_jax.core.types import Loss
from gan_jax.losses.divergence import Divergence
from gan_jax.losses.f_divergences import DIVERGENCES
from gan_jax.losses.registry import Card, halves, minus, plus, register

PAPER = "Nowozin et al. 2016, arXiv:1606.00709"


def _card(row: Divergence, practical: bool) -> Card:
  slope: Callable[..., Array] = row.activation_slope if practical else row.composed_slope
  generator = row.activation_text if practical else row.composed_text
  return Card(
    title=f"f-GAN, {row.title}{', practical generator' if practical else ''}",
    discriminator=plus(minus(row.activation_text.format(v="r")), row.composed_text.format(v="f")),
    generator=minus(generator.format(v="f")),
    zero_sum=not practical or row.activation is row.composed,
    pairing="none",
    optimal_logit=row.optimal_logit_text,
    slope=minus(row.activation_slope_text if practical else row.slope_text),
    slope_at=lambda real, fake, **options: -slope(fake, **options),
    saturates=row.saturates_practical if practical else row.saturates,
    reference=f"{PAPER}, {'section 3.2' if practical else 'tables 1 and 2 and supplement'}",
    overflows_at=row.overflows_at,
    optimal_logit_at=row.optimal_logit,
  )


def _builder(row: Divergence, practical: bool) -> Callable[..., Loss]:
  def build(**options: Array | float) -> Loss:
    chosen = {**row.options, **options}
    generator = row.activation if practical else row.composed
    return halves(
      lambda real, fake: row.composed(fake, **chosen) - row.activation(real, **chosen),
      lambda real, fake: -generator(fake, **chosen),
    )

  # The registry reads hyperparameters and their defaults from the signature.
  keyword = inspect.Parameter.KEYWORD_ONLY
  parameters = [
    inspect.Parameter(name, keyword, default=default, annotation=Annotated[float, row.about[name]])
    for name, default in row.options.items()
  ]
  build.__signature__ = inspect.Signature(parameters, return_annotation=Loss)  # type: ignore[attr-defined]
  build.__doc__ = f"{row.title}{' with the practical generator' if practical else ', zero-sum'}. Source: {PAPER}."
  return build


for _name, _row in DIVERGENCES.items():
  register(_card(_row, practical=False), f"f_gan_{_name}")(_builder(_row, practical=False))
  register(_card(_row, practical=True), f"f_gan_{_name}_practical")(_builder(_row, practical=True))
