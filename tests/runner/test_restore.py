"""A group's state from a study's checkpoints: the one that training went through, or a sentence that says what there is."""

import shutil

import jax
import numpy as np
import pytest

from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.game.state import initial_state
from gan_jax.metrics import Quality
from gan_jax.runner import best as best_of
from gan_jax.runner import population, restore, study
from gan_jax.runner.loading import load_study
from tests.support.pages import undrawn

SMALL = """
def get_config():
  return {"dataset": "line", "latent_size": 2, "model_options": {"generator_width": 8, "discriminator_width": 8},
          "batch_size": 8,
          "steps": 8, "probe_every": 2, "checkpoint_every": 4, "evaluate_every": 4, "evaluation_samples": 100}

def sweep(s):
  seeds = s.zipit(s.param("seed", range(2)), s.param("generator_rate", [5e-4, 0.3]))
  return s.product(s.param("loss", ["minimax", "hinge"]), seeds)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp("restore")
  (folder / "small.py").write_text(SMALL)
  with undrawn():
    return study.run(str(folder / "small.py"), [], folder / "study", single=False, say=lambda line: None)


def test_training_goes_on_from_it_to_the_end_that_it_had(run):
  half, end = (restore.group(run, "group-0", step) for step in (4, None))
  assert (half.state.step == 4).all()
  assert (end.state.step == 8).all()
  unasked = Quality(lambda draw, count, near: draw(np.arange(4)).mean(), dict, {}, {})
  program = population.compile_group(half.group, half.game, half.dataset, unasked)
  after, _ = program.advance(program.hypers, program.place(half.state), program.data, 2, 2)
  for a, b in zip(jax.tree.leaves(end.state), jax.tree.leaves(after), strict=True):
    np.testing.assert_array_equal(a, np.asarray(b)[: program.members])


def test_a_member_is_its_row_of_everything(run):
  found = restore.group(run, "group-0")
  hypers, state = restore.member(found, 2)
  assert found.group.configs[2]["loss"] == "hinge"
  assert hypers.seed == found.group.configs[2]["seed"]
  for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(found.state), strict=True):
    np.testing.assert_array_equal(a, b[2])


def test_the_best_generators_are_those_of_the_best_measurements(run):
  """Of the three evaluations, after 0, 4 and 8 steps: their weights, by the measure that the report ranks by."""
  half, end = (restore.group(run, "group-0", step) for step in (4, 8))
  start = jax.vmap(lambda h: initial_state(h, end.game))(end.group.hypers)
  measured = {r.id: r.quality for r in load_study(run).runs}
  for member, name in enumerate(end.group.ids):
    quality = measured[name]
    metric, sign = best_of.ranked(quality.columns)
    at = int(np.argmin(sign * np.asarray(quality.columns[metric])))
    source = (start, half.state, end.state)[at]
    expected = jax.tree.map(lambda x, i=member: np.asarray(x)[i], (source.gen_ema, source.memory.average))
    step, value, generator = best_of.load(run, "group-0", name, expected)
    assert step == quality.steps[at]
    assert value == pytest.approx(float(quality.columns[metric][at]), rel=1e-6)
    for a, b in zip(jax.tree.leaves(generator), jax.tree.leaves(expected), strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_the_best_survive_kills_and_damage_to_the_bit(run, tmp_path):
  """Killed after the best ones of step 8 were written and before its checkpoint was; one is damaged then, one is gone.

  Another one has a changed bit under a right checksum, as if this machine computed something else: that is said.
  """
  copy, said = tmp_path / "study", []
  shutil.copytree(run, copy)
  shutil.rmtree(copy / "checkpoints" / "group-0" / "8")
  status = runs.read_status(copy)
  status["groups"]["group-0"] |= {"step": 4, "complete": False}
  runs.write_status(copy, status)
  before = {path.name: dict(np.load(path)) for path in sorted((run / "best" / "group-0").iterdir())}
  early = [name for name, found in before.items() if found["step"] <= 4]
  late = [name for name, found in before.items() if found["step"] == 8]
  assert len(before) == 4
  assert early, "one at least is to be measured again, from the start or the checkpoint"
  assert late
  content = bytearray((copy / "best" / "group-0" / early[0]).read_bytes())
  content[len(content) // 2] ^= 1
  (copy / "best" / "group-0" / early[0]).write_bytes(content)
  for name in early[1:]:
    (copy / "best" / "group-0" / name).unlink()
  other = copy / "best" / "group-0" / late[0]
  arrays = runs.read_arrays(other)
  arrays["leaf_0"].reshape(-1)[-1] = np.nextafter(arrays["leaf_0"].reshape(-1)[-1], np.float32(np.inf))
  runs.write_arrays(other, **arrays)
  with undrawn():
    study.run(str(run.parent / "small.py"), [], copy, single=False, say=said.append)
  assert said.count("warning: group-0: best generators at step 8, computed again, are not the same bits") == 1
  reasons = runs.read_status(copy)["groups"]["group-0"]["reasons"]
  assert reasons == ["best generators at step 8 came out otherwise when computed again"]
  assert any(f"{early[0]} is set aside as" in line for line in said)
  (aside,) = (copy / "set_aside").rglob(early[0])
  assert aside.read_bytes() == bytes(content)
  for name, expected in before.items():
    found = np.load(copy / "best" / "group-0" / name)
    assert set(found.files) == expected.keys()
    for leaf, value in expected.items():
      np.testing.assert_array_equal(found[leaf], value, err_msg=f"{name} {leaf}")


def test_what_a_kill_left_of_the_best_is_compared_with_what_is_computed_again(tmp_path):
  ids, none = ["a", "b", "c"], best_of.blank({"w": np.zeros((3, 2), np.float32)}, 3)
  written = best_of.Best(np.array([4, 8, 8]), np.ones(3), {"w": np.arange(6, dtype=np.float32).reshape(3, 2)})
  best_of.write(tmp_path, "group-0", ids, written, none.step)
  kept, later, damaged = best_of.read(tmp_path, "group-0", ids, 4, none)
  assert (kept.step.tolist(), sorted(later), damaged) == ([4, -1, -1], ["b", "c"], {})
  again = lambda best: best_of.again(ids, best, kept.step, later)  # noqa: E731
  assert again(kept) == {}
  assert again(written._replace(step=np.array([4, 6, 8]))) == {8: True}
  assert again(written) == {8: True}
  written.generator["w"][1, 0] = np.nextafter(np.float32(2), np.float32(3))
  assert again(written) == {8: False}


def test_the_best_is_replaced_by_better_ones_alone():
  """Low is good of a distance, high of modes; NaN and equal values replace nothing; weights are fetched when needed."""
  like, fetched = {"w": np.zeros((3, 2), np.float32)}, []

  def weights(x):
    fetched.append(x)
    return {"w": np.full((3, 2), x, np.float32)}

  kept = best_of.blank(like, 3)
  for step, values in enumerate(([3.0, np.nan, 1.0], [2.0, np.nan, 1.0], [2.5, np.nan, np.nan], [1.0, 7.0, 0.5])):
    kept = best_of.better(kept, step, {"frechet/distance": np.array(values)}, lambda step=step: weights(step))
  assert kept.step.tolist() == [3, 3, 3]
  assert kept.value.tolist() == [1.0, 7.0, 0.5]
  assert fetched == [0, 1, 3]
  high = best_of.better(best_of.blank(like, 3), 5, {"modes/covered": np.array([1.0, 2.0, 3.0])}, lambda: weights(5))
  high = best_of.better(high, 6, {"modes/covered": np.array([2.0, 1.0, 3.0])}, lambda: weights(6))
  assert high.step.tolist() == [6, 5, 5]
  assert high.generator["w"][:, 0].tolist() == [6, 5, 5]
  assert best_of.better(high, 7, {"classes/present": np.ones(3)}, lambda: weights(7)) is high


def test_what_is_not_there_is_refused_with_what_is(run, tmp_path):
  with pytest.raises(BadInput, match="at step 6, found those at 4, 8"):
    restore.group(run, "group-0", 6)
  with pytest.raises(BadInput, match="one of its groups, group-0, got 'group-7'"):
    restore.group(run, "group-7")
  with pytest.raises(BadInput, match="is not a study"):
    restore.group(tmp_path, "group-0")


def test_a_damaged_checkpoint_is_not_an_older_one(run, tmp_path):
  copy = tmp_path / "study"
  shutil.copytree(run, copy)
  for path in (copy / "checkpoints" / "group-0" / "8" / "state").rglob("*"):
    if path.is_file():
      path.write_bytes(b"x" * path.stat().st_size)
  with pytest.raises(BadInput, match=r"is damaged: .* has those at 4 of group-0"):
    restore.group(copy, "group-0")
