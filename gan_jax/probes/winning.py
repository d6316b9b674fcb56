"""Who is winning: measures that mean the same under every loss, on the examples trained on and on held-out ones."""

import jax.numpy as jnp
from jax import Array
from jax.nn import sigmoid, softplus

from gan_jax.core.norms import norm_per_example, ratio
from gan_jax.core.types import Trace
from gan_jax.probes.quantiles import explained, quantiles
from gan_jax.probes.registry import probe

BINS = 10  # of the calibration error


def area_under_curve(real_logits: Array, fake_logits: Array) -> Array:
  """P(real > fake) + P(real = fake) / 2 over all pairs: the area under the ROC curve (Mann and Whitney 1947)."""
  real, fake = jnp.meshgrid(real_logits, fake_logits, indexing="ij")
  return jnp.mean(real > fake) + 0.5 * jnp.mean(real == fake)


def win_rate(real_logits: Array, fake_logits: Array) -> Array:
  """The share of pairs (real i, fake i) in which the real logit is higher; a tie counts half."""
  return jnp.mean(real_logits > fake_logits) + 0.5 * jnp.mean(real_logits == fake_logits)


def calibration_error(real_logits: Array, fake_logits: Array) -> Array:
  """Expected calibration error of sigmoid(logit) as the probability of 'real', over ten bins of equal width.

  sum_b n_b / n |share of reals in bin b - mean probability in bin b|. At 0 the probabilities
  are the true shares of reals. Source: Guo et al. 2017 (arXiv:1706.04599), eq. 3.
  """
  probability = sigmoid(jnp.concatenate([real_logits, fake_logits]))
  real = jnp.concatenate([jnp.ones_like(real_logits), jnp.zeros_like(fake_logits)])
  edges = jnp.minimum((probability * BINS).astype(jnp.int32), BINS - 1)
  member = (edges[None, :] == jnp.arange(BINS)[:, None]).astype(probability.dtype)
  gaps = jnp.abs(jnp.sum(member * (real - probability)[None, :], axis=1))
  return jnp.sum(gaps) / probability.shape[0]


def jensen_shannon_bound(real_logits: Array, fake_logits: Array) -> Array:
  """log 2 - (E softplus(-r) + E softplus(f)) / 2, in nats: at most JSD(data, model), equal at the optimal discriminator.

  Source: Goodfellow et al. 2014 (arXiv:1406.2661), theorem 1.
  """
  return jnp.log(2.0) - 0.5 * (softplus(-real_logits).mean() + softplus(fake_logits).mean())


def signed(trace: Trace, value: Array) -> Array:
  """A value that takes a high logit for "real": NaN where the loss gives the sign of a logit no meaning."""
  return jnp.where(trace.signed, value, jnp.nan)


@probe(
  {
    "logits/real_mean": "mean logit of real examples (a high logit means 'real')",
    "logits/fake_mean": "mean logit of generated examples",
    "logits/margin": "mean real logit minus mean fake logit",
    **explained("logits/margin", "real logit i minus fake logit i"),
    "disc/accuracy": "share of examples on the right side of the loss's own threshold, the logit of its optimal "
    "discriminator where data and model are equally dense; midway between the mean logits where it has none (a tie: half)",
    "disc/accuracy_real": "share of real examples with a logit above the loss's own threshold (a tie is half); NaN where the "
    "loss has none, because only differences of its logits mean anything",
    "disc/accuracy_fake": "share of generated examples with a logit below the loss's own threshold (a tie is half); NaN "
    "where the loss has none",
    "disc/auc": "chance that a real example scores above a generated one: 0.5 is a level game, 1 is discriminator "
    "dominance; NaN, as the accuracy and the win rate, where to the loss a high logit does not mean 'real', "
    "as under energy, mmd or began",
    "disc/win_rate": "share of pairs, one real and one generated, in which the real one scores higher",
    "disc/calibration_error": "mean distance of sigmoid(logit) from the share of reals that have it, over ten bins; "
    "NaN where the loss does not make sigmoid(logit) a probability",
    "bound/jensen_shannon": "lower bound of the Jensen-Shannon divergence of data and model by this batch, nats; "
    "at most log 2, and loose where the loss is not logistic",
    "bound/wasserstein": "mean logit difference over the steepest slope seen: a lower bound of the Wasserstein distance "
    "if the discriminator is nowhere steeper",
  }
)
def dominance(trace: Trace) -> dict[str, Array]:
  view = trace.generator
  real, fake = view.real_logits, view.fake_logits
  margin = real.mean() - fake.mean()
  own = jnp.isfinite(trace.threshold)  # none where the loss depends on differences of logits only
  threshold = jnp.where(own, trace.threshold, 0.5 * (real.mean() + fake.mean()))
  right_real, right_fake = win_rate(real, threshold), win_rate(threshold, fake)
  slopes = [norm_per_example(x).max() for x in (view.logit_slope, view.real_slope, view.between_slope)]
  return {
    "logits/real_mean": real.mean(),
    "logits/fake_mean": fake.mean(),
    "logits/margin": margin,
    **quantiles("logits/margin", real - fake),
    "disc/accuracy": signed(trace, 0.5 * (right_real + right_fake)),
    "disc/accuracy_real": jnp.where(own, right_real, jnp.nan),
    "disc/accuracy_fake": jnp.where(own, right_fake, jnp.nan),
    "disc/auc": signed(trace, area_under_curve(real, fake)),
    "disc/win_rate": signed(trace, win_rate(real, fake)),
    "disc/calibration_error": jnp.where(trace.calibrated, calibration_error(real, fake), jnp.nan),
    "bound/jensen_shannon": jensen_shannon_bound(real, fake),
    "bound/wasserstein": ratio(margin, jnp.stack(slopes).max()),
  }


HELD_OUT = {
  "disc/auc_held_out": "disc/auc, of real examples that the discriminator was never trained on",
  "disc/win_rate_held_out": "disc/win_rate, of those",
  "disc/overfitting": "disc/auc minus disc/auc_held_out: how far the discriminator has memorised its training examples",
  "logits/held_out_mean": "mean logit of held-out real examples",
  "bound/jensen_shannon_held_out": "bound/jensen_shannon, of those; on its training examples the bound may be too high",
}


@probe({})
def held_out(trace: Trace) -> dict[str, Array]:
  if trace.generator.held_out_logits is None:
    return {}
  unseen, fake = trace.generator.held_out_logits, trace.generator.fake_logits
  return {
    "disc/auc_held_out": signed(trace, area_under_curve(unseen, fake)),
    "disc/win_rate_held_out": signed(trace, win_rate(unseen, fake)),
    "disc/overfitting": signed(
      trace, area_under_curve(trace.generator.real_logits, fake) - area_under_curve(unseen, fake)
    ),
    "logits/held_out_mean": unseen.mean(),
    "bound/jensen_shannon_held_out": jensen_shannon_bound(unseen, fake),
  }
