"""The registry of losses: each has a builder, which makes a `Loss` from hyperparameters, and a card of facts."""

import re
from collections.abc import Callable
from typing import NamedTuple

from jax import Array

from gan_jax.core.checks import check_logits
from gan_jax.core.errors import unknown
from gan_jax.core.registry import Registry
from gan_jax.core.types import Loss, LossFn

Builder = Callable[..., Loss]


class Controller(NamedTuple):
  """How a run moves one option of a loss from update to update of the discriminator, by its logits [B] in that update."""

  option: str  # its value in a config is that of the first step
  follow: Callable[..., Array]  # (value, real_logits, fake_logits, **options) -> the next value
  convergence: Callable[
    ..., Array
  ]  # (real_logits, fake_logits, **options) -> a measure that falls while the run converges


class Card(NamedTuple):
  """Facts about a loss. `r`, `f` are the logits of a real and a fake example, `R`, `F` the means of a batch of them.

  The text of a formula is `FORMULA[, NAME = FORMULA ...][; remark]`; tests evaluate it (notation:
  `gan_jax/core/formulas.py`). The generator's formula and the slope may use names that the discriminator's defines.
  `optimal_logit` is such a text if there is an `optimal_logit_at`, and a sentence otherwise.

  `slope_at` is, for fake j, the derivative of the *sum* of the generator's terms, sum_i dG_i / df_j: B times the
  derivative of the batch mean. For the pairings 'none' and 'paired' it is dG_j / df_j.
  """

  title: str
  discriminator: str  # formula of the discriminator's term, minimised
  generator: str  # formula of the generator's term, minimised
  zero_sum: bool  # the generator's slope is minus the discriminator's, for every fake
  pairing: str  # one of PAIRINGS
  optimal_logit: str  # of the best discriminator, by the density ratio p/q of data to model
  slope: str  # formula of `slope_at`
  slope_at: Callable[..., Array]  # (real [B], fake [B], **hyperparameters) -> [B]
  saturates: str  # where the generator's slope vanishes although D separates the fakes from the reals
  reference: str
  # |logit| from which the formula's value or slope overflows float32; None: finite at 1e4 and beyond.
  overflows_at: float | None = None
  # (log p/q, **hyperparameters) -> logit, the middle of the interval if many are optimal; None: no closed form.
  optimal_logit_at: Callable[..., Array] | None = None
  # The loss is the same for -r and -f, so a high logit need not mean "real": no AUC, accuracy or win rate is measured.
  symmetric: bool = False
  # Its functions also take features [B, F] in place of logits [B]: `on_features(NAME)`.
  of_features: bool = False
  # Its derivative takes part of the value for constant: right, but not to be differentiated again.
  once: bool = False
  controller: Controller | None = None  # of one of its options; None: all are constants


PAIRINGS = {
  "none": "each logit has its own term",
  "paired": "real i is compared with fake i",
  "all_pairs": "every real is compared with every fake",
  "average": "logits enter a batch average, or are compared with one",
}

