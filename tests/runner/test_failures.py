"""What a person is told when the machine cannot do what a study asks for."""

import os
import subprocess
import sys

import jax
import pytest

from gan_jax import settings
from gan_jax.runner import failures, grouping
from tests.conftest import ROOT

# Every real meets every fake: 60,000 of each are 14 GB in float32, in a process that may have 8.
CONFIG = """
def get_config():
  return {"dataset": "ring", "loss": "relativistic_all_pairs", "batch_size": 60000,
          "model_options": {"generator_width": 8, "discriminator_width": 8, "depth": 1},
          "latent_size": 4, "steps": 2, "probe_every": 2, "evaluation_samples": 100}
"""
LIMITED = """
import resource
from experiments import command, sweep
resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30,) * 2)
command.run(sweep.main)
"""


@pytest.fixture
def group():
  configs = [
    settings.resolve({"seed": seed, "batch_size": 32, "model_options.generator_width": 48}) for seed in range(3)
  ]
  (found,) = grouping.group(configs)
  return found


@pytest.mark.parametrize(
  "error",
  [
    MemoryError(),
    MemoryError("Unable to allocate 14.0 GiB for an array"),
    jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.\nand a table"),
    jax.errors.JaxRuntimeError("INTERNAL: std::bad_alloc"),
  ],
)
def test_out_of_memory_names_what_decides_the_size(error, group, tmp_path):
  text = str(failures.explain(error, group, tmp_path))
  for word in (
    "group-0",
    "3 members",
    "mlp",
    "48",
    "batch_size 32",
    "evaluation_samples",
    "lower",
    "runs in one sweep",
  ):
    assert word in text
  assert "\n" not in text


def test_another_error_of_jax_is_one_sentence_and_its_trace_a_file(group, tmp_path):
  try:
    raise jax.errors.JaxRuntimeError("INTERNAL: the chip is on fire\n" + "x" * 10_000)
  except jax.errors.JaxRuntimeError as error:
    text = str(failures.explain(error, group, tmp_path))
  assert text == f"jax failed in group-0: INTERNAL: the chip is on fire; the stack trace is in {tmp_path / 'error.txt'}"
  assert "Traceback" in (tmp_path / "error.txt").read_text()


def test_a_study_that_needs_more_memory_than_there_is(tmp_path):
  """A real process under a real limit."""
  (tmp_path / "pairs.py").write_text(CONFIG)
  env = dict(os.environ) | {"XDG_CACHE_HOME": str(tmp_path), "JAX_NUM_CPU_DEVICES": "1", "PYTHONPATH": str(ROOT)}
  arguments = [sys.executable, "-c", LIMITED, str(tmp_path / "pairs.py"), "--out", str(tmp_path / "study")]
  done = subprocess.run(arguments, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
  assert done.returncode == 1, done.stderr
  assert done.stderr.startswith("error: out of memory in group-0: 1 member of model mlp")
  assert "batch_size 60000" in done.stderr
  assert done.stderr.count("\n") == 1
