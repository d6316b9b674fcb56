"""Leading eigenvalues of a linear map of which only products are known, from the Krylov space of one vector.

The device computes the small matrix. The host decomposes it with NumPy, because LAPACK calls inside a program on
several CPU devices deadlock.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gan_jax.core.norms import global_norm


class Krylov(NamedTuple):
  """A linear map A in an orthonormal basis Q of span(v, A v, A^2 v, ...): Q^T A Q."""

  hessenberg: Array  # [k, k]
  size: Array  # int32: only that many rows and columns are filled; fewer than k where the space is exhausted
  rest: Array  # norm of the last product's part outside the space; 0: the eigenvalues are exact


def arnoldi(product: Callable[[Array], Array], start: Array, size: int) -> Krylov:
  """The Arnoldi iteration (Saad 2011, "Numerical Methods for Large Eigenvalue Problems", algorithm 6.1).

  Each new direction is made orthogonal to all before it twice, which is enough (Giraud et al. 2005). If `size` is at
  least the dimension, or the space is exhausted, the eigenvalues are exact; otherwise well-separated ones converge
  first.

  Args:
    product: v [n] -> A v [n]; linear.
    start: [n], not zero; a random one has a component along every eigenvector.
    size: largest number of products; min(size, n) are computed.
  """
  k = min(size, start.size)
  # Relative rounding of one product: a smaller remainder is noise.
  smallest = 10 * jnp.finfo(start.dtype).eps
  times = lambda a, b: jnp.matmul(a, b, precision=lax.Precision.HIGHEST)  # noqa: E731

  def extend(j: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
    basis, matrix, size, goes_on, _ = carry
    moved = product(basis[j])
    once = times(basis, moved)
    rest = moved - times(once, basis)
    twice = times(basis, rest)
    rest = rest - times(twice, basis)
    length = global_norm(rest).astype(start.dtype)
    found = goes_on & (length > smallest * global_norm(moved))
    matrix = matrix.at[:, j].set(once + twice)
    # Rows after the last are dropped; an exhausted basis is continued with zeros, which change nothing.
    matrix = matrix.at[j + 1, j].set(jnp.where(found, length, 0), mode="drop")
    direction = jnp.where(found, rest / jnp.where(found, length, 1), 0)
    return basis.at[j + 1].set(direction, mode="drop"), matrix, size + goes_on, found, jnp.where(found, length, 0)

  first = start / global_norm(start).astype(start.dtype)
  basis = jnp.zeros((k, start.size), start.dtype).at[0].set(first)
  carry = (
    basis,
    jnp.zeros((k, k), start.dtype),
    jnp.zeros((), jnp.int32),
    jnp.ones((), bool),
    jnp.zeros((), start.dtype),
  )
  _, matrix, filled, _, rest = lax.fori_loop(0, k, extend, carry)
  return Krylov(matrix, filled, rest)


def _matrix(krylov: Krylov) -> np.ndarray | None:
  """The filled part of one host-side `Krylov`; None where it is empty or not finite."""
  filled = int(krylov.size)
  matrix = np.asarray(krylov.hessenberg, np.float64)[:filled, :filled]
  return matrix if filled and np.isfinite(matrix).all() else None


def eigenvalues(krylov: Krylov) -> np.ndarray:
  """[size], complex: the eigenvalues of a host-side `Krylov`; NaN where it is not finite or LAPACK does not converge."""
  matrix = _matrix(krylov)
  try:
    return np.full(int(krylov.size), np.nan + 0j) if matrix is None else np.linalg.eigvals(matrix) + 0j
  except np.linalg.LinAlgError:
    return np.full(int(krylov.size), np.nan + 0j)


def leading(krylov: Krylov) -> tuple[complex, float]:
  """The eigenvalue of largest absolute value, and the residual |A x - lambda x| of its unit eigenvector x.

  Source: Saad 2011, proposition 6.8.

  Of a complex pair, the one with positive imaginary part. It is an exact eigenvalue of a map at that distance from A.
  """
  matrix = _matrix(krylov)
  try:
    values, vectors = np.linalg.eig(np.eye(0) if matrix is None else matrix)
  except np.linalg.LinAlgError:
    values, vectors = np.zeros(0), np.zeros((0, 0))
  if not len(values):
    return complex(np.nan, np.nan), np.nan
  at = np.argmax(np.abs(values))
  value = complex(values[at])
  return complex(value.real, abs(value.imag)), float(krylov.rest) * abs(complex(vectors[-1, at]))


def curvature(krylov: Krylov) -> float:
  """The eigenvalue of largest absolute value of a symmetric map, for which Arnoldi's iteration is Lanczos's."""
  matrix = _matrix(krylov)
  try:
    values = np.zeros(0) if matrix is None else np.linalg.eigvalsh((matrix + matrix.T) / 2)
  except np.linalg.LinAlgError:
    values = np.zeros(0)
  if not len(values):
    return np.nan
  return float(values[np.argmax(np.abs(values))])
