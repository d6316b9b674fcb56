"""`launch.sh sample DIR [--FIELD=value ...] --out PATH`: samples of a trained generator, or itself as one file.

One run of the study in DIR is chosen by fields of its config (`--loss hinge --seed 0`) or by its id (`--run ID`). PATH
ends in .png (a grid of images, or a scatter of points), .npz (arrays `examples`, `latents` and `labels`, images in [-1,
1]), .csv (points) or .jaxexport (the generator, which runs without gan_jax: see gan_jax/runner/portable.py). Without an
ending it is a folder of one PNG an image, of a conditional generator in a folder for each class. The generator is the
moving average of the weights, as it is evaluated, where it measured best.

    --step best|last|N    where it measured best by the metric that the report ranks by, or a checkpoint (default: best,
                          or last where nothing was measured)
    --raw                 the weights themselves, not averaged (default step: last)
    --count 64            how many
    --classes 3,5         labels, in turn; of a conditional generator (default: all in turn)
    --interpolate         rows of eight, from one latent to another along the great circle (latents.py)
    --truncation 0.7      latents from a truncated normal
    --key 0               other latents with another whole number
    --format=jax          as the ending .jaxexport
    --folder .            where user code is that the config names; that code is run

The same command draws the same samples on the same machine. An existing file is replaced if this command wrote it. On a
machine whose GPU is in use, `JAX_PLATFORMS=cpu ./launch.sh sample ...` draws them on the CPU.
"""

import argparse
import re
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax import runs
from gan_jax.core.errors import BadInput, plural, shown
from gan_jax.runs import choice

from . import command, drawings
from .sweep import Parser, place

COLUMNS = 8  # of an interpolation
MOST = 10**6  # samples
EXPORT = ".jaxexport"


def number(text: str) -> int:
  """A whole number from 0 to 2^32 - 1."""
  if not re.fullmatch(r"\d{1,10}", text) or int(text) >= 2**32:
    raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 4294967295, got {shown(text)}")
  return int(text)


def amount(text: str) -> int:
  """How many samples."""
  if not 1 <= number(text) <= MOST:
    raise argparse.ArgumentTypeError(f"expected a whole number from 1 to {MOST:,}, got {shown(text)}")
  return int(text)


def step_of(text: str) -> str | int:
  if text not in ("best", "last") and not re.fullmatch(r"\d{1,10}", text):
    raise argparse.ArgumentTypeError(f"expected best, last or the step of a checkpoint, got {shown(text)}")
  return text if text in ("best", "last") else int(text)


def classes_of(text: str) -> list[int]:
  return [number(part) for part in text.split(",")]


def arguments_of(arguments: list[str]) -> tuple[argparse.Namespace, dict[str, str]]:
  """(the command's own arguments, the fields that choose the run)."""
  parser = Parser("sample")
  parser.add_argument("directory", type=place, help="a study's directory, such as runs/compare_losses")
  parser.add_argument("--run", help="the run's id, or its first characters; or choose it by --FIELD=value")
  parser.add_argument("--step", type=step_of, help="best, last or a checkpoint's (default: best, with --raw last)")
  parser.add_argument("--raw", action="store_true", help="the weights themselves, not their moving average")
  parser.add_argument("--count", type=amount, default=64, help="how many (default: 64)")
  parser.add_argument("--classes", type=classes_of, help="labels, in turn, such as 3,5")
  parser.add_argument("--interpolate", action="store_true", help="rows from one latent to another")
  parser.add_argument("--truncation", type=float, help="latents from a normal truncated to [-t, t]")
  parser.add_argument("--key", type=number, default=0, help="other latents with another whole number (default: 0)")
  parser.add_argument("--format", choices=["jax"], help="the generator itself, as the ending .jaxexport")
  parser.add_argument("--folder", type=place, help="where user code is that the config names; that code is run")
  parser.add_argument(
    "--out", type=place, required=True, help="PATH.png, .npz, .csv (points) or .jaxexport; else a folder"
  )
  known, rest = parser.parse_known_args(arguments)
  fields: dict[str, str] = {}
  while rest:
    name, equals, value = rest.pop(0).partition("=")
    if not re.fullmatch(r"--[A-Za-z_][\w.]*", name) or not (equals or rest):
      parser.error(f"expected --FIELD=value to choose a run, got {shown(name)}")
    fields[name.removeprefix("--")] = value if equals else rest.pop(0)
  return known, fields


