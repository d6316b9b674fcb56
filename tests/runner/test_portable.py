"""A generator as a file: on which kinds of device it runs, and with which convolutions on each."""

import jax
import numpy as np
import pytest
from jax import export

from gan_jax import settings
from gan_jax.game import complete, rules
from gan_jax.runner import generator, latents, portable
from gan_jax.runner.grouping import spec_of

WIDTHS = {
  "dcgan": {"generator_width": 32, "discriminator_width": 8},
  "sndcgan": {"generator_width": 16, "discriminator_width": 16},
  "resnet": {"generator_width": 8, "discriminator_width": 8},
}


def made(model):
  """An untrained generator of images 8 x 8, with weights large enough for samples of ones."""
  config = complete(settings.resolve({"model": model, "latent_size": 4, "model_options": WIDTHS[model]}, {}))
  player = rules.generator(spec_of(config, ("minimax",)), (8, 8, 1), 10)
  weights, statistics = jax.jit(player.init)(jax.random.key(0))
  parameters = (jax.tree.map(lambda x: 20 * x, weights), statistics)
  return generator.Generator(generator.build(player, 4, 0), parameters, 4, (8, 8, 1), 0, "", 0)


def convolutions(generator):
  return generator.mlir_module().count("stablehlo.convolution")


@pytest.mark.parametrize("model", WIDTHS)
def test_a_generator_with_convolutions_runs_on_every_kind_of_device(model, monkeypatch):
  """jax lowers for devices that are not here; what is compiled for a CPU's convolutions is for no other kind."""
  pytest.importorskip("flatbuffers", reason="jax.export writes with it: pip install flatbuffers")
  own = made(model)
  file = portable.exported(own, 3)
  assert (file.platforms, file.batch) == (("cpu", "cuda", "tpu"), None)
  there = export.deserialize(bytearray(file.content))
  noise, labels = latents.normal(1, 5, 4), np.zeros(5, np.int32)
  images = generator.samples(own, noise, labels)
  assert np.abs(images).max() > 0.1
  np.testing.assert_allclose(there.call(noise, labels), images, atol=1e-5)

  found = {}
  for name in file.platforms:
    monkeypatch.setattr(portable, "PLATFORMS", (name,))
    alone = portable.exported(own, 3)
    assert (alone.platforms, alone.batch) == ((name,), None)
    found[name] = convolutions(export.deserialize(bytearray(alone.content)))
  assert found["cpu"] > 0
  assert (found["cuda"], found["tpu"]) == (0, 0)
  assert convolutions(there) == found["cpu"]
