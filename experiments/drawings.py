"""Samples of a generator as files: a PNG of a grid or a scatter, arrays, a table of points, or a folder of PNG files."""

import csv
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.core.errors import BadInput
from gan_jax.core.files import write_atomic

LEGIBLE = 64  # smaller images of a grid are enlarged by a whole factor, up to about so many pixels a side
MOST_PIXELS = 10**8  # of a grid
GAP, WHITE = 1, 255  # pixels between images, before they are enlarged, and their value
KINDS = {".png": "a grid", ".npz": "arrays", ".csv": "a table of points", "": "a folder of PNG files"}


class Drawn(NamedTuple):
  """Samples and what they were drawn from."""

  examples: np.ndarray  # float32 [n, H, W, C] in [-1, 1], or points [n, 2]
  latents: np.ndarray  # float32 [n, Z]
  labels: np.ndarray  # int32 [n]; 0 where the generator is not given a class
  classes: int  # 0: it is not given one
  across: int  # columns of a grid
  about: Mapping[str, Any]  # how they were drawn, for the file


def pixels(images: np.ndarray) -> np.ndarray:
  """float32 images in [-1, 1] -> uint8: round((x + 1) 127.5), values outside clipped."""
  return np.round((np.clip(np.nan_to_num(images, nan=-1.0), -1, 1) + 1) * 127.5).astype(np.uint8)


def check(path: Path, image_shape: tuple[int, ...], count: int, across: int) -> None:
  """Raises `BadInput` for a path that cannot be written, or samples that such a file cannot hold."""
  points = len(image_shape) == 1
  ending = path.suffix.lower()
  fit = [".png", ".npz", ".csv"] if points else [".png", ".npz", ""]
  if ending not in fit:
    wanted = ", ".join(f"{end or 'no ending'} ({KINDS[end]})" for end in fit)
    what = "points" if points else "images"
    raise BadInput(f"--out of {what} expected a path with the ending {wanted}, or .jaxexport, got {path}")
  if ending == ".png" and not points:
    if image_shape[2] not in (1, 3):
      raise BadInput(f"{path} expected images of 1 or 3 channels, got {image_shape[2]}; expected the ending .npz")
    if count * (image_shape[0] + GAP) * (image_shape[1] + GAP) > MOST_PIXELS:
      raise BadInput(
        f"{path} expected a grid of at most {MOST_PIXELS:,} pixels, got {count:,} images; expected a folder"
      )
  if ending == "" and image_shape[2] not in (1, 3):
    raise BadInput(f"{path} expected images of 1 or 3 channels, got {image_shape[2]}; expected the ending .npz")


def write(path: Path, drawn: Drawn) -> None:
  """Write the file or the folder that the path's ending says."""
  ending = path.suffix.lower()
  if ending == ".npz":
    buffer = io.BytesIO()
    arrays = {"examples": drawn.examples, "latents": drawn.latents, "labels": drawn.labels}
    np.savez(buffer, allow_pickle=False, about=np.asarray(json.dumps(drawn.about)), **arrays)
    write_atomic(path, buffer.getvalue())
  elif ending == ".csv":
    write_atomic(path, table(drawn).encode())
  elif ending == ".png" and drawn.examples.ndim == 2:
    write_atomic(path, scatter(drawn))
  elif ending == ".png":
    write_atomic(path, png(grid(pixels(drawn.examples), drawn.across), drawn.about))
  else:
    folder(path, drawn)


def grid(images: np.ndarray, across: int) -> np.ndarray:
  """uint8 [n, H, W, C] -> [H', W', C], row by row; small images are enlarged, each pixel to a square of one colour."""
  count, height, width, channels = images.shape
  down = -(-count // across)
  sheet = np.full((down, height + GAP, across, width + GAP, channels), WHITE, np.uint8)
  for i, image in enumerate(images):
    sheet[i // across, :height, i % across, :width] = image
  whole = sheet.reshape(down * (height + GAP), across * (width + GAP), channels)[:-GAP, :-GAP]
  factor = enlarged(height, width)
  return whole.repeat(factor, axis=0).repeat(factor, axis=1)


def enlarged(height: int, width: int) -> int:
  """The whole factor by which a grid of such images is enlarged."""
  return max(1, LEGIBLE // max(height, width))


def png(image: np.ndarray, about: Mapping[str, Any]) -> bytes:
  """A PNG of uint8 [H, W, 1 or 3], with a text entry `gan_jax` that says how it was drawn."""
  from PIL import Image, PngImagePlugin

  text = PngImagePlugin.PngInfo()
  text.add_text("gan_jax", json.dumps(about))
  buffer = io.BytesIO()
  Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, format="PNG", pnginfo=text)
  return buffer.getvalue()


def scatter(drawn: Drawn) -> bytes:
  """A PNG of points, coloured by class or, in an interpolation, by row."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  figure = Figure(figsize=(5, 5), dpi=120, layout="constrained")
  axes = figure.subplots()
  points = drawn.examples
  if drawn.about["interpolate"]:
    for row in points.reshape(-1, drawn.across, 2):
      axes.plot(row[:, 0], row[:, 1], "o-", markersize=3, linewidth=1)
  else:
    colours = drawn.labels if drawn.classes else None
    axes.scatter(points[:, 0], points[:, 1], s=6, c=colours, cmap="tab10" if drawn.classes else None)
  axes.set(aspect="equal", title=f"run {drawn.about['run']}, step {drawn.about['step']:,}")
  buffer = io.BytesIO()
  FigureCanvasAgg(figure).print_png(buffer, metadata={"gan_jax": json.dumps(drawn.about)})
  return buffer.getvalue()


def table(drawn: Drawn) -> str:
  """Points as CSV: x, y and, of a conditional generator, the label."""
  buffer = io.StringIO(newline="")
  writer = csv.writer(buffer, lineterminator="\n")
  labelled = bool(drawn.classes)
  writer.writerow(["x", "y", *["label"] * labelled])
  for point, label in zip(drawn.examples, drawn.labels, strict=True):
    writer.writerow([*(str(np.float32(x)) for x in point), *[int(label)] * labelled])
  return buffer.getvalue()


def folder(path: Path, drawn: Drawn) -> None:
  """`000000.png`, ...; of a conditional generator in a folder for each class, as `dataset=images` reads classes.

  The folder appears when it is whole.
  """
  images, scratch = pixels(drawn.examples), path.with_name(f".{path.name}.{os.getpid()}.tmp")
  digits = max(6, len(str(len(images) - 1)))
  most = len(str(max(drawn.classes - 1, 0)))
  for i, (image, label) in enumerate(zip(images, drawn.labels, strict=True)):
    place = scratch / f"{label:0{most}}" if drawn.classes else scratch
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{i:0{digits}}.png").write_bytes(png(image, drawn.about))
  os.rename(scratch, path)
