"""The schema of a run: one table, and everything that must agree with it."""

import json
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import settings
from gan_jax.core import types
from gan_jax.core.errors import BadInput


def test_the_records_have_the_fields_of_the_table():
  kinds = {kind: {n for n, f in settings.FIELDS.items() if f.kind == kind} for kind in ("static", "traced", "label")}
  assert set(types.Spec._fields) - {"losses"} == kinds["static"]
  assert set(types.Hypers._fields) - {"loss_index"} == kinds["traced"] - {"loss", "penalty_weight"}
  assert sum(map(len, kinds.values())) == len(settings.FIELDS)


def test_defaults_are_valid_and_fresh():
  assert settings.resolve() == settings.defaults()
  settings.defaults()["loss_options"]["x"] = 1
  assert settings.defaults()["loss_options"] == {}


@pytest.mark.parametrize(
  ("field", "value", "words"),
  [
    ("stesp", 3, "unknown config field 'stesp'; did you mean 'steps'?"),
    ("steps", 2.5, "'steps' expected int"),
    ("steps", True, "'steps' expected int"),
    ("steps", 0, "'steps' expected from 1 to 2147483647, got 0"),
    ("loss", 3, "'loss' expected str"),
    ("conditional", 1, "'conditional' expected bool"),
    ("generator_rate", -1.0, "'generator_rate' expected at least 0, got -1"),
    ("generator_rate", float("nan"), "'generator_rate' expected at least 0, got nan"),
    ("generator_rate", float("inf"), "expected a finite number"),
    ("beta1", 1.0, "'beta1' expected from -1 to"),
    ("penalty_weights", {"r1": -1.0}, "'r1' expected at least 0, got -1"),
    ("seed", 2**32, "'seed' expected from 0 to"),
    ("discriminator_norm", "bacth", "did you mean 'batch'"),
    ("loss_options", {"alpha": "x"}, "'alpha' expected a number, got 'x'"),
  ],
)
def test_what_cannot_be_used_is_named(field, value, words):
  with pytest.raises(BadInput) as caught:
    settings.resolve({field: value})
  assert words in str(caught.value)
  assert "\n" not in str(caught.value)


def test_an_integer_passes_as_a_float():
  assert settings.resolve({"penalty_weight": 1}) == settings.resolve({"penalty_weight": 1.0})


def test_identity_is_of_the_whole_config_and_of_nothing_else():
  base = settings.resolve()
  assert settings.identity(base) == settings.identity(dict(reversed(list(base.items()))))
  assert settings.identity(base) == settings.identity(json.loads(json.dumps(base)))
  others = {
    settings.identity(settings.resolve({name: value}))
    for name, value in [("seed", 1), ("panel", "x"), ("loss", "hinge")]
  }
  assert len(others | {settings.identity(base)}) == 4


@pytest.mark.parametrize(
  ("field", "value", "number"),
  [
    ("generator_rate", np.logspace(-4, -2, 3)[1], 1e-3),
    ("generator_rate", np.float32(0.1), 0.1),  # the same bits in a run, and so the same name
    ("generator_rate", jnp.float32(0.25), 0.25),
    ("generator_rate", np.array(0.5), 0.5),
    ("generator_rate", Fraction(1, 8), 0.125),
    ("seed", np.arange(3)[2], 2),
    ("seed", np.uint32(2**32 - 1), 2**32 - 1),
    ("seed", jnp.int32(7), 7),
    ("steps", 1e3, 1000),
    ("steps", np.float64(250), 250),
    ("conditional", np.bool_(True), True),
    ("loss", np.str_("hinge"), "hinge"),
    ("loss_options", {"alpha": np.int64(2)}, {"alpha": 2.0}),
    ("penalty_weights", {np.str_("r1"): np.float32(0.1)}, {"r1": 0.1}),
    ("verdict", {"chance": np.float16(0.5)}, {"chance": 0.5}),
  ],
)
def test_numbers_of_numpy_and_jax_are_numbers(field, value, number):
  got, plain = settings.resolve({field: value}), settings.resolve({field: number})
  assert got[field] == number
  assert settings.identity(got) == settings.identity(plain)
  assert json.loads(json.dumps(got, allow_nan=False)) == plain
  assert type(got[field]) is type(plain[field])


@pytest.mark.parametrize(
  "value", [np.arange(2), np.array([1]), 1j, np.datetime64("2020-01-01"), None, [1], b"1", float("inf")]
)
def test_what_is_no_number_is_refused_in_one_sentence(value):
  for field in ("steps", "generator_rate", "conditional"):
    with pytest.raises(BadInput, match=f"config field '{field}' expected ") as caught:
      settings.resolve({field: value})
    assert "\n" not in str(caught.value)