# Common names of these losses elsewhere, in lower case with underscores. "Vanilla" and "BCE" are ambiguous: most code
# with these names trains the non-saturating generator.
MEANINGS = {
  **dict.fromkeys(("bce", "vanilla", "vanilla_gan", "gan", "standard", "original"), "non_saturating, or minimax"),
  **dict.fromkeys(("ns", "nsgan", "ns_gan", "non_saturating_gan", "modified", "logistic"), "non_saturating"),
  **dict.fromkeys(("mm", "mmgan", "mm_gan", "saturating"), "minimax"),
  **dict.fromkeys(("lsgan", "ls_gan", "ls", "mse"), "least_squares"),
  **dict.fromkeys(("wgan", "w_gan"), "loss=wasserstein with weight_constraint=clip"),
  **dict.fromkeys(("wgan_gp", "wgangp", "w_gan_gp"), "loss=wasserstein with penalty=gradient_penalty"),
  **dict.fromkeys(("wgan_lp", "wganlp"), "loss=wasserstein with penalty=gradient_penalty_one_sided"),
  **dict.fromkeys(("rgan", "rsgan", "rpgan", "relativistic_gan"), "relativistic"),
  **dict.fromkeys(("ragan", "ra_gan", "rasgan"), "relativistic_average"),
  **dict.fromkeys(("ralsgan", "ra_ls_gan"), "relativistic_average_least_squares"),
  **dict.fromkeys(("rahinge", "rahingegan"), "relativistic_average_hinge"),
  **dict.fromkeys(("sngan", "sn_gan"), "loss=hinge with weight_constraint=spectral"),
  **dict.fromkeys(("dual_contrast", "dual_contrast_loss", "dual_contrastive_loss"), "dual_contrastive"),
  **dict.fromkeys(("kl_wgan", "klwgan", "f_wgan"), "kl_hinge"),
  **dict.fromkeys(("cramer", "cramer_gan", "energy_distance"), "energy"),
  **dict.fromkeys(("mmd_gan", "mmdgan", "mmd_g"), "mmd, or mmd_gaussian_mixture, or mmd_rational_quadratic"),
  **dict.fromkeys(("sinkhorn_divergence", "sinkhorn_gan", "ot_gan"), "sinkhorn"),
  **dict.fromkeys(("uotm", "uot", "unbalanced_optimal_transport"), "uotm_softplus, or uotm_kl, or uotm_chi2"),
  **dict.fromkeys(("sobolev_gan", "sobolev"), "loss=wasserstein with penalty=sobolev"),
  **dict.fromkeys(("fisher_gan", "fishergan"), "loss=wasserstein with penalty=fisher"),
  "dragan": "loss=non_saturating with penalty=dragan",
  "r3gan": "loss=relativistic with penalty=r1_r2",
  **dict.fromkeys(("gngan", "gn_gan"), "loss=hinge with gradient_normalisation=True"),
  "san": "loss=hinge with model_options.last_layer=san",
  **dict.fromkeys(("ebgan", "eb_gan"), "loss=energy_margin with model=autoencoder"),
  "pacgan": "loss=non_saturating with packing=2",
}
LOSSES = Registry("loss", (), traced="always", meanings=MEANINGS)
CARDS: dict[str, Card] = {}


def register(card: Card, name: str | None = None) -> Callable[[Builder], Builder]:
  """Decorator: register a builder, a function of numeric hyperparameters with defaults, by default under its own name.

  Raises:
    ValueError: the name is taken, a hyperparameter has no numeric default, or the card's pairing is not one of
    `PAIRINGS`.
  """

  def enter(builder: Builder) -> Builder:
    key = name or builder.__name__
    if card.pairing not in PAIRINGS:
      raise ValueError(f"loss {key!r}: expected a pairing of {list(PAIRINGS)}, got {card.pairing!r}")
    LOSSES.enter(key, builder, card)
    CARDS[key] = card
    return builder

  return enter


def minus(text: str) -> str:
  """The text of the negative of a formula; definitions and remark are kept."""
  match = re.fullmatch(r"(.*?)((?:, \w+ = |; ).*)?", text)
  assert match is not None
  formula, rest = match[1], match[2] or ""
  if _is_sum(formula):
    return f"-({formula}){rest}"
  return f"{formula[1:] if formula.startswith('-') else f'-{formula}'}{rest}"


def plus(text: str, other: str) -> str:
  """The text of the sum of two formulas; `text` must have no definitions and no remark."""
  return f"{text} - {other[1:]}" if other.startswith("-") else f"{text} + {other}"


def _is_sum(formula: str) -> bool:
  """Whether the formula has a binary + or - outside all parentheses."""
  signs = re.finditer(r" [+-] ", formula)
  return any(formula[: m.start()].count("(") == formula[: m.start()].count(")") for m in signs)


def halves(discriminator: LossFn, generator: LossFn, of_features: bool = False) -> Loss:
  """A `Loss` of two formulas of `(real, fake)`; they are given vectors of equal length in float32 (or float64) only.

  With `of_features` they may be given features [B, F] too, and return [B] in either case.
  """
  return Loss(_guarded(discriminator, of_features), _guarded(generator, of_features))


def _guarded(formula: LossFn, of_features: bool) -> LossFn:
  def guarded(real_logits: Array, fake_logits: Array) -> Array:
    real, fake = check_logits(real_logits, fake_logits, of_features)
    # Back to the logits' dtype: a hyperparameter in float64 must not give one branch of a switch another type.
    return formula(real, fake).astype(fake.dtype)

  return guarded


def card(name: str) -> Card:
  """The card of a loss. Raises `BadInput` for an unknown name."""
  if name not in CARDS:
    raise unknown("loss", name, LOSSES, MEANINGS)
  return CARDS[name]
