"""Probes of each player: its loss, the size and number of its updates, and the noise in its gradient."""

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core.norms import cosine, flat, global_norm, ratio
from gan_jax.core.spectra import kernels, largest_singular_value
from gan_jax.core.types import Params, Trace
from gan_jax.probes.registry import probe


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
    "disc/loss": trace.discriminator.loss,
    "gen/loss": trace.generator.loss,
    "penalty/value": trace.discriminator.penalty,
    "penalty/generator_value": trace.generator.penalty,
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
    "disc/grad_norm": "norm of the discriminator's gradient, penalty included",
    "gen/update_ratio": "length of the generator's update relative to its weights",
    "disc/update_ratio": "length of the discriminator's (last) update relative to its weights",
  }
)
def updates(trace: Trace) -> dict[str, Array]:
  return {
    "disc/grad_norm": global_norm(trace.discriminator.grads),
    "gen/update_ratio": ratio(global_norm(trace.generator.updates), global_norm(trace.generator.params)),
    "disc/update_ratio": ratio(global_norm(trace.discriminator.updates), global_norm(trace.discriminator.params)),
  }


CLASSES = {
  "disc/class_loss": "the discriminator's class loss, mean over the batch, weight not included",
  "gen/class_loss": "the generator's class loss",
  "disc/class_accuracy": "share of the real examples whose class the discriminator finds",
  "gen/class_accuracy": "the same of the fakes",
}


@probe({})
def classes(trace: Trace) -> dict[str, Array]:
  pairs = {"disc": trace.discriminator, "gen": trace.generator}
  found = {f"{name}/{what}": getattr(view, what) for name, view in pairs.items() for what in OF_CLASSES}
  return {name: value for name, value in found.items() if value is not None}


OF_CLASSES = ("class_loss", "class_accuracy")
CONTROLLED = {
  "disc/balance": "the option of the loss that its controller moves, in this update: how much BEGAN's D minds fakes",
  "disc/convergence": "BEGAN's M = L(real) + |diversity L(real) - L(fake)|, L the mean reconstruction error",
}


@probe({})
def controlled(trace: Trace) -> dict[str, Array]:
  found = {f"disc/{name}": getattr(trace.discriminator, name) for name in ("balance", "convergence")}
  return {name: value for name, value in found.items() if value is not None}


SPECTRAL = {
  "disc/largest_singular_value": "largest singular value of any kernel of the discriminator after spectral normalisation, "
  "estimated from below; 1 where the power iteration has followed the weights",
}


@probe({})
def normalisation(trace: Trace) -> dict[str, Array]:
  found = kernels(trace.discriminator.normalised)
  if not found:
    return {}
  key = jax.random.key(0)  # the start of the power iteration; any will do
  values = [largest_singular_value(kernel, jax.random.fold_in(key, i)) for i, kernel in enumerate(found)]
  return {"disc/largest_singular_value": jnp.stack(values).max()}


def signal_to_noise(parts: Params) -> Array:
  """|g|^2 / (S / M) of M gradients [M, ...] of micro-batches of equal size, whose mean is g, the batch's gradient.

  S = sum_m |g_m - g|^2 / (M - 1) estimates the variance of one g_m, and S / M that of g: 1 is the value for
  pure noise. NaN for M = 1.
  """
  vectors = jax.vmap(flat)(parts)
  largest = jnp.max(jnp.abs(vectors))
  vectors = vectors / jnp.where(largest > 0, largest, 1)
  count = vectors.shape[0]
  if count == 1:
    return jnp.full((), jnp.nan)
  mean = vectors.mean(axis=0)
  variance = jnp.sum(jnp.square(vectors - mean[None, :])) / (count - 1)
  return ratio(jnp.sum(jnp.square(mean)), variance / count)


@probe(
  {
    "gen/signal_to_noise": "squared norm of the generator's gradient over its variance, estimated from micro-batches; "
    "1: only noise",
    "disc/signal_to_noise": "the same of the discriminator's, penalty not included",
    "gen/successive_cosine": "cosine of the generator's gradient with that of the next step; -1: it reverses",
  },
  group="noise",
)
def noise(trace: Trace) -> dict[str, Array]:
  """How much of each gradient is noise, and whether the generator's reverses."""
  return {
    "gen/signal_to_noise": signal_to_noise(trace.generator.parts),
    "disc/signal_to_noise": signal_to_noise(trace.discriminator.parts),
    "gen/successive_cosine": cosine(trace.generator.grads, trace.next_generator_grads),
  }
