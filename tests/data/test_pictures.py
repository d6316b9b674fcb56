"""One picture file to pixels: every mode, depth and orientation against what the format says, and what is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gan_jax.core.errors import BadInput
from gan_jax.data import pictures
from gan_jax.data.pictures import Rules, read

PLAIN = Rules(None, "lanczos", "auto", "refuse")
RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (6, 8, 3)).astype(np.uint8)
GRAY = PHOTO[..., 0]


def png(image, **options) -> bytes:
  """An array, or an image of Pillow's, as a PNG file."""
  return saved(image, "PNG", **options)


def saved(image, form, **options) -> bytes:
  content = io.BytesIO()
  (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(content, form, **options)
  return content.getvalue()


def written(bits: int, colour: int, width: int, rows: list[bytes], *more: tuple[bytes, bytes]) -> bytes:
  """A PNG of the specification's own parts (ISO/IEC 15948), with `more` chunks before the data."""

  def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

  head = struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0)
  body = zlib.compress(b"".join(b"\0" + row for row in rows))
  parts = [(b"IHDR", head), *more, (b"IDAT", body), (b"IEND", b"")]
  return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("form", [{"form": "PNG"}, {"form": "WEBP", "lossless": True}])
def test_lossless_colours_are_read_as_they_were_written(form):
  np.testing.assert_array_equal(read(saved(PHOTO, **form), "x", PLAIN), PHOTO)


def test_gray_has_one_channel():
  np.testing.assert_array_equal(read(png(GRAY), "x", PLAIN), GRAY[..., None])


def test_a_jpeg_is_near_what_was_written():
  smooth = np.add.outer(np.arange(16), 2 * np.arange(24)).astype(np.uint8) * 3
  got = read(saved(smooth, "JPEG", quality=95), "x", PLAIN)
  assert got.shape == (16, 24, 1)
  assert np.abs(got[..., 0].astype(int) - smooth).max() <= 3


def test_16_bit_gray_is_scaled_not_clipped():
  """The value v of 65535 is v / 65535 of white. Clipping at 255, as Pillow's convert("L"), would make nearly all white."""
  values = np.array([[0, 1, 255, 256, 257], [32767, 32768, 40000, 65534, 65535]], np.uint16)
  rows = [row.astype(">u2").tobytes() for row in values]
  expected = np.round(values / 65535 * 255)
  assert expected.max() > 200
  assert len(np.unique(expected)) > 4
  np.testing.assert_array_equal(read(written(16, 0, 5, rows), "x", PLAIN)[..., 0], expected)
  clear = written(16, 0, 5, rows, (b"tRNS", struct.pack(">H", 40000)))  # this one value is transparent
  with pytest.raises(BadInput, match="without transparency"):
    read(clear, "x", PLAIN)
  expected[1, 2] = 255
  np.testing.assert_array_equal(read(clear, "x", PLAIN._replace(alpha="white"))[..., 0], expected)


def test_16_bit_colours_keep_their_high_byte():
  row = np.array([[0, 65535, 0x1234], [0x8000, 0x7FFF, 0xFFFF]], ">u2").tobytes()
  got = read(written(16, 2, 2, [row]), "x", PLAIN)
  assert got.tolist() == [[[0, 255, 0x12], [0x80, 0x7F, 255]]]


def test_bits_are_black_and_white():
  assert read(written(1, 0, 8, [b"\xa5"]), "x", PLAIN)[..., 0].tolist() == [[255, 0, 255, 0, 0, 255, 0, 255]]
  assert read(written(2, 0, 4, [b"\x1b"]), "x", PLAIN)[..., 0].tolist() == [[0, 85, 170, 255]]
  assert read(written(4, 0, 2, [b"\x1e"]), "x", PLAIN)[..., 0].tolist() == [[17, 238]]


PALETTE = (b"PLTE", bytes([10, 20, 30, 200, 100, 0, 255, 255, 255]))


