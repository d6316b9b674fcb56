"""Samples of a trained run: drawn by the generator that was evaluated, and the same in every kind of file."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.stats
from PIL import Image

import gan_jax
from experiments import drawings, sample
from gan_jax import data, report, runs, settings
from gan_jax.core.errors import BadInput
from gan_jax.core.randomness import Purpose, derive_key
from gan_jax.game import complete, rules
from gan_jax.report import gallery as shown
from gan_jax.report import records
from gan_jax.runner import best, gallery, generator, inputs, latents, restore, study
from gan_jax.runner.grouping import spec_of
from tests.support.pages import undrawn

CONFIG = """
def get_config():
  return {"dataset": "digits", "conditional": True, "latent_size": 4, "batch_size": 8, "metrics": "frechet",
          "model_options": {"generator_width": 8, "discriminator_width": 8, "depth": 1}, "generator_rate": 0.05,
          "steps": 8, "probe_every": 4, "checkpoint_every": 4, "evaluate_every": 4, "evaluation_samples": 100}

def sweep(s):
  return s.param("loss", ["minimax", "hinge"])
"""
ALONE = """
import sys

class Forbidden:
  def find_spec(self, name, path=None, target=None):
    if name.split(".")[0] in ("gan_jax", "experiments", "flax"):
      raise ImportError(f"{name} is not to be imported")

sys.meta_path.insert(0, Forbidden())
import jax, jax.export
import numpy as np

given = np.load(sys.argv[2])
generator = jax.export.deserialize(open(sys.argv[1], "rb").read())
for n in (len(given["latents"]), 3):
  images = generator.call(given["latents"][:n], given["labels"][:n])
  np.testing.assert_allclose(images, given["examples"][:n], rtol=1e-5, atol=1e-6)
print(*generator.platforms, generator.in_avals[0].shape)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  folder = tmp_path_factory.mktemp("sampled")
  (folder / "small.py").write_text(CONFIG)
  with undrawn():
    return study.run(str(folder / "small.py"), [], folder / "study", single=False, say=lambda line: None)


def contents(folder: Path) -> dict[Path, tuple[bytes, int]]:
  return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def draw(trained, tmp_path):
  """The command for hinge's run; returns what it wrote. The study stays as it was, and is locked as while it trains."""

  def drawn(name: str, *arguments: str) -> dict[str, np.ndarray] | Path:
    before = contents(trained)
    with runs.writer_lock(trained):
      before |= {trained / "lock": contents(trained)[trained / "lock"]}
      sample.main([str(trained), "--loss", "hinge", "--out", str(tmp_path / name), *arguments])
    assert contents(trained) == before
    return dict(np.load(tmp_path / name)) if name.endswith(".npz") else tmp_path / name

  return drawn


@pytest.fixture(scope="module")
def at_end(trained):
  """(game, hypers, state) of hinge's run at its last checkpoint, read as training reads it."""
  found = restore.group(trained, "group-0")
  assert found.group.configs[1]["loss"] == "hinge"
  return found.game, *restore.member(found, 1)


def test_samples_are_of_the_generator_that_was_evaluated(trained, draw, at_end):
  game, _, state = at_end
  apply = jax.jit(lambda *x: game.generator.apply(*x, False)[0])
  found = draw("a.npz", "--step", "last")
  assert found["examples"].shape == (64, 8, 8, 1)
  assert found["labels"].tolist() == [i % 10 for i in range(64)]
  own = apply(state.gen_ema, state.memory.average, found["latents"], found["labels"])
  np.testing.assert_allclose(found["examples"], own, rtol=1e-5, atol=1e-6)
  raw = draw("raw.npz", "--raw")["examples"]
  own = apply(state.gen_params, state.memory.generator, found["latents"], found["labels"])
  np.testing.assert_allclose(raw, own, rtol=1e-5, atol=1e-6)
  assert np.abs(raw - found["examples"]).max() > 1e-3
  blank = (state.gen_ema, state.memory.average)
  chosen = gan_jax.load_study(trained).run(loss="hinge")
  step, _, kept = best.load(trained, "group-0", chosen.id, blank)
  np.testing.assert_allclose(draw("b.npz")["examples"], apply(*kept, found["latents"], found["labels"]), atol=1e-6)
  assert json.loads(str(draw("c.npz")["about"]))["step"] == step


