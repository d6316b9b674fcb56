"""Registries: options are read from signatures, given values are held to them, and every registry of the library is whole."""

import math
import re
from typing import Annotated

import numpy as np
import pytest

from gan_jax import game, settings
from gan_jax.core.errors import BadInput
from gan_jax.core.registry import LARGEST, LARGEST_INT, Option, Registry
from gan_jax.game import registries
from gan_jax.runner import grouping
from gan_jax.settings import sweeps

ENTRIES = [(field, name) for field, registry in game.REGISTRIES.items() for name in registry]


def models() -> Registry:
  found = Registry("model", ("shape", "classes"))

  @found.register()
  def mlp(
    shape,
    classes,
    *,
    depth: Annotated[int, Option("hidden layers", 1, 256)] = 2,
    norm: Annotated[str, Option("normalisation", choices=("none", "batch"))] = "none",
    share: Annotated[float, Option("of the units", above=0, high=1)] = 0.5,
    skips: bool = False,
    limit: float | None = None,
  ):
    """Connected.

    And more of it.
    """
    return shape, classes, depth

  return found


def test_options_come_from_the_signature():
  entry = models()["mlp"]
  assert (entry.kind, entry.name, entry.text) == ("model", "mlp", "Connected.")
  assert entry.defaults == {"depth": 2, "norm": "none", "share": 0.5, "skips": False, "limit": None}
  assert {n: o.type for n, o in entry.options.items()} == {
    "depth": int, "norm": str, "share": float, "skips": bool, "limit": float,
  }  # fmt: skip
  assert [o.range for o in entry.options.values()] == [
    "a whole number from 1 to 256", "one of none, batch", "a number above 0 and of at most 1", "True or False",
    "a finite number",
  ]  # fmt: skip
  assert entry((2,), 10, depth=5) == ((2,), 10, 5)


@pytest.mark.parametrize(
  ("given", "expected"),
  [
    ({}, {}),
    ({"depth": 3.0}, {"depth": 3}),
    ({"share": 1}, {"share": 1.0}),
    ({"share": np.float64(0.25)}, {"share": 0.25}),
    ({"depth": np.int32(7)}, {"depth": 7}),
    ({"limit": 3}, {"limit": 3.0}),
    ({"limit": None}, {"limit": None}),
    ({"norm": "batch", "skips": True}, {"norm": "batch", "skips": True}),
  ],
)
def test_what_is_given_is_completed_in_the_types_of_the_options(given, expected):
  registry = models()
  found = registry.complete("mlp", given)
  assert found == registry["mlp"].defaults | expected
  assert {name: type(value) for name, value in found.items() if value is not None} == {
    name: registry["mlp"].options[name].type for name in found if found[name] is not None
  }


