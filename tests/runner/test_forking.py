"""A fork goes on from another study's checkpoint, to the same bits if nothing is changed, and leaves that study as it is."""

import json
import re
import shutil

import numpy as np
import pytest

from experiments import sweep
from gan_jax import report, runs, settings
from gan_jax.core import files
from gan_jax.core.errors import BadInput, Failure, Planned
from gan_jax.report import records
from gan_jax.runner import forking, parents, preflight, resume, study
from gan_jax.runs import plan
from tests.game.test_outside import untouched
from tests.support import programs
from tests.support.pages import undrawn

CONFIG = """
def get_config():
  return {{"dataset": "line", "model_options": {{"generator_width": 4, "discriminator_width": 4, "depth": 1}},
          "latent_size": 2, "batch_size": 8, "loss": "hinge", "generator_rate": 1e-3,
          "steps": 100, "probe_every": 5, "evaluate_every": 20, "checkpoint_every": 20, "evaluation_samples": 100}}

def sweep(s):
  return {sweep}
"""
SEEDS = 's.product(s.param("discriminator_rate", [1e-3, 1e25]), s.param("seed", [0, 1]))'


class Killed(BaseException):
  """In the place of SIGKILL: nothing in the runner catches it."""


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
  with programs.shared(), undrawn():
    yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """Four runs of 100 steps, of which those with the rate 1e25 diverge."""
  folder = tmp_path_factory.mktemp("whole")
  (folder / "tiny.py").write_text(CONFIG.format(sweep=SEEDS))
  study.run(str(folder / "tiny.py"), [], folder / "study", single=False, say=lambda line: None)
  return folder / "study"


@pytest.fixture
def parent(whole, tmp_path):
  """The same study, as it was at step 60."""
  shutil.copytree(whole, tmp_path / "parent")
  shutil.copy(whole.parent / "tiny.py", tmp_path / "tiny.py")
  for step in (80, 100):
    shutil.rmtree(tmp_path / "parent" / "checkpoints" / "group-0" / str(step))
  return tmp_path / "parent"


def fork(parent, *fields, new=None, dry=False):
  """As the command does it; the fork's directory, and what was said."""
  said, new = [], new or parent.parent / "fork"
  config = str(parent.parent / "tiny.py")
  forking.begin(config, list(fields), parent, new, False, said.append, dry)
  study.run(config, list(fields), new, single=False, say=said.append)
  return new, "\n".join(said)


def contents(directory):
  """Everything of a study from step 60 on that must be the same bits; of the last state, a digest of each leaf."""
  (meta,) = (directory / "checkpoints" / "group-0").glob("100/meta/metadata")
  tables = {
    path.relative_to(directory): path.read_bytes()
    for table in runs.TABLES
    for path in sorted((directory / table / "group-0").glob("*.npz"))
    if path.stem == "real" or int(path.stem.partition("-")[0]) >= 60
  }
  assert len(tables) == 2 + 3 + 3 + 1
  return tables | {"state": json.loads(meta.read_bytes())["leaves"]}


def snapshot(directory):
  return {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in directory.rglob("*")}


def test_with_nothing_changed_it_has_the_bits_of_its_parent_going_on(parent, whole):
  before = snapshot(parent)
  new, said = fork(parent)
  assert snapshot(parent) == before
  assert contents(new) == contents(whole)
  assert f"{new} forks {parent} at step 60: nothing changed" in said
  assert runs.read_table(new, "rows", "group-0").steps.tolist() == list(range(60, 100, 5))
  assert runs.read_table(new, "quality", "group-0").steps.tolist() == [60, 80, 100]
  status = runs.read_status(new)["groups"]["group-0"]
  assert status["complete"]
  assert status["bit_exact"]
  assert status["diverged"] == runs.read_status(whole)["groups"]["group-0"]["diverged"]  # by ids, which are the same
  assert not runs.gaps(new, runs.read_manifest(new)["groups"][0], status)


