"""How many runs fit side by side, and what becomes of a population that is cut into parts."""

import shutil

import jax
import pytest

from gan_jax import data, game, runs, settings
from gan_jax.core.errors import BadInput, Planned
from gan_jax.runner import blocks, capacity, grouping, memory, population, study
from tests.support.pages import undrawn

SMALL = {
  "dataset": "ring",
  "model_options": {"generator_width": 16, "discriminator_width": 16, "depth": 1},
  "latent_size": 2,
  "batch_size": 64,
  "evaluation_samples": 100,
}
CONFIG = f"""
def get_config():
  return {SMALL | {"steps": 20, "probe_every": 5, "evaluate_every": 10, "checkpoint_every": 10}}

def sweep(s):
  return s.product(s.param("loss", ["hinge", "minimax"]), s.param("seed", range(4)))
"""
GB = 2**30


def of(members, **fields):
  configs = [settings.resolve(SMALL, fields, {"seed": seed}) for seed in range(members)]
  (group,) = grouping.group(grouping.completed(configs))
  return group, data.load("ring")


def test_the_need_of_many_runs_is_that_of_one_times_their_number(monkeypatch):
  """XLA's own figures for a program of 4 runs on each device, against what is foreseen from one on each.

  Without the rows of diagnostics, which take most of the time to compile.
  """
  monkeypatch.setattr(population, "row", lambda game, hypers, state, feed: {"step": state.step})
  wide = {"model_options.generator_width": 64, "model_options.discriminator_width": 64}
  group, dataset = of(16, **wide)
  need = capacity.measured(group, dataset, 4)
  program = population.compile_group(group, game.build(group.spec, dataset), dataset, None)
  state = jax.eval_shape(program.init, program.hypers)
  found = capacity.analysis(program, state)
  kept = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
  images = dataset.data.images.nbytes + dataset.data.labels.nbytes
  samples = 100 * 4 * 2
  assert 1 <= 16 * (need.kept - samples) / (4 * (kept - images)) < 1.1  # a few small tables do not grow
  assert 1 <= 16 * need.temporary / (4 * found.temp_size_in_bytes) < 1.5
  per_run = 4 * (kept - images + found.temp_size_in_bytes) / 16
  estimate = capacity.estimate(group.spec, game.players(group.spec, dataset))
  assert per_run < estimate < 10 * per_run  # so that what is far below the memory surely fits


def test_what_surely_fits_is_not_compiled_and_what_may_not_is(monkeypatch):
  group, dataset = of(16)
  asked = []
  monkeypatch.setattr(capacity, "measured", lambda *a: asked.append(1) or capacity.Need(100, 50, 1000))
  assert capacity.most(group, dataset) == 16
  assert not asked
  assert capacity.most(group, dataset, limit=1000 + 10**6) == 16  # it may not, so it is measured, and it does
  assert asked
  # 8 runs at once need 250 x 8 + 1,000 = 3,000 of the 80 % of the memory that a program may take; 12 need 4,000.
  assert capacity.most(group, dataset, limit=int(3000 / 0.8) + 1) == 8
  assert capacity.most(group, dataset, limit=int(4000 / 0.8) - 1) == 8
  assert capacity.most(group, dataset, limit=int(4000 / 0.8) + 1) == 12
  monkeypatch.setattr(blocks, "size", lambda *_: 1)  # one after another: 12 runs need 1,200 + 4 x 150 + 1,000
  assert capacity.most(group, dataset, limit=int(2800 / 0.8) + 1) == 12
  assert capacity.most(group, dataset, limit=int(2800 / 0.8) - 1) == 8
  assert capacity.most(group, dataset, limit=10) == 4  # a run for each device: fewer would train copies


def test_a_config_decides_before_the_memory_does(monkeypatch):
  monkeypatch.setattr(capacity, "measured", None)
  group, dataset = of(16, most_members=5)
  assert capacity.most(group, dataset, limit=10) == 5
  assert [len(part.configs) for part in grouping.cut(group, 5)] == [4, 4, 4, 4]
  assert capacity.most(of(3, most_members=5)[0], dataset) == 3


