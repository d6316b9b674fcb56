"""`launch.sh benchmark_features --out FILE`: the numbers of torch-fidelity that our metrics are tested against.

Needs `pip install torch` (a build for the CPU is enough) and `pip install --no-deps torch-fidelity==0.4.0 tqdm`; its
import of torchvision is met by an empty module where there is none. Everything is made from seeds by NumPy, so that a
test makes the same inputs again and no weights and no images are stored: only a few hundred numbers are.
"""

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

from .. import command
from ..sweep import Parser, place

SAMPLES, REAL, FEATURES = 300, 280, 64  # of the random features; KID's subsets, and their size
SUBSETS, SUBSET_SIZE = 10, 100


def random_features() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """(samples [300, 64], real examples [280, 64], logits of the samples [300, 20]), float32."""
  rng = np.random.default_rng(0)
  real = np.abs(rng.standard_normal((REAL, FEATURES))) * np.linspace(0.2, 1.5, FEATURES)
  samples = np.abs(1.1 * rng.standard_normal((SAMPLES, FEATURES))) * np.linspace(0.2, 1.5, FEATURES)
  samples[:, :20] += 0.2
  samples[:, 20:40] = 0.5 * samples[:, :20] + 0.5 * samples[:, 20:40]  # covariances that do not commute
  logits = 2 * rng.standard_normal((SAMPLES, 20))
  return samples.astype(np.float32), real.astype(np.float32), logits.astype(np.float32)


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
  found: dict[str, Any] = {"statistics": statistics()}
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
