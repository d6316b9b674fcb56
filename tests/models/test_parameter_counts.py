"""The published networks have the published numbers of parameters; shapes alone are computed."""

import jax
import pytest

from gan_jax import models

# (model, (H, W), classes of a conditional one or 0, noise, options) -> millions of generator and discriminator, with the
# digits that were published. SNGAN: StudioGAN's logs, whose default has classes, and the unconditional generator of
# mimicry; BigGAN: StudioGAN's; R3GAN: its code's presets, added up.
PUBLISHED = [
  ("resnet", 32, 0, 128, {}, ("4.277", None)),
  ("resnet", 32, 10, 128, {}, ("4.304", "1.055")),
  ("biggan", 32, 10, 80, {}, ("9.42", "2.42")),
  ("r3gan", 32, 0, 64, {}, ("20.73", "20.68")),
  ("r3gan", 32, 10, 64, {}, ("20.78", "21.28")),
  ("r3gan", 64, 0, 64, {}, ("22.43", "22.38")),
  ("r3gan", 256, 0, 64, {}, ("23.06", "23.01")),
  ("r3gan", 64, 1000, 64, {"group_size": 32, "wide_until": 64, "wide": 1536}, ("103.6", "107.2")),
]


def sizes(model, shape, classes, noise, **options):
  players = models.get(model)(shape, max(1, classes), noise, classes > 0, **options)
  fresh = [jax.eval_shape(player.init, jax.random.key(0))[0] for player in players]
  return [sum(leaf.size for leaf in jax.tree.leaves(params)) for params in fresh]


@pytest.mark.parametrize(("model", "side", "classes", "noise", "options", "published"), PUBLISHED)
def test_as_many_parameters_as_published(model, side, classes, noise, options, published):
  options = dict(options)
  wide = options.pop("wide", None)
  if wide:
    options |= {"generator_width": wide, "discriminator_width": wide}
  for count, expected in zip(sizes(model, (side, side, 3), classes, noise, **options), published, strict=True):
    if expected:
      assert f"{count / 1e6:.{len(expected.split('.')[1])}f}" == expected


def conv(size, inputs, outputs):
  return size * size * inputs * outputs + outputs


def test_sndcgan_has_the_layers_of_its_table():
  """Added up from the table of Kurach et al. at 32 x 32 x 3: convolutions with biases, batch norms of two numbers."""
  flat = 4 * 4 * 512
  generator = 128 * flat + flat + 2 * flat + conv(3, 64, 3)
  for inputs, outputs in ((512, 256), (256, 128), (128, 64)):
    generator += conv(4, inputs, outputs) + 2 * outputs
  discriminator = conv(3, 3, 64) + flat + 1
  for inputs, outputs in ((64, 128), (128, 256), (256, 512)):
    discriminator += conv(4, inputs, outputs) + conv(3, outputs, outputs)
  assert sizes("sndcgan", (32, 32, 3), 0, 128) == [generator, discriminator]


WIDTHS = {  # Miyato et al. 2018, tables 4 and 5 and that for 128: channels of each block's output
  32: ([256, 256, 256], [128, 128, 128, 128]),
  48: ([256, 128, 64], [64, 128, 256, 512, 1024]),
  64: ([512, 256, 128, 64], [64, 128, 256, 512, 1024]),
  128: ([1024, 512, 256, 128, 64], [64, 128, 256, 512, 1024, 1024]),
}


@pytest.mark.parametrize("side", WIDTHS)
def test_residual_blocks_have_the_published_channels(side):
  found = []
  for player in models.get("resnet")((side, side, 3), 1, 128, False):
    params, _ = jax.eval_shape(player.init, jax.random.key(0))
    blocks = sorted((name for name in params if "Block" in name), key=lambda name: int(name.split("_")[1]))
    found.append([params[name]["Conv_1"]["kernel"].shape[-1] for name in blocks])
  assert tuple(found) == WIDTHS[side]
