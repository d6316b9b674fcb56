"""Sinks that are written during the training: every step once, after a kill too; the study is the same without them."""

import importlib.util
import io
import math
import shutil
import sys
import types

import numpy as np
import pytest
from PIL import Image

from experiments import sweep as sweep_command
from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.report import records
from gan_jax.report.export import export
from gan_jax.runner import extremes, followers, sinks, study, tensorboard, tracking
from gan_jax.runner.progress import Progress
from tests.report.test_export import events
from tests.runner.test_progress import Terminal
from tests.runner.test_resume import CONFIG, END, compiled_once, rewind, tables  # noqa: F401

STEPS, MEASURED = list(range(0, END, 5)), [0, 20, 40, 60]
NAMES = {"disc/loss": STEPS, "gen/loss": STEPS, "modes/high_quality": MEASURED, "samples": MEASURED}


class Stub(types.ModuleType):
  """A module `wandb` that records what is called. A run goes on at the step that the server knows."""

  def __init__(self):
    super().__init__("wandb")
    self.begun, self.logged, self.finished = [], {}, []

  def Settings(self, **options):
    return options

  def Image(self, picture):
    return picture

  def init(self, **options):
    self.begun.append(options)
    own = self.logged.setdefault(options["id"], [])

    def log(values, step):
      assert not own or step >= own[-1][0], "W&B drops steps that do not rise"
      own.append((step, values))

    return types.SimpleNamespace(log=log, finish=lambda: self.finished.append(options["id"]))


@pytest.fixture(scope="module")
def wandb():
  stub = Stub()
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(sys.modules, "wandb", stub)
    patch.setattr(sinks.importlib.util, "find_spec", lambda name: stub)
    patch.setenv("WANDB_MODE", "offline")
    yield stub


@pytest.fixture(scope="module")
def config(tmp_path_factory):
  path = tmp_path_factory.mktemp("configs") / "tiny.py"
  path.write_text(CONFIG)
  return path


def train(config, directory, *log):
  said = []
  study.run(str(config), [], directory, single=False, say=said.append, log=log)
  return said


@pytest.fixture(scope="module")
def plain(config, tmp_path_factory):
  """A study without any sink."""
  train(config, directory := tmp_path_factory.mktemp("plain") / "study")
  return directory


@pytest.fixture(scope="module")
def late(config, plain, wandb, tmp_path_factory):
  """The same, killed at step 50; then it went on with both sinks. And what it said."""
  directory = tmp_path_factory.mktemp("late") / "study"
  shutil.copytree(plain, directory)
  rewind(directory, 50)
  said = train(config, directory, "tensorboard", "wandb")
  assert f"group-0: resuming at step 50 of {END}" in said
  return directory, said


@pytest.fixture(scope="module")
def twice(config, late, wandb, tmp_path_factory):
  """And killed once more, with 40 as its last checkpoint and everything of step 60 in the sinks."""
  directory = tmp_path_factory.mktemp("twice") / "study"
  shutil.copytree(late[0], directory)
  rewind(directory, 40)
  wandb.before = {run: list(own) for run, own in wandb.logged.items()}
  assert f"group-0: resuming at step 40 of {END}" in train(config, directory, "tensorboard", "wandb")
  return directory


def read(folder, purging=True):
  """By name, (step, value) of a run's event files in the order of their names, as TensorBoard keeps them.

  After a session's start, what earlier files say of its step and later ones is forgotten (event_accumulator.py).
  """
  from tensorboardX.proto.event_pb2 import Event, SessionLog

  found = {}
  for file in sorted(folder.iterdir()):
    for data in events(file):
      event = Event.FromString(data)
      if event.session_log.status == SessionLog.START and purging:
        found = {name: [one for one in own if one[0] < event.step] for name, own in found.items()}
      for value in event.summary.value:
        found.setdefault(value.tag, []).append((event.step, value))
  return found


