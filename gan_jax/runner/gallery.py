"""A closer look at each panel's best run, for the report: latents in between, and the nearest training images.

It is made when everything is trained, from the run's best generator and the data, and written as
`gallery/panel-N.npz`:

    between   uint8 [4, 8, H, W, C]  samples of latents from one to another along the great circle (latents.py)
    labels    int32 [4]              the class of each of these rows; empty where the generator is not given a class
    samples   uint8 [8, H, W, C]     of independent latents
    nearest   uint8 [8, H, W, C]     the training image nearest to each of them
    apart     float64 [64]           the distance of each of 64 samples to its nearest training image, these 8 first
    usual     float64 [m]            the same of m <= 64 held-out images (`held_out`), or else of training images to others
    searched  int                    training images that were compared

The distance of two images is the root mean square difference of their pixels, 0 (equal) to 1 (black against white). It is
computed of whole numbers without rounding, so the files are a pure function of the study. A sample that copies a training
image has one much nearer than a real image that was not trained on has.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import report, runs
from gan_jax.core.errors import BadInput
from gan_jax.data import Dataset
from gan_jax.data.dataset import at_once, decode_bytes
from gan_jax.data.order import held_out_index, scattered, split_sizes, training_index
from gan_jax.report import gallery, records
from gan_jax.report.records import Run, Study
from gan_jax.runner import evaluation, generator, inputs, latents
from gan_jax.runs import lock
from gan_jax.runs.choice import Chosen

FORMAT = 1
ROWS, COLUMNS = 4, 8  # of latents in between
PAIRS = 8  # samples that are shown beside their nearest training image
COMPARED = 64  # samples, and real images, whose distances are compared
LARGEST = 2**28  # pixels of the training images that are searched
KEY = 1  # of the latents

seen = jax.jit(evaluation.view)


class Real(NamedTuple):
  """Real images to compare samples with."""

  dataset: Dataset
  training: np.ndarray  # int [N], the places of those that are searched
  held_out: bool  # whether images were held out of the training, of which `usual` then is
  usual: np.ndarray  # float64 [m], distances of real images to their nearest training image


def reported(study: Path, found: inputs.Inputs, folder: Path) -> str:
  """Write the report of a trained study, and before it what is missing here, by its writer alone; returns its path."""
  lock.fence(study)
  read = records.read(study)
  write(read, found, folder)
  return str(report.build(read))


def write(study: Study, found: inputs.Inputs, folder: Path) -> None:
  """Write the files that are missing, damaged, or of another run than the panel's best, of images.

  Args:
    study: as it is read from its directory, everything in it trained.
    found: what it was trained on.
    folder: that of the config, where user code is that it names.

  Raises:
    OSError: something could not be read or written.
  """
  if all(dataset.kind != "images" for dataset in found.datasets.values()):
    return
  groups = {group.name: group for group in found.groups}
  known: dict[tuple[Any, ...], Real] = {}  # by data and share that is held out
  for number, panel in enumerate(study.panels, 1):
    run = gallery.winner(panel)
    if run is None or run.group not in groups:
      continue
    group = groups[run.group]
    dataset = found.datasets[inputs.key(group)]
    if dataset.kind != "images" or dataset.image_shape[2] not in (1, 3):
      continue
    try:
      made = generator.load(study.path, Chosen(run.id, run.group, run.member, run.config), "best", folder=folder)
    except BadInput:  # no best generator is kept, or it is damaged
      continue
    path = gallery.place(study.path, number)
    if not _there(study.path, path, run, made.step):
      key = *inputs.key(group), group.spec.hold_out
      known[key] = known.get(key) or real_images(dataset, group.spec.hold_out)
      runs.write_arrays(path, **_arrays(run, made, known[key]))


def _there(study: Path, path: Path, run: Run, step: int) -> bool:
  """Whether a file is this run's, at this step. A damaged one is set aside."""
  try:
    there = gallery.read(path)
  except runs.Damaged:
    runs.set_aside(study, path, "damaged")
    return False
  except BadInput:
    return False
  return (str(there["run"]), int(there["step"]), int(there["format"])) == (run.id, step, FORMAT)


