"""Sweeps as lists of dicts, and config files with overrides."""

import numpy as np
import pytest

from gan_jax.core.errors import BadInput
from gan_jax.settings import sweeps
from gan_jax.settings.sweeps import chain, fixed, param, product, zipit

A, B = param("loss", ["minimax", "hinge"]), param("seed", range(3))


def test_combinators():
  assert product(A, B) == [{"loss": loss, "seed": seed} for loss in ("minimax", "hinge") for seed in range(3)]
  assert zipit(A, param("seed", [7, 8])) == [{"loss": "minimax", "seed": 7}, {"loss": "hinge", "seed": 8}]
  assert chain(A, B) == A + B
  assert product(fixed(steps=5, panel="p"), A)[1] == {"steps": 5, "panel": "p", "loss": "hinge"}
  assert product() == [{}]
  assert product(iter(A), iter(B)) == product(A, B)
  assert zipit(iter(A), param("seed", [7, 8])) == zipit(A, param("seed", [7, 8]))


def test_combinators_refuse_what_is_ambiguous():
  with pytest.raises(BadInput, match="'loss' twice"):
    product(A, A)
  with pytest.raises(BadInput, match=r"lengths \[2, 3\]"):
    zipit(A, B)


def test_expand_pins_the_command_line_and_drops_doubles():
  runs = sweeps.expand({"steps": 10}, product(A, B), {"seed": 1})
  assert [(r["loss"], r["seed"], r["steps"]) for r in runs] == [("minimax", 1, 10), ("hinge", 1, 10)]


def write(tmp_path, text):
  path = tmp_path / "study.py"
  path.write_text(text)
  return str(path)


def test_load_reads_a_config_dict_a_dict_and_both_forms_of_sweep(tmp_path):
  text = "def get_config():\n  return {'steps': 7}\ndef sweep(s):\n  return s.param('seed', [0, 1])\n"
  single, runs = sweeps.load(write(tmp_path, text), ["--config.batch_size=5"])
  assert [(r["seed"], r["steps"], r["batch_size"]) for r in runs] == [(0, 7, 5), (1, 7, 5)]
  assert len(single) == 1
  text = (
    "from ml_collections import ConfigDict\nfrom gan_jax.settings.sweeps import param\n"
    "def get_config():\n  return ConfigDict({'steps': 7, 'loss_options': {'target': 0.5}})\n"
    "def sweep():\n  return param('seed', [0, 1])\n"
  )
  assert sweeps.load(write(tmp_path, text))[1][0]["loss_options"] == {"target": 0.5}
  assert len(sweeps.load(write(tmp_path, "def get_config():\n  return {}\n"))[1]) == 1


@pytest.mark.parametrize(
  ("argument", "words"),
  [
    ("--config.stesp=3", "unknown config field 'stesp'; did you mean 'steps'?"),
    ("--config.steps=x", "'steps' expected int (as 6000), got 'x'"),
    ("--config.steps=2.5", "'steps' expected int"),
    ("--config.conditional=perhaps", "'conditional' expected bool"),
    ("--config.steps", "expected --config.field=value, got '--config.steps'"),
    ("steps=3", "expected --config.field=value"),
  ],
)
def test_overrides_that_cannot_be_used(tmp_path, argument, words):
  with pytest.raises(BadInput) as caught:
    sweeps.load(write(tmp_path, "def get_config():\n  return {}\n"), [argument])
  assert words in str(caught.value)


def test_overrides_have_the_type_of_their_field(tmp_path):
  arguments = ["--config.steps=20", "--config.generator_rate=1", "--config.conditional=true", "--config.loss=hinge"]
  (run,), _ = sweeps.load(
    write(tmp_path, "def get_config():\n  return {}\n"), [*arguments, "--config.loss_options.a=2"]
  )
  assert (run["steps"], run["generator_rate"], run["conditional"], run["loss"]) == (20, 1.0, True, "hinge")
  assert isinstance(run["generator_rate"], float)
  assert run["loss_options"] == {"a": 2.0}


@pytest.mark.parametrize(
  ("text", "words"),
  [
    ("def get_config():\n  return {'lsos': 'hinge'}\n", "unknown config field 'lsos'; did you mean 'loss'?"),
    ("def get_confg():\n  return {}\n", "expected a function get_config()"),
    ("def get_config(:\n", "SyntaxError"),
    ("def get_config():\n  return {}\ndef sweep(s):\n  return s.param('sede', [1])\n", "did you mean 'seed'"),
    ("def get_config():\n  return {}\ndef sweep(s):\n  return s.nothing()\n", "AttributeError"),
  ],
)
def test_config_files_that_cannot_be_used(tmp_path, text, words):
  with pytest.raises(BadInput) as caught:
    sweeps.load(write(tmp_path, text))
  assert words in str(caught.value)


def test_a_missing_config_file_names_its_neighbours():
  with pytest.raises(BadInput, match=r"did you mean 'configs/compare_losses.py'"):
    sweeps.load("configs/compare_loses.py")


def test_arrays_are_swept_over_like_lists():
  runs = sweeps.expand({}, product(param("generator_rate", np.logspace(-4, -2, 3)), param("seed", np.arange(2))), {})
  plain = sweeps.expand({}, product(param("generator_rate", [1e-4, 1e-3, 1e-2]), param("seed", range(2))), {})
  assert runs == plain


def baselined(name, overrides):
  return sweeps.planned({"baseline": name}, overrides, {})


@pytest.mark.parametrize(
  "name", ["hinge", "depth=3", "hinge, depth=3", "hinge, depth=3.0", "minimax", "hinge, depth=3…"]
)
def test_a_baseline_may_be_a_loss_or_a_label_without_the_options_at_their_defaults(name):
  overrides = sweeps.product(sweeps.param("loss", ["hinge", "minimax"]), sweeps.param("model_options.depth", [2, 3]))
  assert len(baselined(name, overrides)[1]) == 4


@pytest.mark.parametrize("field", ["model_options.depth", "n_critic"])
@pytest.mark.parametrize("name", ["hing", "depth=4", "hinge, depth=4", "hinge, seed=1", "depth"])
def test_a_baseline_that_is_no_loss_and_no_label_is_refused(name, field):
  overrides = sweeps.product(sweeps.param("loss", ["hinge", "minimax"]), sweeps.param(field, [2, 3]))
  with pytest.raises(BadInput, match=f"unknown baseline '{name}'.*hinge, .*=3.*minimax"):
    baselined(name, overrides)
