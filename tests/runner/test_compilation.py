"""A group is compiled once, whatever its cadence: nothing is compiled after its first chunk."""

import logging

import jax
import pytest

from gan_jax import runs
from gan_jax.runner import loop, study
from tests.support.pages import undrawn

# Chunks of 2 windows of 5 steps, of 1 window of 5, and of 1 of 3: 10, 20, 25 and 28 steps.
CONFIG = """
def get_config():
  return {"dataset": "ring", "model_options": {"generator_width": 4, "discriminator_width": 4, "depth": 1},
          "latent_size": 2, "batch_size": 8, "steps": 28, "probe_every": 5, "evaluate_every": 10,
          "checkpoint_every": 20, "evaluation_samples": 100}
"""


@pytest.fixture
def compiled():
  """The names of what jax compiles, of all threads."""
  names: list[str] = []

  class Listener(logging.Handler):
    def emit(self, record):
      if record.getMessage().startswith("Compiling "):
        names.append(record.getMessage().split()[1])

  listener, logger = Listener(), logging.getLogger("jax")
  logger.addHandler(listener)
  jax.config.update("jax_log_compiles", True)
  yield names
  jax.config.update("jax_log_compiles", False)
  logger.removeHandler(listener)


def test_nothing_is_compiled_after_the_first_chunk(compiled, tmp_path, monkeypatch):
  (tmp_path / "c.py").write_text(CONFIG)
  trained, seen = loop._Told.trained, []

  def then(told, chunk):
    seen.append((chunk.windows, chunk.length, len(compiled)))
    trained(told, chunk)

  monkeypatch.setattr(loop._Told, "trained", then)
  with undrawn():
    study.run(str(tmp_path / "c.py"), [], tmp_path / "study", single=True, say=lambda line: None)
  assert [(windows, length) for windows, length, _ in seen] == [(2, 5), (2, 5), (1, 5), (1, 3)]
  first = seen[0][2]
  assert sum("advance" in name for name in compiled) == 1
  assert compiled[first:] == []
  assert runs.read_table(tmp_path / "study", "rows", "group-0").steps.tolist() == [0, 5, 10, 15, 20, 25]