@pytest.mark.parametrize("step", [4, "last"])
def test_the_generator_in_python_draws_the_samples_that_the_study_kept(trained, step):
  """Those of the report: their noise and classes are known, and so are their bytes."""
  chosen = gan_jax.load_study(trained).run(loss="hinge", seed=0)
  found = chosen.generator(step)
  assert (found.step, found.classes, found.image_shape) == (step if step == 4 else 8, 10, (8, 8, 1))
  noise = jax.random.normal(derive_key(0, 0, Purpose.GRID), (64, found.latent_size))
  images = np.asarray(found.generate(found.parameters, noise))
  kept = runs.read_samples(trained / "samples" / "group-0" / f"{found.step:09}.npz")[1]
  assert np.abs(drawings.pixels(images).astype(int) - kept).max() <= 1  # a value at a half is rounded either way
  assert (drawings.pixels(images) == kept).mean() > 0.99
  key = jax.random.key(3)
  by_key = found.generate(found.parameters, key, np.arange(6) % 10)
  np.testing.assert_array_equal(
    by_key, found.generate(found.parameters, jax.random.normal(key, (6, 4)), np.arange(6) % 10)
  )
  with pytest.raises(BadInput, match=r"latents float32 \[B, 4\], got float32 \[6, 5\]"):
    found.generate(found.parameters, np.zeros((6, 5), np.float32))
  with pytest.raises(BadInput, match=r"labels int32 \[6\], got float32 \[6\]"):
    found.generate(found.parameters, np.zeros((6, 4), np.float32), np.zeros(6, np.float32))


def test_the_class_is_the_one_that_was_asked_for(draw):
  three, both = draw("three.npz", "--classes", "3"), draw("both.npz", "--classes", "3,5")
  assert set(three["labels"].tolist()) == {3}
  assert both["labels"].tolist() == [3, 5] * 32
  np.testing.assert_array_equal(three["latents"], both["latents"])
  np.testing.assert_allclose(three["examples"][::2], both["examples"][::2], atol=1e-6)
  assert (np.abs(three["examples"] - both["examples"])[1::2].max((1, 2, 3)) > 1e-4).all()
  rows = draw("rows.npz", "--classes", "3,5", "--interpolate", "--count", "24")
  assert rows["labels"].tolist() == [3] * 8 + [5] * 8 + [3] * 8


def test_the_same_key_is_the_same_file_and_another_key_other_samples(draw, tmp_path):
  first = draw("a.png", "--count", "5").read_bytes()
  assert draw("a.png", "--count", "5").read_bytes() == first  # written over, since the command wrote it
  assert draw("b.png", "--count", "5", "--key", "1").read_bytes() != first
  five, nine = draw("five.npz", "--count", "5"), draw("nine.npz", "--count", "9")
  np.testing.assert_array_equal(five["latents"], nine["latents"][:5])
  (tmp_path / "mine.png").write_bytes(b"a picture")
  with pytest.raises(BadInput, match=r"or one that this command wrote, got .*mine\.png, which is another file"):
    draw("mine.png")
  assert (tmp_path / "mine.png").read_bytes() == b"a picture"


