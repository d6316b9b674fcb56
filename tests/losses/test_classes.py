"""Class losses: their formulas in NumPy, their slopes, and what the step makes of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.core.errors import BadInput
from gan_jax.core.types import Output
from gan_jax.losses.classes import CLASS_LOSSES

CLASSES, BATCH = 3, 6
NAMES = [name for name in CLASS_LOSSES.own if name != "none"]
LABELS = np.array([0, 2, 1, 0, 0, 2])


def drawn(name, seed):
  """An output in double precision, with the head that the loss asks for."""
  rng, head = np.random.default_rng(seed), CLASS_LOSSES[name].facts
  logits, features = rng.normal(size=BATCH), rng.normal(size=(BATCH, 4))
  classes = rng.normal(size=(BATCH, head.width(CLASSES)))
  return Output(logits, features, np.tanh(classes) if head.cosine else 2 * classes)


OTHER = {"ac": {"fakes": False}, "contrastive": {"temperature": 0.7}, "d2d_ce": {"temperature": 0.8, "margin": 0.6}}


def ce(c, y):
  return np.array([np.log(np.exp(row).sum()) - row[k] for row, k in zip(c, y, strict=True)])


def hinge(c, y):
  return np.array([max(0, 1 - row[k] + max(np.delete(row, k))) for row, k in zip(c, y, strict=True)])


def contrast(o, y, temperature=1.0):
  h = o.features / np.linalg.norm(o.features, axis=1, keepdims=True)
  found = []
  for i in range(len(y)):
    own = np.exp(o.classes[i, y[i]] / temperature)
    others = {j: np.exp(h[i] @ h[j] / temperature) for j in range(len(y)) if j != i}
    found.append(-np.log((own + sum(v for j, v in others.items() if y[j] == y[i])) / (own + sum(others.values()))))
  return np.array(found)


def to_data(o, y, temperature=0.5, margin=0.98):
  h = o.features / np.linalg.norm(o.features, axis=1, keepdims=True)
  found = []
  for i in range(len(y)):
    p = min(o.classes[i, y[i]] - margin, 0) / temperature
    rest = [max(h[i] @ h[j] - (1 - margin), 0) / temperature for j in range(len(y)) if y[j] != y[i]]
    found.append(-p + np.log(np.exp(p) + np.exp(rest).sum()))
  return np.array(found)


K = CLASSES
FORMULAS = {  # (of the discriminator, of the generator), in NumPy from the papers' equations
  "ac": (
    lambda r, f, y, fakes=True: ce(r.classes, y) + (ce(f.classes, y) if fakes else 0),
    lambda f, y, fakes=True: ce(f.classes, y),
  ),
  "tac": (
    lambda r, f, y: ce(r.classes[:, :K], y) + ce(f.classes[:, K:], y),
    lambda f, y: ce(f.classes[:, :K], y) - ce(f.classes[:, K:], y),
  ),
  "adc": (
    lambda r, f, y: ce(r.classes, y) + ce(f.classes, K + y),
    lambda f, y: ce(f.classes, y) - ce(f.classes, K + y),
  ),
  "multi_hinge": (
    lambda r, f, y: hinge(r.classes, y) + hinge(f.classes, np.full(len(y), K)),
    lambda f, y: hinge(f.classes, y),
  ),
  "contrastive": (lambda r, f, y, **o: contrast(r, y, **o), contrast),
  "d2d_ce": (lambda r, f, y, **o: to_data(r, y, **o), to_data),
}


@pytest.mark.parametrize("name", NAMES)
def test_formulas(name, x64):
  assert name in FORMULAS, f"add to FORMULAS the terms of class loss {name!r}, from its paper"
  real, fake = drawn(name, 0), drawn(name, 1)
  for options in {"default": {}, "other": OTHER.get(name, {})}.values():  # defaults are those of the formulas
    loss = CLASS_LOSSES[name](**options)
    found = loss.discriminator(real, fake, LABELS), loss.generator(fake, LABELS)
    for ours, theirs in zip(found, FORMULAS[name], strict=True):
      arguments = (real, fake, LABELS) if theirs is FORMULAS[name][0] else (fake, LABELS)
      assert ours.shape == (BATCH,)
      np.testing.assert_allclose(ours, theirs(*arguments, **options), rtol=1e-9, atol=1e-12)


def test_every_option_is_tried_at_another_value():
  for name in NAMES:
    entry = CLASS_LOSSES[name]
    assert set(OTHER.get(name, {})) == set(entry.options), f"add to OTHER a value for each option of {name!r}"


HEADS = {"ac": K, "tac": 2 * K, "adc": 2 * K, "multi_hinge": K + 1, "contrastive": K, "d2d_ce": K}


def test_heads():
  """Their widths, and which are cosines; without a class loss there is none."""
  assert {name: CLASS_LOSSES[name].facts.width(K) for name in CLASS_LOSSES.own} == HEADS | {"none": 0}
  assert {name for name in NAMES if CLASS_LOSSES[name].facts.cosine} == {"contrastive", "d2d_ce"}
  assert CLASS_LOSSES["none"]() is None


@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_those_of_finite_differences(name, x64):
  loss, fake = CLASS_LOSSES[name](), jax.tree.map(jnp.asarray, drawn(name, 1))
  of = jax.jit(lambda o: loss.generator(o, LABELS).sum())
  slopes = jax.jit(jax.grad(of))(fake)
  along = jax.tree.map(lambda x: jnp.asarray(np.random.default_rng(2).normal(size=x.shape)), fake)
  moved = [of(jax.tree.map(lambda x, d, s=s: x + s * 1e-6 * d, fake, along)) for s in (1, -1)]
  expected = sum((s * d).sum() for s, d in zip(jax.tree.leaves(slopes), jax.tree.leaves(along), strict=True))
  assert float(moved[0] - moved[1]) / 2e-6 == pytest.approx(float(expected), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_extremes_are_finite(name):
  """Zero features, and logits of a million, in float32: values and slopes."""
  loss, head = CLASS_LOSSES[name](), CLASS_LOSSES[name].facts
  for features, size in ((0.0, 0.0), (1e6, 1.0 if head.cosine else 1e6)):
    output = Output(jnp.zeros(BATCH), jnp.full((BATCH, 4), features), size * jnp.ones((BATCH, head.width(CLASSES))))
    output = output._replace(classes=output.classes.at[:, 0].set(-size))
    value, slopes = jax.value_and_grad(lambda o: loss.discriminator(o, o, LABELS).sum())(output)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((value, slopes)))


def test_a_classifier_that_is_right_is_rewarded():
  """The more an example looks like its class, the lower the generator's loss, for all of them."""
  for name in NAMES:
    head = CLASS_LOSSES[name].facts
    at_class = np.eye(head.width(CLASSES))[LABELS]
    features = np.eye(4)[LABELS] + 0.1 * np.random.default_rng(0).normal(size=(BATCH, 4))
    outputs = [Output(*map(np.float32, (np.zeros(BATCH), features, s * at_class))) for s in (-0.9, 0.0, 0.9)]
    losses = [float(CLASS_LOSSES[name]().generator(o, LABELS).mean()) for o in outputs]
    assert losses == sorted(losses, reverse=True), name


def test_a_discriminator_without_the_head_is_refused():
  bare = Output(jnp.zeros(BATCH))
  for name in NAMES:
    with pytest.raises(BadInput, match=r"expected a discriminator with Output\.(classes|features)"):
      CLASS_LOSSES[name]().generator(bare, LABELS)