@pytest.mark.parametrize(
  ("given", "words"),
  [
    ({"dept": 1}, "unknown option of model 'mlp': 'dept'; did you mean 'depth'? known: depth, limit, norm"),
    ({"depth": 0}, "option 'depth' of model 'mlp' expected a whole number from 1 to 256, got 0"),
    ({"depth": 2.5}, "'depth' of model 'mlp' expected a whole number from 1 to 256, got 2.5"),
    ({"depth": True}, "expected a whole number from 1 to 256, got True"),
    ({"depth": "3"}, "expected a whole number from 1 to 256, got '3'"),
    ({"depth": math.inf}, "expected a whole number from 1 to 256, got inf"),
    ({"depth": 10**400}, "expected a whole number from 1 to 256, got an int of 1329 bits"),
    ({"share": 0}, "'share' of model 'mlp' expected a number above 0 and of at most 1, got 0.0"),
    ({"share": math.nan}, "expected a number above 0 and of at most 1, got nan"),
    ({"limit": 2 * LARGEST}, "expected a finite number, got 6.8"),
    ({"limit": 10**400}, "expected a finite number, got inf"),
    ({"norm": "bacth"}, "unknown value of option 'norm' of model 'mlp': 'bacth'; did you mean 'batch'"),
    ({"norm": 1.0}, "'norm' of model 'mlp' expected one of none, batch, got 1.0"),
    ({"norm": None}, "expected one of none, batch, got None"),
    ({"skips": 1}, "'skips' of model 'mlp' expected True or False, got 1"),
  ],
)
def test_what_is_not_an_option_s_is_refused_in_one_sentence(given, words):
  with pytest.raises(BadInput) as caught:
    models().complete("mlp", given)
  assert words in str(caught.value)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  ("builder", "words"),
  [
    (lambda shape: None, "expected a function of (shape, classes) and of options with defaults, got one of (shape)"),
    (lambda a, b, c: None, "got one of (a, b, c); c would be options and have no default"),
    (lambda a, b, *, c: None, "c would be options and have no default"),
    (lambda a, b, c=(): None, "got c=()"),
    (3, "expected a function, got int 3"),
  ],
)
def test_a_builder_of_another_protocol_is_refused(builder, words):
  with pytest.raises(BadInput) as caught:
    models().enter("mine.py:net", builder)
  assert words in str(caught.value)
  assert "the model 'mine.py:net'" in str(caught.value)


def test_a_builder_from_outside_is_entered_by_a_reference_and_needs_no_annotation():
  registry = models()

  def net(shape, classes=10, width=64, rate=0.1):
    pass

  entry = registry.enter("my_models.py:net", net)
  assert registry.get("my_models.py:net") is entry
  assert entry.defaults == {"width": 64, "rate": 0.1}
  assert registry.enter("my_models.py:net", net).defaults == entry.defaults  # entered again, as a config is read again
  with pytest.raises(BadInput, match="the model 'mlp' is registered twice"):
    registry.enter("mlp", net)
  registry.enter("package.module:mlp", registry["mlp"].builder)  # by a second name, with what is known of it
  assert registry["package.module:mlp"].options == registry["mlp"].options
  registry.enter("any", lambda *protocol, width=2: protocol)
  assert registry["any"](1, 2) == (1, 2)
  with pytest.raises(BadInput, match="unknown model 'mpl'; did you mean 'mlp'"):
    registry.get("mpl")


def test_what_is_traced_is_said_by_the_registry_or_the_option():
  def builder(*, rate: Annotated[float, Option("rate", traced=True)] = 0.1, width=2):
    pass

  may = Registry("optimizer", (), traced="may").enter("x", builder)
  assert may.split({"rate": 0.5, "width": 2}) == ({"width": 2}, {"rate": 0.5})
  always = Registry("loss", (), traced="always").enter("x", builder)
  assert always.split({"rate": 0.5, "width": 2.0}) == ({}, {"rate": 0.5, "width": 2.0})
  with pytest.raises(BadInput, match=r"never traced, got rate=0\.1"):
    Registry("model", ()).enter("x", builder)


# The registries of the library.


def test_there_is_one_for_every_field_that_names_an_entry():
  assert {field.of for field in settings.FIELDS.values() if field.of} == set(game.REGISTRIES)
  assert {"geometry", "gap"} <= set(game.REGISTRIES["probes"])


@pytest.mark.parametrize(("field", "name"), ENTRIES)
def test_every_entry_says_what_it_is_and_every_option_what_it_does_in_which_range(field, name):
  entry = game.REGISTRIES[field][name]
  assert entry.text or field == "loss", f"{field} {name!r} expected a docstring"
  for option, about in entry.options.items():
    assert about.text, f"option {option!r} of {field} {name!r} expected Annotated[..., Option('what it does', ...)]"
    assert "\n" not in about.text
    assert entry.complete({option: about.default}) == entry.defaults, "a default is in its own range"
    bounded = about.choices or about.type in (bool, str) or about.range != "a finite number"
    assert bounded or field == "loss", f"option {option!r} of {field} {name!r} expected a range"
    if about.type is int:
      assert about.low > -math.inf
      assert about.high <= LARGEST_INT or about.high == math.inf