def folders(directory):
  """By run id, the folder of its event files."""
  return {path.name.rsplit("-", 1)[1]: path for path in (directory / "tensorboard").iterdir()}


@pytest.mark.parametrize("which", ["late", "twice"])
def test_event_files_have_every_step_once_with_the_numbers_of_the_study(which, request):
  directory = request.getfixturevalue(which)
  directory = directory[0] if which == "late" else directory
  own = {run.id: run for run in records.read(directory).runs}
  assert folders(directory).keys() == own.keys()
  for run_id, folder in folders(directory).items():
    found = read(folder)
    for name, steps in NAMES.items():
      assert sorted(step for step, _ in found[name]) == steps, name
    for table in (own[run_id].rows, own[run_id].quality):
      for name, column in table.columns.items():
        if column.dtype.kind == "f":
          known = {int(s): float(x) for s, x in zip(table.steps, column, strict=True) if not np.isnan(x)}
          assert {step: value.simple_value for step, value in found.get(name, [])} == known
    assert (len(read(folder, purging=False)["disc/loss"]) > len(STEPS)) == (which == "twice")
    picture = Image.open(io.BytesIO(found["samples"][0][1].image.encoded_image_string))
    assert picture.size == (found["samples"][0][1].image.width, found["samples"][0][1].image.height)


def test_wandb_has_every_step_once(late, twice, wandb):
  ids = [run.id for run in records.read(twice).runs]
  names = sorted(path.name for path in folders(twice).values())
  assert sorted(one["name"] for one in wandb.begun) == sorted(2 * names)
  assert len(wandb.logged) == len(ids)  # the second attempt goes on with the runs of the first
  assert {one["id"].split("-")[0] for one in wandb.begun} == set(ids)
  assert {one["resume"] for one in wandb.begun} == {"allow"}
  assert sorted(wandb.finished) == sorted(one["id"] for one in wandb.begun)
  for own in wandb.logged.values():
    for name, steps in NAMES.items():
      assert [step for step, values in own if name in values] == steps, name
  assert wandb.before == wandb.logged  # what was trained again had been sent
  assert {one["config"]["seed"] for one in wandb.begun} == {0, 1}


def test_a_study_is_the_same_with_sinks_and_without(plain, late, twice):
  assert tables(plain) == tables(late[0]) == tables(twice)
  one, other = (runs.read_manifest(directory)["groups"] for directory in (plain, twice))
  assert one == other
  assert not (plain / "tensorboard").exists()


def test_it_says_where_it_logs_and_nothing_is_warned_of(late):
  directory, said = late
  text = "\n".join(said)
  assert f"logging to {directory}/tensorboard: tensorboard --logdir=" in text
  assert f"logging to W&B offline; later: wandb sync {directory}/wandb/offline-run-*" in text
  assert "warning" not in text


def test_an_export_does_not_draw_every_curve_twice(late, tmp_path):
  with pytest.raises(BadInput, match=r"expected a folder without what --log=tensorboard wrote, found .*\.live;"):
    export(late[0], "tensorboard")
  assert export(late[0], "tensorboard", tmp_path / "other").is_dir()


class Failing:
  name = "a sink"

  def __init__(self, last=1):
    self.told, self._last = [], last

  def begin(self, group, first):
    self.told.append("begin")

  def rows(self, table):
    self.told.append("rows")
    if self.told.count("rows") > self._last:
      raise OSError(28, "No space left on device")

  measured = end = begin


def test_a_sink_that_fails_is_warned_of_once_and_no_other_notices():
  said, other = [], Failing(last=99)
  failing = Failing()
  told = followers.Followers((failing, other), said.append)
  told.begin(None, 0)
  for _ in range(3):
    told.rows(None)
  assert failing.told == ["begin", "rows", "rows"]
  assert other.told == ["begin", "rows", "rows", "rows"]
  warning = "warning: a sink failed (OSError: [Errno 28] No space left on device): "
  assert said == [warning + "nothing more is logged there, and the training goes on"]