def _arrays(run: Run, made: generator.Generator, real: Real) -> Mapping[str, Any]:
  noise = latents.normal(KEY, COMPARED + 2 * ROWS, made.latent_size)
  rows = np.arange(ROWS) % max(made.classes, 1)
  own, ends = noise[:COMPARED], noise[COMPARED:]
  between = latents.between(ends[::2], ends[1::2], COLUMNS).reshape(-1, made.latent_size)
  classes = np.concatenate([np.arange(COMPARED) % max(made.classes, 1), rows.repeat(COLUMNS)]).astype(np.int32)
  drawn = np.asarray(seen(generator.samples(made, np.concatenate([own, between]), classes)))
  samples, between = drawn[:COMPARED], drawn[COMPARED:]
  apart, which = nearest(samples, None, real.dataset, real.training)
  return {
    "format": np.asarray(FORMAT),
    "run": np.asarray(run.id),
    "step": np.asarray(made.step),
    "between": between.reshape(ROWS, COLUMNS, *between.shape[1:]),
    "labels": rows.astype(np.int32) if made.classes else np.zeros(0, np.int32),
    "samples": samples[:PAIRS],
    "nearest": images(real.dataset, which[:PAIRS]),
    "apart": apart,
    "usual": real.usual,
    "searched": np.asarray(len(real.training)),
    "held_out": np.asarray(real.held_out),
  }


def real_images(dataset: Dataset, hold_out: int) -> Real:
  """The training images that are searched, a random sample where they are many, and what distances are usual."""
  size = len(dataset.data.images)
  trained, held = split_sizes(size, hold_out)
  most = min(trained, max(LARGEST // int(np.prod(dataset.image_shape)), 1))
  count = jnp.arange(most)
  training = np.asarray(training_index(count, hold_out, size) if held else scattered(count, size))
  asked = np.asarray(held_out_index(jnp.arange(min(held, COMPARED)), hold_out, size)) if held else training[:COMPARED]
  usual, _ = nearest(images(dataset, asked), asked, dataset, training)
  return Real(dataset, training, bool(held), usual)


def images(dataset: Dataset, which: np.ndarray) -> np.ndarray:
  """uint8 [n, H, W, C]: these images of the dataset, as they are shown."""
  stored = dataset.data.images
  some = stored[which] if isinstance(stored, np.ndarray) else np.asarray(stored)[which]
  # What decodes bytes is undone by `seen`. So nothing needs to be computed, and no program to be compiled.
  return some if dataset.decode is decode_bytes else np.asarray(seen(dataset.decode(some)))


def nearest(
  ours: np.ndarray, own: np.ndarray | None, dataset: Dataset, training: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """(distance [n], which one [n]) of the training image nearest to each of ours, uint8 [n, H, W, C]; of equals the first.

  Args:
    own: the places of ours in the dataset, each of which is not compared with itself; None: they are no part of it.
    training: the places in the dataset of those that are searched.
  """
  flat = ours.reshape(len(ours), -1).astype(np.float64)  # exact: sums of squares of bytes are far below 2^53
  best, which = np.full(len(ours), np.inf), np.zeros(len(ours), np.int64)
  size = min(at_once(dataset.data.images), len(training))
  for start in range(0, len(training), size):
    part = training[start : start + size]
    there = images(dataset, part).reshape(len(part), -1).astype(np.float64)
    squares = (flat**2).sum(1)[:, None] + (there**2).sum(1) - 2 * flat @ there.T
    if own is not None:
      squares[own[:, None] == part] = np.inf
    at = squares.argmin(1)
    found = squares[np.arange(len(ours)), at]
    nearer = found < best
    best, which = np.where(nearer, found, best), np.where(nearer, part[at], which)
  return np.sqrt(best / flat.shape[1]) / 255, which
