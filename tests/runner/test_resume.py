"""A study that goes on: nothing is deleted, what differs is refused, what is missing is computed again to the same bits."""

import errno
import json
import os
import re
import shutil

import jax
import numpy as np
import optax
import pytest

from experiments import command
from experiments import report as report_command
from experiments import sweep as sweep_command
from gan_jax import report, runs, settings
from gan_jax.core import files
from gan_jax.core.errors import BadInput, Failure
from gan_jax.game import optimizers
from gan_jax.metrics import classifier
from gan_jax.report import records
from gan_jax.report.export import export
from gan_jax.runner import checkpoint, restore, standing, study
from gan_jax.runs import plan
from gan_jax.settings import labels
from tests.data.test_idx import write_set
from tests.support import programs
from tests.support.pages import undrawn

CONFIG = """
def get_config():
  return {"dataset": "ring", "model_options": {"generator_width": 4, "discriminator_width": 4, "depth": 1},
          "latent_size": 2, "batch_size": 8,
          "steps": 60, "probe_every": 5, "evaluate_every": 20, "checkpoint_every": 10, "evaluation_samples": 100}

def sweep(s):
  return s.param("seed", [0, 1])
"""
END = 60


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
  monkeypatch.setattr(files, "WAITS", (0.0, 0.0, 0.0))


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
  with programs.shared(), undrawn():
    yield


@pytest.fixture(scope="module")
def config(tmp_path_factory):
  path = tmp_path_factory.mktemp("configs") / "tiny.py"
  path.write_text(CONFIG)
  return path


def sweep(config, directory, *arguments):
  """Run the study, or go on with it; what it said."""
  said = []
  study.run(str(config), list(arguments), directory, single=False, say=said.append)
  return "\n".join(said)


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
  """A study that was never stopped."""
  sweep(config, directory := tmp_path_factory.mktemp("whole") / "study")
  return directory


@pytest.fixture
def directory(whole, tmp_path):
  shutil.copytree(whole, tmp_path / "study")
  return tmp_path / "study"


def rewind(directory, step):
  """As a kill leaves it: the newest checkpoint is `step`'s, rows and status are a chunk further."""
  shutil.rmtree(directory / "report.html", ignore_errors=True)
  for path in (directory / "checkpoints" / "group-0").iterdir():
    if int(path.name) > step:
      shutil.rmtree(path)
  for table in ("rows", "quality"):
    for first, _, path in runs.parts(directory, table, "group-0"):
      if first > step:
        path.unlink()
  for at, path in runs.sample_steps(directory, "group-0"):
    if at > step:
      path.unlink()
  status = runs.read_status(directory)
  status["groups"]["group-0"].update(step=min(step + 10, END), complete=False)
  runs.write_status(directory, status)


def tables(directory):
  return {
    str(p.relative_to(directory)): p.read_bytes()
    for table in runs.TABLES
    for p in sorted((directory / table).rglob("*.npz"))
  }


def everything(directory):
  return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def set_aside(directory):
  folder = directory / "set_aside"
  return sorted(
    str(p.relative_to(folder).relative_to(p.relative_to(folder).parts[0])) for p in folder.rglob("*") if p.is_file()
  )


