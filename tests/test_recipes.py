"""The recipes of real images: each is a valid study, with networks of the published size, on data of the right shape."""

import ast

import jax
import numpy as np
import pytest

from gan_jax import data, game
from gan_jax.runner import grouping
from gan_jax.settings import sweeps
from tests.conftest import ROOT

RECIPES = sorted((ROOT / "configs" / "recipes").glob("*.py"))
SIDES = {"r3gan_ffhq64": 64, "stacked_mnist": 28}  # others: 32
MILLIONS = {  # parameters of (generator, discriminator), as published or counted in published code, by conditional
  ("biggan_cifar10", True): (9.42, 2.42),
  ("r3gan_cifar10", True): (20.78, 21.28),
  ("r3gan_ffhq64", False): (22.43, 22.38),
  ("sngan_cifar10", False): (4.277, 1.054),
  ("sngan_cifar10", True): (4.304, 1.055),
}


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_recipes(path):
  _, swept = sweeps.load(str(path))
  text = ast.get_docstring(ast.parse(path.read_text())) or ""
  assert f"configs/recipes/{path.name}" in text
  assert "Published: " in text
  side = SIDES.get(path.stem, 32)
  images = np.zeros((1024, side, side, 3), np.uint8)
  for group in grouping.group(swept):
    name = group.spec.dataset
    assert data.DATASETS.get(name).complete(dict(group.spec.dataset_options))
    dataset = data.from_arrays(images, np.arange(1024) % 10)
    players = game.players(group.spec, dataset)
    sizes = [
      sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(player.init, jax.random.key(0))[0]))
      for player in players
    ]
    published = MILLIONS.get((path.stem, group.spec.conditional))
    if published:
      digits = 3 if path.stem == "sngan_cifar10" else 2  # as published
      assert tuple(round(size / 1e6, digits) for size in sizes) == published


def test_every_published_size_is_of_a_recipe():
  assert {name for name, _ in MILLIONS} <= {path.stem for path in RECIPES}