def test_pixels_are_the_values_rounded(draw, tmp_path):
  """In a grid, each enlarged to a square of 8 by 8, a column for each class; and one file for each image."""
  found = draw("a.npz", "--count", "23")
  expected = np.round((found["examples"] + 1) * 127.5)
  with Image.open(draw("a.png", "--count", "23")) as image:
    grid = np.asarray(image)
    assert json.loads(image.text["gan_jax"])["classes"] == list(range(10))
  assert grid.shape == ((3 * 9 - 1) * 8, (10 * 9 - 1) * 8)
  np.testing.assert_array_equal(grid, grid[::8, ::8].repeat(8, 0).repeat(8, 1))
  for i, image in enumerate(expected):
    top, left = i // 10 * 9, i % 10 * 9
    np.testing.assert_array_equal(grid[::8, ::8][top : top + 8, left : left + 8], image[..., 0])
  folder = draw("folder", "--count", "23")
  assert len(list(folder.rglob("*.png"))) == 23
  for i, image in enumerate(expected):
    with Image.open(folder / str(i % 10) / f"{i:06}.png") as file:
      np.testing.assert_array_equal(np.asarray(file), image[..., 0])
  with pytest.raises(BadInput, match=r"a new or empty folder, got .*folder, which is a folder with files in it"):
    draw("folder", "--count", "23")
  assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
  values = np.linspace(-1.2, 1.2, 1001, dtype=np.float32)
  np.testing.assert_array_equal(drawings.pixels(values), data.encode_for_view(values))


def test_colours_and_points_are_drawn_as_they_are(tmp_path):
  rng = np.random.default_rng(0)
  shown = rng.integers(0, 256, (3, 40, 80, 3), np.uint8)
  about = {"run": "r", "step": 2, "interpolate": False}
  none = np.zeros((3, 2), np.float32)
  images = drawings.Drawn(shown / np.float32(127.5) - 1, none, np.zeros(3, np.int32), 0, 2, about)
  drawings.write(tmp_path / "a.png", images)
  with Image.open(tmp_path / "a.png") as file:
    grid = np.asarray(file)
  assert grid.shape == (81, 161, 3)  # not enlarged: their side is above LEGIBLE
  np.testing.assert_array_equal(grid[41:, :80], shown[2])
  assert (grid[41:, 81:] == 255).all()
  points = images._replace(examples=rng.normal(size=(3, 2)).astype(np.float32), labels=np.arange(3), classes=3)
  drawings.write(tmp_path / "p.csv", points)
  read = np.genfromtxt(tmp_path / "p.csv", delimiter=",", names=True, dtype=None)
  np.testing.assert_array_equal(np.stack([read["x"], read["y"]], 1).astype(np.float32), points.examples)
  assert read["label"].tolist() == [0, 1, 2]
  drawings.write(tmp_path / "p.png", points)
  with Image.open(tmp_path / "p.png") as file:
    assert file.size == (600, 600)
  assert sample.written_here(tmp_path / "p.png", ".png")
  assert sample.written_here(tmp_path / "p.csv", ".csv")


def test_truncated_latents_are_those_of_a_truncated_normal():
  """Kolmogorov-Smirnov against SciPy's; without truncation, and with another threshold, the same test refuses."""
  drawn = latents.normal(0, 4000, 4, 0.7)
  assert (drawn.shape, drawn.dtype) == ((4000, 4), np.float32)
  assert np.abs(drawn).max() <= 0.7
  law = scipy.stats.truncnorm(-0.7, 0.7).cdf
  assert scipy.stats.kstest(drawn.ravel(), law).pvalue > 1e-3
  assert scipy.stats.kstest(latents.normal(0, 4000, 4, 0.8).ravel(), law).pvalue < 1e-6
  whole = latents.normal(0, 4000, 4)
  assert scipy.stats.kstest(whole.ravel(), "norm").pvalue > 1e-3
  assert scipy.stats.kstest(np.clip(whole, -0.7, 0.7).ravel(), law).pvalue < 1e-6  # not clipped
  for bad in (0.0, -1.0, float("nan")):
    with pytest.raises(BadInput, match="truncation expected a number above 0"):
      latents.normal(0, 1, 1, bad)