def test_what_is_changed_is_recorded_and_trained(parent, whole):
  new, _ = fork(parent, "--config.generator_rate=1e-4", "--config.lens=none")
  manifest, before = runs.read_manifest(new), runs.read_manifest(parent)
  assert manifest["fork"] == {
    "study": str(parent),
    "step": 60,
    "manifest": before["sha256"],
    "changed": {"generator_rate": "0.001 -> 0.0001"},
  }
  (group,), (old,) = manifest["groups"], before["groups"]
  meta = json.loads((parent / "checkpoints" / "group-0" / "60" / "meta" / "metadata").read_bytes())
  assert group["forked"] == {"step": 60, "runs": [m["id"] for m in old["members"]], "checkpoint": meta["sha256"]}
  for mine, theirs in zip(group["members"], old["members"], strict=True):
    assert mine["config"] == theirs["config"] | {"generator_rate": 1e-4}
  mine, theirs = (runs.read_table(path, "rows", "group-0") for path in (new, whole))
  healthy = [i for i, m in enumerate(old["members"]) if m["config"]["discriminator_rate"] < 1]
  for name in ("disc/loss", "gen/loss"):  # of the step from 60 on: before the rate matters
    at = theirs.steps.tolist().index(60)
    np.testing.assert_array_equal(mine.columns[name][0], theirs.columns[name][at])
    assert (mine.columns[name][-1, healthy] != theirs.columns[name][-1, healthy]).all()
  text = "this study is a fork: at step 60 its runs go on from those of"
  assert text in report.terminal_table(new)
  (remark,) = [remark for remark in records.read(new).remarks if text in remark]
  assert "with generator_rate 0.001 -> 0.0001; they begin at that step" in remark


@pytest.mark.parametrize(
  ("when", "again"),
  [("states", "the same command"), ("training", "its directory alone")],
)
def test_a_kill_is_survived(when, again, parent, whole, monkeypatch):
  def killed(*arguments):
    raise Killed

  with monkeypatch.context() as patch:
    target = (runs, "write_manifest") if when == "states" else (resume.checkpoint, "save")
    real = resume.checkpoint.save
    wrapped = lambda place, step, *rest: killed() if step == 80 else real(place, step, *rest)  # noqa: E731
    patch.setattr(*target, killed if when == "states" else wrapped)
    with pytest.raises(Killed):
      fork(parent)
  new = parent.parent / "fork"
  if again == "the same command":
    fork(parent)
  else:
    shutil.rmtree(parent)  # it is needed no more
    study.run(str(new.parent / "tiny.py"), [], new, single=False, say=lambda line: None)
  assert contents(new) == contents(whole)


def test_when_all_its_checkpoints_are_lost_it_begins_again_where_it_began(parent, whole):
  new, _ = fork(parent)
  shutil.rmtree(new / "checkpoints")
  (new / "status.json").unlink()
  (new / "status.copy.json").unlink()
  shutil.rmtree(new / "rows")
  _, said = fork(parent)
  assert "forks" not in said
  assert contents(new) == contents(whole)
  for path in (new / "fork" / "group-0").rglob("*"):  # whichever file the arrays are in
    if path.is_file() and path.parent.name == "d":
      path.write_bytes(b"")
  shutil.rmtree(new / "checkpoints")
  (new / "status.json").unlink()
  (new / "status.copy.json").unlink()
  with pytest.raises(BadInput, match=r"fork/group-0/60 is damaged"):
    study.run(str(new.parent / "tiny.py"), [], new, single=False, say=lambda line: None)


