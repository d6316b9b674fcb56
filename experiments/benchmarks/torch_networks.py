"""The networks of `torch_peer`: as ours, with as many parameters; images are [B, C, H, W]. Imports PyTorch."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def players(fields: Mapping[str, Any], image: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
  """(generator, discriminator) of a config's model; `image` is [H, W, C], () for points."""
  sizes = {"generator_width": 128, "discriminator_width": 128, "depth": 2, **(fields.get("model_options") or {})}
  latent, wide, narrow = fields.get("latent_size", 32), sizes["generator_width"], sizes["discriminator_width"]
  model = fields.get("model", "mlp")
  if model == "mlp":
    size = math.prod(image) or 2 if image else 2
    made = mlp(latent, wide, sizes["depth"], size, nn.ReLU()), mlp(size, narrow, sizes["depth"], 1, nn.LeakyReLU(0.2))
    return (nn.Sequential(made[0], AsImages(image)), nn.Sequential(nn.Flatten(), made[1])) if image else made
  builders = {"dcgan": dcgan, "sndcgan": sndcgan, "resnet": resnet}
  return builders[model](image, latent, wide, narrow)


class AsImages(nn.Module):
  """[B, H W C] -> tanh images [B, C, H, W]."""

  def __init__(self, image: tuple[int, ...]):
    super().__init__()
    self.shape = (image[2], *image[:2])

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x).view(-1, *self.shape)


def mlp(inputs: int, width: int, depth: int, outputs: int, activation: nn.Module) -> nn.Sequential:
  layers: list[nn.Module] = []
  for _ in range(depth):
    layers += [nn.Linear(inputs, width), activation]
    inputs = width
  return nn.Sequential(*layers, nn.Linear(width, outputs))


def halved(image: tuple[int, ...]) -> int:
  """How often an image is halved, to a side of 4 to 7, and always twice."""
  return max(2, int(math.log2(image[0] / 4)))


def dcgan(image: tuple[int, ...], latent: int, wide: int, narrow: int) -> tuple[nn.Module, nn.Module]:
  """Layer normalisation in the generator, which is a group normalisation of one group; none in the discriminator."""
  depth, (height, width, colours) = halved(image), image
  small = (wide, height >> depth, width >> depth)
  up: list[nn.Module] = [nn.Linear(latent, math.prod(small)), nn.Unflatten(1, small), nn.GroupNorm(1, wide), nn.ReLU()]
  channels = [wide >> stage for stage in range(depth)]
  for before, after in itertools.pairwise(channels):
    up += [nn.ConvTranspose2d(before, after, 4, 2, 1), nn.GroupNorm(1, after), nn.ReLU()]
  up += [nn.ConvTranspose2d(channels[-1], colours, 4, 2, 1), nn.Tanh()]
  down: list[nn.Module] = []
  for stage in reversed(range(depth)):
    before = colours if stage == depth - 1 else narrow >> (stage + 1)
    down += [nn.Conv2d(before, narrow >> stage, 4, 2, 1), nn.LeakyReLU(0.2)]
  features = narrow * (height >> depth) * (width >> depth)
  return nn.Sequential(*up), nn.Sequential(*down, nn.Flatten(), nn.Linear(features, 1))


def sndcgan(image: tuple[int, ...], latent: int, wide: int, narrow: int) -> tuple[nn.Module, nn.Module]:
  """Batch normalisation in the generator (of the units of its first layer too), spectral in the discriminator."""
  depth, (height, width, colours) = min(3, halved(image)), image
  small = (wide, height >> depth, width >> depth)
  units = math.prod(small)
  up: list[nn.Module] = [nn.Linear(latent, units), nn.BatchNorm1d(units), nn.ReLU(), nn.Unflatten(1, small)]
  for stage in range(depth):
    after = wide >> (stage + 1)
    up += [nn.ConvTranspose2d(wide >> stage, after, 4, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
  up += [nn.Conv2d(wide >> depth, colours, 3, 1, 1), nn.Tanh()]
  before = narrow >> depth
  down: list[nn.Module] = [spectral_norm(nn.Conv2d(colours, before, 3, 1, 1)), nn.LeakyReLU(0.1)]
  for stage in reversed(range(depth)):
    after = narrow >> stage
    down += [spectral_norm(nn.Conv2d(before, after, 4, 2, 1)), nn.LeakyReLU(0.1)]
    down += [spectral_norm(nn.Conv2d(after, after, 3, 1, 1)), nn.LeakyReLU(0.1)]
    before = after
  features = narrow * (height >> depth) * (width >> depth)
  return nn.Sequential(*up), nn.Sequential(*down, nn.Flatten(), spectral_norm(nn.Linear(features, 1)))


class Up(nn.Module):
  """Norm, ReLU, doubled, conv 3, norm, ReLU, conv 3, plus the doubled input through 1 x 1."""

  def __init__(self, width: int):
    super().__init__()
    doubled = nn.Upsample(scale_factor=2, mode="nearest")
    first = [nn.BatchNorm2d(width), nn.ReLU(), doubled, nn.Conv2d(width, width, 3, 1, 1)]
    self.inside = nn.Sequential(*first, nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1))
    self.beside = nn.Sequential(nn.Conv2d(width, width, 1), doubled)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    return self.inside(x) + self.beside(x)


class Down(nn.Module):
  """ReLU (not of the image), conv 3, ReLU, conv 3, the mean of 2 x 2 pixels where it pools, plus the input likewise."""

  def __init__(self, inputs: int, width: int, pool: bool, first: bool):
    super().__init__()
    conv = lambda a, b: spectral_norm(nn.Conv2d(a, b, 3, 1, 1))  # noqa: E731
    pooled = [nn.AvgPool2d(2)] if pool else []
    start: list[nn.Module] = [] if first else [nn.ReLU()]
    self.inside = nn.Sequential(*start, conv(inputs, width), nn.ReLU(), conv(width, width), *pooled)
    shortcut = [spectral_norm(nn.Conv2d(inputs, width, 1))] if pool or inputs != width else []
    self.beside = nn.Sequential(*pooled, *shortcut)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    return self.inside(x) + self.beside(x)


class Summed(nn.Module):
  """ReLU, then the sum of all pixels: [B, C, H, W] -> [B, C]."""

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    return x.relu().sum((2, 3))


def resnet(image: tuple[int, ...], latent: int, wide: int, narrow: int) -> tuple[nn.Module, nn.Module]:
  """SNGAN's for small images: three doublings; two poolings and two plain blocks."""
  depth, (height, width, colours) = halved(image), image
  small = (wide, height >> depth, width >> depth)
  up = [nn.Linear(latent, math.prod(small)), nn.Unflatten(1, small), *(Up(wide) for _ in range(depth))]
  last = [nn.BatchNorm2d(wide), nn.ReLU(), nn.Conv2d(wide, colours, 3, 1, 1), nn.Tanh()]
  down = [Down(colours if stage == 0 else narrow, narrow, stage < 2, stage == 0) for stage in range(4)]
  return nn.Sequential(*up, *last), nn.Sequential(*down, Summed(), spectral_norm(nn.Linear(narrow, 1)))
