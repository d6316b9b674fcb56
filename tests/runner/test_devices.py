"""The layout that a study runs on, and what the environment may ask of jax."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data, game, settings
from gan_jax.core import cores
from gan_jax.metrics import Quality
from gan_jax.runner import devices, grouping, population
from tests.conftest import ROOT


@pytest.fixture
def configured():
  """Set settings of jax for one test."""
  before = {}

  def update(name, value):
    before.setdefault(name, getattr(jax.config, name))
    jax.config.update(name, value)

  yield update
  for name, value in before.items():
    jax.config.update(name, value)


@pytest.mark.parametrize("recorded", [None, {"backend": "cpu", "devices": 1, "cores": 1}])
def test_where_jax_was_used_before_its_devices_are_used_as_they_are(recorded, monkeypatch, tmp_path):
  """As in a notebook: here every test has used jax before, with four devices and without a word on cores."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  for name in ("JAX_NUM_CPU_DEVICES", "NPROC"):
    monkeypatch.delenv(name, raising=False)
  jnp.zeros(1).block_until_ready()
  before = {name: getattr(jax.config, name) for name in ("jax_num_cpu_devices", "jax_platforms")}
  cache = jax.config.jax_compilation_cache_dir
  try:
    devices.configure(2, recorded)
  finally:
    jax.config.update("jax_compilation_cache_dir", cache)
  assert devices.initialised()
  assert {name: getattr(jax.config, name) for name in before} == before
  assert "NPROC" not in os.environ  # XLA has looked for it long ago
  layout = devices.layout()
  assert (layout["devices"], layout["cores"]) == (4, len(cores.numbers()))


STUDY = """
def get_config():
  return {"dataset": "ring", "model_options": {"generator_width": 4, "discriminator_width": 4, "depth": 1},
          "latent_size": 2, "batch_size": 8,
          "steps": 2, "probe_every": 2, "evaluation_samples": 100}

def sweep(s):
  return s.param("seed", [0, 1, 2])
"""
NOTEBOOK = """
import os, sys
from pathlib import Path
import jax
jax.numpy.zeros(1)
from gan_jax import runs; from gan_jax.core import cores
from gan_jax.runner import devices, study; from tests.support.pages import undrawn
assert devices.initialised()
out = Path(sys.argv[2])
with undrawn():
  study.run(sys.argv[1], [], out, single=False, say=lambda line: None)
layout = runs.read_manifest(out)["layout"]
assert layout["devices"] == len(jax.devices()) == 1, layout
assert layout["cores"] == len(cores.numbers()), layout
"""


def test_a_study_in_a_program_that_used_jax_before(tmp_path):
  """jax has made its one device then, and XLA has counted the cores."""
  (tmp_path / "tiny.py").write_text(STUDY)
  env = {k: v for k, v in os.environ.items() if k not in ("JAX_NUM_CPU_DEVICES", "NPROC")}
  env |= {"JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(tmp_path)}
  arguments = [sys.executable, "-c", NOTEBOOK, str(tmp_path / "tiny.py"), str(tmp_path / "study")]
  done = subprocess.run(arguments, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("asked", ["cuda", "quantum"])
def test_a_platform_that_is_not_there_is_one_sentence(asked):
  code = "from experiments import command; from gan_jax.runner import devices; command.run(lambda _: devices.start())"
  env = dict(os.environ) | {"JAX_PLATFORMS": asked}
  done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
  if asked == "cuda" and done.returncode == 0:
    pytest.skip("there is a GPU here")
  assert done.returncode == 2
  assert done.stderr.startswith("error: JAX_PLATFORMS expected a kind of device that this machine has, ")
  assert "'cpu'" in done.stderr
  assert f"got '{asked}'" in done.stderr
  assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["jax_debug_nans", "jax_debug_infs", "jax_disable_jit", "jax_check_tracer_leaks"])
def test_settings_for_debugging_are_off_during_a_study_and_named(name, configured):
  configured(name, True)
  said = []
  with devices.undisturbed(said.append):
    assert getattr(jax.config, name) is False
    assert bool(jnp.isnan(jnp.log(-jnp.ones(3))).all())
  assert getattr(jax.config, name) is True
  assert len(said) == 1
  assert f"{name.upper()}=True" in said[0]


def test_settings_of_a_with_statement_are_off_too_and_do_not_leak():
  """A notebook may call a study within `with jax.debug_nans(True):`, which holds in its thread only."""
  said = []
  with jax.debug_nans(True), jax.disable_jit(), jax.transfer_guard("disallow"), jax.numpy_dtype_promotion("strict"):
    with devices.undisturbed(said.append):
      assert (jax.config.jax_debug_nans, jax.config.jax_disable_jit) == (False, False)
      assert bool(jnp.isnan(jnp.log(-jnp.ones(3)) + 1).all())
    assert (jax.config.jax_debug_nans, jax.config.jax_disable_jit) == (True, True)
  assert not devices._global(devices.DEBUGGING)
  assert "JAX_DEBUG_NANS=True" in said[0]
  assert "JAX_TRANSFER_GUARD=disallow" in said[0]


def test_without_such_settings_nothing_is_said():
  said = []
  with devices.undisturbed(said.append):
    pass
  assert said == []


@pytest.mark.parametrize(
  ("name", "value"),
  [
    ("jax_enable_x64", True),
    ("jax_default_matmul_precision", "high"),
    ("jax_default_prng_impl", "rbg"),
    ("jax_threefry_partitionable", False),
    ("jax_random_seed_offset", 7),
  ],
)
def test_a_setting_that_decides_bits_is_part_of_the_layout(name, value, configured):
  before = devices.layout()
  assert name not in before
  configured(name, value)
  assert devices.layout() == {**before, name: value}


def test_flags_of_xla_are_part_of_the_layout_unless_harmless(monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/nowhere --xla_cpu_enable_fast_math=true")
  assert devices.layout()["xla_flags"] == "--xla_cpu_enable_fast_math=true"
  monkeypatch.delenv("XLA_FLAGS")
  assert "xla_flags" not in devices.layout()


@pytest.mark.parametrize(
  "fields",
  [
    {"probes": "noise+layers", "penalty": "r1+lecam", "weight_constraint": "spectral", "lookahead_every": 7},
    {"penalty": "gradient_penalty", "penalty_every": 4, "lens": "minimax+hinge", "hold_out": 5},
    {"model": "dcgan", "model_options": {"generator_width": 8, "discriminator_width": 8}},
    {"probes": "geometry+gap", "dataset": "ring", "latent_size": 2},
    {"method": "consensus", "order": "simultaneous", "method_options.weight": 0.1, "instance_noise": True},
  ],
  ids=lambda fields: next(iter(fields.values())),
)
def test_double_precision_makes_a_program(fields, x64):
  """Traced to the end, as a study under JAX_ENABLE_X64 would be: the state keeps its dtypes from step to step."""
  base = {
    "model_options": {"generator_width": 8, "discriminator_width": 8, "depth": 1},
    "latent_size": 4,
    "batch_size": 16,
  }
  weight = {"penalty_weight": 0.1} if "penalty" in fields else {}
  (group,) = grouping.group([settings.resolve({**base, **weight, **fields})])
  dataset = data.load(group.spec.dataset)
  unasked = Quality(lambda draw, count, near: draw(np.arange(4)), lambda found: {}, {}, {})
  program = population.compile_group(group, game.build(group.spec, dataset), dataset, unasked)
  state = jax.eval_shape(program.init, program.hypers)
  after, _ = jax.eval_shape(lambda h, s, d: program.advance(h, s, d, 2, 3), program.hypers, state, program.data)
  assert after == state
