"""The game's local geometry: eigenvalues of the linearised production update at a run's current state, matrix-free.

x -> F(x) is one update, with the next batches, of everything that influences later updates: both players' parameters
and optimizer states (with lookahead the slow weights, with LeCam the averages of logits). Its Jacobian is never formed:
`arnoldi` needs only products with it, and the resulting small matrices are decomposed on the host (see krylov.py).

Near an equilibrium |lambda| < 1 for all eigenvalues lambda of F' means that the players return to it, and a large
imaginary part that they circle on the way (Mescheder et al. 2018, arXiv:1801.04406; Berard et al. 2020, "A closer look
at the optimization landscapes of GANs", arXiv:1906.04848). Elsewhere the eigenvalues describe only the neighbourhood,
for one batch.
"""

from collections.abc import Callable, Mapping
from math import gcd
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from gan_jax.core.errors import BadInput
from gan_jax.core.norms import global_norm
from gan_jax.core.randomness import Purpose, derive_key
from gan_jax.core.registry import Option
from gan_jax.core.spectra import largest_singular_value
from gan_jax.core.types import Data, GanState, Key, Params
from gan_jax.game import discriminator, generator
from gan_jax.game.batches import resident_batch
from gan_jax.game.rules import Game, once, rough
from gan_jax.game.step import build_resident_step
from gan_jax.game.updates import lazy
from gan_jax.inspections.krylov import Krylov, arnoldi, curvature, leading
from gan_jax.probes import by_layer, inspection
from gan_jax.settings.records import Hypers, Spec

POWER_ITERATIONS = 200
NEVER = 1e-30  # replaces a second moment of 0, where the square root has no derivative; far below Adam's eps^2

EXPLANATIONS = {
  "geometry/spectral_radius": "largest |eigenvalue| of the update's Jacobian: below 1 the point attracts the players",
  "geometry/leading_real": "real part of that eigenvalue minus 1: negative is attraction",
  "geometry/leading_imaginary": "size of its imaginary part: rotation of the players around each other",
  "geometry/rotation": "|imaginary part| / |eigenvalue - 1| of that eigenvalue: 0 is a straight path, 1 a circle",
  "geometry/residual": "bound on the error of that eigenvalue: increase option `size` until it is small",
  "geometry/generator_curvature": "eigenvalue of largest size, signed, of the Hessian of the generator's objective",
  "geometry/discriminator_curvature": "the same of the discriminator's, penalties included",
}


class Statistics(NamedTuple):
  """The measurements of one member on the device."""

  update: Krylov
  generator: Krylov  # of the Hessian
  discriminator: Krylov
  norms: dict[str, Array]  # largest singular values by `<player>/<layer>`
  alive: Array  # bool: the member has not diverged
  remembers: Array  # bool: its optimizer states can be linearised, or have nothing to linearise


def spectral_norms(players: Mapping[str, Params], key: Key) -> dict[str, Array]:
  """By `<player>/<layer>`: the largest singular value of any kernel of the layer, for layers with a kernel."""
  measure = lambda kernel: largest_singular_value(kernel, key, POWER_ITERATIONS)  # noqa: E731
  found = {}
  for player, params in players.items():
    for layer, leaves in by_layer(params).items():
      kernels = [leaf for leaf in leaves if leaf.ndim >= 2]
      if kernels:
        found[f"{player}/{layer}"] = jnp.stack([measure(kernel) for kernel in kernels]).max()
  return found


def cycle(game: Game) -> int:
  """The number of steps after which the update repeats: lookahead and lazy penalties do not act in every step."""
  spec = game.spec
  due = spec.penalty_every // gcd(spec.penalty_every, spec.n_critic) if lazy(game) else 1
  pull = spec.lookahead_every or 1
  return due * pull // gcd(due, pull)


def check(spec: Spec) -> None:
  """Raises `BadInput` for a spec whose second derivatives are not the game's."""
  if rough(spec):
    raise BadInput(
      f"{rough(spec)}, so the update's Jacobian is not what automatic "
      "differentiation finds; expected it to be left out, or probes without 'geometry'"
    )
  if once(spec):
    raise BadInput(
      f"the derivative of loss {once(spec)!r} must not be differentiated again, as probes 'geometry' does; expected probes "
      "without 'geometry'"
    )


