"""`launch.sh frozen_generator [--full] [--config.field=value ...] [--out DIR]`: a new discriminator, a frozen generator.

As published (Arjovsky and Bottou 2017, "Towards principled methods for training GANs", arXiv:1701.04862, figures 1 to
3, DCGAN after 1, 10 and 25 epochs, one run each): the generator frozen and the discriminator trained from scratch, its
loss falls to 0 on a log scale and its accuracy goes to 1, "in sometimes less than 50 iterations"; the norm of the
saturating gradient falls, "in the best case 5 orders of magnitude after 4000 discriminator iterations"; that of the
-log D gradient grows, and its variance with it. Theorem 2.6: if the discriminator's error and its slope's are
independent white noise, each coordinate of the -log D gradient is Cauchy distributed. So we expect: accuracy to 1 and
loss to 0; minimax down by decades; non-saturating up, in size and in noise; and a distribution nearer to a Cauchy than
to a Gaussian.

Here the players are fully connected, on digits, on MNIST (the 10,000 images of its test set, where its files are) and
on the ring of eight Gaussians; on pictures (`--config.pictures`) they are DCGANs. Every fifth example is held out from
both discriminators. There are two ordinary
studies. The first trains the generators, each stage as runs of that length. The second trains discriminators from
scratch, with a head start longer than the run and the generators of the first. Its first steps are run twice, the
second time with a row every second step.

Writes `frozen_generator.png`, `table.md`, and the two studies in `generators` and `discriminators` below. The same
command again goes on where it was stopped. 10 minutes of processor time.
"""

import functools
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_jax.core.errors import BadInput

from ... import command
from ...sweep import CONFIGS, Parser, dry, measure_once, place
from .figure import DISCRIMINATORS, FINER
from .gradients import LOSSES, sample

CONFIG = CONFIGS / "theory" / "frozen_generator.py"
FULL = {"seeds": 10, "retraining": 4000}
GENERATORS = "generators"  # the directory of the first study
EARLY, EARLY_EVERY, EVERY = 100, 2, 50  # a row every second step at first, then every 50th
HOLD_OUT = 5
NEVER = 2**31 - 1  # a head start longer than any run
OTHER_SEED = 1_000_000  # what is added to a generator's seed for the discriminator that is trained against it


def main(arguments: list[str]) -> None:
  parser = Parser("frozen_generator")
  parser.add_argument("--full", action="store_true", help="10 seeds, 4,000 steps as published")
  parser.add_argument("--out", type=place, help="where the two studies go (default: runs/frozen_generator[_full])")
  dry(parser)
  known, rest = parser.parse_known_args(arguments)

  from gan_jax import runs
  from gan_jax.settings import sweeps

  from . import findings

  full = [f"--config.{name}={value}" for name, value in FULL.items()] if known.full else []
  config = checked(sweeps.read(str(CONFIG), [*full, *rest]))
  out = known.out or Path("runs/frozen_generator_full" if known.full else "runs/frozen_generator")
  if runs.is_study(out):
    raise BadInput(
      f"{out} holds a study, of another command or an earlier version: choose another directory with --out"
    )
  train(config, out, known.dry_run)
  measure(config, out)
  with command.phase("drawing", brief=True):
    text = findings.write(out)
  print(text)


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
  """The config, without MNIST if its files are missing, which is printed.

  Raises:
    BadInput: stages that do not increase, a retraining that does not divide into rows, no dataset, an unknown loss.
  """
  from gan_jax.data import mnist
  from gan_jax.probes import lens

  stages, steps = config["stages"], config["retraining"]
  if not stages or stages[0] < 1 or any(a >= b for a, b in itertools.pairwise(stages)):
    raise BadInput(f"stages expected rising numbers of steps from 1 on, got {stages}")
  if steps <= EARLY or (steps - EARLY) % EVERY:
    raise BadInput(f"retraining expected {EARLY} steps and a positive multiple of {EVERY}, got {steps}")
  for name in ("seeds", "width", "batch_size", "batches"):
    if config[name] < 1:
      raise BadInput(f"{name} expected at least 1, got {config[name]}")
  missing = set(LOSSES) - set(lens.names(config["lens"]))
  if missing:
    raise BadInput(f"lens expected 'all', or losses among which are {' and '.join(LOSSES)}, got {config['lens']!r}")
  datasets = list(config["datasets"])
  if "mnist" in datasets and not mnist.is_there(config["mnist_dir"]):
    expected = "train-images-idx3-ubyte, or one of its test set"
    print(f"without MNIST: expected {expected}, in --config.mnist_dir={config['mnist_dir']}, found none")
    datasets.remove("mnist")
  if config["pictures"] and "images" not in datasets:
    datasets.append("images")
  if "images" in datasets and not config["pictures"]:
    raise BadInput("dataset 'images' expected --config.pictures, a folder or zip of pictures, got none")
  if not datasets:
    raise BadInput("datasets expected at least one that is there, got none")
  return {**config, "datasets": datasets}