def test_an_interpolation_goes_along_the_great_circle():
  ends = latents.normal(0, 200, 64)
  starts, ends = ends[::2], ends[1::2]
  path = latents.between(starts, ends, 9).astype(np.float64)
  np.testing.assert_array_equal(path[:, 0], starts)
  np.testing.assert_array_equal(path[:, -1], ends)
  lengths = np.linalg.norm(path, axis=2)
  expected = lengths[:, :1] + np.linspace(0, 1, 9) * (lengths[:, -1:] - lengths[:, :1])
  np.testing.assert_allclose(lengths, expected, rtol=1e-6)
  units = path / lengths[..., None]
  angles = np.arccos((units[:, 1:] * units[:, :-1]).sum(2))
  np.testing.assert_allclose(angles, angles.mean(1, keepdims=True).repeat(8, 1), rtol=1e-3)
  corner = latents.between(np.array([[2.0, 0.0]]), np.array([[0.0, 2.0]]), 3)
  np.testing.assert_allclose(corner[0, 1], [2**0.5, 2**0.5], rtol=1e-6)
  opposite = latents.between(np.array([[1.0, 0.0]]), np.array([[-3.0, 0.0]]), 5)
  np.testing.assert_allclose(opposite[0, :, 0], [1, 0, -1, -2, -3], atol=1e-6)


def test_a_column_of_a_grid_is_a_class():
  asked = {(64, 1): 8, (64, 10): 10, (64, 2): 8, (64, 3): 9, (5, 10): 3, (10, 10): 10, (64, 100): 8, (1, 1): 1}
  assert {both: latents.across(*both) for both in asked} == asked


def test_rows_of_the_command_go_from_one_latent_to_the_next(draw):
  rows = draw("a.npz", "--interpolate", "--count", "16", "--truncation", "0.5")["latents"].reshape(2, 8, 4)
  ends = latents.normal(0, 4, 4, 0.5)
  np.testing.assert_array_equal(rows[:, 0], ends[::2])
  np.testing.assert_array_equal(rows[:, -1], ends[1::2])


def test_batch_statistics_are_the_running_ones():
  """A sample does not depend on the others of its batch, and does on the running averages."""
  options = {"generator_width": 16, "generator_norm": "batch"}
  config = complete(settings.resolve({"model": "sndcgan", "latent_size": 4, "model_options": options}, {}))
  player = rules.generator(spec_of(config, ("minimax",)), (8, 8, 1), 10)
  weights, statistics = jax.jit(player.init)(jax.random.key(0))
  weights = jax.tree.map(lambda x: 20 * x, weights)  # as after training: samples of ones, not of millionths
  made = generator.Generator(generator.build(player, 4, 0), (weights, statistics), 4, (8, 8, 1), 0, "", 0)
  noise, labels = latents.normal(1, 8, 4), np.zeros(8, np.int32)
  whole = generator.samples(made, noise, labels)
  others = generator.samples(made, np.concatenate([noise[:1], 9 * noise[1:]]), labels)
  np.testing.assert_allclose(whole[0], others[0], atol=1e-6)
  moved = made._replace(parameters=(weights, jax.tree.map(lambda x: x + 1.0, statistics)))
  assert np.abs(generator.samples(moved, noise, labels) - whole).max() > 1e-2


