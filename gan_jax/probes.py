"""Probes: everything worth knowing about a step, as pure functions of its trace.

A probe is one decorated function, `Trace -> {name: scalar}`; the decorator takes one line of explanation per name, which
the report prints. Nothing is rounded and nothing small is dropped: a gradient of 1e-12 is a finding.
"""

from collections.abc import Callable, Iterable, Mapping

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.checks import at_least_float32
from gan_jax.penalties import squared_norm_per_example
from gan_jax.types import Params, Probe, Trace

PROBES: list[Probe] = []
EXPLANATIONS: dict[str, str] = {}

SATURATED = 0.01  # of the slope 0.5 or 1 that the usual losses have at logit 0


def probe(explanations: Mapping[str, str]) -> Callable[[Probe], Probe]:
  """Register a probe and what its names mean."""

  def register(function: Probe) -> Probe:
    PROBES.append(function)
    EXPLANATIONS.update(explanations)
    return function

  return register


def measure(trace: Trace) -> dict[str, Array]:
  """All registered probes, float32; NaN once the member has diverged, because a frozen state measures nothing.

  Whole numbers stay whole, and count on: a frozen state has used what it has used.
  """
  values = {name: value for function in PROBES for name, value in function(trace).items()}
  return {
    name: value
    if jnp.issubdtype(value.dtype, jnp.integer)
    else jnp.where(trace.alive, at_least_float32(value), jnp.nan)
    for name, value in values.items()
  }


def global_norm(tree: Params) -> Array:
  """Euclidean norm over all leaves, in float32 or better; scaled by the largest entry, so that 1e-25 is not lost."""
  leaves = [at_least_float32(leaf).ravel() for leaf in jax.tree.leaves(tree)]
  flat = jnp.concatenate(leaves)
  largest = jnp.max(jnp.abs(flat))
  scale = jnp.where(largest > 0, largest, 1)
  return largest * jnp.sqrt(jnp.sum(jnp.square(flat / scale)))


def ratio(numerator: Array, denominator: Array) -> Array:
  """numerator / denominator, NaN where the denominator is zero: a factor of nothing is not a number."""
  return jnp.where(denominator > 0, numerator / jnp.where(denominator > 0, denominator, 1), jnp.nan)


def area_under_curve(real_logits: Array, fake_logits: Array) -> Array:
  """P(real > fake) + P(real = fake) / 2 over all pairs: the area under the ROC curve (Mann and Whitney 1947)."""
  real, fake = real_logits[:, None], fake_logits[None, :]
  wins = jnp.broadcast_to(real, (real.shape[0], fake.shape[1])) > jnp.broadcast_to(fake, (real.shape[0], fake.shape[1]))
  ties = jnp.broadcast_to(real, wins.shape) == jnp.broadcast_to(fake, wins.shape)
  return jnp.mean(wins) + 0.5 * jnp.mean(ties)


@probe(
  {
    "disc/loss": "discriminator loss, mean over the batch, penalty not included",
    "gen/loss": "generator loss, mean over the batch",
    "penalty/value": "penalties on the discriminator, mean over the batch, weights not included",
    "penalty/generator_value": "penalties on the generator, mean over the batch, weights not included",
  }
)
def losses(trace: Trace) -> dict[str, Array]:
  return {
    "disc/loss": trace.disc_loss,
    "gen/loss": trace.gen_loss,
    "penalty/value": trace.penalty,
    "penalty/generator_value": trace.generator_penalty,
  }


@probe(
  {
    "count/discriminator_updates": "discriminator updates so far, this step's included",
    "count/generator_updates": "generator updates so far",
    "count/images": "real examples that the discriminator has been shown so far, batch by batch",
  }
)
def counts(trace: Trace) -> dict[str, Array]:
  return {f"count/{name}": value for name, value in trace.counts._asdict().items()}


@probe(
  {
    "logits/real_mean": "mean logit of real examples (high: judged real)",
    "logits/fake_mean": "mean logit of generated examples",
    "logits/margin": "mean real logit minus mean fake logit",
    "disc/accuracy_real": "share of real examples with a logit above 0",
    "disc/accuracy_fake": "share of generated examples with a logit below 0",
    "disc/auc": "chance that a real example scores above a generated one: 0.5 is a level game, 1 is discriminator dominance",
  }
)
def dominance(trace: Trace) -> dict[str, Array]:
  real, fake = trace.real_logits, trace.fake_logits
  return {
    "logits/real_mean": real.mean(),
    "logits/fake_mean": fake.mean(),
    "logits/margin": real.mean() - fake.mean(),
    "disc/accuracy_real": jnp.mean(real > 0),
    "disc/accuracy_fake": jnp.mean(fake < 0),
    "disc/auc": area_under_curve(real, fake),
  }