def check_place(path: Path, ending: str) -> None:
  """Raises `BadInput` where something is in the way: a study's own files, other files, a folder that is not empty."""
  target = path.resolve()
  for folder in (target, *target.parents):
    inside = target.relative_to(folder).parts
    if runs.is_study(folder) and (not inside or inside[0] in runs.OWN):
      raise BadInput(f"--out expected a place for new files, got {path}, which is of the study {folder} itself")
    if folder != target and folder.exists() and not folder.is_dir():
      raise BadInput(f"--out {path} expected a folder {folder}, got a file")
  if not target.exists():
    return
  if ending == "":
    if not target.is_dir() or any(target.iterdir()):
      raise BadInput(f"--out expected a new or empty folder, got {path}, which is {_what(target)}")
  elif not target.is_file() or not written_here(target, ending):
    raise BadInput(f"--out expected a new file, or one that this command wrote, got {path}, which is {_what(target)}")


def _what(path: Path) -> str:
  return "a folder with files in it" if path.is_dir() else "another file" if path.is_file() else "no regular file"


def written_here(path: Path, ending: str) -> bool:
  """Whether a file is of this command, by what it says of itself."""
  try:
    if ending == ".npz":
      return "about" in runs.read_arrays(path)
    mark = {".png": rb"tEXtgan_jax\0", ".csv": rb"\Ax,y(,label)?\n", EXPORT: rb"gan_jax_generator"}[ending]
    return re.search(mark, path.read_bytes()) is not None
  except (BadInput, KeyError):
    return False


def main(arguments: list[str]) -> None:
  known, fields = arguments_of(arguments)
  ending = EXPORT if known.format == "jax" else known.out.suffix.lower()
  chosen = choice.choose(known.directory, known.run, fields)
  check_place(known.out, ending)
  with command.with_jax(brief=True):
    from gan_jax.runner import devices, generator, portable

    devices.cache_programs()
    step = generator.preferred(known.directory, chosen, not known.raw) if known.step is None else known.step
    with command.phase("reading the generator", brief=True):
      found = generator.load(known.directory, chosen, step, not known.raw, known.folder)
    said = f"run {found.run} ({chosen.config['loss']}, seed {chosen.config['seed']}) after {plural(found.step, 'step')}"
    said += ", where it measured best" * (step == "best") + ": it is untrained" * (found.step == 0)
    if step == "last" and known.step is None and not known.raw:
      said += (
        ", at the last checkpoint, since none measured best: no metric that the report ranks by had a finite value"
      )
    if ending == EXPORT:
      with command.phase("exporting", brief=True):
        made = portable.exported(found, known.count)
      runs.write_atomic(known.out, made.content)
      sizes = "any number of samples" if made.batch is None else plural(made.batch, "sample")
      print(f"{known.out}: the generator of {said}; {sizes} at a time, on {', '.join(made.platforms)}")
      return
    with command.phase("drawing", brief=True):
      drawings.write(known.out, drawn(found, known))
  print(f"{known.out}: {plural(known.count, 'sample')} of {said}")


def drawn(found: Any, known: argparse.Namespace) -> drawings.Drawn:
  """Samples of a `runner.generator.Generator`, as the command's arguments ask for. Raises `BadInput`."""
  from gan_jax.runner import generator, latents

  chosen = chosen_classes(found, known.classes)
  across = COLUMNS if known.interpolate else latents.across(known.count, len(chosen))
  drawings.check(known.out, found.image_shape, known.count, across)
  if known.interpolate:
    if known.count % COLUMNS:
      raise BadInput(f"--interpolate expected a --count that is a multiple of {COLUMNS}, got {known.count}")
    ends = latents.normal(known.key, 2 * known.count // COLUMNS, found.latent_size, known.truncation)
    noise = latents.between(ends[::2], ends[1::2], COLUMNS).reshape(known.count, -1)
    turns = np.arange(known.count) // COLUMNS  # one class a row
  else:
    noise, turns = latents.normal(known.key, known.count, found.latent_size, known.truncation), np.arange(known.count)
  labels = np.asarray(chosen or [0], np.int32)[turns % max(len(chosen), 1)]
  about = {"run": found.run, "step": found.step, "average": not known.raw, "key": known.key, "count": known.count}
  about |= {"classes": chosen, "interpolate": known.interpolate, "truncation": known.truncation}
  examples = generator.samples(found, noise, labels)
  return drawings.Drawn(examples, noise, labels, found.classes, across, about)


def chosen_classes(found: Any, asked: list[int] | None) -> list[int]:
  """The labels to draw in turn; none of a generator that is not given a class."""
  if asked is None:
    return list(range(found.classes))
  if not found.classes:
    raise BadInput(f"--classes expected a conditional generator, got run {found.run}, which is not given a class")
  if max(asked) >= found.classes:
    raise BadInput(f"--classes expected labels from 0 to {found.classes - 1}, got {max(asked)}")
  return asked


if __name__ == "__main__":
  command.run(main)