def test_the_exported_file_runs_without_this_repository(draw):
  pytest.importorskip("flatbuffers", reason="jax.export writes with it: pip install flatbuffers")
  arrays, file = draw("a.npz", "--count", "7") and draw("file.jaxexport").parent / "a.npz", draw("file.jaxexport")
  done = subprocess.run([sys.executable, "-c", ALONE, file, arrays], capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  assert done.stdout.strip() == "cpu cuda tpu (B, 4)"


BAD = {
  "no_study": (["{tmp}/none", "--out", "{tmp}/a.png"], "is not a study: .* no such directory"),
  "empty": (["{tmp}", "--out", "{tmp}/a.png"], "is not a study: .* found none in it"),
  "several": (
    ["--out", "{tmp}/a.png"],
    r"one of its 2 runs, got 2 runs; these are: --run \w{10} \(loss=minimax\), --run",
  ),
  "none": (["--loss", "wasserstein", "--out", "{tmp}/a.png"], "got 0 runs with loss=wasserstein; there are: --run"),
  "id": (["--run", "zz\n", "--out", "{tmp}/a.png"], "got 0 runs with run 'zz"),
  "field": (["--los=hinge", "--out", "{tmp}/a.png"], "unknown config field 'los'; did you mean 'loss'"),
  "argument": (["hinge", "--out", "{tmp}/a.png"], "expected --FIELD=value to choose a run, got 'hinge'"),
  "no_out": (["--loss=hinge"], "required: --out"),
  "step": (["--loss=hinge", "--step", "5", "--out", "{tmp}/a.png"], "a checkpoint's, those at 4, 8, got 5"),
  "word": (["--loss=hinge", "--step", "first", "--out", "{tmp}/a.png"], "best, last or the step"),
  "count": (["--loss=hinge", "--count", "0", "--out", "{tmp}/a.png"], "from 1 to 1,000,000, got '0'"),
  "class": (["--loss=hinge", "--classes", "3,10", "--out", "{tmp}/a.png"], "labels from 0 to 9, got 10"),
  "truncation": (["--loss=hinge", "--truncation", "-1", "--out", "{tmp}/a.png"], "a number above 0, got -1"),
  "rows": (["--loss=hinge", "--interpolate", "--count", "9", "--out", "{tmp}/a.png"], "a multiple of 8, got 9"),
  "raw": (["--loss=hinge", "--raw", "--step", "best", "--out", "{tmp}/a.png"], "kept with averaged weights"),
  "ending": (["--loss=hinge", "--out", "{tmp}/a.csv"], r"of images expected .*no ending \(a folder of PNG files\)"),
  "folder": (["--loss=hinge", "--out", "{tmp}/there.png"], "which is a folder"),
  "below": (["--loss=hinge", "--out", "{tmp}/a_file/a.png"], "expected a folder .*a_file, got a file"),
  "inside": (["--loss=hinge", "--out", "{study}/best/a.npz"], "which is of the study"),
  "itself": (["--loss=hinge", "--out", "{study}"], "which is of the study"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_writes_nothing(name, trained, tmp_path):
  (tmp_path / "there.png").mkdir()
  (tmp_path / "a_file").write_text("")
  arguments, said = BAD[name]
  given = [argument.format(tmp=tmp_path, study=trained) for argument in arguments]
  before = contents(trained), sorted(tmp_path.rglob("*"))
  with pytest.raises(BadInput, match=said):
    sample.main(given if name in ("no_study", "empty") else [str(trained), *given])
  assert (contents(trained), sorted(tmp_path.rglob("*"))) == before


def test_where_nothing_measured_best_the_last_checkpoint_is_drawn_and_named(trained, tmp_path, capsys):
  """Unless the best one was asked for."""
  other = tmp_path / "study"
  shutil.copytree(trained, other)
  shutil.rmtree(other / "best")
  sample.main([str(other), "--loss", "hinge", "--out", str(tmp_path / "a.npz"), "--count", "2"])
  assert "after 8 steps, at the last checkpoint, since none measured best" in capsys.readouterr().out
  chosen = gan_jax.load_study(other).run(loss="hinge")
  assert (chosen.generator().step, chosen.generator(average=False).step) == (8, 8)
  with pytest.raises(
    BadInput, match=r"has no best generator .*; expected step 'last', or a checkpoint's, those at 4, 8"
  ):
    chosen.generator("best")


def test_code_of_ones_own_is_looked_for_where_folder_says(trained, tmp_path, monkeypatch):
  """The message names the option; nothing is loaded before."""
  manifest = runs.read_manifest(trained)
  for member in manifest["groups"][0]["members"]:
    member["config"]["model"] = "mine.py:small"
    member["id"] = settings.identity(member["config"])
  runs.write_manifest(tmp_path / "study", manifest)
  monkeypatch.chdir(tmp_path)
  with pytest.raises(BadInput, match=r"names code \(mine.py\), which is run only from a folder .*: expected --folder"):
    sample.main([str(tmp_path / "study"), "--loss", "hinge", "--out", str(tmp_path / "a.npz")])


def test_an_untrained_generator_is_called_so(trained, tmp_path, capsys):
  other = tmp_path / "study"
  shutil.copytree(trained, other)
  for path in (other / "best" / "group-0").iterdir():
    runs.write_arrays(path, **{**runs.read_arrays(path), "step": np.asarray(0)})
  sample.main([str(other), "--loss", "hinge", "--out", str(tmp_path / "a.npz"), "--count", "2"])
  assert "after 0 steps, where it measured best: it is untrained" in capsys.readouterr().out


def test_an_unfinished_study_and_damaged_files_are_told(trained, tmp_path):
  """No checkpoint yet; one bit of the best weights, and of the last checkpoint's: what is left is named."""
  manifest = runs.read_manifest(trained)
  runs.write_manifest(tmp_path / "begun", manifest)
  chosen = gan_jax.load_study(tmp_path / "begun").run(loss="hinge")
  with pytest.raises(BadInput, match=r"has no best generator of run .*; expected step 'last', or a checkpoint's, none"):
    chosen.generator()
  with pytest.raises(BadInput, match="has no checkpoint of group-0 yet"):
    chosen.generator("last")
  place = best.place(trained, "group-0", chosen.id)
  content = bytearray(place.read_bytes())
  content[len(content) // 2] ^= 1
  copy = best.place(tmp_path / "begun", "group-0", chosen.id)
  copy.parent.mkdir(parents=True)
  copy.write_bytes(content)
  with pytest.raises(BadInput, match=r"is damaged: .*; expected another step: 'last', or"):
    chosen.generator()
  other = gan_jax.load_study(trained).run(loss="minimax").id
  copy.write_bytes(best.place(trained, "group-0", other).read_bytes())
  with pytest.raises(BadInput, match="expected the best generator of run"):
    chosen.generator()
  last = tmp_path / "begun" / "checkpoints" / "group-0" / "8"
  shutil.copytree(trained / "checkpoints" / "group-0" / "8", last)
  assert chosen.generator("last").step == 8
  for path in (last / "state").rglob("*"):
    if path.is_file():
      path.write_bytes(b"x" * path.stat().st_size)
  with pytest.raises(BadInput, match=r"8 is damaged: .*; expected another step: 'best', or"):
    chosen.generator("last")


@pytest.fixture(scope="module")
def looked(trained, tmp_path_factory):
  """(a copy of the study with a closer look at its best run, what it was trained on)."""
  other = tmp_path_factory.mktemp("looked") / "study"
  shutil.copytree(trained, other)
  manifest = runs.read_manifest(other)
  configs = [member["config"] for group in manifest["groups"] for member in group["members"]]
  found = inputs.load(other, manifest, configs, lambda line: None)
  gallery.write(records.read(other), found, Path())
  return other, found


def test_the_closer_look_is_of_the_best_run_and_its_nearest_images_are_nearest(looked):
  """The run by hand, the samples by the generator itself, the neighbours by brute force in whole numbers."""
  study_of, _ = looked
  there = shown.read(shown.place(study_of, 1))
  every = records.read(study_of).runs
  first = min(every, key=lambda run: run.quality.columns["classifier/frechet"][-1])
  assert (str(there["run"]), len(list(study_of.glob("gallery/*")))) == (first.id, 1)
  made = gan_jax.load_study(study_of).run(loss=first.config["loss"]).generator("best")
  assert int(there["step"]) == made.step
  assert there["labels"].tolist() == [0, 1, 2, 3]  # it is given a class
  noise = latents.normal(gallery.KEY, gallery.COMPARED + 8, 4)
  drawn = drawings.pixels(generator.samples(made, noise[:8], np.arange(8, dtype=np.int32)))
  assert np.abs(there["samples"].astype(int) - drawn).max() <= 1  # another batch, so rounding may differ
  ends = generator.samples(made, noise[gallery.COMPARED :], np.arange(4, dtype=np.int32).repeat(2))
  assert np.abs(there["between"][:, [0, -1]].reshape(8, 8, 8, 1).astype(int) - drawings.pixels(ends)).max() <= 1

  real = np.round(np.asarray(data.load("digits").data.images).astype(float) / 16 * 255).astype(int)
  squares = ((there["samples"].astype(int)[:, None] - real) ** 2).sum((2, 3, 4))
  np.testing.assert_allclose(there["apart"][:8], np.sqrt(squares.min(1) / 64) / 255, rtol=1e-12)
  assert (there["nearest"] == real[squares.argmin(1)]).all() or (
    ((there["nearest"].astype(int) - there["samples"]) ** 2).sum((1, 2, 3)) == squares.min(1)
  ).all()  # of equally near ones any
  assert (int(there["searched"]), bool(there["held_out"]), len(there["usual"])) == (1797, False, 64)


def test_held_out_images_are_not_among_those_that_are_searched(looked):
  digits = data.load("digits")
  real = gallery.real_images(digits, 5)
  assert (real.held_out, len(real.training), len(real.usual)) == (True, 1438, 64)
  stored = np.asarray(digits.data.images).reshape(1797, -1).astype(int)
  held = np.setdiff1d(np.arange(1797), real.training)
  apart = np.sqrt(((stored[held][:, None] - stored[real.training]) ** 2).sum(2).min(1))
  usual = np.sort(real.usual) * 255 * 8 / (255 / 16)  # pixels of 0 to 16 are shown as 0 to 255, rounded
  assert np.quantile(apart, 0.3) < np.median(usual) < np.quantile(apart, 0.7)
  assert real.usual.min() > 0
  without = gallery.real_images(digits, 0)
  assert without.usual.min() > 0  # no image is its own neighbour


def test_the_closer_look_is_written_once_and_again_where_it_is_damaged_or_of_another_run(looked, tmp_path):
  study_of, found = looked
  other = tmp_path / "study"
  shutil.copytree(study_of, other)
  path, read = shown.place(other, 1), records.read(other)
  before = path.read_bytes(), path.stat().st_mtime_ns
  gallery.write(read, found, Path())
  assert (path.read_bytes(), path.stat().st_mtime_ns) == before
  path.write_bytes(before[0][: len(before[0]) // 2])
  assert "From one sample to another" not in report.build(other).read_text()  # the rest is shown
  gallery.write(read, found, Path())
  assert path.read_bytes() == before[0]
  assert [p.stat().st_size for p in other.glob("set_aside/*/gallery/*")] == [len(before[0]) // 2]
  there = shown.read(path)
  runs.write_arrays(path, **{**there, "run": np.asarray("another")})
  gallery.write(read, found, Path())
  assert path.read_bytes() == before[0]
  shutil.rmtree(other / "best")  # nothing to draw of: what is there stays
  gallery.write(read, found, Path())
  assert path.read_bytes() == before[0]


def test_the_page_shows_the_closer_look_and_names_copies(looked, tmp_path):
  study_of, _ = looked
  page = report.build(study_of, tmp_path / "page.html").read_text()
  assert '<ol aria-label="class of each row"><li>0</li><li>1</li><li>2</li><li>3</li></ol>' in page
  there = shown.read(shown.place(study_of, 1))
  assert f"<li>{there['apart'][0]:.2f}</li>" in page
  assert "so there is no sign of copies" in page
  # As of a generator that has learnt twenty images by heart.
  copied = np.concatenate([np.zeros(20), there["apart"][20:] + 1])
  assert "20 of 64 samples are nearer than that" in shown.told({**there, "apart": copied})
  assert "some may be copies" in shown.told({**there, "apart": copied})
  rng = np.random.default_rng(0)
  mixed = [(a[0] < a[1].min()).sum() >= 6 for a in rng.random((20_000, 2, 64))]
  assert np.mean(mixed) == pytest.approx(shown.by_chance(6, 64, 64), abs=0.003)
