"""The study `precision`: what it measures of a gradient in two precisions, and how it says so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.precision import study
from experiments.sweep import CONFIGS
from gan_jax import data, game
from gan_jax.core.norms import global_norm
from gan_jax.game import generator
from gan_jax.game.batches import resident_batch
from gan_jax.game.state import initial_state
from gan_jax.settings import sweeps
from tests.support.records import fitted, hypers_of, spec_of


@pytest.fixture(scope="module")
def seen():
  """`build_look` of one small untrained pair, whose logits are moved by a bias: by that bias."""
  options = {"generator_width": 4, "discriminator_width": 4, "depth": 1}
  spec = spec_of(("minimax",), dataset="ring", latent_size=2, batch_size=8, model_options=options)
  dataset = data.load("ring")
  h = fitted(hypers_of(("minimax",)), spec)
  state, look = initial_state(h, game.build(spec, dataset)), study.build_look(spec, dataset)
  found = {}
  for bias in (0.0, -60.0, -200.0):
    head = state.disc_params["LogitHead_0"]
    moved = head | {"linear": head["linear"] | {"bias": jnp.array([bias])}}
    found[bias] = look(h, state._replace(disc_params=state.disc_params | {"LogitHead_0": moved}), dataset.data)
  assert look._cache_size() == 1
  return jax.device_get(found)


def test_the_factors_multiply_to_the_norm(seen):
  for bias in (0.0, -60.0):
    np.testing.assert_allclose(seen[bias]["factors"].prod(0), seen[bias]["norm"], rtol=1e-4)
    assert (seen[bias]["cosine"] > 0.99).all()


def test_a_logit_is_not_rounded_by_its_own_layer(seen):
  """At -60 bfloat16 has every quarter, so there `lost` would be some 6 %; a bias in float32 moves the loss alone."""
  for bias in (0.0, -60.0):
    assert (seen[bias]["by_networks"] < 0.03).all()
    assert np.median(seen[bias]["lost"]) < 3 * np.median(seen[bias]["by_networks"])
    assert (seen[bias]["zero"] == 0).all()


def test_zero_is_reached_by_both(seen):
  """sigmoid(-200) is zero in float32, which the slope of the loss is in whatever the layers are in."""
  last = seen[-200.0]
  assert (last["zero"] == 1).all()
  assert (last["norm"] == 0).all()
  assert all(np.isnan(last[name]).all() for name in ("lost", "by_networks", "cosine"))


def test_the_tables(seen):
  """A row for each rate and precision; medians of what is finite, a dash where nothing is."""
  runs = [(rate, bias, trained) for rate, bias in ((0.1, 0.0), (0.5, -200.0)) for trained in (0, 1)]
  found = {name: np.array([seen[bias][name] for _, bias, _ in runs]) for name in seen[0.0]}
  found |= {"rate": np.array([r for r, _, _ in runs]), "trained": np.array([t for _, _, t in runs])}
  found["norm"][1] = [[3.0] * study.BATCHES, [7.0] * study.BATCHES]  # of a run in bfloat16, as float32 and it see it
  rows = study.own(found).splitlines()[2:]
  assert [row.split(" | ")[0].strip("| ") for row in rows] == ["0.1", "0.1", "0.5", "0.5"]
  assert "0%, 0%" in rows[0]
  assert "| 7 |" in rows[1]
  assert study.median(np.array([1.0, np.nan, 3.0])) == "2"
  assert "100%, 100%" in rows[3]
  first, last = study.same_weights(found).splitlines()[2:]
  assert study.median(seen[0.0]["lost"]) in first
  assert last.count("–") == 3


def test_a_study_of_one_precision_has_no_rows_of_the_other(seen):
  found = {name: np.array([value]) for name, value in seen[0.0].items()} | {"rate": np.array([0.1])}
  for trained, rows in ((0, 1), (1, 0)):
    tables = [part(found | {"trained": np.array([trained])}) for part in (study.own, study.same_weights)]
    assert not any("nan" in table for table in tables)
    assert [len(table.splitlines()) - 2 for table in tables] == [1, rows]


def test_the_gradient_of_a_loss_of_features_is_the_one_that_trains():
  options = {"generator_width": 4, "discriminator_width": 4, "depth": 1}
  spec = spec_of(("on_features(energy)",), dataset="ring", latent_size=2, batch_size=8, model_options=options)
  dataset = data.load("ring")
  h, played = fitted(hypers_of(spec.losses), spec), game.build(spec, dataset)
  state = initial_state(h, played)

  def trained(h, state):
    batch = resident_batch(played, h, jnp.uint32(10_000_000), dataset.data, "generator", 0)
    point = state.gen_params, state.disc_params
    return global_norm(generator.gradient(played, h, point, state.memory, batch)[0])

  found = study.build_look(spec, dataset)(h, state, dataset.data)
  assert float(found["norm"][0, 0]) == pytest.approx(float(jax.jit(trained)(h, state)), rel=1e-5)


def test_the_config_pairs_the_precisions():
  configs = sweeps.load(str(CONFIGS / "precision.py"))[1]
  assert {config["precision"] for config in configs} == set(study.PRECISIONS)
  assert {config["loss"] for config in configs} == {"minimax"}
  assert all(config["head_start"] > config["steps"] for config in configs)