def flip(path):
  """A bit of every byte of a short stretch: a single one may lie in a zip header's time stamp, where it harms nobody."""
  content = bytearray(path.read_bytes())
  for i in range(len(content) // 2, len(content) // 2 + 64):
    content[i] ^= 4
  path.write_bytes(bytes(content))


def rows(directory, first, table="rows"):
  return next(path for begin, _, path in runs.parts(directory, table, "group-0") if begin == first)


def group_status(directory):
  return runs.read_status(directory)["groups"]["group-0"]


# What differs is refused, and nothing is touched


def test_double_precision_is_refused_and_touches_nothing(config, directory):
  rewind(directory, 50)
  before = everything(directory)
  with jax.enable_x64(True), pytest.raises(BadInput, match=r"expected float32 .*, got float64"):
    sweep(config, directory)
  assert everything(directory) == before


def test_an_optimizer_of_another_state_is_refused_and_touches_nothing(config, directory, monkeypatch):
  rewind(directory, 50)
  before = everything(directory)
  adam = optimizers.OPTIMIZERS["adam"]
  longer = lambda rate, **betas: optax.chain(adam(rate, **betas), optax.trace(0.5))  # noqa: E731
  monkeypatch.setitem(optimizers.OPTIMIZERS, "adam", adam._replace(builder=longer))
  with pytest.raises(BadInput, match=r"its state has the generator's optimizer .* and this program's has not"):
    sweep(config, directory)
  assert everything(directory) == before


def test_a_manifest_that_was_made_to_ask_for_another_width_is_refused(config, directory):
  """Every digest made right again: the checkpoint still knows whose it is."""
  rewind(directory, 50)
  manifest = runs.read_manifest(directory)
  for member in manifest["groups"][0]["members"]:
    member["config"]["model_options"]["generator_width"] = 6
    member["id"] = settings.identity(member["config"])
  runs.write_manifest(directory, manifest)
  before = everything(directory)
  with pytest.raises(BadInput, match="members: 2 there"):
    sweep(config, directory, "--config.model_options.generator_width=6")
  assert everything(directory) == before


def test_a_version_that_divides_a_run_otherwise_is_refused(config, directory, monkeypatch):
  """Its chunks would not begin where the checkpoint stands, and nothing more would ever be trained."""
  rewind(directory, 50)
  before = everything(directory)
  monkeypatch.setattr(plan, "of", lambda config, start=0: plan.chunks(END, 20, 20, 20))
  with pytest.raises(BadInput, match=r"was saved at step 50, where no chunk of this version ends"):
    sweep(config, directory)
  assert everything(directory) == before


def test_a_checkpoint_under_another_step_is_damaged(config, directory, whole):
  rewind(directory, 50)
  folder = directory / "checkpoints" / "group-0"
  (folder / "50").rename(folder / "55")
  assert "is damaged and set aside" in sweep(config, directory)
  assert tables(directory) == tables(whole)


def test_a_pipe_in_a_checkpoint_is_damage_and_no_endless_wait(config, directory, whole):
  rewind(directory, 50)
  path = directory / "checkpoints" / "group-0" / "50" / "meta" / "metadata"
  path.unlink()
  os.mkfifo(path)
  assert "is damaged and set aside" in sweep(config, directory)
  assert tables(directory) == tables(whole)


def test_other_data_in_the_same_folder_are_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(classifier, "STEPS", 2)  # what it measures does not matter here
  rng = np.random.default_rng(0)
  (tmp_path / "data").mkdir()
  path = tmp_path / "c.py"
  path.write_text(
    'def get_config():\n  return {"dataset": "mnist", "model_options": {"generator_width": 4, "discriminator_width": 4,'
    ' "depth": 1}, "latent_size": 2, "batch_size": 8, "steps": 4, "probe_every": 2, "evaluation_samples": 100,'
    ' "checkpoint_every": 2}\n'
  )
  argument = f"--config.dataset_options.data_dir={tmp_path / 'data'}"
  labels = np.arange(300, dtype=np.uint8) % 10
  images = rng.integers(0, 256, (300, 28, 28), np.uint8)
  write_set(tmp_path / "data", images=images, labels=labels)
  sweep(path, tmp_path / "study", argument)
  before = everything(tmp_path / "study")
  other = images.copy()
  other[17, 3, 3] ^= 1
  write_set(tmp_path / "data", images=other, labels=labels)
  with pytest.raises(
    BadInput, match=r"the dataset 'mnist' in .*data is not the one .* expected sha256 \w{12}, got \w{12}"
  ):
    sweep(path, tmp_path / "study", argument)
  assert everything(tmp_path / "study") == before
  write_set(tmp_path / "data", images=images, labels=labels[::-1].copy())
  with pytest.raises(BadInput, match="is not the one"):
    sweep(path, tmp_path / "study", argument)
  shutil.rmtree(tmp_path / "data")  # a report needs no data
  assert len(report.summary(tmp_path / "study")["runs"]) == 1


# What is damaged is set aside, and made again where that can be done


@pytest.mark.parametrize("table", ["rows", "quality"])
def test_a_flipped_bit_in_the_first_part_costs_that_part(table, config, directory, whole):
  """The first: on a resume it once cost the whole training."""
  rewind(directory, 50)
  path = rows(directory, 0, table)
  flip(path)
  damaged = path.read_bytes()
  said = sweep(config, directory)
  assert f"{path} is set aside as" in said
  assert "resuming at step 50 of 60" in said
  assert tables(directory) == tables(whole)
  assert set_aside(directory) == [str(path.relative_to(directory))]
  assert [p.read_bytes() for p in (directory / "set_aside").rglob("*.npz")] == [damaged]
  assert group_status(directory)["bit_exact"]


def test_what_is_missing_of_a_complete_study_is_computed_again(config, directory, whole):
  """Near the start, between checkpoints, at the end; samples too, and those of the data."""
  gone = [
    rows(directory, 0),
    rows(directory, 40),
    rows(directory, 50),
    rows(directory, 60, "quality"),
    rows(directory, 40, "quality"),
  ]
  gone += [directory / "samples" / "group-0" / name for name in ("000000000.npz", "000000060.npz", "real.npz")]
  for path in gone:
    path.unlink()
  found = report.summary(directory)
  assert [(g["table"], g["first"], g["last"]) for g in found["missing"]] == [
    ("rows", 0, 10), ("rows", 40, 60), ("quality", 40, 60), ("samples", 0, 0), ("samples", 60, 60), ("real", 0, 0)
  ]  # fmt: skip
  said = sweep(config, directory)
  assert "computing again what is missing" in said
  assert tables(directory) == tables(whole)
  assert group_status(directory)["complete"]
  assert "is complete" in sweep(config, directory)
  assert not (directory / "set_aside").exists()


def test_a_gap_that_no_checkpoint_reaches_has_a_name_and_the_study_is_complete(config, directory):
  path = rows(directory, 20)
  flip(path)
  (directory / "samples" / "group-0" / "000000020.npz").unlink()
  lines = [
    "group-0: rows of steps 20 to 29 are damaged (000000020-000000030.npz",
    "group-0: samples at step 20 are missing",
  ]
  for line in lines:
    assert line in report.terminal_table(directory)
    assert f"Note: {line}" in report.build(directory).read_text()
    assert any(line in remark for remark in report.summary(directory)["remarks"])
  assert {run.rows.steps.tolist()[4] for run in records.read(directory).runs} == {30}
  for _ in range(2):
    said = sweep(config, directory)
    assert "group-0: rows of steps 20 to 29 are missing, and cannot be computed again" in said
    assert "not finished" not in said
  assert {run["status"] for run in report.summary(directory)["runs"]} == {"done"}
  assert set_aside(directory) == ["rows/group-0/000000020-000000030.npz"]
  assert export(directory, "csv").exists()
  for _ in range(2):
    with pytest.raises(Failure, match="not whole: group-0: rows of steps 20 to 29 are missing, and 1 gap more"):
      sweep_command.main([str(config), "--out", str(directory)])


def test_every_checkpoint_damaged_starts_again_and_deletes_nothing(config, directory, whole):
  rewind(directory, 50)
  for meta in (directory / "checkpoints" / "group-0").rglob("meta/metadata"):
    flip(meta)
  before = everything(directory)
  said = sweep(config, directory)
  assert "no intact checkpoint is left: from the start again" in said
  assert tables(directory) == tables(whole)
  kept = set(everything(directory).values())
  lost = {name for name, content in before.items() if content not in kept}
  assert lost <= {"status.json", "status.copy.json", "report.html", "lock"}


def test_a_checkpoint_that_stays_reaches_a_gap_in_the_middle(config, whole, tmp_path, monkeypatch):
  """Of every second one here. Without it these rows could not be computed again."""
  monkeypatch.setattr(checkpoint, "STAYS", 2)
  directory = tmp_path / "study"
  sweep(config, directory)
  assert checkpoint.steps(directory / "checkpoints" / "group-0") == [20, 40, 50, 60]
  rows(directory, 20).unlink()
  assert "computing again what is missing between steps 20 and 30" in sweep(config, directory)
  assert tables(directory) == tables(whole)


def test_a_complete_study_whose_checkpoints_were_removed_is_not_trained_again(config, directory):
  shutil.rmtree(directory / "checkpoints")
  rows(directory, 30).unlink()
  rows(directory, 0).unlink()
  said = sweep(config, directory)
  assert "group-0: rows of steps 30 to 39 are missing, and cannot be computed again" in said
  assert rows(directory, 0).exists()  # that is no further from the start than a checkpoint interval
  assert group_status(directory)["complete"]
  assert not (directory / "checkpoints").exists()


def test_rows_that_come_out_otherwise_are_kept_apart_and_the_runs_marked(config, directory, whole):
  """Beyond the checkpoint stand rows of another process: what is computed again is compared with them."""
  rewind(directory, 50)
  path = rows(directory, 50)
  table = runs.read_table(directory, "rows", "group-0")
  other = {name: column[10:12] + np.asarray(1, column.dtype) for name, column in table.columns.items()}
  path.unlink()
  runs.append(directory, "rows", "group-0", 50, 60, runs.Table(table.steps[10:12], other))
  foreign = path.read_bytes()
  said = sweep(config, directory)
  assert "warning: group-0: rows of steps 50 to 59, computed again, are not the same bits" in said
  assert tables(directory) == tables(whole)
  assert [p.read_bytes() for p in (directory / "set_aside").rglob("*.npz")] == [foreign]
  not_exact(directory, "rows of steps 50 to 59")


def killed_before_its_save(directory, step):
  """The newest checkpoint is `step`'s; all that was written after it is there."""
  shutil.rmtree(directory / "report.html", ignore_errors=True)
  for path in (directory / "checkpoints" / "group-0").iterdir():
    if int(path.name) > step:
      shutil.rmtree(path)
  status = runs.read_status(directory)
  status["groups"]["group-0"].update(step=END - 10, complete=False)
  runs.write_status(directory, status)


def test_what_comes_out_the_same_when_computed_again_is_said(config, directory, whole):
  killed_before_its_save(directory, 40)
  said = sweep(config, directory)
  same = "group-0: rows of steps 40 to 59, samples of step 60, quality of step 60 computed again: the same bits"
  assert said.count("computed again") == said.count(same) == 1
  assert tables(directory) == tables(whole)
  assert group_status(directory)["bit_exact"]
  assert not (directory / "set_aside").exists()
  rewind(directory, 50)
  rows(directory, 50).unlink()
  assert "computed again" not in sweep(config, directory)  # nothing was there to compare with


@pytest.mark.parametrize("table", ["quality", "samples"])
def test_measurements_that_come_out_otherwise_are_kept_apart_and_the_runs_marked(table, config, directory, whole):
  killed_before_its_save(directory, 40)
  path = rows(directory, 60, table) if table == "quality" else directory / "samples" / "group-0" / "000000060.npz"
  arrays = files.read_arrays(path)
  name = next(name for name, array in arrays.items() if array.dtype == np.float32)
  value = arrays[name].reshape(-1)
  value[-1] = np.nextafter(value[-1], np.float32(np.inf))  # the last bit of one number
  files.write_arrays(path, **arrays)
  foreign = path.read_bytes()
  said = sweep(config, directory)
  assert f"warning: group-0: {table} at step 60, computed again, are not the same bits" in said
  assert "group-0: rows of steps 40 to 59" in said  # which did
  assert tables(directory) == tables(whole)
  assert [p.read_bytes() for p in (directory / "set_aside").rglob("*.npz")] == [foreign]
  not_exact(directory, f"{table} at step 60")


def not_exact(directory, reason):
  """Every table says so."""
  assert group_status(directory)["bit_exact"] is False
  assert any(reason in said for said in group_status(directory)["reasons"])
  found = report.summary(directory)
  assert {run["bit_exact"] for run in found["runs"]} == {False}
  assert reason in report.terminal_table(directory)
  assert reason in report.build(directory).read_text()
  for form in ("csv", "jsonl"):
    assert "bit_exact" in export(directory, form).read_text().splitlines()[0]
  assert json.loads(export(directory, "jsonl").read_text().splitlines()[0])["bit_exact"] is False


def test_rows_beyond_the_restored_step_are_not_shown_as_certain(directory):
  status = runs.read_status(directory)
  status["groups"]["group-0"].update(step=50, complete=False)
  runs.write_status(directory, status)
  for run in records.read(directory).runs:
    assert run.rows.steps.tolist() == list(range(0, 50, 5))
    assert run.quality.steps.tolist() == [0, 20, 40]
  assert report.summary(directory)["missing"] == []


# A failure of the machine is neither


def test_a_read_error_once_is_tried_again_and_for_ever_is_an_error(config, directory, whole, monkeypatch):
  rewind(directory, 50)
  path, real, left = rows(directory, 0), open, [1]

  def failing(file, *args, **kwargs):
    if str(file) == str(path) and left[0]:
      left[0] -= 1
      raise OSError(errno.EIO, "Input/output error", str(file))
    return real(file, *args, **kwargs)

  monkeypatch.setattr("builtins.open", failing)
  left[0] = 10**6
  before = everything_but(directory)
  with pytest.raises(OSError, match="Input/output error") as caught:
    sweep(config, directory)
  assert (
    "step 50 of group-0 is saved: once that is mended, the same command goes on from there" in caught.value.__notes__
  )
  assert everything_but(directory) == before
  with pytest.raises(OSError, match="Input/output error"):
    report.summary(directory)
  left[0] = 2
  sweep(config, directory)
  assert tables(directory) == tables(whole)
  assert not (directory / "set_aside").exists()


def everything_but(directory):
  """Without what says who holds the study and how far it is."""
  names = ("lock", "status.json", "status.copy.json")
  return {
    str(p.relative_to(directory)): p.stat().st_mtime_ns
    for p in sorted(directory.rglob("*"))
    if p.is_file() and p.name not in names
  }


def test_a_save_that_failed_first_speaks_of_no_checkpoint(config, tmp_path, monkeypatch):
  def full(*_, **__):
    raise checkpoint.SaveFailed("No space left on device")

  monkeypatch.setattr(checkpoint, "save", full)
  with pytest.raises(OSError, match="No space left") as caught:
    sweep(config, tmp_path / "study")
  free, saved = caught.value.__notes__
  assert "bytes are free in" in free
  assert saved == "nothing is saved yet: once that is mended, the same command starts it again"


# Status and manifest


@pytest.mark.parametrize("what", ["deleted", "damaged", "before the last save"])
def test_a_status_that_is_gone_is_derived_from_the_state(what, config, directory, whole):
  """Nothing is left to train: once this was never finished."""
  for name in ("status.json", "status.copy.json"):
    if what == "deleted":
      (directory / name).unlink()
    elif what == "damaged":
      flip(directory / name)
  if what == "before the last save":  # killed between the last checkpoint and the status
    status = runs.read_status(directory)
    status["groups"]["group-0"].update(step=50, complete=False)
    runs.write_status(directory, status)
  (directory / "report.html").unlink()
  (directory / "samples" / "group-0" / "real.npz").unlink()
  report.summary(directory)
  said = sweep(config, directory)
  assert "not finished" not in said
  assert tables(directory) == tables(whole)
  assert group_status(directory)["complete"]
  assert group_status(directory)["step"] == END
  assert (directory / "report.html").exists()
  assert "is complete" in sweep(config, directory)


def test_a_diverged_member_is_read_off_the_state(config, tmp_path):
  argument = "--config.discriminator_rate=1e25"
  sweep(config, tmp_path / "study", argument)
  before = group_status(tmp_path / "study")["diverged"]
  assert len(before) == 2
  # Each later checkpoint holds the last finite state, so none that is removed takes it along.
  newest, older = (restore.group(tmp_path / "study", "group-0", step).state for step in (END, END - 20))
  learnt = lambda state: jax.tree.leaves((state.gen_params, state.disc_params, state.gen_opt, state.disc_opt))  # noqa: E731
  assert all(np.isfinite(leaf).all() for leaf in learnt(newest))
  jax.tree.map(np.testing.assert_array_equal, learnt(newest), learnt(older))
  for name in ("status.json", "status.copy.json"):
    (tmp_path / "study" / name).unlink()
  sweep(config, tmp_path / "study", argument)
  assert group_status(tmp_path / "study")["diverged"] == before


@pytest.mark.parametrize("name", ["manifest.json", "status.json"])
def test_a_copy_stands_in_for_a_damaged_file(name, config, directory):
  before = (directory / name).read_bytes()
  changed = (
    before.replace(b'"seed": 1', b'"seed": 3')
    if name == "manifest.json"
    else before.replace(b'"step": 60', b'"step": 40')
  )
  assert changed != before
  (directory / name).write_bytes(changed)
  found = report.summary(directory)
  assert [run["config"]["seed"] for run in found["runs"]] == [0, 1]
  assert {run["last_step"] for run in found["runs"]} == {END}
  assert any(
    f"{name.replace('.json', '.copy.json')} is intact and is read instead" in said for said in found["remarks"]
  )
  assert (directory / name).read_bytes() == changed  # a reader writes nothing
  said = sweep(config, directory)
  assert f"{directory / name} is restored from" in said
  assert (directory / name).read_bytes() == before
  assert [p.read_bytes() for p in (directory / "set_aside").rglob(name)] == [changed]
  (directory / name).unlink()
  sweep(config, directory)
  assert (directory / name).read_bytes() == before


def test_other_versions_are_said_and_marked(config, directory, whole):
  rewind(directory, 50)
  manifest = runs.read_manifest(directory)
  manifest["versions"]["jax"] = "0.4.30"
  manifest["commit"], manifest["source"] = "0123456789", "feed5eed0000"
  runs.write_manifest(directory, manifest)
  said = sweep(config, directory)
  assert f"warning: begun with jax 0.4.30, continued with {jax.__version__}" in said
  assert "warning: begun with commit 0123456789, continued with" in said
  assert "warning: begun with other code of gan_jax than this" in said
  assert "feed5eed0000" not in said  # a digest says nothing to a reader
  assert tables(directory) == tables(whole)
  not_exact(directory, "begun with jax 0.4.30")


def test_runs_that_other_versions_went_on_with_stay_marked_when_the_status_is_lost(config, directory):
  rewind(directory, 50)
  manifest = runs.read_manifest(directory)
  runs.write_manifest(directory, {**manifest, "versions": {**manifest["versions"], "jax": "0.4.30"}})
  sweep(config, directory)
  for name in (runs.STATUS, runs.copy_of(runs.STATUS)):
    (directory / name).unlink()
  sweep(config, directory)
  not_exact(directory, "begun with jax 0.4.30")


def test_a_complete_study_is_not_marked_by_a_later_version(config, directory):
  manifest = runs.read_manifest(directory)
  manifest["versions"]["jax"] = "0.4.30"
  runs.write_manifest(directory, manifest)
  assert "is complete" in sweep(config, directory)
  assert group_status(directory)["bit_exact"]


# The directory


def test_leftovers_of_a_kill_in_the_first_second_are_ours(config, tmp_path):
  directory = tmp_path / "study"
  directory.mkdir()
  for name in (".writable", "..writable.tmp", ".manifest.json.tmp", ".status.copy.json.tmp", "lock"):
    (directory / name).write_text("")
  (directory / "set_aside").mkdir()
  sweep(config, directory, "--config.steps=10")
  assert not [p.name for p in directory.iterdir() if p.name.startswith(".")]
  (tmp_path / "other").mkdir()
  (tmp_path / "other" / ".mine.tmp").write_text("x")
  with pytest.raises(BadInput, match=r"holds other files \(.mine.tmp"):
    sweep(config, tmp_path / "other")


def test_a_study_that_another_launch_has_just_finished_is_not_overwritten(config, tmp_path, monkeypatch):
  """This launch looked before that one wrote: it looks again with the lock held."""
  directory, real = tmp_path / "study", standing.prepare

  def meanwhile(path):
    monkeypatch.setattr(standing, "prepare", real)
    sweep(config, directory, "--config.steps=10")
    real(path)

  monkeypatch.setattr(standing, "prepare", meanwhile)
  with pytest.raises(BadInput, match="has just been written by another process"):  # it could grow, but nobody saw it
    sweep(config, directory)
  assert {m["config"]["steps"] for m in runs.read_manifest(directory)["groups"][0]["members"]} == {10}
  monkeypatch.setattr(standing, "prepare", meanwhile)
  shutil.rmtree(directory)
  with pytest.raises(BadInput, match="has just been written by another process"):
    sweep(config, directory, "--config.steps=10")


def flat(config):
  """A config as format 2 had it: every option a field of every run."""
  moved = {place: old for old, place in settings.MOVED.items()}
  plain = {name: value for name, value in config.items() if not name.endswith("_options") or name == "loss_options"}
  options = labels.flatten({name: value for name, value in config.items() if name not in plain})
  return plain | {moved[place]: value for place, value in options.items() if place in moved} | {"clip_value": 0.01}


@pytest.mark.parametrize("format", [1, 2])
def test_what_an_earlier_version_wrote_can_be_read_and_is_not_continued(config, directory, format):
  """Format 1 had no digests, no copies and no tables; both had flat configs, and no defaults of options."""
  manifest, status = runs.read_manifest(directory), runs.read_status(directory)
  del manifest["defaults"]
  for member in manifest["groups"][0]["members"]:
    new = flat(member["config"])
    assert new["generator_width"] == 4
    status["groups"]["group-0"]["diverged"] = {}
    member["config"], member["id"] = new, settings.identity(new)
  if format == 1:
    for name in ("manifest.copy.json", "status.copy.json"):
      (directory / name).unlink()
    del manifest["sha256"], manifest["source"], manifest["groups"][0]["tables"], manifest["groups"][0]["data"]
    del (
      status["sha256"],
      status["format"],
      status["groups"]["group-0"]["bit_exact"],
      status["groups"]["group-0"]["reasons"],
    )
    runs.write_json(directory / "manifest.json", {**manifest, "format": 1})
    runs.write_json(directory / "status.json", status)
  else:
    runs.write_manifest(directory, {**manifest, "format": 2})
    runs.write_status(directory, status)
  assert {run["status"] for run in report.summary(directory)["runs"]} == {"done"}
  assert report.build(directory).exists()
  table = export(directory, "csv").read_text()
  assert "generator_width" in table.splitlines()[0]
  before = everything(directory)
  with pytest.raises(
    BadInput, match="was begun by an earlier version, whose configs had other fields: it can be reported"
  ):
    sweep(config, directory)
  assert everything(directory) == before
  os.remove(directory / "status.json")
  (directory / "status.copy.json").unlink(missing_ok=True)
  assert {run["status"] for run in report.summary(directory)["runs"]} == {"waiting"}


def test_a_failure_says_only_what_is_true(directory, monkeypatch, capsys):
  """A study's failure says what is saved; a report on a disk that cannot be written speaks of no checkpoint."""

  def leave(code):
    raise SystemExit(code)

  monkeypatch.setattr(command, "leave", leave)
  monkeypatch.setattr("sys.argv", ["report", str(directory)])
  monkeypatch.setattr(
    files.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.EROFS, "Read-only file system"))
  )
  with pytest.raises(SystemExit) as ended:
    command.run(report_command.main)
  said = capsys.readouterr().err
  assert ended.value.code == 1
  assert "Read-only file system" in said
  assert "checkpoint" not in said
  assert "goes on" not in said

  def failed(_):
    with standing.truthful(directory):
      raise OSError(errno.ENOSPC, "No space left on device")

  with pytest.raises(SystemExit):
    command.run(failed)
  assert "the disk is full" in (said := capsys.readouterr().err)
  assert re.search(rf"[0-9,]+ bytes are free in {re.escape(str(directory))}; step 60", said)
  assert said.endswith("step 60 of group-0 is saved: once that is mended, the same command goes on from there\n")
