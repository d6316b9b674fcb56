"""Adjusted directions on a quadratic game, whose Jacobian is a matrix that is written down here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.game import methods

# v(z) = J z + b of z = (theta [2], psi [1]): neither symmetric nor antisymmetric, of full rank.
J = np.array([[1.0, 2.0, -3.0], [0.5, -1.0, 4.0], [2.0, 1.0, 0.25]])
B = np.array([0.3, -0.7, 1.1])
Z = np.array([1.0, -2.0, 0.5])


def point(z):
  return {"theta": jnp.asarray(z[:2])}, (jnp.asarray(z[2:]),)


def flat(tree):
  return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


def field(at):
  z = jnp.concatenate([at[0]["theta"], at[1][0]])
  v = jnp.asarray(J) @ z + jnp.asarray(B)
  return ({"theta": v[:2]}, (v[2:],)), {"seen": z.sum()}


# The direction at Z, from v = J Z + B and the value of every option; a new method needs a row.
KNOWN = {
  "gradient": lambda v, weight: v,
  "extragradient": lambda v, weight: v,  # of each of its two evaluations
  "consensus": lambda v, weight: v + weight * J.T @ v,  # the slope of |v|^2 / 2 added
  "symplectic": lambda v, weight: v + weight * ((J - J.T) / 2).T @ v,
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("weight", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("name", methods.METHODS)
def test_direction(name, weight):
  assert name in KNOWN, f"add to KNOWN the direction of method {name!r} for v(z) = J z + b"
  method = methods.METHODS[name]
  direction, views = method(field, point(Z), **dict.fromkeys(method.options, weight))
  np.testing.assert_allclose(flat(direction), KNOWN[name](J @ Z + B, weight), rtol=1e-12)
  assert jax.tree.structure(direction) == jax.tree.structure(point(Z))
  assert float(views["seen"]) == Z.sum()


@pytest.mark.usefixtures("x64")
def test_consensus_descends_the_size_of_the_field():
  """d/dz of w |v|^2 / 2 by finite differences, where the field is curved."""
  curved = lambda at: (jax.tree.map(jnp.tanh, field(at)[0]), ())  # noqa: E731
  half = lambda z: 0.5 * (flat(curved(point(z))[0]) ** 2).sum()  # noqa: E731
  numeric = [(half(0.1 * Z + e) - half(0.1 * Z - e)) / 2e-6 for e in 1e-6 * np.eye(3)]
  direction, _ = methods.consensus(curved, point(0.1 * Z), weight=0.6)
  np.testing.assert_allclose(
    flat(direction) - flat(curved(point(0.1 * Z))[0]), 0.6 * np.array(numeric), rtol=1e-6, atol=1e-9
  )