ONE = 's.param("seed", [0, 1])'
REFUSED = {  # (fields, sweep): what is said
  "a width": (
    ["--config.model_options.generator_width=5"],
    SEEDS,
    r"^the runs of group-0 .* cannot go on with other networks \(model_options\.generator_width 4 -> 5\): a fork keeps "
    r"networks and optimizers, and a new study begins with others; the generator's weights "
    r"\w+/\w+: expected float32 \[4, 4\], got float32 \[4, 5\], and \d+ other parts differ too$",
  ),
  "another model, and no more steps": (
    ["--config.model=pacgan", "--config.steps=60"],
    SEEDS,
    r"^the runs of group-0 .* cannot go on with other networks \(model mlp -> pacgan\): a fork",
  ),
  "an optimizer": (
    ["--config.optimizer=sgd"],
    SEEDS,
    r"cannot go on with other optimizers \(optimizer adam -> sgd.*\): .*its state has the generator's optimizer [\w/]+, "
    r"\w+ \[4.*\], and this program's has not$",
  ),
  "a penalty of a program that is divided": (
    [],
    's.zipit(s.param("seed", [0, 1, 0, 1]), s.param("discriminator_rate", [1e-3, 1e-3, 1e25, 1e25]), '
    's.param("n_critic", [1, 2, 1, 2]))',
    "expected one program",
  ),
  "fewer runs": (["--config.discriminator_rate=1e-3"], SEEDS, "which has 4 runs: expected as many, got 2"),
  "runs that nothing tells apart": (
    [],
    's.zipit(s.param("seed", [0, 1, 2, 3]), s.param("discriminator_rate", [1e-3, 2e-3, 3e-3, 4e-3]))',
    "cannot be matched one to one .* other than seed, discriminator_rate, in which",
  ),
  "too few steps": (
    ["--config.steps=60"],
    SEEDS,
    r"is forked at step 60, the newest of its checkpoints \(step 60\): expected steps above 60, got 60",
  ),
  "another cadence": (
    ["--config.probe_every=7"],
    SEEDS,
    "has checkpoints at step 60, by its checkpoint_every, and no chunk of these runs ends there",
  ),
  "no such loss": (["--config.loss=hing"], SEEDS, "unknown loss"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_and_nothing_is_written(case, parent):
  fields, swept, words = REFUSED[case]
  (parent.parent / "tiny.py").write_text(CONFIG.format(sweep=swept))
  before = snapshot(parent.parent)
  with pytest.raises(BadInput, match=words):
    fork(parent, *fields)
  assert {k: v for k, v in snapshot(parent.parent).items() if "pycache" not in str(k)} == before


def test_places_that_are_no_new_directory(parent, monkeypatch):
  (parent.parent / "other").mkdir()
  (parent.parent / "other" / "mine").write_text("x")
  before = snapshot(parent)
  for new, words in (
    (parent, "outside of"),
    (parent / "below", "outside of"),
    (parent.parent / "other", "which exists"),
    (parent.parent / "tiny.py", "which exists"),
  ):
    with pytest.raises(BadInput, match=f"--fork expected a (new )?directory.*{words}"):
      fork(parent, new=new)
  shutil.copytree(parent, parent.parent / "study")
  with pytest.raises(BadInput, match=r"got the study .*; to go on with it, name it by --out"):
    fork(parent, new=parent.parent / "study")
  with pytest.raises(BadInput, match="nowhere is not a study"):
    fork(parent.parent / "nowhere", new=parent.parent / "x")
  with pytest.raises(BadInput, match="--fork expected --out DIR"):
    sweep.main([str(parent.parent / "tiny.py"), "--fork", str(parent.parent / "x")])
  monkeypatch.setattr(preflight.shutil, "disk_usage", lambda place: type("Usage", (), {"total": 2**30, "free": 9}))
  with pytest.raises(Failure, match="expected at least"):
    fork(parent)
  assert snapshot(parent) == before
  assert not (parent.parent / "x").exists()
  assert not (parent.parent / "fork").exists()


def test_without_an_intact_checkpoint_there_is_nothing_to_fork(parent):
  for path in (parent / "checkpoints" / "group-0").glob("*/meta/metadata"):
    path.write_bytes(path.read_bytes().replace(b"float32", b"float16"))
  for lost in (False, True):
    if lost:
      shutil.rmtree(parent / "checkpoints")
    with pytest.raises(
      BadInput, match=r"expected checkpoints of all its groups at one step, .*, got group-0: none; its"
    ):
      fork(parent)


def written(whole, study, steps, *checkpoints):
  """Writes the manifest of a study of groups of so many steps each, and checkpoints at these steps, which hold nothing."""
  cadence = {"dataset": "line", "probe_every": 7, "evaluate_every": 14}
  configs = [settings.resolve({**cadence, "steps": count, "seed": seed}) for seed, count in enumerate(steps)]
  members = [{"id": settings.identity(config), "config": config} for config in configs]
  data = {"sha256": "0" * 64, "shape": [1]}
  groups = [{"name": f"group-{i}", "members": [member], "data": data} for i, member in enumerate(members)]
  study.mkdir()
  runs.write_manifest(study, {**runs.read_manifest(whole), "groups": groups})
  for group, there in zip(groups, checkpoints, strict=True):
    for step in there:
      meta = study / "checkpoints" / group["name"] / str(step) / "meta" / "metadata"
      meta.parent.mkdir(parents=True)
      meta.write_text(json.dumps(files.seal({"step": step})))
  return configs


@pytest.mark.parametrize(
  ("steps", "way"),
  [
    ((100, 100), "; its own sweep trains it to its end, where all have one, and a new study with the changed fields"),
    ((100, 200), "; a new study with the changed fields begins at step 0"),
  ],
)
def test_groups_without_a_checkpoint_at_one_step_are_refused_with_what_can_be_done(steps, way, whole, tmp_path):
  written(whole, tmp_path / "study", steps, (84, 98, 100), ())
  with pytest.raises(
    BadInput, match=f"since all runs of a fork begin at one, got group-0: 84, 98, 100; group-1: none{way}"
  ):
    parents.read(tmp_path / "study")


def test_an_end_at_which_no_chunk_of_longer_runs_ends_is_passed_over_for_the_checkpoint_before_it(whole, tmp_path):
  """As where a study becomes longer: what lies at its former end is set aside."""
  configs = written(whole, tmp_path / "study", (100, 100), (70, 84, 98, 100), (84, 98, 100))
  found = parents.read(tmp_path / "study")
  assert (found.step, found.common) == (100, {84, 98, 100})
  longer = parents.at_an_end(found, [{**config, "steps": 200} for config in configs])
  assert (longer.step, longer.common) == (98, {84, 98, 100})
  with pytest.raises(
    BadInput, match=r"at step 100, the newest .* \(steps 84, 98 and 100\): expected steps above 100, got 100"
  ):
    parents.at_an_end(found, configs)


def test_where_a_fork_begins_before_the_newest_checkpoint_it_says_so(parent):
  shutil.copytree(parent / "checkpoints/group-0/60", older := parent / "checkpoints/group-0/40")
  meta = older / "meta" / "metadata"
  meta.write_text(json.dumps(files.seal({**json.loads(meta.read_text()), "step": 40})))
  said, fields = [], ["--config.probe_every=40", "--config.steps=200"]
  with pytest.raises(Planned):
    forking.begin(str(parent.parent / "tiny.py"), fields, parent, parent.parent / "x", False, said.append, dry=True)
  assert f"{parent.parent / 'x'} forks {parent} at step 40: steps 100 -> 200, probe_every 5 -> 40" in "\n".join(said)
  assert f"no chunk of these runs ends at step 60, where the newest checkpoints of {parent} are" in "\n".join(said)


@untouched()
def test_a_file_of_code_is_named_and_not_its_digest(parent):
  """Where a fork is made, with the file for the first time and then with another version of it, and where it is refused."""
  mine, tiny = parent.parent / "mine.py", parent.parent / "tiny.py"
  mine.write_text("from gan_jax import losses\n\ndef soft():\n  return losses.get('hinge')\n")
  own = tiny.read_text().replace('"loss": "hinge"', '"loss": "mine.py:soft"')
  tiny.write_text(own)
  new, first = fork(parent)
  assert "at step 60: loss hinge -> mine.py:soft, the code of mine.py not used before" in first
  tiny.write_text(own.replace("mine.py:soft", "minimax"))
  with pytest.raises(BadInput, match=r"another study \(loss: 'mine.py:soft' there, .*; the code of mine.py differs\)"):
    fork(parent)
  mine.write_text(mine.read_text() + "\n\nCHANGED = True\n")
  tiny.write_text(own.replace("[0, 1]", "[0, 5]"))
  with pytest.raises(BadInput, match=r"other than seed, steps, the code of mine\.py, in which") as refused:
    fork(new, "--config.steps=120", new=parent.parent / "again")
  tiny.write_text(own)
  again, second = fork(new, "--config.steps=120", new=parent.parent / "again")
  assert "at step 100: steps 100 -> 120, the code of mine.py changed" in second
  assert "with steps 100 -> 120, the code of mine.py changed" in " ".join(report.terminal_table(again).split())
  digests = {runs.read_manifest(path)["groups"][0]["members"][0]["config"]["code"]["mine.py"] for path in (new, again)}
  assert len(digests) == 2
  assert not digests & set(re.findall(r"\w+", f"{first} {second} {refused.value}"))


def test_data_that_have_changed_are_named_with_the_parent(parent):
  manifest = runs.read_manifest(parent)
  manifest["groups"][0]["data"]["sha256"] = "0" * 64
  runs.write_manifest(parent, manifest)
  with pytest.raises(
    BadInput, match=rf"not the one that {parent} began with: .*; go back to the version that made it$"
  ):
    fork(parent)


def test_a_dry_run_says_what_would_be_forked_and_writes_nothing(parent, capsys):
  with pytest.raises(Planned):
    sweep.main(
      [str(parent.parent / "tiny.py"), "--out", str(parent), "--fork", str(parent.parent / "x"), "--dry-run"]
      + ["--config.dataset=ring", "--config.steps=200"]
    )
  out = capsys.readouterr().out
  assert f"{parent.parent / 'x'} forks {parent} at step 60: dataset line -> ring, steps 100 -> 200" in out
  assert "4 runs in 1 compiled program" in out
  assert not (parent.parent / "x").exists()


@pytest.mark.parametrize("wrong", ["--launcher=slurm --workers=2", "--slurm.partition=x", "--log=nonsense"])
def test_options_that_cannot_be_used_are_refused_before_a_fork_is_written(parent, wrong):
  new = parent.parent / "x"
  with pytest.raises(BadInput, match=r"--workers is for this machine|expected --launcher=slurm|nonsense"):
    sweep.main([str(parent.parent / "tiny.py"), "--out", str(parent), "--fork", str(new), *wrong.split()])
  assert not new.exists()


@pytest.mark.parametrize(
  ("probes", "way"), [(20, "--config.checkpoint_every=60"), (50, "a probe_every that divides 60")]
)
def test_a_step_where_no_chunk_ends_is_refused_with_a_way_out(parent, probes, way):
  fields = [f"--config.probe_every={probes}", "--config.evaluate_every=100", "--config.checkpoint_every=200"]
  with pytest.raises(BadInput, match=f"no chunk of these runs ends there: .*, such as {way}"):
    fork(parent, *fields, "--config.steps=400")
  if probes == 20:
    assert 60 in {chunk.last for chunk in plan.chunks(400, probes, 100, 60)}


def test_a_fork_gets_longer_and_no_new_runs(parent, whole):
  new, _ = fork(parent)
  (parent.parent / "tiny.py").write_text(CONFIG.format(sweep=SEEDS.replace("[0, 1]", "[0, 1, 2]")))
  with pytest.raises(
    BadInput, match=r"a fork goes on with the runs of its parent, .* expected its 4 runs, got 2 runs more"
  ):
    study.run(str(parent.parent / "tiny.py"), [], new, single=False, say=lambda line: None)
  (parent.parent / "tiny.py").write_text(CONFIG.format(sweep=SEEDS))
  study.run(str(parent.parent / "tiny.py"), ["--config.steps=120"], new, single=False, say=lambda line: None)
  assert runs.read_table(new, "rows", "group-0").steps.tolist() == list(range(60, 120, 5))
  assert runs.read_manifest(new)["groups"][0]["forked"]["step"] == 60
  mine, theirs = (runs.read_table(path, "rows", "group-0") for path in (new, whole))
  np.testing.assert_array_equal(mine.columns["gen/loss"][:8], theirs.columns["gen/loss"][12:])
