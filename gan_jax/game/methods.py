"""Directions other than the gradient: both players' gradients at one point, corrected by the game's own Jacobian.

With v = (grad_theta L_G, grad_psi L_D) and J = dv/d(theta, psi), plain simultaneous descent follows -v, whose rotation
(the antisymmetric part of J) is what makes a game circle. Both corrections need products with J only, never J itself.
A field is `(gen_params, disc_params) -> (v, views)`; what comes back is the direction to descend, and the views.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.typing import ArrayLike

Point = Any  # (gen_params, disc_params); v has its structure
Field = Callable[[Point], tuple[Point, Any]]


def consensus(field: Field, point: Point, weight: ArrayLike) -> tuple[Point, Any]:
  """v + weight * grad(|v|^2 / 2) = v + weight * J^T v (Mescheder et al. 2017, arXiv:1705.10461, eq. 12)."""
  v, pull, views = jax.vjp(field, point, has_aux=True)
  (correction,) = pull(v)
  return jax.tree.map(lambda a, b: a + weight * b, v, correction), views


def symplectic(field: Field, point: Point, weight: ArrayLike) -> tuple[Point, Any]:
  """v + weight * A^T v, A = (J - J^T) / 2: symplectic gradient adjustment, without the alignment of the sign.

  Source: Balduzzi et al. 2018, "The mechanics of n-player differentiable games" (arXiv:1802.05642), section 3.2.
  """
  v, pull, views = jax.vjp(field, point, has_aux=True)
  (pulled,) = pull(v)
  _, pushed = jax.jvp(lambda p: field(p)[0], (point,), (v,))
  return jax.tree.map(lambda a, b, c: a + 0.5 * weight * (b - c), v, pulled, pushed), views


ADJUSTMENTS = {"consensus": consensus, "symplectic": symplectic}
