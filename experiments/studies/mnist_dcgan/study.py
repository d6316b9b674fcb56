"""`launch.sh mnist_dcgan --config.dataset_options.data_dir=DIR [--config.field=value ...] [--out DIR]`: digits by a DCGAN.

DCGAN on MNIST with binary cross-entropy, as in Goodfellow et al. 2014 (arXiv:1406.2661): the saturating generator loss
(`minimax`) and the non-saturating one, then both with the class given to both players. `DIR` holds MNIST's IDX files.
Expected: both losses learn readable digits with ten classes present, and better ones where the class is given.

Writes `mnist_dcgan.png` beside the study's own report: the samples of the averaged generators that the report shows,
and as many real digits. About 7 minutes on 2 quiet cores.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ... import command
from ...sweep import conduct

ROWS, COLUMNS = 6, 10  # of digits in a tile; a class-conditional run's sample i has class i % 10
METRIC = "frechet/distance"


def main(arguments: list[str]) -> None:
  print(write(conduct("mnist_dcgan", arguments)))


def write(directory: Path) -> str:
  """Draw the picture of a study that has been run; returns where it is, and each run's distances."""
  from gan_jax.report import records
  from gan_jax.runs.directory import write_atomic

  runs = records.read(directory).runs
  write_atomic(directory / "mnist_dcgan.png", figure(directory, runs))
  return "\n".join([*map(title, runs), f"figure: {directory / 'mnist_dcgan.png'}"])


def title(run: Any) -> str:
  """The loss, whether the class was given, and the Frechet distances of the average and of the generator itself."""
  from gan_jax.report.records import final
  from gan_jax.report.wording import number

  given = ", class given" if run.config["conditional"] else ""
  return (
    f"{run.config['loss']}{given}: Frechet distance {number(final(run, METRIC))} "
    f"({number(final(run, 'raw/' + METRIC))} not averaged)"
  )


def tile(images: np.ndarray) -> np.ndarray:
  """uint8 images [n, H, W, 1] -> one image of ROWS x COLUMNS of them, a pixel of grey between neighbours."""
  images = images[: ROWS * COLUMNS, ..., 0]
  _, height, width = images.shape
  framed = np.pad(images, ((0, 0), (0, 1), (0, 1)), constant_values=128)
  rows = framed.reshape(ROWS, COLUMNS, height + 1, width + 1).transpose(0, 2, 1, 3)
  return rows.reshape(ROWS * (height + 1), COLUMNS * (width + 1))[:-1, :-1]


def figure(directory: Path, runs: Sequence[Any]) -> bytes:
  """A PNG with a tile of real digits and one of each run's last samples."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure
  from PIL import Image

  from gan_jax.report.pictures import latest
  from gan_jax.runs.directory import read_samples

  samples = latest(runs)  # by run
  real = read_samples(directory / "samples" / runs[0].group / "real.npz", real=True)
  shown = [*((title(run), samples[run.id][1]) for run in runs if run.id in samples), ("real digits", real)]
  down = -(-len(shown) // 2)
  drawing = Figure(figsize=(10, 3.15 * down), layout="constrained")
  for place, axes in enumerate(drawing.subplots(down, 2, squeeze=False).flat):
    axes.axis("off")
    if place < len(shown):
      axes.set_title(shown[place][0], fontsize=9)
      axes.imshow(tile(shown[place][1]), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
  canvas = FigureCanvasAgg(drawing)
  canvas.draw()
  buffer = io.BytesIO()
  Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("L").save(buffer, format="PNG", optimize=True)
  return buffer.getvalue()


if __name__ == "__main__":
  command.run(main)