def test_a_training_goes_on_without_a_sink_that_cannot_be_written(plain, config, tmp_path):
  directory = tmp_path / "study"
  shutil.copytree(plain, directory)
  rewind(directory, 50)
  (directory / "tensorboard").write_text("a file in its place")
  said = train(config, directory, "tensorboard")
  assert [line for line in said if "tensorboard failed" in line] == [line for line in said if "warning" in line] != []
  assert tables(directory) == tables(plain)


@pytest.mark.parametrize(("most", "words"), [(1, "the first 1 of 2 runs are logged"), (2, "")])
def test_of_many_runs_the_first_are_logged(plain, most, words):
  group = types.SimpleNamespace(**grouped(plain))
  assert len(followers.logged(plain, group, most)) == most
  assert followers.some(plain, most) == words


def grouped(directory):
  (group,) = runs.read_manifest(directory)["groups"]
  ids, configs = ([member[name] for member in group["members"]] for name in ("id", "config"))
  return {"name": group["name"], "ids": ids, "configs": configs}


def test_what_cannot_be_logged_to_is_refused_before_anything_is_written(config, tmp_path, monkeypatch):
  out = tmp_path / "none"
  with pytest.raises(BadInput, match=r"unknown sink of --log 'tensorbord'; did you mean 'tensorboard'\?"):
    sweep_command.main([str(config), f"--out={out}", "--log=tensorbord"])
  monkeypatch.setattr(sinks.importlib.util, "find_spec", lambda name: None)
  with pytest.raises(BadInput, match="--log=wandb expected the package wandb, found none"):
    sweep_command.main([str(config), f"--out={out}", "--log", "tensorboard,wandb"])
  assert not out.exists()


def test_of_runs_that_were_extended_everything_is_sent(plain, wandb, monkeypatch, tmp_path):
  """They are other runs, with ids of their own, in a group of the same name."""
  shutil.copytree(plain, tmp_path / "study")
  monkeypatch.setattr(followers, "logged", lambda study, group, most: {0: group.ids[0]})
  sink, ids = tracking.Tracking(tmp_path / "study", lambda line: None), ("before", "extended")
  for name in ids:
    sink.begin(types.SimpleNamespace(**grouped(plain) | {"ids": [name, "other"]}), END)
    sink.end()
  manifest = runs.read_manifest(plain)
  sent = [
    [step for step, values in wandb.logged[tracking.identity(manifest, name)] if "gen/loss" in values] for name in ids
  ]
  assert sent == [STEPS, STEPS]


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed (the extra `wandb`)")
def test_wandb_itself_offline(plain, tmp_path, monkeypatch):
  monkeypatch.setenv("WANDB_MODE", "offline")
  directory = tmp_path / "study"
  shutil.copytree(plain, directory)
  sink, said = tracking.Tracking(directory, lambda line: None), []
  told = followers.Followers((sink,), said.append)
  told.begin(types.SimpleNamespace(**grouped(directory)), END)
  told.end()
  assert said == []
  written = sorted((directory / "wandb").glob("offline-run-*/run-*.wandb"))
  assert len(written) == 2
  assert all(b"disc/loss" in path.read_bytes() for path in written)
  assert len(list((directory / "wandb").rglob("samples_*.png"))) == 2 * len(MEASURED)


@pytest.mark.parametrize(
  ("environment", "known"),
  [
    ({}, False),
    ({"WANDB_API_KEY": "x"}, True),
    ({"NETRC": "mine"}, True),
    ({"WANDB_BASE_URL": "https://other.example"}, False),
  ],
)
def test_without_a_key_nothing_asks_for_one(environment, known, tmp_path, monkeypatch):
  for name in ("WANDB_API_KEY", "NETRC", "WANDB_BASE_URL"):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.setenv("HOME", str(tmp_path))
  (tmp_path / "mine").write_text("machine api.wandb.ai login user password x\n")
  for name, value in environment.items():
    monkeypatch.setenv(name, str(tmp_path / value) if name == "NETRC" else value)
  assert tracking.key_known() == known