@pytest.mark.parametrize(("members", "most", "rows", "sizes"), [
  (10, 10, 4, [10]), (10, 4, 4, [4, 4, 2]), (45, 30, 2, [24, 21]), (7, 2, 1, [2, 2, 2, 1]), (5, 1, 4, [1] * 5),
])  # fmt: skip
def test_parts_are_complete_in_order_and_as_equal_as_can_be(members, most, rows, sizes):
  group, _ = of(members)
  parts = grouping.cut(group, most, rows)
  assert [len(part.configs) for part in parts] == sizes
  assert [run for part in parts for run in part.ids] == group.ids
  assert [int(seed) for part in parts for seed in part.hypers.seed] == list(range(members))
  assert {part.spec for part in parts} == {group.spec}


def test_a_manifest_that_divides_runs_as_no_program_can_is_refused():
  one, other = of(2)[0], of(2, n_critic=2)[0]
  mixed = [{"name": "group-0", "members": [{"id": one.ids[0]}, {"id": other.ids[1]}]}]
  with pytest.raises(BadInput, match="the runs of group-0 expected one program"):
    grouping.recorded([one, other], mixed)


def machine(patch, available):
  """A machine with so many bytes, of which a run of the study needs a gigabyte."""
  patch.setattr(memory, "available", lambda: available)
  patch.setattr(capacity, "estimate", lambda *_: GB)
  patch.setattr(capacity, "measured", lambda *_: capacity.Need(GB, 0, 0))


def contents(directory):
  return {
    str(path.relative_to(directory)): path.read_bytes()
    for table in runs.TABLES
    for path in sorted((directory / table).rglob("*.npz"))
  }


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
  """A study of 8 runs on a machine that holds 4 of them. Its programs are compiled once for all tests of this module."""
  folder, said, programs, compile_group = tmp_path_factory.mktemp("cut"), [], {}, population.compile_group

  def remembered(group, *arguments):
    if group.name not in programs:
      programs[group.name] = compile_group(group, *arguments)
    return programs[group.name]

  (folder / "c.py").write_text(CONFIG)
  with undrawn(), pytest.MonkeyPatch.context() as patch:
    patch.setattr(population, "compile_group", remembered)
    with pytest.MonkeyPatch.context() as small:
      machine(small, 10.5 * GB)
      study.run(str(folder / "c.py"), [], folder / "study", single=False, say=said.append)
    assert len(programs) == 1  # equal parts share it
    yield folder, said


def test_a_population_cut_into_parts_is_complete(cut):
  folder, said = cut
  assert "8 runs of one program are trained in 2 parts, for the 11.3 GB of memory" in said
  manifest, status = runs.read_manifest(folder / "study"), runs.read_status(folder / "study")
  assert [len(group["members"]) for group in manifest["groups"]] == [4, 4]
  assert {name: entry["complete"] for name, entry in status["groups"].items()} == {"group-0": True, "group-1": True}
  assert [runs.gaps(folder / "study", g, status["groups"][g["name"]]) for g in manifest["groups"]] == [[], []]
  assert runs.read_table(folder / "study", "rows", "group-1").columns["gen/loss"].shape == (4, 4)


def rewind(directory, name):
  """As a kill at step 15 leaves a group: its last checkpoint is that of step 10."""
  shutil.rmtree(directory / "checkpoints" / name / "20")
  for table in ("rows", "quality"):
    for first, _, path in runs.parts(directory, table, name):
      if first >= 10:
        path.unlink()
  status = runs.read_status(directory)
  status["groups"][name].update(step=10, complete=False)
  runs.write_status(directory, status)


def test_each_part_resumes_and_keeps_its_cut_on_a_machine_with_other_memory(cut, tmp_path, monkeypatch):
  folder, _ = cut
  directory, said = tmp_path / "study", []
  shutil.copytree(folder / "study", directory)
  rewind(directory, "group-0")
  rewind(directory, "group-1")
  before = contents(directory)
  machine(monkeypatch, 100 * GB)  # all would fit here
  with pytest.raises(Planned):
    study.run(str(folder / "c.py"), [], directory, single=False, say=said.append, dry=True)
  assert sum("10 of 20 done" in line for line in said) == 2
  assert contents(directory) == before
  study.run(str(folder / "c.py"), [], directory, single=False, say=said.append)
  for name in ("group-0", "group-1"):
    assert f"{name}: resuming at step 10 of 20" in said
  assert [len(g["members"]) for g in runs.read_manifest(directory)["groups"]] == [4, 4]
  assert contents(directory) == contents(folder / "study")