HELD_OUT = {
  "disc/auc_held_out": "the same chance, of real examples that the discriminator was never trained on",
  "disc/overfitting": "disc/auc less disc/auc_held_out: what the discriminator knows by heart",
  "logits/held_out_mean": "mean logit of held-out real examples",
}


@probe({})
def held_out(trace: Trace) -> dict[str, Array]:
  if trace.held_out_logits is None:
    return {}
  unseen = area_under_curve(trace.held_out_logits, trace.fake_logits)
  seen = area_under_curve(trace.real_logits, trace.fake_logits)
  return {
    "disc/auc_held_out": unseen,
    "disc/overfitting": seen - unseen,
    "logits/held_out_mean": trace.held_out_logits.mean(),
  }


@probe(
  {
    "signal/loss_slope_mean": "|d generator loss / d logit| of a generated example, mean over the batch",
    "signal/loss_slope_q10": "the same, 10 % quantile",
    "signal/loss_slope_q50": "the same, median",
    "signal/loss_slope_q90": "the same, 90 % quantile",
    "signal/saturated_share": f"share of generated examples whose |d generator loss / d logit| is below {SATURATED}",
    "signal/critic_slope_mean": "|d logit / d image| at generated examples, mean over the batch",
  }
)
def signal(trace: Trace) -> dict[str, Array]:
  slopes = jnp.abs(trace.logit_cotangent) * trace.logit_cotangent.shape[0]
  quantiles = jnp.quantile(slopes, jnp.array([0.1, 0.5, 0.9]))
  return {
    "signal/loss_slope_mean": slopes.mean(),
    "signal/loss_slope_q10": quantiles[0],
    "signal/loss_slope_q50": quantiles[1],
    "signal/loss_slope_q90": quantiles[2],
    "signal/saturated_share": jnp.mean(slopes < SATURATED),
    "signal/critic_slope_mean": jnp.sqrt(squared_norm_per_example(trace.logit_slope)).mean(),
  }


@probe(
  {
    "factor/loss": "the loss's factor of the generator gradient: root mean square of d loss / d logit",
    "factor/critic": "the critic's factor: how much longer the gradient becomes from the logits to the images",
    "factor/generator": "the generator's factor: how much longer it becomes from the images to the parameters",
    "gen/grad_norm": "norm of the generator's gradient; exactly the product of the three factors",
  }
)
def gradient_factors(trace: Trace) -> dict[str, Array]:
  """|g| = (sqrt(B) |c|) * (|x| / |c|) * (|g| / (sqrt(B) |x|)) with c, x, g the cotangent on logits, images, parameters."""
  root = jnp.sqrt(jnp.asarray(trace.logit_cotangent.shape[0], jnp.float32))
  logits, images, params = (
    global_norm(tree) for tree in (trace.logit_cotangent, trace.image_cotangent, trace.gen_grads)
  )
  return {
    "factor/loss": root * logits,
    "factor/critic": ratio(images, logits),
    "factor/generator": ratio(params, root * images),
    "gen/grad_norm": params,
  }


LENS = {
  "norm": "norm of the generator gradient that {} would have given at this step",
  "cosine_in_use": "cosine of that gradient with the one in use",
  "cosine_non_saturating": "cosine of that gradient with non_saturating's",
  "effective_samples": "(sum |w|)^2 / sum w^2 of {}'s logit weights: how many fakes carry its gradient",
}


def explanations(lens: Iterable[str] = (), hold_out: bool = False) -> dict[str, str]:
  """What every row's names mean, where some losses are seen through the lens, and where examples are held out."""
  seen = {f"lens/{what}/{name}": text.format(name) for name in lens for what, text in LENS.items()}
  return EXPLANATIONS | seen | (HELD_OUT if hold_out else {})


@probe({})
def through_lens(trace: Trace) -> dict[str, Array]:
  return {f"lens/{what}/{name}": getattr(view, what) for name, view in trace.lens.items() for what in LENS}


@probe(
  {
    "disc/grad_norm": "norm of the discriminator's gradient, penalty included",
    "gen/update_ratio": "length of the generator's update relative to its weights",
    "disc/update_ratio": "length of the discriminator's (last) update relative to its weights",
  }
)
def updates(trace: Trace) -> dict[str, Array]:
  return {
    "disc/grad_norm": global_norm(trace.disc_grads),
    "gen/update_ratio": ratio(global_norm(trace.gen_updates), global_norm(trace.gen_params)),
    "disc/update_ratio": ratio(global_norm(trace.disc_updates), global_norm(trace.disc_params)),
  }
