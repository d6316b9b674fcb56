"""The picture of the DCGAN's digits: what stands where in it."""

import io

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np

from experiments import mnist_dcgan as study
from experiments.sweep import CONFIGS
from gan_jax import data, game, population, report, runs, settings, sweeps
from gan_jax.metrics import Quality
from gan_jax.types import Player


def test_a_tile_has_the_samples_row_by_row():
  images = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None, None], (64, 5, 4, 1))
  tile = study.tile(images)
  assert tile.shape == (6 * 6 - 1, 10 * 5 - 1)
  for i in range(60):
    top, left = 6 * (i // 10), 5 * (i % 10)
    assert (tile[top : top + 5, left : left + 4] == i).all()
  assert (tile[5::6] == 128).all()
  assert (tile[:, 4::5] == 128).all()


def test_a_column_is_a_class_where_the_class_is_given():
  """The grid of a conditional run goes through the classes in turn, ten to a row of the picture."""
  small = {"conditional": True, "latent_size": 4, "generator_width": 8, "discriminator_width": 8, "batch_size": 16}
  (group,) = population.group([settings.resolve(small)])
  dataset = data.load("digits")

  def paint(params, noise, labels):  # an image as bright as its class
    return jnp.broadcast_to((labels / 4.5 - 1)[:, None, None, None] + params, (len(labels), 8, 8, 1))

  played = game.build(group.spec, dataset)._replace(generator=Player(lambda key: jnp.zeros(()), paint))
  program = population.compile_group(
    group, played, dataset, Quality(lambda d, n: d(jnp.arange(2)).mean(), dict, {}, {})
  )
  shapes = jax.eval_shape(program.init, program.hypers)
  grid = np.asarray(program.draw_grid(jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)))[0]
  tile = study.tile(grid)
  for column in range(10):
    assert set(tile[:, 9 * column : 9 * column + 8][::9].ravel()) == {round(column / 9 * 255)}


def test_the_config_has_both_losses_with_and_without_the_class():
  _, configs = sweeps.load(str(CONFIGS / "mnist_dcgan.py"))
  asked = {(c["loss"], c["conditional"]) for c in configs}
  assert asked == {(loss, given) for loss in ("minimax", "non_saturating") for given in (False, True)}
  assert [len(group.configs) for group in population.group(configs)] == [2, 2]


def test_the_command_trains_and_draws(tmp_path, capsys):
  """On the 8x8 digits, which need no files: a picture of the real digits and of each run, and both distances of each."""
  small = "dataset=digits model=mlp penalty=none steps=2 probe_every=1 evaluation_samples=100 batch_size=8"
  study.main(
    [*(f"--config.{field}" for field in small.split()), "--config.conditional=True", "--out", str(tmp_path / "s")]
  )
  picture = matplotlib.image.imread(io.BytesIO((tmp_path / "s" / "mnist_dcgan.png").read_bytes()), format="png")
  assert picture.shape[1] > 800
  read = report.records.read(tmp_path / "s")
  assert len(read.runs) == 4
  said = capsys.readouterr().out
  assert said.count("not averaged") == 4
  table = runs.read_table(tmp_path / "s", "quality", "group-0")
  assert {"frechet/distance", "raw/frechet/distance"} <= table.columns.keys()
  assert (
    read.manifest["metrics"]["raw/frechet/distance"] == "frechet/distance of the generator itself, not of its average"
  )
