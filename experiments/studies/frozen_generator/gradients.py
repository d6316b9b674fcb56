"""The generator's gradient over many batches of noise, at fresh and at trained discriminators."""

from collections.abc import Mapping
from typing import Any

import numpy as np

LOSSES = ("minimax", "non_saturating")  # whose gradient is sampled
COORDINATES = 40  # number of the gradient's coordinates whose distribution is measured


def sample(found: Any, given: Mapping[str, Any], batches: int) -> dict[str, np.ndarray]:
  """The gradients of a group's members at the state that it began with and at the one it ended with.

  Args:
    found: the group at its end, a `runner.restore.Restored`.
    given: the fields of its state that did not start fresh, as `runner.study.Asked.begin` gave them.
    batches: number of batches of noise.

  Returns:
    `norm` and `noise` [2, members, losses], the length of the mean gradient and the root of the trace of one batch's
    covariance; `values` [2, members, batches, COORDINATES], of the non-saturating one.
  """
  import jax

  from gan_jax.game.state import initial_state

  fresh = jax.jit(jax.vmap(lambda hypers: initial_state(hypers, found.game)))(found.group.hypers)
  measure = build_measure(found.group.spec, found.dataset, batches)
  each = []
  for point in (jax.device_get(fresh)._replace(**given), found.state):  # on the host: a member is cut out there
    for i in range(len(found.group.configs)):
      hypers, state = jax.tree.map(lambda x, i=i: x[i], (found.group.hypers, point))
      each.append(jax.device_get(measure(hypers, state, found.dataset.data)))
  columns = [np.stack(column).reshape(2, -1, *column[0].shape) for column in zip(*each, strict=True)]
  return dict(zip(("norm", "noise", "values"), columns, strict=True))


def build_measure(spec: Any, dataset: Any, batches: int) -> Any:
  """(hypers, state, data) of one member -> (norm [losses], noise [losses], values [batches, COORDINATES]), compiled.

  The coordinates are drawn among those with a non-zero gradient in every batch: that of a dead unit is always zero.
  """
  import jax
  import jax.numpy as jnp

  from gan_jax import game as game_lib
  from gan_jax.core.norms import flat
  from gan_jax.game import generator
  from gan_jax.game.batches import resident_batch

  spec = spec._replace(losses=LOSSES, lens="none")
  game = game_lib.build(spec, dataset)

  def measure(hypers: Any, state: Any, data: Any):
    def gradient(step, index):
      """The gradient at a step that no run reaches, so on noise that was not used in training."""
      hyper = hypers._replace(loss_index=index, loss_options=({}, {}))
      batch = resident_batch(game, hyper, step, data, "generator", 0)
      point = (state.gen_params, state.disc_params)
      return flat(generator.gradient(game, hyper, point, state.memory, batch)[0])

    def of_loss(index: int):
      steps = 10_000_000 + jnp.arange(batches)
      vectors = jax.lax.map(lambda step: gradient(step, index), steps)
      largest = jnp.max(jnp.abs(vectors))  # the squares of minimax's gradient underflow float32
      unit = vectors / largest
      mean = unit.mean(axis=0)
      noise = jnp.sqrt(jnp.sum(jnp.square(unit - mean[None])) / (batches - 1))
      return largest * jnp.sqrt(jnp.sum(jnp.square(mean))), largest * noise, vectors

    (first, first_noise, _), (second, second_noise, vectors) = of_loss(0), of_loss(1)
    alive = jnp.all(vectors != 0, axis=0)
    lot = jnp.where(alive, jax.random.uniform(jax.random.key(0), alive.shape), -1.0)
    _, chosen = jax.lax.top_k(lot, COORDINATES)
    return jnp.stack([first, second]), jnp.stack([first_noise, second_noise]), vectors[:, chosen]

  return jax.jit(measure)
