"""The picture of the DCGAN's digits: what stands where in it."""

import io

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np

from experiments.studies.mnist_dcgan import study as study
from experiments.sweep import CONFIGS
from gan_jax import data, game, runs, settings
from gan_jax.metrics import Quality
from gan_jax.models.players import plain
from gan_jax.runner import grouping, population
from gan_jax.runner.manifest import describe
from gan_jax.settings import sweeps


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
  small = {
    "conditional": True,
    "latent_size": 4,
    "model_options": {"generator_width": 8, "discriminator_width": 8},
    "batch_size": 16,
  }
  (group,) = grouping.group([settings.resolve(small)])
  dataset = data.load("digits")

  def paint(params, noise, labels):  # an image as bright as its class
    return jnp.broadcast_to((labels / 4.5 - 1)[:, None, None, None] + params, (len(labels), 8, 8, 1))

  played = game.build(group.spec, dataset)._replace(generator=plain(lambda key: jnp.zeros(()), paint))
  program = population.compile_group(
    group, played, dataset, Quality(lambda d, n, near: d(jnp.arange(2)).mean(), dict, {}, {})
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
  assert [len(group.configs) for group in grouping.group(configs)] == [2, 2]


def test_the_picture_has_the_real_digits_and_every_run(tmp_path):
  """Of a study that is written by hand: five tiles, and the distances of each run's average and of its generator."""
  _, configs = sweeps.load(str(CONFIGS / "mnist_dcgan.py"))
  groups = grouping.group(configs)
  runs.write_manifest(tmp_path, describe("Handwritten digits.", "digits", groups, {}))
  status = {group.name: {"step": 4000, "complete": True, "seconds": 1.0, "diverged": {}} for group in groups}
  runs.write_status(tmp_path, {"groups": status})
  images = np.random.default_rng(0).integers(0, 256, (2, 64, 28, 28, 1), np.uint8)
  for group in groups:
    columns = {"frechet/distance": [[4.5, 5.5]], "raw/frechet/distance": [[6.5, 7.5]]}
    quality = runs.Table(np.array([4000]), {name: np.float32(values) for name, values in columns.items()})
    runs.append(tmp_path, "quality", group.name, 4000, 4001, quality)
    runs.write_samples(tmp_path, group.name, 4000, images)
    runs.write_samples(tmp_path, group.name, None, images[0])
  said = study.write(tmp_path).splitlines()
  assert said[:4] == [
    "minimax: Frechet distance 4.5 (6.5 not averaged)",
    "non_saturating: Frechet distance 5.5 (7.5 not averaged)",
    "minimax, class given: Frechet distance 4.5 (6.5 not averaged)",
    "non_saturating, class given: Frechet distance 5.5 (7.5 not averaged)",
  ]
  picture = matplotlib.image.imread(io.BytesIO((tmp_path / "mnist_dcgan.png").read_bytes()), format="png")
  grey = (picture > 0.1) & (picture < 0.9)
  height, width = grey.shape
  filled = [
    grey[a : a + height // 3, b : b + width // 2].mean() > 0.2
    for a in (0, height // 3, 2 * height // 3)
    for b in (0, width // 2)
  ]
  assert filled == [True] * 5 + [False]