def test_palettes_are_looked_up():
  colours = [[[10, 20, 30], [200, 100, 0]], [[255, 255, 255], [10, 20, 30]]]
  rows = [b"\0\1", b"\2\0"]
  assert read(written(8, 3, 2, rows, PALETTE), "x", PLAIN).tolist() == colours
  clear = written(8, 3, 2, rows, PALETTE, (b"tRNS", bytes([255, 0])))  # the second colour is transparent
  with pytest.raises(
    BadInput, match=r"^photo.png: expected a picture without transparency; dataset_options.alpha=white"
  ):
    read(clear, "photo.png", PLAIN)
  colours[0][1] = [255, 255, 255]
  assert read(clear, "x", PLAIN._replace(alpha="white")).tolist() == colours
  colours[0][1] = [0, 0, 0]
  assert read(clear, "x", PLAIN._replace(alpha="black")).tolist() == colours
  whole = written(8, 3, 2, rows, PALETTE, (b"tRNS", bytes([255, 255])))  # says that all is opaque
  assert read(whole, "x", PLAIN).shape == (2, 2, 3)


def test_transparency_is_composited():
  """over white: a x + (1 - a) 255, to a unit of rounding; gray stays gray."""
  alpha = RNG.integers(0, 256, (6, 8, 1)).astype(np.uint8)
  share = alpha / 255.0
  for plane, mode in ((PHOTO, "RGBA"), (GRAY[..., None], "LA")):
    content = png(Image.fromarray(np.concatenate([plane, alpha], -1), mode))
    for ground, value in (("white", 255), ("black", 0)):
      got = read(content, "x", PLAIN._replace(alpha=ground))
      assert got.shape == plane.shape
      np.testing.assert_allclose(got, share * plane + (1 - share) * value, atol=1)
    with pytest.raises(BadInput, match="without transparency"):
      read(content, "x", PLAIN)
    opaque = png(Image.fromarray(np.concatenate([plane, np.full_like(alpha, 255)], -1), mode))
    np.testing.assert_array_equal(read(opaque, "x", PLAIN), plane)  # nothing is lost, so nothing is asked


def test_a_colour_that_means_transparent():
  row = bytes([1, 2, 3, 4, 5, 6])
  content = written(8, 2, 2, [row], (b"tRNS", struct.pack(">3H", 4, 5, 6)))
  assert read(content, "x", PLAIN._replace(alpha="white")).tolist() == [[[1, 2, 3], [255, 255, 255]]]


def test_cmyk_and_forced_colours():
  ink = Image.new("CMYK", (16, 16), (255, 0, 0, 0))  # cyan alone takes the red
  np.testing.assert_allclose(read(saved(ink, "JPEG", quality=95), "x", PLAIN)[4, 4], [0, 255, 255], atol=3)
  weights = [0.299, 0.587, 0.114]  # luma of ITU-R BT.601
  gray = read(png(PHOTO), "x", PLAIN._replace(colour="gray"))
  np.testing.assert_allclose(gray[..., 0], PHOTO @ weights, atol=0.6)
  np.testing.assert_array_equal(read(png(GRAY), "x", PLAIN._replace(colour="rgb")), np.stack([GRAY] * 3, -1))


@pytest.mark.parametrize("form", [{"form": "PNG"}, {"form": "WEBP", "lossless": True}, {"form": "MPO", "quality": 95}])
def test_of_several_pictures_in_a_file_the_first_is_used(form):
  """An animation; and the two pictures of a telephone's MPO file, which is named and begins as a JPEG."""
  smooth = np.repeat(np.add.outer(np.arange(16), np.arange(16)).astype(np.uint8)[..., None] * 5, 3, -1)
  content = saved(smooth, save_all=True, append_images=[Image.fromarray(255 - smooth)], **form)
  with Image.open(io.BytesIO(content)) as image:
    assert image.n_frames == 2
  np.testing.assert_allclose(read(content, "x", PLAIN).astype(int), smooth, atol=3 if form["form"] == "MPO" else 0)