@pytest.mark.parametrize("field", game.REGISTRIES)
def test_a_sweep_may_ask_for_every_name(field):
  names = sweeps.composers(game.registered).every(field)
  assert names
  assert set(names) <= set(game.REGISTRIES[field])
  if not field.endswith("penalty"):
    assert names == list(game.REGISTRIES[field])


def test_a_sweep_that_asks_for_every_name_of_nothing_is_refused():
  with pytest.raises(BadInput, match="unknown field of registered names 'mdoel'; did you mean 'model'"):
    game.registered("mdoel")


@pytest.mark.parametrize(
  "fields",
  [
    {"model_options.depth": 2},
    {"optimizer_options": {"beta1": 0.5, "beta2": 0.999}},
    {"loss": "alpha_loss", "loss_options": {"alpha": 2}},
    {"penalty": "gradient_penalty", "penalty_options.gradient_penalty.centre": 1},
    {"weight_constraint": "clip", "weight_constraint_options": {"bound": 0.01}},
    {"probes": "geometry", "probe_options.geometry.size": 36},
    {"metric_options.images.reference": 10_000},
    {"metrics": "images", "metric_options.images.reference": 10_000},
    {"order": "simultaneous", "method": "consensus", "method_options.weight": 0},
    {"penalty": "bcr", "augmentation": "jitter", "augmentation_options.scale": 0.1},
  ],
)
def test_a_default_that_is_given_is_the_same_run(fields):
  """One identity with and without it, and another one for another value."""
  without = {name: value for name, value in fields.items() if "_options" not in name}
  given, bare = (game.complete(settings.resolve(f)) for f in (fields, without))
  assert given == bare
  assert settings.identity(given) == settings.identity(bare)
  assert game.complete(given) == given
  assert len(grouping.completed([settings.resolve(fields), settings.resolve(without)])) == 1


@pytest.mark.parametrize("field", registries.OPTIONS)
def test_an_option_that_is_nowhere_is_refused_with_the_entry_that_has_it_not(field):
  of = registries.OPTIONS[field].of
  entry = next(name for name in game.registered(of) if name not in ("none", "gradient"))
  given = {field: {entry: {"nowhere": 1}} if registries.OPTIONS[field].joined else {"nowhere": 1}}
  more = {"augmentation": {"penalty": "bcr"}, "metrics": {"metrics": entry}}.get(of, {})
  with pytest.raises(BadInput, match=f"(unknown option of|has no options).*'nowhere'|'{entry}' has no options"):
    game.complete(settings.resolve({of: entry}, more, given))


def test_static_options_split_a_sweep_and_traced_ones_do_not():
  base = {"penalty": "gradient_penalty", "optimizer": "adam", "weight_constraint": "clip"}
  traced = [
    {"penalty_options": {"gradient_penalty": {"centre": 0.0}}},
    {"optimizer_options": {"beta1": 0.0}},
    {"weight_constraint_options": {"bound": 0.1}},
  ]
  (group,) = grouping.group([settings.resolve(base), *(settings.resolve(base, other) for other in traced)])
  assert group.hypers.penalty_options["gradient_penalty"]["centre"].tolist() == [1, 0, 1, 1]
  assert group.hypers.optimizer_options["beta1"].tolist() == [0.5, 0.5, 0.0, 0.5]
  assert group.hypers.weight_constraint_options["bound"].tolist() == pytest.approx([0.01, 0.01, 0.01, 0.1])
  assert len(grouping.group([settings.resolve(), settings.resolve({"model_options.depth": 1})])) == 2


def test_a_bound_is_not_rounded_to_a_value_that_is_refused():
  message = "expected a number from -0.9999999 to 0.9999999, got 1.0"
  with pytest.raises(BadInput, match=re.escape(message)):
    registries.REGISTRIES["optimizer"].complete("adam", {"beta1": 1})