def moving(game: Game, state: GanState) -> tuple[list[Array], Callable[[list[Array]], GanState]]:
  """The floating-point arrays of a state that influence later updates, and a function that makes a state with other ones.

  The players' own memories are left out: training normalises by the current batch, and running statistics are not used.
  """
  memory = state.memory
  parts = {name: getattr(state, name) for name in ("gen_params", "gen_opt", "disc_params", "disc_opt")}
  # Only LeCam uses the averages of logits.
  remembered = {"slow": memory.slow, "balance": memory.balance} | (
    {"logit_means": memory.logit_means} if any(penalty.name == "lecam" for penalty in game.penalties) else {}
  )
  leaves, structure = jax.tree.flatten((parts, remembered))
  floats = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]

  def restore(values: list[Array]) -> GanState:
    whole = list(leaves)
    for i, value in zip(floats, values, strict=True):
      whole[i] = value
    moved, followed = jax.tree.unflatten(structure, whole)
    return state._replace(**moved, memory=memory._replace(**followed))

  return [leaves[i] for i in floats], restore


def is_adaptive(node: Any) -> bool:
  return isinstance(node, (optax.ScaleByAdamState, optax.ScaleByRmsState))


def units(hypers: Hypers, state: GanState) -> GanState:
  """The state with each number replaced by its unit of scale. Eigenvalues do not depend on units, but rounding does.

  The unit of a parameter is its learning rate; that of a moment of Adam or RMSProp is its own size, because moments
  differ by decades. A weight whose gradient was always zero has moments of zero; a unit of zero leaves them out.
  """

  def memory(node: Any) -> Any:
    if isinstance(node, optax.ScaleByAdamState):
      return node._replace(mu=jax.tree.map(jnp.sqrt, node.nu))
    if isinstance(node, optax.ScaleByRmsState):
      return node
    return jax.tree.map(jnp.ones_like, node)

  def fill(tree: Params, rate: ArrayLike) -> Params:
    unit = jnp.where(jnp.asarray(rate) > 0, rate, 1)
    return jax.tree.map(lambda x: jnp.full_like(x, unit), tree)

  rates = hypers.generator_rate, hypers.discriminator_rate
  return state._replace(
    gen_params=fill(state.gen_params, rates[0]),
    disc_params=fill(state.disc_params, rates[1]),
    gen_opt=jax.tree.map(memory, state.gen_opt, is_leaf=is_adaptive),
    disc_opt=jax.tree.map(memory, state.disc_opt, is_leaf=is_adaptive),
    memory=state.memory._replace(
      slow=tuple(fill(tree, rate) for tree, rate in zip(state.memory.slow, rates, strict=False)),
      logit_means=jax.tree.map(jnp.ones_like, state.memory.logit_means),
      balance=jax.tree.map(jnp.ones_like, state.memory.balance),
    ),
  )


def differentiable(opt: Any) -> tuple[Any, Array]:
  """(an optimizer state without zeros under the square root, whether it has any non-zero second moment)."""
  nodes = [n for n in jax.tree.leaves(opt, is_leaf=is_adaptive) if is_adaptive(n)]
  used = jnp.stack([global_norm(n.nu) > 0 for n in nodes]).all() if nodes else jnp.ones((), bool)

  def lifted(node: Any) -> Any:
    if is_adaptive(node):
      return node._replace(nu=jax.tree.map(lambda nu: jnp.where(nu > 0, nu, NEVER), node.nu))
    return node

  return jax.tree.map(lifted, opt, is_leaf=is_adaptive), used


def update_map(game: Game, hypers: Hypers, state: GanState, scales: Array, data: Data, key: Key, size: int) -> Krylov:
  """`Krylov` of the Jacobian of one `cycle` of production steps, in the units of `scales`."""
  step, length = build_resident_step(game), cycle(game)
  here, restore = moving(game, state)
  _, unravel = ravel_pytree(here)

  def advance(values: list[Array]) -> Array:
    after = lax.fori_loop(0, length, lambda _, s: step(hypers, s, data)[0], restore(values))
    return ravel_pytree(moving(game, after)[0])[0]

  def product(vector: Array) -> Array:
    moved = jax.jvp(advance, (here,), (unravel(scales * vector),))[1]
    return jnp.where(scales > 0, moved / jnp.where(scales > 0, scales, 1), 0)

  start = jax.random.normal(key, scales.shape, scales.dtype)
  return arnoldi(product, jnp.where(scales > 0, start, 0), size)