TURNED = {  # EXIF 2.3, tag 0x0112: where the first row and column of the stored picture are in the upright one
  1: lambda a: a,
  2: lambda a: a[:, ::-1],
  3: lambda a: a[::-1, ::-1],
  4: lambda a: a[::-1],
  5: lambda a: a.swapaxes(0, 1),
  6: lambda a: a.swapaxes(0, 1)[:, ::-1],
  7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
  8: lambda a: a.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize(("number", "turn"), TURNED.items())
def test_the_cameras_orientation_is_applied(number, turn):
  noted = Image.Exif()
  noted[0x0112] = number
  np.testing.assert_array_equal(read(png(PHOTO, exif=noted), "x", PLAIN), turn(PHOTO))


@pytest.mark.filterwarnings("ignore")
def test_metadata_that_cannot_be_read_is_passed_over():
  content = saved(PHOTO, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff broken")
  assert read(content, "x", PLAIN).shape == PHOTO.shape


def test_the_centre_is_cropped_then_resized():
  wide = np.zeros((4, 10, 3), np.uint8)
  wide[:, 3:7] = PHOTO[:4, :4]
  np.testing.assert_array_equal(read(png(wide), "x", PLAIN._replace(size=(4, 4))), PHOTO[:4, :4])
  tall = np.zeros((20, 6, 3), np.uint8)  # 3 x 6 of 20 x 6 has its middle at rows 8 to 11
  tall[8:11] = PHOTO[:3, :6]
  got = read(png(tall), "x", PLAIN._replace(size=(3, 6)))
  np.testing.assert_array_equal(got, PHOTO[:3, :6])
  blocks = np.repeat(np.repeat(PHOTO[:4, :4], 2, 0), 2, 1)  # each pixel twice in both directions
  for name in ("box", "nearest"):
    np.testing.assert_array_equal(read(png(blocks), "x", PLAIN._replace(size=(4, 4), filter=name)), PHOTO[:4, :4])
  means = PHOTO[:, :6].reshape(3, 2, 3, 2, 3).mean((1, 3))
  halved = read(png(PHOTO[:, :6]), "x", PLAIN._replace(size=(3, 3), filter="box"))
  np.testing.assert_allclose(halved, means, atol=0.51 + 0.5)  # rounded after each axis
  half = {name: read(png(PHOTO[:, :6]), "x", PLAIN._replace(size=(3, 3), filter=name)) for name in pictures.FILTERS}
  assert len({array.tobytes() for array in half.values()}) == len(pictures.FILTERS)


def test_resolutions():
  assert [pictures.size_of(text) for text in ("0", "32", "48x64")] == [None, (32, 32), (48, 64)]
  for text in ("", "x", "32x", "0x5", "-3", "32 x 32", "5000", "1.5", "1x2x3"):
    with pytest.raises(BadInput, match=r"dataset_options.resolution expected 0 .*, got "):
      pictures.size_of(text)


BROKEN = {
  "text": (b"hello, I am no picture", "expected a PNG, JPEG or WebP file, got a file that begins with 68 65 6c"),
  "empty": (b"", "got an empty file"),
  "html": (b"\n<html>404</html>", "HTML page"),
  "gif": (saved(GRAY, "GIF"), "expected a PNG, JPEG or WebP file, got a GIF"),  # though Pillow could
  "tiff": (saved(GRAY, "TIFF"), "got a TIFF file"),
  "a telephone's": (b"\0\0\0\x18ftypheic", "got a HEIC or AVIF file"),
  "not fetched": (b"version https://git-lfs.github.com/spec/v1\noid", "got a pointer of Git LFS"),
  "a header": (png(PHOTO)[:8] + b"\0" * 30, "got a PNG file with a damaged header"),
  "half a png": (png(PHOTO)[:-30], "a damaged or truncated PNG file"),
  "half a jpeg": (saved(np.tile(PHOTO, (9, 9, 1)), "JPEG")[:-300], "a damaged or truncated JPEG file"),
  "half a webp": (saved(PHOTO, "WEBP")[:-20], "WebP|WEBP"),
  "a flipped byte": (png(PHOTO)[:60] + b"\xff" + png(PHOTO)[61:], "damaged or truncated PNG|expected a PNG"),
  "only a header": (png(PHOTO)[:20], "expected a PNG|damaged"),
  "a bomb": (written(1, 0, 60_000, [b"\0" * 7500]).replace(struct.pack(">II", 60_000, 1), b"\0\0\xea\x60" * 2), "."),
}


@pytest.mark.filterwarnings("ignore")  # the loader of datasets does so: Pillow warns of large pictures
@pytest.mark.parametrize(("content", "words"), BROKEN.values(), ids=BROKEN)
def test_broken_files_are_named(content, words):
  with pytest.raises(BadInput, match=words) as caught:
    read(content, "cat/7.png", PLAIN)
  assert str(caught.value).startswith("cat/7.png: ")
  assert "remove it" in str(caught.value)
