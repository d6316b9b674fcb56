"""The schema of a run: one table, and everything that must agree with it."""

import json
import subprocess
import sys
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import settings
from gan_jax.core.errors import BadInput
from gan_jax.settings.command_line import overrides
from gan_jax.settings.records import Hypers, Spec
from tests.conftest import ROOT


def test_the_records_have_the_fields_of_the_table():
  names = ("static", "traced", "options", "schedules", "label", "code")
  kinds = {kind: {n for n, f in settings.FIELDS.items() if f.kind == kind} for kind in names}
  both = kinds["options"] | kinds["schedules"]
  assert set(Spec._fields) - {"losses"} == (kinds["static"] | both) - {"loss_options"}
  assert set(Hypers._fields) - {"loss_index"} == (kinds["traced"] | both) - {"loss", "penalty_weight"}
  assert sum(map(len, kinds.values())) == len(settings.FIELDS)


def test_options_stand_behind_the_name_that_they_are_of():
  names = list(settings.FIELDS)
  for name, field in settings.FIELDS.items():
    assert (field.kind == "options") == bool(field.of)
    assert not field.of or (field.default == {} and names.index(field.of) < names.index(name))


@pytest.mark.parametrize("name", settings.MOVED)
def test_a_field_of_an_earlier_version_is_answered_with_its_place(name):
  place = settings.MOVED[name]
  root, inner = settings.split(place)
  assert settings.FIELDS[root].kind == "options"
  assert len(inner) == 1 + settings.FIELDS[root].joined
  with pytest.raises(BadInput, match=f"^config field '{name}' has moved: expected '{place}' instead$"):
    settings.resolve({name: 1})
  with pytest.raises(BadInput, match=f"'{name}' has moved"):
    overrides(settings.defaults(), [f"--config.{name}=1"])


def test_a_name_with_dots_sets_one_option_and_leaves_the_others():
  base = {
    "model_options": {"depth": 2, "generator_width": 8},
    "penalty_options": {"r1_finite_difference": {"step": 0.1}},
  }
  new = {"model_options.depth": 3, "penalty_options.my file.py:mine.centre": 0, "loss_options.target": np.float32(0.1)}
  config = settings.resolve(base, new)
  assert config["model_options"] == {"depth": 3, "generator_width": 8}
  assert config["penalty_options"] == {"r1_finite_difference": {"step": 0.1}, "my file.py:mine": {"centre": 0}}
  assert config["loss_options"] == {"target": 0.1}
  assert settings.resolve(base, {"model_options": {"depth": 3}})["model_options"] == {"depth": 3}  # a dict is the whole
  for name, words in (
    ("model_options.mlp.depth", "'model_options' expected model_options.name, got 'model_options.mlp.depth'"),
    ("penalty_options.centre", "'penalty_options' expected penalty_options.name.option, got"),
    ("steps.x", "unknown config field 'steps.x'"),
    ("model_option.depth", "did you mean 'model_options'"),
  ):
    with pytest.raises(BadInput, match=words):
      settings.resolve({name: 1})


@pytest.mark.parametrize(
  ("text", "value"),
  [
    ("3", 3), ("-2", -2), ("1e-3", 0.001), (".5", 0.5), ("3.0", 3.0), ("true", True), ("False", False), ("batch", "batch"),
    ("007", "007"), ("", ""), ("a.b", "a.b"), ("1.2.3", "1.2.3"), ("0", 0), ("../x", "../x"), ("1_000", "1_000"),
  ],
)  # fmt: skip
def test_the_command_line_says_of_an_option_what_its_text_says(text, value):
  found = overrides(settings.defaults(), [f"--config.model_options.x={text}"])["model_options.x"]
  assert (found, type(found)) == (value, type(value))


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
    ("penalty_weights", {"r1": -1.0}, "'r1' expected at least 0, got -1"),
    ("seed", 2**32, "'seed' expected from 0 to"),
    ("order", "simultanous", "did you mean 'simultaneous'"),
    ("model_options", 3, "'model_options' expected dict"),
    ("model_options", {"depth": [1]}, "'depth' expected a number, a truth or text, got [1]"),
    ("model_options", {"depth": float("nan")}, "'depth' expected a finite number, got nan"),
    ("model_options", {"a b": 1}, "'model_options' expected names as keys, got 'a b'"),
    ("penalty_options", {"r1": 3}, "'penalty_options' expected a dict of options for each name, got {'r1': 3}"),
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
    ("loss_options", {"alpha": np.int64(2)}, {"alpha": 2}),
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


def test_a_new_field_is_one_line_of_the_table():
  """Entered before anything is derived from the table: it is in the records, in identities and on the command line."""
  code = """
from gan_jax.settings import fields
fields.FIELDS["mine"] = fields.Field(3, "static", "a number", 1, 9)
fields.FIELDS["mine_rate"] = fields.Field(0.5, "traced", "a rate", 0)
from gan_jax import settings
from gan_jax.runner import grouping
from gan_jax.settings.command_line import overrides
given = overrides(settings.defaults(), ["--config.mine=4", "--config.mine_rate=2"])
one, two = settings.resolve(), settings.resolve(given)
groups = grouping.group([one, two])
assert [g.spec.mine for g in groups] == [3, 4]
assert [float(g.hypers.mine_rate[0]) for g in groups] == [0.5, 2.0]
assert settings.identity(one) != settings.identity(two)
"""
  done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
