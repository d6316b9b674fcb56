"""Methods: the direction of both players' updates: their gradients, or gradients corrected by the game's Jacobian.

With v = (grad_theta L_G, grad_psi L_D) and J = dv/d(theta, psi), plain simultaneous descent follows -v, whose rotation
(the antisymmetric part of J) makes the players circle around an equilibrium. The corrections need products with J only,
never J itself. A field is `(gen_params, disc_params) -> (v, views)`; a method returns the direction to descend, and the
views.
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
from jax.typing import ArrayLike

from gan_jax.core.registry import Option, Registry

Point = Any  # (gen_params, disc_params); v has its structure
Field = Callable[[Point], tuple[Point, Any]]


METHODS = Registry("method", ("field", "point"), traced="may")


class Facts(NamedTuple):
  """Properties of a method that the step needs."""

  evaluations: int = 1  # directions per step; with two, the second is evaluated at the point to which the first leads
  second_order: bool = True  # it needs derivatives of a player's gradient


def facts(name: str) -> Facts:
  """`Facts` of a registered method; the defaults, which are always safe, if it has none."""
  return METHODS.get(name).facts or Facts()


@METHODS.register(facts=Facts(second_order=False))
def gradient(field: Field, point: Point) -> tuple[Point, Any]:
  """v itself: each player descends its own gradient."""
  return field(point)


@METHODS.register(facts=Facts(evaluations=2, second_order=False))
def extragradient(field: Field, point: Point) -> tuple[Point, Any]:
  """v, evaluated twice per step: at the point, and at the point to which v leads; the second one updates the players.

  Source: Gidel et al. 2019 (arXiv:1802.10551), algorithm 2 and, with an optimizer's memory, 4. See `step`.
  """
  return field(point)


Weight = Annotated[ArrayLike, Option("weight of the correction", 0, traced=True)]


@METHODS.register()
def consensus(field: Field, point: Point, *, weight: Weight = 0.0) -> tuple[Point, Any]:
  """v + weight * grad(|v|^2 / 2) = v + weight * J^T v (Mescheder et al. 2017, arXiv:1705.10461, eq. 12)."""
  v, pull, views = jax.vjp(field, point, has_aux=True)
  (correction,) = pull(v)
  return jax.tree.map(lambda a, b: a + weight * b, v, correction), views


@METHODS.register()
def symplectic(field: Field, point: Point, *, weight: Weight = 0.0) -> tuple[Point, Any]:
  """v + weight * A^T v, A = (J - J^T) / 2: symplectic gradient adjustment, without the alignment of the sign.

  Source: Balduzzi et al. 2018, "The mechanics of n-player differentiable games" (arXiv:1802.05642), section 3.2.
  """
  v, pull, views = jax.vjp(field, point, has_aux=True)
  (pulled,) = pull(v)
  _, pushed = jax.jvp(lambda p: field(p)[0], (point,), (v,))
  return jax.tree.map(lambda a, b, c: a + 0.5 * weight * (b - c), v, pulled, pushed), views