def base(config: Mapping[str, Any], dataset: str) -> dict[str, Any]:
  """The fields that all runs on a dataset share."""
  places = {"mnist": {"data_dir": config["mnist_dir"]}, "images": {"path": config["pictures"]}}
  return {
    "dataset": dataset,
    "dataset_options": places.get(dataset, {}),
    "model": "dcgan" if dataset == "images" else "mlp",
    "hold_out": HOLD_OUT,
    "latent_size": 2 if dataset in ("ring", "grid") else 32,
    "model_options": {"generator_width": config["width"], "discriminator_width": config["width"]},
    "batch_size": config["batch_size"],
    "generator_rate": config["rate"],
    "discriminator_rate": config["rate"],
    "loss": "non_saturating",
    "ema_decay": 0.0,
    "evaluation_samples": 1000,
  }


def generator_runs(config: Mapping[str, Any]) -> list[dict[str, Any]]:
  """The runs of the first study: by dataset, stage (their length) and seed."""
  from gan_jax import settings

  return [
    settings.resolve(
      base(config, dataset),
      {"panel": dataset, "seed": seed, "steps": stage, "evaluate_every": stage, "checkpoint_every": stage},
    )
    for dataset in config["datasets"]
    for stage in config["stages"]
    for seed in range(config["seeds"])
  ]


def discriminator_runs(config: Mapping[str, Any]) -> dict[tuple[str, int, int, bool], dict[str, Any]]:
  """The runs of the second study, by (dataset, stage of the generator, its seed, whether it is the finer one)."""
  from gan_jax import settings

  fixed = {"lens": config["lens"], "head_start": NEVER}
  long = {"steps": config["retraining"], "probe_every": EVERY}
  fine = {"steps": EARLY, "probe_every": EARLY_EVERY}

  def run(dataset: str, stage: int, seed: int, finer: bool) -> dict[str, Any]:
    length = fine if finer else long
    ends = {"evaluate_every": length["steps"], "checkpoint_every": length["steps"]}
    panel = f"{dataset}, generator of {stage} steps{FINER if finer else ''}"
    named = {"panel": panel, "seed": OTHER_SEED + seed}
    return settings.resolve(base(config, dataset), fixed, length, ends, named)

  seeds = range(config["seeds"])
  keys = itertools.product(config["datasets"], config["stages"], seeds, (False, True))
  return {key: run(*key) for key in keys}


def train(config: Mapping[str, Any], out: Path, dry_run: bool = False) -> None:
  """Train both studies, or resume them; `dry_run`: print the plan of the first, and end."""
  from gan_jax.runner import ending, standing, study

  asked = study.Asked(generator_runs(config), str(CONFIG), "Generators that are going to be frozen.")
  standing.confirm(study.conduct(asked, out / GENERATORS, stop=command.stop(), dry=dry_run))
  asked = study.Asked(
    list(discriminator_runs(config).values()),
    str(CONFIG),
    "Discriminators that are trained from scratch, each against a generator that stands still.",
    functools.partial(begin, config, out),
  )
  directory = study.conduct(asked, out / DISCRIMINATORS, stop=command.stop())
  ending.wait()
  standing.confirm(directory)


def begin(config: Mapping[str, Any], out: Path, group: Any) -> dict[str, Any]:
  """The initial state of a group of the second study: each member has the generator of its stage and seed, not averaged."""
  import jax
  import numpy as np

  from gan_jax import game, runs, settings
  from gan_jax.runner import restore

  of = {settings.identity(game.complete(run)): key[:3] for key, run in discriminator_runs(config).items()}
  wanted = [of[member] for member in group.ids]
  trained = {}
  for entry in runs.read_manifest(out / GENERATORS)["groups"]:
    if entry["members"][0]["config"]["dataset"] == group.spec.dataset:
      found = restore.group(out / GENERATORS, entry["name"])
      for i, run in enumerate(found.group.configs):
        trained[run["dataset"], run["steps"], run["seed"]] = restore.member(found, i)[1].gen_params
  frozen = jax.tree.map(lambda *x: np.stack(x), *(trained[key] for key in wanted))
  return {"gen_params": frozen, "gen_ema": frozen}


def measure(config: Mapping[str, Any], out: Path) -> None:
  """Measure the gradients at the first and last state of every long run, for gradients/<dataset>.npz of the second study."""
  from gan_jax import runs
  from gan_jax.runner import restore

  study = out / DISCRIMINATORS
  for entry in runs.read_manifest(study)["groups"]:
    run = entry["members"][0]["config"]
    if run["steps"] == config["retraining"]:

      def arrays(name: str = entry["name"]) -> dict[str, Any]:
        found = restore.group(study, name)
        return sample(found, begin(config, out, found.group), config["batches"])

      measure_once(study, f"gradients/{run['dataset']}.npz", arrays)


if __name__ == "__main__":
  command.run(main)
