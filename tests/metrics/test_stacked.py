"""Modes of stacked digits: those of the data, of a generator that knows ten, and of channels in another order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data, metrics
from gan_jax.core.errors import BadInput
from gan_jax.metrics import classifier, stacked


def test_the_columns_against_closed_forms():
  """Every mode once: 1,000 and 0. Ten modes: KL log 100. Of N even samples the KL is about 500 / N, above it."""
  own = np.full(1000, 60)
  every = stacked.count(jnp.arange(3000) % 1000, own)
  assert {name: float(x) for name, x in every.items()} == pytest.approx(
    {"modes/covered": 1000, "modes/present": 1000, "modes/in_data": 1000, "modes/reverse_kl": 0}, abs=1e-5
  )
  ten = stacked.count(111 * (jnp.arange(3000) % 10), own)
  assert float(ten["modes/covered"]) == float(ten["modes/present"]) == 10
  assert float(ten["modes/reverse_kl"]) == pytest.approx(np.log(100), abs=1e-4)
  chance = stacked.count(jnp.asarray(np.random.default_rng(0).integers(0, 1000, 26_000)), own)
  assert float(chance["modes/covered"]) == 1000
  assert float(chance["modes/reverse_kl"]) == pytest.approx(999 / 52_000, rel=0.15)


def test_digits_of_channels_are_numbers():
  logits = jax.nn.one_hot(jnp.array([[7, 0, 3], [0, 0, 9]]), 10).reshape(2, 30)
  np.testing.assert_array_equal(stacked.modes_of(logits), [703, 9])


@pytest.fixture(scope="module")
def digits():
  found = data.load("digits")
  return np.asarray(found.data.images)[..., 0].astype(np.float32) * (255 / 16), np.asarray(found.data.labels)


def of(digits, chosen, labels=None):
  """The data of three digits each, chosen [n, 3]; the last one is 999, so there are a thousand classes."""
  images, own = digits
  nine = np.flatnonzero(own == 9)[0]
  chosen = np.concatenate([chosen, [[nine] * 3]])
  modes = own[chosen] @ [100, 10, 1] if labels is None else labels
  return data.from_arrays(np.moveaxis(images[chosen], 1, -1).round().astype(np.uint8), modes.astype(np.int32))


def test_modes_of_data_and_of_a_generator_of_ten(digits, tmp_path, monkeypatch):
  monkeypatch.setattr(classifier, "CONVOLUTIONAL_STEPS", 250)
  chosen = np.random.default_rng(0).integers(len(digits[1]), size=(2999, 3))
  dataset = of(digits, chosen)
  quality = metrics.build(dataset, tmp_path, "stacked_modes")
  measure = jax.jit(lambda images: quality.measure(lambda i: images[i % len(images)], 3000, False))
  found = measure(dataset.decode(dataset.data.images))
  assert found.keys() == quality.explanations.keys()
  assert set(metrics.ranks(dataset, "stacked_modes", {})) == {"modes/covered", "modes/reverse_kl"}
  own = len(np.unique(np.asarray(dataset.data.labels)))
  assert float(found["modes/covered"]) == pytest.approx(own, abs=30)  # some digits are taken for others
  assert float(found["modes/reverse_kl"]) < 0.3
  single = stacked.digits_of(dataset)
  assert len(single.data.images) == len(np.unique(np.append(chosen, np.flatnonzero(digits[1] == 9)[0]))) < 1797
  network = stacked.network(dataset, tmp_path)
  equal = of(digits, np.flatnonzero(digits[1] >= 0)[:200, None].repeat(3, 1))
  right = np.asarray(stacked.modes_of(network.see(equal.decode(equal.data.images)).logits)) == equal.data.labels
  few = equal.data.images[jnp.asarray(np.flatnonzero(right)[:100])]
  there = np.unique(np.asarray(equal.data.labels)[np.flatnonzero(right)[:100]])
  ten = measure(jnp.resize(dataset.decode(few), (3000, 8, 8, 3)))
  assert float(ten["modes/covered"]) == len(there) == 10
  assert float(ten["modes/reverse_kl"]) == pytest.approx(np.log(100), abs=0.1)


def test_labels_that_are_not_the_digits_are_refused(digits, tmp_path, monkeypatch):
  monkeypatch.setattr(classifier, "CONVOLUTIONAL_STEPS", 10)
  rng = np.random.default_rng(0)
  wrong = of(digits, rng.integers(len(digits[1]), size=(999, 3)), rng.permutation(1000))
  with pytest.raises(BadInput, match=r"expected digits of which 90% are recognised, got .*100 a \+ 10 b \+ c"):
    metrics.build(wrong, tmp_path, "stacked_modes")
  with pytest.raises(BadInput, match="as 'stacked_mnist', for metric 'stacked_modes'"):
    metrics.check("digits", data.load("digits"), "stacked_modes")
