"""The generator's gradient as a product of the loss's, the discriminator's and the generator's factor."""

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core.norms import global_norm, norm_per_example, ratio
from gan_jax.core.types import Params, Trace
from gan_jax.probes.quantiles import explained, quantiles
from gan_jax.probes.registry import probe

SATURATED = 0.01  # a slope below this counts as saturated; at logit 0 the usual losses have 0.5 or 1


@probe(
  {
    "factor/loss": "the loss's factor of the generator gradient: root mean square of d loss / d logit",
    "factor/critic": "the discriminator's factor: norm of the gradient at the images over that at the logits",
    "factor/generator": "the generator's factor: norm at the parameters over norm at the images, divided by sqrt(B)",
    "gen/grad_norm": "norm of the generator's gradient; exactly the product of the three factors",
  }
)
def gradient_factors(trace: Trace) -> dict[str, Array]:
  """|g| = (sqrt(B) |c|) * (|x| / |c|) * (|g| / (sqrt(B) |x|)) with c, x, g the gradient at the logits, images, weights."""
  root = jnp.sqrt(jnp.asarray(trace.generator.logit_cotangent.shape[0], jnp.float32))
  logits, images, params = (
    global_norm(tree)
    for tree in (trace.generator.logit_cotangent, trace.generator.image_cotangent, trace.generator.grads)
  )
  return {
    "factor/loss": root * logits,
    "factor/critic": ratio(images, logits),
    "factor/generator": ratio(params, root * images),
    "gen/grad_norm": params,
  }


@probe(
  {
    "signal/loss_slope_mean": "|d generator loss / d logit| of a generated example, mean over the batch",
    **explained("signal/loss_slope", "|d generator loss / d logit| of a generated example"),
    "signal/saturated_share": f"share of generated examples whose |d generator loss / d logit| is below {SATURATED}",
    "signal/critic_slope_mean": "|d logit / d image| at generated examples, mean over the batch",
    **explained("signal/critic_slope", "|d logit / d image| at generated examples"),
    **explained("signal/critic_slope_real", "|d logit / d image| at real examples"),
    **explained(
      "signal/critic_slope_between", "|d logit / d image| at random points between a real and a generated one"
    ),
    **explained("signal/generator_motion", "|d image / d theta| along the unit vector of the generator's gradient"),
  }
)
def signal(trace: Trace) -> dict[str, Array]:
  cotangent = trace.generator.logit_cotangent
  slopes = (jnp.abs(cotangent) if cotangent.ndim == 1 else norm_per_example(cotangent)) * cotangent.shape[0]
  at_fakes = norm_per_example(trace.generator.logit_slope)
  return {
    "signal/loss_slope_mean": slopes.mean(),
    **quantiles("signal/loss_slope", slopes),
    "signal/saturated_share": jnp.mean(slopes < SATURATED),
    "signal/critic_slope_mean": at_fakes.mean(),
    **quantiles("signal/critic_slope", at_fakes),
    **quantiles("signal/critic_slope_real", norm_per_example(trace.generator.real_slope)),
    **quantiles("signal/critic_slope_between", norm_per_example(trace.generator.between_slope)),
    **quantiles("signal/generator_motion", norm_per_example(trace.generator.image_motion)),
  }


def by_layer(tree: Params) -> dict[str, list[Array]]:
  """The arrays of a parameter tree by layer. A layer is a path without its last key (`kernel`, `bias`)."""
  found: dict[str, list[Array]] = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    keys = [str(getattr(key, "key", getattr(key, "idx", key))) for key in path]
    found.setdefault("/".join(keys[:-1]) or "all", []).append(leaf)
  return found


@probe(
  {
    "gen/grad_norm/<layer>": "norm of the generator's gradient in that layer",
    "disc/grad_norm/<layer>": "norm of the discriminator's gradient in that layer, penalty included",
  },
  group="layers",
)
def layers(trace: Trace) -> dict[str, Array]:
  """Norms of both gradients, layer by layer."""
  players = {"gen": trace.generator.grads, "disc": trace.discriminator.grads}
  return {
    f"{player}/grad_norm/{layer}": global_norm(leaves)
    for player, grads in players.items()
    for layer, leaves in by_layer(grads).items()
  }
