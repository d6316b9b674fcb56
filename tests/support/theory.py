"""The Dirac-GAN played by the production step, and the Jacobian of that step over everything that a run carries."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import data, game, losses
from gan_jax.game.state import initial_state
from gan_jax.game.step import build_resident_step
from gan_jax.theory import dirac
from tests.support import records
from tests.support.records import fitted


def spec_of(**fields):
  return records.spec_of(**{"batch_size": 2, "latent_size": 1, "optimizer": "sgd"} | fields)


def hypers_of(names=("wasserstein",), loss="", options=None, **fields):
  """Rates of 0.2, no averaging; `penalty_weight` is one number for all penalties, or a tuple."""
  chosen = {
    "loss_index": names.index(loss or names[0]),
    "loss_options": tuple(losses.default_options(n) | (options or {}) for n in names),
  }
  rates = {"generator_rate": 0.2, "discriminator_rate": 0.2, "ema_decay": 0.0}
  return records.hypers_of(names, **rates | chosen | fields)


class Play:
  """One compiled Dirac-GAN; everything in `Hypers` may differ between calls without compiling again."""

  def __init__(self, bias=False, **static):
    self.spec = spec_of(**static)
    dataset = data.from_numbers(jnp.zeros(4))
    self.game = game.assemble(self.spec, dataset, *dirac.dirac(bias))
    self.data, self.bias = dataset.data, bias
    step = build_resident_step(self.game)
    self.step = jax.jit(lambda h, state: step(fitted(h, self.spec), state, self.data)[0])
    self.jacobian_of = jax.jit(self._jacobian)
    self.path_of = jax.jit(self._path, static_argnums=3)

  def at(self, theta, psi, h):
    """The state with the two players there, and empty memories that count as used."""
    return dirac.placed(initial_state(fitted(h, self.spec), self.game), theta, psi)

  def _jacobian(self, h, theta, psi, steps):
    advance = lambda state: jax.lax.fori_loop(0, steps, lambda _, s: self.step(h, s), state)  # noqa: E731
    return dirac.jacobian(advance, self.at(theta, psi, h))

  def jacobian(self, h, theta=0.0, psi=None, steps=1):
    """Over (memory, theta, psi, ...) in the order of the state's leaves."""
    psi = ((0.0, 0.0) if self.bias else 0.0) if psi is None else psi
    return np.asarray(self.jacobian_of(h, theta, psi, steps))

  def eigenvalues(self, h, **at):
    """All of them, those of memories that forget at once (zeros) and of what never moves (ones) included."""
    return np.linalg.eigvals(self.jacobian(h, **at))

  def players(self, h, **at):
    """[2, 2] (or [3, 3] with a bias): the block of theta, psi (and b) of the vector field, J = (DF - I) / rate."""
    shapes = jax.eval_shape(lambda: dirac.without_means(self.at(0.0, (0.0, 0.0) if self.bias else 0.0, h)))
    named = [(path[0].name, leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(shapes)]
    floats = [name for name, leaf in named if jnp.issubdtype(leaf.dtype, jnp.floating)]
    mine = [i for i, name in enumerate(floats) if name in ("gen_params", "disc_params")]
    block = self.jacobian(h, **at)[np.ix_(mine, mine)]
    return (block - np.eye(len(mine))) / h.generator_rate

  def _path(self, h, theta, psi, steps):
    def one(state, _):
      new = self.step(h, state)
      return new, jnp.stack([state.gen_params, state.disc_params])

    return jax.lax.scan(one, self.at(theta, psi, h), None, length=steps)[1]

  def path(self, h, start=(1.0, 1.0), steps=500):
    """[steps, 2]: where the players stood before each step."""
    return np.asarray(self.path_of(h, *start, steps))


@functools.cache
def play(bias=False, **static):
  return Play(bias, **static)


def same(found, expected, tolerance=1e-9):
  """Two sets of eigenvalues, whatever their order."""
  found, left = list(found), list(expected)
  assert len(found) == len(left), (found, expected)
  for value in found:
    nearest = min(left, key=lambda other: abs(value - other))
    assert abs(value - nearest) < tolerance, (value, left)
    left.remove(nearest)


def roots(mean, square):
  """mean +- sqrt(square), complex where it must be."""
  return [mean + s * np.emath.sqrt(square) for s in (1, -1)]
