"""What is wrong with a study's input, directory or disk is said before anything is compiled, trained or written."""

from collections import namedtuple

import pytest

from gan_jax import runs
from gan_jax.core.errors import BadInput, Failure, Planned
from gan_jax.runner import inputs, outline, packing, population, preflight, study
from tests.support.pages import undrawn

CONFIG = """
def get_config():
  return {"dataset": "line", "model_options": {"generator_width": 64, "discriminator_width": 64, "depth": 1},
          "latent_size": 2, "batch_size": 8, "steps": 40, "probe_every": 5, "evaluate_every": 20,
          "checkpoint_every": 10, "evaluation_samples": 100, "lens": "none"}

def sweep(s):
  return s.param("seed", range(4))
"""
Disk = namedtuple("Disk", "total used free")


def sweep(out, *arguments, dry=False, config=None, said=None):
  said = [] if said is None else said
  with undrawn():
    study.run(str(config or out.parent / "tiny.py"), list(arguments), out, single=False, say=said.append, dry=dry)
  return said


def snapshot(folder):
  return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
  """A finished study, whose status says that it is not: half of its steps are still to do."""
  folder = tmp_path_factory.mktemp("preflight")
  (folder / "tiny.py").write_text(CONFIG)
  sweep(folder / "study")
  return folder / "study"


@pytest.fixture
def half_done(begun):
  whole = runs.read_status(begun)
  status = runs.read_status(begun)
  status["groups"]["group-0"] |= {"step": 20, "complete": False}
  runs.write_status(begun, status)
  yield begun
  runs.write_status(begun, whole)


def with_free(monkeypatch, free):
  monkeypatch.setattr(preflight.shutil, "disk_usage", lambda place: Disk(2**40, 2**40 - free, free))


def held(monkeypatch, directory):
  lock = runs.writer_lock(directory)
  lock.__enter__()
  return lock


WRONG = {
  "another config": (["--config.generator_rate=0.5"], BadInput, "generator_rate: .* there, 0.5 asked for"),
  "other data": ([], BadInput, "the dataset 'line' is not the one that .* began with: expected sha256 .*, got 0123"),
  "a full disk": ([], Failure, "expected at least .* kB of free space for its checkpoints, .*, got 9 kB on the file system"),
  "a second launch": ([], BadInput, "is being written by another process"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_begun_study_is_said_before_anything_is_compiled_or_written(case, half_done, monkeypatch):
  arguments, kind, words = WRONG[case]
  monkeypatch.setattr(packing, "compiled", None)  # to call them is an error
  monkeypatch.setattr(population, "compile_group", None)
  lock = None
  if case == "other data":
    monkeypatch.setattr(inputs.data, "digest", lambda dataset: "0123" * 16)
  elif case == "a full disk":
    with_free(monkeypatch, 9_000)
  elif case == "a second launch":
    lock = held(monkeypatch, half_done)
  before = snapshot(half_done)
  with pytest.raises(kind, match=words):
    sweep(half_done, *arguments)
  assert snapshot(half_done) == before
  if lock is not None:
    lock.__exit__(None, None, None)


def test_a_new_study_that_does_not_fit_is_refused_and_its_directory_is_not_made(begun, monkeypatch):
  out = begun.parent / "new" / "study"
  with_free(monkeypatch, 100_000)
  for dry in (False, True):
    with pytest.raises(Failure, match=rf"{out} expected at least .* on the file system of {begun.parent}: free some"):
      sweep(out, dry=dry, config=begun.parent / "tiny.py")
  assert not out.parent.exists()
  with_free(monkeypatch, 10_000_000)
  with pytest.raises(Planned):
    sweep(out, dry=True, config=begun.parent / "tiny.py")


def test_a_folder_that_cannot_be_made_is_refused_before_the_compiler(begun, monkeypatch):
  monkeypatch.setattr(packing, "compiled", None)
  (begun.parent / "file").write_text("")
  with pytest.raises(BadInput, match="cannot be written"):
    sweep(begun.parent / "file" / "below", config=begun.parent / "tiny.py")


def test_the_estimate_is_below_what_a_study_takes_and_not_far_below(begun, monkeypatch):
  """A study that fits is not refused; one that needs half as much again as there is, is."""
  found, said, real = [], [], preflight.check
  monkeypatch.setattr(preflight, "check", lambda *a: found.append(a) or real(*a))
  with pytest.raises(Planned):
    sweep(begun, dry=True, said=said)
  ((_, groups, sizes),) = found
  taken = sum(path.stat().st_size for path in begun.rglob("*") if path.is_file())
  fresh = preflight.missing(begun.parent / "none", groups, sizes)
  assert fresh == preflight.total(groups, sizes)
  (kept,) = (begun / "checkpoints").iterdir()
  taken += sum(path.stat().st_size for path in kept.rglob("*") if path.is_file()) // 3  # that was removed at the end
  assert 0.6 * taken < fresh - preflight.OF_PAGE < taken  # its page was not drawn
  assert preflight.missing(begun, groups, sizes) <= preflight.OF_PAGE + 4 * preflight.OF_RUN  # nothing but the report
  assert f"  disk: at least {outline.written(fresh)} in the end" in "\n".join(said)


def test_a_checkpoint_is_counted_as_often_as_it_is_kept(begun, monkeypatch):
  """40 steps, saved every 10: three are kept, and the fourth is written before the first is removed."""
  found = []
  monkeypatch.setattr(preflight, "check", lambda *a: found.append(a))
  with pytest.raises(Planned):
    sweep(begun, dry=True)
  (group,), sizes = found[0][1:]
  weights = 2 * 64 + 64 + 64 * 2 + 2, 2 * 64 + 64 + 64 + 1  # latents of 2 to points of 2, and points to a logit
  state = 4 * 4 * (4 * weights[0] + 3 * weights[1])  # float32 of 4 runs: weights, average and Adam's two moments
  kept = sizes[group.name].checkpoints
  assert kept == pytest.approx(4 * (preflight.DENSE * state + preflight.OF_CHECKPOINT), rel=0.01)


def test_file_systems_that_tell_nothing_are_believed_to_have_room(begun, monkeypatch):
  monkeypatch.setattr(preflight.shutil, "disk_usage", lambda place: Disk(0, 0, 0))
  with pytest.raises(Planned):
    sweep(begun.parent / "new", dry=True)
