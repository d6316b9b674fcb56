"""Each published network fits into the game: with a loss of logits and one of classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data, game, settings
from gan_jax.game import rules
from gan_jax.game.state import initial_state
from gan_jax.game.step import build_resident_step
from gan_jax.runner import grouping

WIDTHS = {"generator_width": 4, "discriminator_width": 4}
PLAYED = {  # model -> (its options, the class loss)
  "resnet": (WIDTHS | {"attention": "4"}, "d2d_ce"),
  "sndcgan": (WIDTHS, "ac"),
  "biggan": (WIDTHS | {"embedding": 4, "initial": "normal"}, "contrastive"),
  "r3gan": (WIDTHS | {"group_size": 4}, "multi_hinge"),
}


@pytest.mark.parametrize("model", PLAYED)
def test_a_step_is_traced_to_its_end(model):
  """Every shape of a step, and not compiled, which takes a minute for all: the state's arrays stay what they are."""
  options, class_loss = PLAYED[model]
  rng = np.random.default_rng(0)
  dataset = data.from_arrays(rng.integers(0, 256, (12, 8, 8, 3), np.uint8), np.arange(12) % 3)
  fields = {"model": model, "model_options": options, "class_loss": class_loss, "conditional": True}
  config = settings.resolve(fields | {"loss": "hinge", "batch_size": 4, "latent_size": 8})
  (group,) = grouping.group([config])
  built = game.assemble(group.spec, dataset, *rules.players(group.spec, dataset), couples_batch=False)
  step = build_resident_step(built)

  def play(hypers):
    state = initial_state(hypers, built)
    return state, *step(hypers, state, dataset.data)

  before, after, trace = jax.eval_shape(play, jax.tree.map(lambda x: jnp.asarray(x)[0], group.hypers))
  assert after == before
  assert bool(jax.tree.leaves(before.memory.discriminator)) == (model != "r3gan")  # vectors of its normalised layers
  assert bool(jax.tree.leaves(before.memory.generator)) == (model != "r3gan")  # statistics of batches
  assert trace.generator.logit_slope.shape == (4, 8, 8, 3)
  assert trace.generator.class_loss.shape == trace.discriminator.class_loss.shape == ()