def hessian(gradient: Callable[[Params], Params], params: Params, key: Key, size: int) -> Krylov:
  """`Krylov` of the Jacobian of a gradient at `params`."""
  flat, unravel = ravel_pytree(params)
  product = lambda v: ravel_pytree(jax.jvp(gradient, (params,), (unravel(v),))[1])[0]  # noqa: E731
  return arnoldi(product, jax.random.normal(key, flat.shape, flat.dtype), size)


@inspection("geometry", EXPLANATIONS)
def build(
  game: Game, *, size: Annotated[int, Option("dimension of the Krylov space", 2, 10_000)] = 36
) -> Callable[[Hypers, GanState, Data], Statistics]:
  """The measurement of one member on the device; `finish` computes the columns from it.

  Only forward derivatives of the production gradients are taken, so that the choice of a loss by a traced index stays a
  selection of finished vectors. It needs memory for `size` vectors of all numbers in `moving`.

  Raises:
    BadInput: as `check` does.
  """
  check(game.spec)
  game = game._replace(spec=game.spec._replace(lens="none", probes="none"))

  def measure(hypers: Hypers, state: GanState, data: Data) -> Statistics:
    keys = [derive_key(hypers.seed, state.step, Purpose.GEOMETRY, index) for index in range(4)]
    scales = ravel_pytree(moving(game, units(hypers, state))[0])[0]
    gen_opt, gen_used = differentiable(state.gen_opt)
    disc_opt, disc_used = differentiable(state.disc_opt)
    gen_batch, disc_batch = (
      resident_batch(game, hypers, state.step, data, name, 0) for name in ("generator", "discriminator")
    )

    def of_generator(params: Params) -> Params:
      return generator.gradient(game, hypers, (params, state.disc_params), state.memory, gen_batch)[0]

    def of_discriminator(params: Params) -> Params:
      return discriminator.gradient(game, hypers, (state.gen_params, params), state.memory, disc_batch)[0]

    used = state._replace(gen_opt=gen_opt, disc_opt=disc_opt)
    return Statistics(
      update=update_map(game, hypers, used, scales, data, keys[0], size),
      generator=hessian(of_generator, state.gen_params, keys[1], size),
      discriminator=hessian(of_discriminator, state.disc_params, keys[2], size),
      norms=spectral_norms({"generator": state.gen_params, "discriminator": state.disc_params}, keys[3]),
      alive=state.diverged_at < 0,
      # During the head start only the discriminator's optimizer has moments.
      remembers=disc_used & (gen_used | (state.step < hypers.head_start)),
    )

  return measure


def finish(statistics: Statistics) -> dict[str, np.ndarray]:
  """On the host: statistics with a leading axis [P] -> columns [P]; NaN once a member has diverged.

  Before its first step Adam's moments are zero, where the root has no derivative: the update's columns are NaN.
  """
  members = len(statistics.alive)
  rows = [_row(jax.tree.map(lambda x, i=i: x[i], statistics)) for i in range(members)]
  with np.errstate(over="ignore"):
    return {name: np.array([row[name] for row in rows], np.float32) for name in rows[0]}


def _row(one: Statistics) -> dict[str, float]:
  value, residual = leading(one.update)
  size = abs(value - 1)
  found = (abs(value), value.real - 1, value.imag, value.imag / size if size > 0 else np.nan, residual)
  if not one.remembers:
    found = (np.nan,) * 5
  row = dict(zip(EXPLANATIONS, (*found, curvature(one.generator), curvature(one.discriminator)), strict=True))
  row |= {f"geometry/spectral_norm/{layer}": float(norm) for layer, norm in one.norms.items()}
  return {name: value if one.alive else np.nan for name, value in row.items()}


def explanations(game: Game) -> dict[str, str]:
  """The meaning of each column of `finish`."""
  key = jax.random.key(0)
  players = {"generator": game.generator, "discriminator": game.discriminator}
  layers = jax.eval_shape(lambda: spectral_norms({name: player.init(key)[0] for name, player in players.items()}, key))
  return EXPLANATIONS | {
    f"geometry/spectral_norm/{layer}": f"largest singular value of the weights of layer {layer}" for layer in layers
  }
