"""How many floating-point operations a step needs: XLA's analysis of the plain step, before it is compiled.

All sides of a row are divided by this one number, whatever they add to the step or leave out.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gan_jax import game, settings
from gan_jax.data import Dataset
from gan_jax.runner import grouping

from . import flax_peer


def count(config: Mapping[str, Any], dataset: Dataset) -> float | None:
  """Operations of one step of one run; None with a penalty or a constraint, which the plain step does not have.

  The networks are ours, with XLA's own convolutions: each product is then counted once, padding with zeros not at all.
  """
  if config["penalty"] != "none" or config["weight_constraint"] != "none":
    return None
  fields = {name: value for name, value in config.items() if name != "code"}
  if config["model"] != "mlp":
    fields["model_options"] = {**fields["model_options"], "convolution": "lax"}
  (group,) = grouping.group([settings.resolve(fields)])
  generator, discriminator = game.players(group.spec, dataset)
  labels = jnp.zeros(config["batch_size"], jnp.int32)
  (g, g_memory), (d, d_memory) = (jax.eval_shape(p.init, jax.random.key(0)) for p in (generator, discriminator))

  def step(state: flax_peer.State, memories: Any, real: Any, noises: Any) -> Any:
    generate = lambda params, noise: generator.apply(params, memories[0], noise, labels, True)[0]  # noqa: E731
    judge = lambda params, x: discriminator.apply(params, memories[1], x, labels, True)[0].logits  # noqa: E731
    return flax_peer.step(flax_peer.Peer(generate, judge), state, real, noises)

  moments = (jax.eval_shape(flax_peer.Peer.optimizer().init, params) for params in (g, d))
  noise = jax.ShapeDtypeStruct((config["batch_size"], config["latent_size"]), jnp.float32)
  real = jax.ShapeDtypeStruct((config["batch_size"], *dataset.image_shape), jnp.float32)
  state = flax_peer.State(g, d, *moments)
  found = jax.jit(step).lower(state, (g_memory, d_memory), real, (noise, noise)).cost_analysis()
  return float((found or {}).get("flops", 0)) or None