def test_points_are_drawn_where_they_are():
  """In the square of the data a third wider, y up; what is outside or not finite is left out."""
  points = np.array([[0.5, 0.5], [-0.5, -0.5], [9.0, 0.0], [np.nan, 0.0]], np.float32)
  png, size = tensorboard.drawn(points, np.array([0.0, 0.0, 1.0]))
  picture = np.asarray(Image.open(io.BytesIO(png)))
  assert picture.shape == size == (tensorboard.SIDE, tensorboard.SIDE)
  down, across = np.nonzero(picture == 0)
  quarter = tensorboard.SIDE // 4
  near = lambda y, x: (abs(down - y) <= 2) & (abs(across - x) <= 2)  # noqa: E731
  assert near(quarter, 3 * quarter).any()
  assert near(3 * quarter, quarter).any()
  assert (near(quarter, 3 * quarter) | near(3 * quarter, quarter)).all()


def test_the_live_line_names_the_best_and_the_worst_that_live():
  names = ["hinge, seed 0", "minimax, seed 0", "wasserstein, seed 0"]
  row = {
    "disc/loss": np.array([1.0, 2.0, 3.0]),
    "gen/loss": np.array([0.5, 0.25, math.nan]),
    "disc/auc": np.array([0.5] * 3),
  }
  quality = {"frechet/distance": np.array([12.0, 3.0, 99.0])}
  assert extremes.text(names, row, quality).split(" | ") == [
    "best minimax, seed 0: Frechet distance 3, D loss 2, G loss 0.25, AUC 0.5",
    "worst hinge, seed 0: Frechet distance 12, D loss 1, G loss 0.5, AUC 0.5",
  ]
  assert extremes.text(names, row, {"modes/covered": np.array([1.0, 2.0, 3.0])}).startswith("best minimax, seed 0: ")
  assert extremes.text(names, row, {}) == ""
  assert extremes.text(names[:1], {}, {"frechet/distance": np.array([2.0])}) == "hinge, seed 0: Frechet distance 2"


def test_a_study_on_disk_gives_the_live_line_its_last_measurement(plain):
  said = []
  line = extremes.Extremes(plain, said.append)
  line.begin(types.SimpleNamespace(**grouped(plain)), 20)
  line.rows(runs.Table(np.array([20]), {"disc/loss": np.array([[1.0, 2.0]])}))
  table = runs.read_table(plain, "quality", "group-0")
  measured = {name: column[1] for name, column in table.columns.items()}  # at step 20
  names = [f"{config['loss']}, seed {config['seed']}" for config in grouped(plain)["configs"]]
  assert said == ["", extremes.text(names, {"disc/loss": np.array([1.0, 2.0])}, measured)]
  assert "seed 0: " in said[1]
  assert "seed 1: " in said[1]


def test_the_note_is_below_the_live_line_and_on_no_pipe(monkeypatch):
  monkeypatch.setenv("TERM", "xterm")
  monkeypatch.setenv("COLUMNS", "60")
  said, terminal, pipe = [], Terminal(), io.StringIO()
  with Progress(said.append, terminal) as told, told.phase("program 1 of 2", brief=True):
    assert told.live
    told.note("best [bold]x[/bold] | worst " + 99 * "y")
    told._bar.refresh()
  drawn = terminal.getvalue()
  assert "  best [bold]x[/bold]" in drawn
  assert "worst yyy" in drawn
  assert 60 * "y" not in drawn  # cut: a second line would not be removed
  with Progress(said.append, pipe) as told, told.phase("program 1 of 2", brief=True):
    assert not told.live
    told.note("best x")
  assert said == []
  assert pipe.getvalue() == ""
