"""Thirty ways to change the settings of a begun study: each is refused, the field is named, and nothing is written."""

import pytest

from experiments.faults.names import CHANGES
from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.runner import packing, study

CONFIG = """
def get_config():
  return {"dataset": "ring", "loss": "hinge", "latent_size": 2, "batch_size": 16, "steps": 20, "probe_every": 5,
          "evaluate_every": 20, "checkpoint_every": 20, "evaluation_samples": 100}
"""


class Killed(BaseException):
  """In the place of SIGKILL."""


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
  """A study that was killed when its manifest was written, and nothing more."""
  folder = tmp_path_factory.mktemp("changes")
  (folder / "tiny.py").write_text(CONFIG)

  def killed(*arguments):
    raise Killed

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(packing, "compiled", killed)
    with pytest.raises(Killed):
      study.run(str(folder / "tiny.py"), [], folder / "study", single=False, say=lambda line: None)
    yield folder / "study"


def snapshot(folder):
  return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_refused_and_the_field_is_named(change, begun):
  before = snapshot(begun)
  with pytest.raises(BadInput, match=r"holds another study \(") as caught:
    study.run(str(begun.parent / "tiny.py"), [f"--config.{change}"], begun, single=False, say=lambda line: None)
  said = str(caught.value)
  assert "\n" not in said
  there, asked = said[said.index("(") + 1 :].split("): ")[0], change.partition("=")[2]
  differing = [part.partition(":")[0] for part in there.split("; ")]
  assert CHANGES[change] in differing, said
  assert asked.lower() in said.lower()
  assert snapshot(begun) == before


def test_what_is_not_changed_goes_on(begun):
  """The same settings get as far as before: to the compiler, where this study is killed."""
  with pytest.raises(Killed):
    study.run(str(begun.parent / "tiny.py"), [], begun, single=False, say=lambda line: None)
  with pytest.raises(Killed):  # the default, said
    study.run(str(begun.parent / "tiny.py"), ["--config.n_critic=1"], begun, single=False, say=lambda line: None)
  assert len(CHANGES) == 30
  assert runs.read_manifest(begun)["groups"][0]["members"][0]["config"]["n_critic"] == 1
