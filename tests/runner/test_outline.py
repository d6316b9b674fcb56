"""The plan of a study: what it says, and that a dry run trains and writes nothing."""

import tempfile
from pathlib import Path

import pytest

from experiments import command
from experiments import sweep as sweep_command
from gan_jax import settings
from gan_jax.core.errors import BadInput, Planned
from gan_jax.runner import grouping, loop, outline, population, progress, study
from gan_jax.runner.signals import Stop

CONFIG = """
def get_config():
  return {"dataset": "ring", "model_options": {"generator_width": 4, "discriminator_width": 4, "depth": 1},
          "latent_size": 2, "batch_size": 8, "steps": 60, "probe_every": 5, "evaluation_samples": 100}

def sweep(s):
  return s.chain(s.product(s.param("loss", ["hinge", "minimax"]), s.param("seed", range(3))),
                 s.fixed(penalty="r1", loss="hinge"), s.fixed(n_critic=2, steps=9))
"""


@pytest.fixture
def config(tmp_path):
  path = tmp_path / "tiny.py"
  path.write_text(CONFIG)
  return path


def planned(config, out, *arguments):
  said = []
  with pytest.raises(Planned, match="nothing was trained"):
    study.run(str(config), list(arguments), out, single=False, say=said.append, dry=True)
  return said


def test_a_dry_run_prints_programs_runs_devices_and_bytes_and_writes_nothing(config, tmp_path, monkeypatch):
  monkeypatch.setattr(population, "compile_group", None)  # nothing is built that could be compiled
  said = planned(config, tmp_path / "out")
  assert not (tmp_path / "out").exists()
  title, heading, *rows = said[said.index(next(line for line in said if "3 compiled programs" in line)) :]
  assert title == f"{tmp_path / 'out'}: 8 runs in 3 compiled programs on 4 cpu devices"
  assert heading.split("  ")[1] == "program"
  # 6 runs on 4 devices: each trains 2, two of them for nothing. A state of a run, counted by hand from its networks:
  # G 2-4-2 and D 2-4-1 have 22 and 17 weights; G, its average and Adam's two moments are 4 sets, of D there are 3.
  first = rows[0].split()
  assert first[:5] == ["group-0", "6", "2", "60", "2"]
  assert float(first[5]) * 1e3 == pytest.approx(6 * 4 * (4 * 22 + 3 * 17), rel=0.2)  # counters and vectors besides
  assert [row.split()[1:5] for row in rows[1:3]] == [["1", "1", "60", "1"], ["1", "1", "9", "1"]]
  assert "mlp on ring" in rows[0]
  assert rows[0].endswith("mlp on ring")  # it differs from the others in nothing: they differ from it
  assert rows[1].endswith("penalty=r1")
  assert rows[2].endswith("n_critic=2")
  assert all(len(line) <= 120 for line in rows)


def test_bad_input_of_a_dry_run_is_refused_like_that_of_a_study(config, tmp_path):
  with pytest.raises(BadInput, match="batch_size expected at most"):
    study.run(str(config), ["--config.batch_size=999999"], tmp_path / "out", single=True, dry=True)


@pytest.mark.parametrize("dry", [True, False])
def test_a_metric_that_cannot_be_built_is_refused_before_anything_is_written(config, dry, tmp_path):
  fields = ["--config.metrics=kid", "--config.metric_options.kid.features=inception", "--config.dataset=digits"]
  with pytest.raises(BadInput, match="features=inception expected the option `weights`"):
    study.run(str(config), fields, tmp_path / "out", single=True, dry=dry)
  assert not (tmp_path / "out").exists()


def test_a_directory_that_cannot_be_written_is_refused_by_a_dry_run_too(config, tmp_path, monkeypatch):
  (tmp_path / "file").write_text("")
  for place, why in ((tmp_path / "file" / "out", "Not a directory"), (Path("/proc/x"), "No such file")):
    for dry in (True, False):
      with pytest.raises(BadInput, match=rf"{place} cannot be written: .*{why}"):
        study.run(str(config), [], place, single=True, dry=dry)
  usual = tempfile.TemporaryFile

  def refused(*given, dir=None, **named):  # as in a directory of another user
    if dir == tmp_path:
      raise PermissionError(13, "Permission denied")
    return usual(*given, dir=dir, **named)

  monkeypatch.setattr("tempfile.TemporaryFile", refused)
  with pytest.raises(BadInput, match=rf"new/out cannot be written: {tmp_path}: Permission denied"):
    study.run(str(config), [], tmp_path / "new" / "out", single=True, dry=True)
  assert not (tmp_path / "new").exists()


def test_a_dry_run_of_a_command_ends_well(config, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr("sys.argv", ["train", str(config), "--dry-run", "--out", str(tmp_path / "out")])
  command.run(lambda arguments: sweep_command.main(arguments, single=True))  # it returns: exit code 0
  out = capsys.readouterr().out
  assert "1 run in 1 compiled program" in out
  assert out.splitlines()[-1].startswith("a dry run: nothing was trained")


def test_bytes_are_written_for_a_reader():
  assert [outline.written(n) for n in (999, 26_700_000, 3_210_000_000, 2.5e13)] == [
    "0.999 kB",
    "26.7 MB",
    "3.21 GB",
    "25,000 GB",
  ]


def test_of_many_programs_the_first_are_listed(config, tmp_path):
  (group,) = grouping.group(grouping.completed([{**_base(), "seed": 0}]))
  many = [group._replace(name=f"group-{i}") for i in range(50)]
  found = outline.lines(tmp_path, many, {g.name: 1000 for g in many})
  assert sum("mlp on" in line for line in found) == outline.MOST
  assert "  ... and 30 more programs" in found


def _base():
  return settings.resolve({"dataset": "ring", "latent_size": 2})


@pytest.mark.parametrize(
  ("halving", "expected"), [({}, "0:05"), ({"stopped": 6, "halving": True}, "at most 0:11")], ids=["all", "halving"]
)
def test_the_rest_of_the_study_is_estimated_once(monkeypatch, halving, expected):
  """Ten runs do 100 steps in a second. 100 are left of 300, and 4,000 of single runs in later programs.

  Where six of them were stopped, four do as many steps, so that those of later programs take longer.
  """
  said, now = [], [0.0]
  monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])
  (group,) = grouping.group(grouping.completed([{**_base(), "steps": 300}]))
  with progress.Progress(said.append) as shown, shown.phase("program 1 of 2", brief=True):
    conduct = loop.Conduct(shown, Stop(), 1, 2, later=4000, **halving)
    todo = [loop.Chunk(first, 2, 50, False, False) for first in (0, 100, 200)]
    told = loop._Told(conduct, group, 10, todo, 0)
    for chunk in todo:
      with told.compiling():
        now[0] += 60 * (chunk.first == 0)
      now[0] += 1
      told.trained(chunk)
      told.step(chunk)
  (line,) = [line for line in said if "left of the study" in line]
  runs = 10 - halving.get("stopped", 0)
  others = "if the other programs are as fast for each run"
  assert line == f"100 steps/s x {runs} in group-0: {expected} left of the study, {others}"
