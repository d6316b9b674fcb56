"""One file to pixels: PNG, JPEG or WebP, of any mode and depth, to uint8 [H, W, C] with C = 1 (gray) or 3 (RGB).

In this order: the orientation that a camera noted is applied, 16 bits become 8, transparency is removed, colours are
brought to gray or RGB, the centre is cropped, the crop is resized. A colour profile is not applied. Of an animation, the
first picture is used.
"""

import io
import re
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from gan_jax.core.errors import BadInput, shown

FORMATS = ("PNG", "JPEG", "WEBP")
FILTERS = {
  "lanczos": Image.Resampling.LANCZOS,
  "bicubic": Image.Resampling.BICUBIC,
  "bilinear": Image.Resampling.BILINEAR,
  "box": Image.Resampling.BOX,
  "nearest": Image.Resampling.NEAREST,
}
COLOURS = {"auto": "as they are", "gray": "L", "rgb": "RGB"}
ALPHAS = ("refuse", "white", "black")
LARGEST = 4096  # of a side after resizing
MOST_PIXELS = 2**27  # of a picture, whatever Pillow's own limit is set to: 512 MB when it is unpacked
ADVICE = "repair it, or remove it"
BEGINNINGS = (  # of files that are often named as pictures that can be read
  (rb"\x89PNG", "a PNG file with a damaged header"),
  (rb"\xff\xd8\xff", "a JPEG file with a damaged header"),
  (rb"RIFF....WEBP", "a WebP file with a damaged header"),
  (rb"GIF8", "a GIF file (convert it)"),
  (rb"II\*\0|MM\0\*", "a TIFF file (convert it)"),
  (rb"BM", "a BMP file (convert it)"),
  (rb"....ftyp", "a HEIC or AVIF file, as telephones write them (convert it)"),
  (rb"version https://git-lfs", "a pointer of Git LFS (`git lfs pull` fetches the file)"),
  (rb"\s*<", "what looks like an HTML page (a download that failed?)"),
)


class Rules(NamedTuple):
  """What pictures are turned into."""

  size: tuple[int, int] | None  # (height, width); None: each keeps its own
  filter: str  # of resizing, one of `FILTERS`; all but nearest average over the pixels that fall together
  colour: str  # one of `COLOURS`
  alpha: str  # one of `ALPHAS`: how transparency is removed


def size_of(resolution: str) -> tuple[int, int] | None:
  """(height, width) of "32", "48x64" (height first), or None of "0". Raises `BadInput` for anything else."""
  match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", resolution)
  sides = [int(side) for side in match.groups(default=match[1])] if match else [-1]
  if sides == [0, 0]:
    return None
  if not all(1 <= side <= LARGEST for side in sides):
    raise BadInput(
      f"dataset_options.resolution expected 0 (as the pictures are), a side such as 32, or height x width such as 48x64, "
      f"each from 1 to {LARGEST}, got {shown(resolution)}"
    )
  return sides[0], sides[1]


def read(content: bytes, called: str, rules: Rules) -> np.ndarray:
  """The pixels of a file, uint8 [H, W, C]; `called` names it in messages.

  Raises:
    BadInput: no PNG, JPEG or WebP file by its contents, whatever its name; truncated or damaged; too large to be
      unpacked; or with transparency, where the rules refuse it.
  """
  image = _opaque(_eight_bits(_upright(_loaded(content, called))), called, rules.alpha)
  if rules.colour != "auto":
    image = image.convert(COLOURS[rules.colour])
  elif image.mode not in ("L", "RGB"):
    image = image.convert("L" if image.mode == "1" else "RGB")
  if rules.size is not None and rules.size != (image.height, image.width):
    image = image.crop(_centre(image.height, image.width, *rules.size))
    image = image.resize((rules.size[1], rules.size[0]), FILTERS[rules.filter])
  pixels = np.asarray(image)
  return pixels if pixels.ndim == 3 else pixels[..., None]


def _loaded(content: bytes, called: str) -> Image.Image:
  try:
    image = Image.open(io.BytesIO(content), formats=FORMATS)
  except Image.DecompressionBombError as error:
    raise BadInput(f"{called}: {error}; make it smaller, or remove it") from error
  except Exception as error:
    # What a damaged header raises depends on the byte: OSError, SyntaxError, struct.error, ...
    raise BadInput(f"{called}: expected a PNG, JPEG or WebP file, got {_describe(content)}; {ADVICE}") from error
  if image.width * image.height > MOST_PIXELS:
    got = f"{image.width:,} x {image.height:,}"
    raise BadInput(f"{called}: expected at most {MOST_PIXELS:,} pixels, got {got}; make it smaller, or remove it")
  try:
    image.load()
  except MemoryError:
    raise
  except Exception as error:
    raise BadInput(f"{called}: a damaged or truncated {image.format} file ({error}); {ADVICE}") from error
  return image


def _describe(content: bytes) -> str:
  if not content:
    return "an empty file"
  known = (what for beginning, what in BEGINNINGS if re.match(beginning, content, re.DOTALL))
  return next(known, f"a file that begins with {content[:8].hex(' ')}")


def _upright(image: Image.Image) -> Image.Image:
  """Turned as the camera noted (EXIF orientation); a note that cannot be read is passed over, as viewers do."""
  try:
    return ImageOps.exif_transpose(image)
  except MemoryError:
    raise
  except Exception:
    return image


def _eight_bits(image: Image.Image) -> Image.Image:
  """Gray of 16 bits as gray of 8, v -> round(255 v / 65535); other modes are returned as they are.

  Pillow's own `convert("L")` clips at 255 instead. 16-bit colours lose their low byte when Pillow reads them.
  """
  if not image.mode.startswith("I"):
    return image
  values = np.asarray(image).astype(np.uint32)
  gray = Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
  clear = image.info.get("transparency")  # the one value that stands for "transparent"
  if not isinstance(clear, int):
    return gray
  return Image.merge("LA", (gray, Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))))


def _opaque(image: Image.Image, called: str, alpha: str) -> Image.Image:
  """Without transparency: laid over white or black, or refused. An alpha channel that is opaque everywhere is dropped."""
  if not image.has_transparency_data:
    return image
  whole = image.convert("RGBA")
  if np.asarray(whole)[..., 3].min() < 255:
    if alpha == "refuse":
      raise BadInput(
        f"{called}: expected a picture without transparency; dataset_options.alpha=white or black lays such pictures over "
        "that colour"
      )
    whole = Image.alpha_composite(Image.new("RGBA", whole.size, alpha), whole)
  return whole.convert("L" if image.mode in ("1", "L", "LA", "La") else "RGB")


def _centre(height: int, width: int, rows: int, columns: int) -> tuple[int, int, int, int]:
  """(left, upper, right, lower): the largest box in the middle whose sides are as `rows` to `columns`, to a pixel."""
  high, wide = height, width
  if width * rows > height * columns:
    wide = max(round(height * columns / rows), 1)
  else:
    high = max(round(width * rows / columns), 1)
  left, upper = (width - wide) // 2, (height - high) // 2
  return left, upper, left + wide, upper + high
