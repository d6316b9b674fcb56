"""A study that grows: with more steps it has the bits of a study of that many, with more runs the old ones are untouched."""

import json
import shutil

import pytest

from gan_jax import report, runs, settings
from gan_jax.core.errors import BadInput, Planned
from gan_jax.report.records import read
from gan_jax.runner import growth, inputs, restore, study
from tests.support import programs
from tests.support.pages import undrawn

CONFIG = """
def get_config():
  return {{"dataset": "line", "model_options": {{"generator_width": 4, "discriminator_width": 4, "depth": 1}},
          "latent_size": 2, "batch_size": 8, "generator_rate": {rate},
          "steps": 60, "probe_every": 5, "evaluate_every": 20, "checkpoint_every": 20, "evaluation_samples": 100}}

def sweep(s):
  return s.product(s.param("discriminator_rate", [1e-3, 1e25]), s.param("seed", {seeds}))
"""


class Killed(BaseException):
  """In the place of SIGKILL: nothing in the runner catches it."""


@pytest.fixture(scope="module", autouse=True)
def compiled_twice():
  """Programs are pure functions of what they are given: one is compiled for studies of 60 steps, one for all others."""
  with programs.shared(lambda steps: 60 if steps == 60 else 100), undrawn():
    yield


def train(directory, *arguments, seeds="[0]", rate="1e-3", dry=False, said=None):
  """Run the study, or go on with it; what it said."""
  said, config = [] if said is None else said, directory.parent / "tiny.py"
  config.parent.mkdir(exist_ok=True)
  config.write_text(CONFIG.format(seeds=seeds, rate=rate))
  study.run(str(config), list(arguments), directory, single=False, say=said.append, dry=dry)
  return "\n".join(said)


@pytest.fixture(scope="module")
def short(tmp_path_factory):
  """Two runs of 60 steps, of which the one with the rate 1e25 diverges."""
  train(directory := tmp_path_factory.mktemp("short") / "study")
  return directory


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
  """The same with 100 steps, from the start."""
  train(directory := tmp_path_factory.mktemp("fresh") / "study", "--config.steps=100")
  return directory


@pytest.fixture
def directory(short, tmp_path):
  shutil.copytree(short, tmp_path / "study")
  return tmp_path / "study"


def files(directory, group, newest=100):
  """Everything that must be the same bits: rows, quality, samples, the runs' best generators, the newest checkpoint's
  leaves."""
  tables = {
    str(p.relative_to(directory)): p.read_bytes()
    for table in runs.TABLES
    for p in sorted((directory / table / group).glob("*.npz"))
  }
  (entry,) = [entry for entry in runs.read_manifest(directory)["groups"] if entry["name"] == group]
  generators = {m["id"]: directory / "best" / group / f"{m['id']}.npz" for m in entry["members"]}
  best = {
    run: path.read_bytes() for run, path in generators.items() if path.exists()
  }  # that of a diverged run has none
  assert best
  (meta,) = (directory / "checkpoints" / group).glob(f"{newest}/meta/metadata")
  return tables | best | {"checkpoint": json.loads(meta.read_bytes())["leaves"]}  # with a digest of each


def results(directory):
  """What the report says of each run, and the comparison, without what names the groups."""
  found = report.summary(directory)["runs"]
  return {run["id"]: {k: v for k, v in run.items() if k != "group"} for run in found}


def test_more_steps_have_the_bits_of_a_run_of_that_many(directory, fresh):
  said = train(directory, "--config.steps=100")
  assert "study grows: it extends 2 runs from step 60 to 100" in said
  assert "group-0: resuming at step 60 of 100" in said
  assert "computing again" not in said  # the best generators too are those of the short runs
  assert files(directory, "group-0") == files(fresh, "group-0")
  assert results(directory) == results(fresh)
  assert report.terminal_table(directory) == report.terminal_table(fresh)
  (diverged,) = [run for run in read(directory).runs if run.status == "diverged"]
  assert diverged.config["steps"] == 100
  assert restore.group(directory, "group-0").state.step.tolist() == [
    100,
    100,
  ]  # its checkpoints have the ids of the short runs
  assert not (directory / "set_aside").exists()
  assert "is complete: 2 runs" in train(directory, "--config.steps=100")
  # It grows again, and is not made shorter.
  with pytest.raises(BadInput, match="holds another study"):
    train(directory)


def test_new_runs_are_apart_and_old_ones_keep_their_bytes(directory, short, tmp_path):
  before = {
    p: p.read_bytes() for t in (*runs.TABLES, "best", "checkpoints") for p in (directory / t).rglob("*") if p.is_file()
  }
  said = train(directory, seeds="[0, 1]")
  assert "study grows: it keeps 2 runs, trains 2 new runs" in said
  assert {p: p.read_bytes() for p in before} == before
  manifest = runs.read_manifest(directory)
  assert [(g["name"], len(g["members"]), g.get("generation")) for g in manifest["groups"]] == [
    ("group-0", 2, None), ("group-1", 2, 1),
  ]  # fmt: skip
  alone = tmp_path / "alone" / "study"
  train(alone, seeds="[1]")
  mine = {k.replace("group-1", "group-0"): v for k, v in files(directory, "group-1", 60).items()}
  assert mine == files(alone, "group-0", 60)
  assert results(directory) == results(short) | results(alone)
  assert "is complete: 4 runs" in train(directory, seeds="[0, 1]")


def test_runs_and_steps_at_once_and_once_more(directory, fresh):
  """And of a second generation: each group keeps the program with which it began, whatever was added."""
  said = train(directory, "--config.steps=80", seeds="[0, 1]", dry=False)
  assert "it extends 2 runs from step 60 to 80, trains 2 new runs" in said
  assert files(directory, "group-0", 80).keys()
  said = train(directory, "--config.steps=100", seeds="[0, 1]")
  assert "it extends 4 runs from step 80 to 100" in said
  assert files(directory, "group-0") == files(fresh, "group-0")
  first, second = runs.read_manifest(directory)["groups"]
  assert (first["grown"]["steps"], second["grown"]["steps"]) == (60, 80)
  assert {run.status for run in read(directory).runs} == {"done", "diverged"}


def test_a_dry_run_says_it_and_writes_nothing(directory):
  before, said = {p: p.read_bytes() for p in directory.rglob("*") if p.is_file()}, []
  with pytest.raises(Planned):
    train(directory, "--config.steps=100", seeds="[0, 1]", dry=True, said=said)
  assert "study grows: it extends 2 runs from step 60 to 100, trains 2 new runs" in "\n".join(said)
  assert any(line.split()[:6] == ["group-0", "2", "1", "60", "of", "100"] for line in said)
  assert {p: p.read_bytes() for p in directory.rglob("*") if p.is_file()} == before


def test_a_plan_counts_only_the_steps_that_are_not_trained_again(tmp_path):
  said = []
  train(tmp_path / "study", "--config.steps=50")
  with pytest.raises(Planned):  # step 50 ends no chunk of 100 steps, and step 40 does
    train(tmp_path / "study", "--config.steps=100", dry=True, said=said)
  assert any(line.split()[:6] == ["group-0", "2", "1", "40", "of", "100"] for line in said)
  shutil.rmtree(tmp_path / "study" / "checkpoints" / "group-0" / "40")
  shutil.rmtree(tmp_path / "study" / "checkpoints" / "group-0" / "20")
  with pytest.raises(Planned):
    train(tmp_path / "study", "--config.steps=100", dry=True, said=said)
  assert any(line.split()[:6] == ["group-0", "2", "1", "0", "of", "100"] for line in said)


def test_a_group_keeps_its_program_when_a_loss_is_added(directory):
  """The losses of a program are branches of it: one more in the same program would be another program."""
  there = [run.config for run in read(directory).runs]
  asked = [{**config, "steps": 100, "loss": loss} for loss in ("hinge", "non_saturating") for config in there]
  found = inputs.load(directory, runs.read_manifest(directory), asked, print)
  assert str(found.growth) == "extends 2 runs from step 60 to 100, trains 2 new runs"
  assert [(g.name, g.spec.losses, g.spec.steps) for g in found.groups] == [
    ("group-0", ("non_saturating",), 100), ("group-1", ("hinge",), 100),
  ]  # fmt: skip
  assert found.groups[0].ids != list(found.groups[0].begun) == [settings.identity(config) for config in there]


@pytest.mark.parametrize("at", ["manifest", "aside"])
def test_a_kill_while_it_grows_is_survived(at, short, fresh, tmp_path, monkeypatch):
  """`aside`: from 50 steps. A run of 50 is measured and saved at its end, which a run of 100 is not: that is set aside."""
  directory = tmp_path / "study"
  if at == "aside":
    train(directory, "--config.steps=50")
    assert (directory / "samples" / "group-0" / "000000050.npz").exists()
  else:
    shutil.copytree(short, directory)

  def killed(owner, name, after=False):
    real = getattr(owner, name)

    def instead(*arguments, **named):
      if after:
        real(*arguments, **named)
      raise Killed

    monkeypatch.setattr(owner, name, instead)

  killed(*{
    "manifest": (runs, "write_manifest", True),
    "aside": (runs, "set_aside", True),
  }[at])  # fmt: skip
  with pytest.raises(Killed):
    train(directory, "--config.steps=100")
  monkeypatch.undo()
  assert len(read(directory).runs) == 2  # whatever is there can be read
  said = train(directory, "--config.steps=100")
  assert f"group-0: resuming at step {40 if at == 'aside' else 60} of 100" in said
  assert files(directory, "group-0") == files(fresh, "group-0")
  assert results(directory) == results(fresh)
  aside = {p.name for p in (directory / "set_aside").rglob("*.npz")}
  assert ({"000000050.npz", "000000050-000000051.npz"} <= aside) == (at == "aside")


def test_what_cannot_grow_is_refused_and_nothing_is_written(directory, tmp_path):
  before = {p: p.read_bytes() for p in directory.rglob("*") if p.is_file()}
  for fields, words in (
    ({"rate": "2e-3"}, "holds another study (generator_rate: 0.001 there, 0.002 asked for)"),
    ({"rate": "2e-3", "seeds": "[0, 1]"}, "holds another study"),
    ({"seeds": "[1, 2]"}, "holds another study"),
  ):
    with pytest.raises(BadInput) as error:
      train(directory, **fields)
    assert words in str(error.value)
  with pytest.raises(BadInput, match="steps: 60 there, 40 asked for"):
    train(directory, "--config.steps=40")
  assert {p: p.read_bytes() for p in directory.rglob("*") if p.is_file()} == before


def configs(*fields, **common):
  return [settings.resolve({"steps": 100, **common}, one) for one in fields]


def as_manifest(*groups):
  members = [[{"id": settings.identity(c), "config": c} for c in group] for group in groups]
  return {"groups": [{"name": f"group-{number}", "members": own} for number, own in enumerate(members)]}


def test_what_is_kept_extended_and_new():
  a, b, c = configs({"seed": 0}, {"seed": 1}, {"seed": 2})
  longer = [{**x, "steps": 200} for x in (a, b, c)]
  there = as_manifest([a, b])
  same = growth.asked(there, [b, a])
  assert (same.kept, same.grows) == (2, False)
  assert str(growth.asked(there, [a, b, c])) == "keeps 2 runs, trains 1 new run"
  assert str(growth.asked(there, longer)) == "extends 2 runs from step 100 to 200, trains 1 new run"
  # Both lengths are asked for: the short ones are kept, the long ones new.
  assert str(growth.asked(there, [a, b, *longer])) == "keeps 2 runs, trains 3 new runs"
  assert growth.asked(there, [a]) is None
  assert growth.asked(there, longer[:1]) is None
  assert growth.asked(there, [{**x, "steps": 50} for x in (a, b)]) is None
  assert growth.asked(None, [a, b]).new == [a, b]
  # Of two groups one may be extended; of one group, all or none.
  assert str(growth.asked(as_manifest([a], [b]), [a, longer[1]])) == "keeps 1 run, extends 1 run from step 100 to 200"
  with pytest.raises(BadInput, match="more steps for all of its 2 runs or for none, got 1 run with more"):
    growth.asked(there, [a, longer[1]])


@pytest.mark.parametrize(
  ("schedule", "fits"),
  [
    ({"to": 0.0}, False),
    ({"to": 0.0, "shape": "cosine"}, False),
    ({"to": 0.0, "steps": 50}, True),
    ({"to": 0.0, "images": 640}, True),
  ],
)
def test_a_schedule_over_the_whole_run_cannot_be_extended(schedule, fits):
  (a,) = configs({"seed": 0}, schedules={"generator_rate": schedule})
  if fits:
    assert growth.asked(as_manifest([a]), [{**a, "steps": 200}]).grows
    return
  with pytest.raises(
    BadInput, match=r"schedule of 'generator_rate' that lasts the whole run cannot be extended from step 100 to 200"
  ):
    growth.asked(as_manifest([a]), [{**a, "steps": 200}])
