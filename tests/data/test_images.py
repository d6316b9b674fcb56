"""Folders and zips of pictures: which are found, in which order and class; the cache of their pixels; what is refused."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax import data, game, settings
from gan_jax.core.errors import BadInput, Failure
from gan_jax.data import dataset as dataset_lib
from gan_jax.data import decoded, pictures
from gan_jax.data.shares import spread_labels
from gan_jax.metrics import Quality
from gan_jax.runner import evaluation, grouping, population
from tests.conftest import ROOT, SHARED

RNG = np.random.default_rng(0)
CIFAR = SHARED / "cifar10" / "test.zip"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
  """The folder of decoded pictures; none of the user's."""
  home = tmp_path_factory.mktemp("cache")
  monkeypatch.setenv("XDG_CACHE_HOME", str(home))
  return home / "gan_jax" / "pictures"


def picture(shape=(5, 6, 3)) -> np.ndarray:
  return RNG.integers(0, 256, shape).astype(np.uint8)


def png(pixels) -> bytes:
  content = io.BytesIO()
  Image.fromarray(pixels).save(content, "PNG")
  return content.getvalue()


def fill(place, files):
  """Write {name: array or bytes} into a folder, or into a zip if the place is named so; returns it as text."""
  contents = {name: png(file) if isinstance(file, np.ndarray) else file for name, file in files.items()}
  if place.suffix == ".zip":
    with zipfile.ZipFile(place, "w") as archive:
      for name, content in contents.items():
        archive.writestr(name, content)
  else:
    for name, content in contents.items():
      (place / name).parent.mkdir(parents=True, exist_ok=True)
      (place / name).write_bytes(content)
  return str(place)


def load(path, **options):
  return data.load("images", path=str(path), **options)


NAMES = ("b/2.png", "a/x/1.png", "c.png", "a.PNG", "b/10.png")
SORTED = ("a.PNG", "a/x/1.png", "b/10.png", "b/2.png", "c.png")


@pytest.mark.parametrize("kind", ["folder", "pictures.zip"])
def test_pictures_are_found_at_any_depth_in_the_order_of_their_names(tmp_path, kind):
  files = {name: picture() for name in NAMES}
  others = {"notes.txt": b"x", ".hidden.png": b"x", "__MACOSX/b/._2.png": b"x", "b/.DS_Store": b"x"}
  found = load(fill(tmp_path / kind, files | others))
  np.testing.assert_array_equal(found.data.images, np.stack([files[name] for name in SORTED]))
  assert (found.image_shape, found.num_classes, found.kind) == ((5, 6, 3), 1, "images")
  assert np.asarray(found.data.labels).tolist() == [0] * 5
  assert not found.data.images.flags.writeable
  np.testing.assert_allclose(found.decode(jnp.asarray(found.data.images)), found.data.images / 127.5 - 1, atol=1e-6)


def test_folders_are_classes_where_all_are_on_one_level(tmp_path):
  counts = {"dog": 3, "cat": 5, "eel": 1}
  path = fill(tmp_path / "a.zip", {f"train/{name}/{k}.png": picture() for name, n in counts.items() for k in range(n)})
  found = load(path)
  assert found.num_classes == 3
  assert np.asarray(found.data.labels).tolist() == [0] * 5 + [1] * 3 + [2]
  assert load(path, classes="none").num_classes == 1
  # Uneven classes: labels for fakes have the data's own shares.
  drawn = np.bincount(spread_labels(np.asarray(found.data.labels), 900))
  np.testing.assert_allclose(drawn, [500, 300, 100], atol=2)
  mixed = fill(tmp_path / "mixed", {"cat/1.png": picture(), "cat/old/2.png": picture(), "dog/1.png": picture()})
  assert load(mixed).num_classes == 1
  assert np.asarray(load(mixed, classes="folders").data.labels).tolist() == [0, 1, 2]
  fill(tmp_path / "mixed", {"alone.png": picture()})
  with pytest.raises(
    BadInput, match=r"mixed/alone.png: expected each picture in the folder of its class, got it in none"
  ):
    load(mixed, classes="folders")


STYLEGAN = {f"0000{k}/img0000000{k}.png": picture((4, 4, 3)) for k in range(3)}


def labelled(labels) -> bytes:
  return json.dumps({"labels": labels}).encode()


LABELS = {
  "numbers": ([2, 0, 2], [2, 0, 2], 3),
  "one-hot": ([[0.0, 1.0], [1.0, 0.0], [0, 1]], [1, 0, 1], 2),
  "null": (None, [0, 0, 0], 1),
}


@pytest.mark.parametrize(("given", "expected", "classes"), LABELS.values(), ids=LABELS)
def test_a_zip_of_stylegans_tool_is_read(tmp_path, given, expected, classes):
  listed = given and [[name, label] for name, label in reversed([*zip(STYLEGAN, given, strict=True)])]
  found = load(fill(tmp_path / "set.zip", STYLEGAN | {"dataset.json": labelled(listed)}))
  np.testing.assert_array_equal(found.data.images, np.stack([*STYLEGAN.values()]))
  assert (np.asarray(found.data.labels).tolist(), found.num_classes) == (expected, classes)


NO_LABELS = {
  "not json": (b"\xff{", 'expected {"labels": [[name, class], ...]}'),
  "no list": (b'{"label": 3}', 'expected {"labels": [[name, class], ...]}'),
  "pairs of three": (labelled([["a", 1, 2]]), 'expected {"labels": [[name, class], ...]}'),
  "one missing": (labelled([[name, 0] for name in [*STYLEGAN][1:]]), "got none for '00000/img00000000.png'"),
  "negative": (labelled([[name, -1] for name in STYLEGAN]), "for '00000/img00000000.png', got -1"),
  "true": (labelled([[name, True] for name in STYLEGAN]), "got True"),
  "halves": (labelled([[name, [0.5, 0.5]] for name in STYLEGAN]), "got [0.5, 0.5]"),
  "two ones": (labelled([[name, [1, 1]] for name in STYLEGAN]), "got [1, 1]"),
  "text": (labelled([[name, "cat"] for name in STYLEGAN]), "got 'cat'"),
  "huge": (labelled([[name, 10**12] for name in STYLEGAN]), "got 1000000000000"),
}


@pytest.mark.parametrize(("content", "words"), NO_LABELS.values(), ids=NO_LABELS)
def test_labels_of_another_form_are_refused(tmp_path, content, words):
  path = fill(tmp_path / "set", STYLEGAN | {"dataset.json": content})
  with pytest.raises(BadInput) as caught:
    load(path)
  assert str(caught.value).startswith(f"{path}/dataset.json: ")
  assert words in str(caught.value)
  assert load(path, classes="none").num_classes == 1
  assert load(path, classes="folders").num_classes == 3


def test_labels_that_are_asked_for_must_be_there(tmp_path):
  path = fill(tmp_path / "set", STYLEGAN)
  assert load(path).num_classes == 1  # its folders count pictures
  with pytest.raises(BadInput, match=r"dataset.json: expected a file of labels, got none; .*classes=none"):
    load(path, classes="json")
  said: list[str] = []
  with data.telling(said.append):
    assert (
      load(fill(tmp_path / "deep.zip", {"set/dataset.json": labelled([]), "set/1.png": picture()})).num_classes == 1
    )
  assert said[0].startswith(
    f"warning: {tmp_path}/deep.zip/set/dataset.json: not read, because labels belong at the top"
  )
  fill(tmp_path / "set", {"dataset.json": labelled(None)})
  with pytest.raises(BadInput, match=r"dataset.json: expected a list of .labels., got null"):
    load(path, classes="json")


def test_a_mixed_folder_becomes_one_size_and_one_colour(tmp_path):
  """As from a telephone: a turned photo, a screenshot with transparency, a palette, 16 bits, gray."""
  turned, clear = Image.Exif(), io.BytesIO()
  turned[0x0112] = 6
  Image.fromarray(picture((40, 60, 3))).save(tmp_path / "photo.jpg", exif=turned)
  Image.fromarray(picture((33, 70, 4)), "RGBA").save(clear, "PNG")
  Image.fromarray(picture((50, 50))).convert("P").save(tmp_path / "palette.png")
  Image.fromarray(RNG.integers(0, 65536, (90, 20)).astype(np.uint16)).save(tmp_path / "deep.png")
  Image.fromarray(picture((35, 36))).save(tmp_path / "gray.webp")
  path = fill(tmp_path, {"screen.png": clear.getvalue()})
  options = {"resolution": "32", "colour": "rgb", "alpha": "white"}
  assert load(path, **options).data.images.shape == (5, 32, 32, 3)
  assert load(path, **options | {"resolution": "16x24", "colour": "gray"}).image_shape == (16, 24, 1)
  with pytest.raises(BadInput, match=r"screen.png: expected a picture without transparency"):
    load(path, **options | {"alpha": "refuse"})


def test_pictures_that_differ_are_named_with_what_to_do(tmp_path):
  path = fill(tmp_path, {"1.png": picture(), "2.png": picture(), "3.png": picture((5, 7, 3))})
  with pytest.raises(BadInput) as caught:
    load(path)
  assert str(caught.value) == (
    f"{path}/3.png: expected 5 x 6 RGB (height x width) as {path}/1.png, got 5 x 7 RGB; "
    "dataset_options.resolution=N crops and resizes all to N x N"
  )
  fill(tmp_path, {"3.png": picture((5, 6))})
  with pytest.raises(BadInput, match=r"3.png: .* got 5 x 6 gray; dataset_options.colour=gray or rgb makes all alike"):
    load(path)
  assert load(path, colour="rgb").image_shape == (5, 6, 3)


GOOD = png(picture())
UNUSABLE = {
  "text as a picture": (
    {"a/1.png": GOOD, "a/2.png": b"hello"},
    r"a/2.png: expected a PNG, JPEG or WebP file, got a file",
  ),
  "half a picture": ({"1.png": GOOD, "2.png": GOOD[:-40]}, r"2.png: a damaged or truncated PNG file"),
  "a format that is not read": ({"1.png": GOOD, "2.HEIC": b"x"}, r"2.HEIC: expected PNG, JPEG or WebP; convert it"),
  "nothing": ({}, r"expected a (folder|zip) with PNG, JPEG or WebP files at any depth, got an empty one"),
  "no pictures": ({"read.me": b"x"}, r"at any depth, got 1 other file, such as 'read.me'"),
}


@pytest.mark.parametrize("kind", ["folder", "set.zip"])
@pytest.mark.parametrize(("files", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_cannot_be_used_is_named(tmp_path, cache, files, words, kind):
  place = tmp_path / kind
  if kind == "folder":
    place.mkdir()
  with pytest.raises(BadInput, match=words) as caught:
    load(fill(place, files))
  assert str(caught.value).startswith(str(place))
  assert not cache.exists() or not any(cache.iterdir())


def test_places_without_pictures(tmp_path):
  with pytest.raises(BadInput, match=r"dataset 'images' expected dataset_options.path, .*got none"):
    data.load("images")
  with pytest.raises(BadInput, match=r"nowhere: expected a folder or a zip .*, got no such file or folder"):
    load(tmp_path / "nowhere")
  (tmp_path / "x.tar").write_bytes(b"x" * 5000)
  with pytest.raises(BadInput, match=r"x.tar: expected a folder or a sound zip, got a file of another kind"):
    load(tmp_path / "x.tar")
  (tmp_path / "links").mkdir()
  (tmp_path / "links" / "1.png").symlink_to(tmp_path / "gone.png")
  with pytest.raises(BadInput, match=r"links/1.png: expected a regular file"):
    load(tmp_path / "links")
  os.mkfifo(tmp_path / "links" / "0.png")  # reading it would never end
  with pytest.raises(BadInput, match=r"links/0.png: expected a regular file"):
    load(tmp_path / "links")


def test_links_to_folders_are_followed_and_circles_are_not(tmp_path):
  fill(tmp_path / "far", {"1.png": GOOD})
  (tmp_path / "set").mkdir()
  (tmp_path / "set" / "cat").symlink_to(tmp_path / "far")
  (tmp_path / "far" / "back").symlink_to(tmp_path / "set")
  assert load(tmp_path / "set").data.images.shape == (1, 5, 6, 3)


def test_damaged_and_hostile_zips_are_refused(tmp_path):
  place = tmp_path / "set.zip"
  fill(place, {f"{k}.png": GOOD for k in range(9)})
  whole = place.read_bytes()
  for size in (0, 10, 500, len(whole) - 1):
    place.write_bytes(whole[:size])
    with pytest.raises(
      BadInput, match=r"set.zip: expected a folder or a sound zip, got .*truncated or damaged .*copy or d"
    ):
      load(place)
  at = whole.index(GOOD) + 60
  place.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
  with pytest.raises(BadInput, match=r"set.zip/0.png: damaged inside the zip \(Bad CRC-32"):
    load(place)
  for name in ("../out.png", "a/../../out.png", "/etc/out.png", "..\\out.png"):
    fill(place, {name: GOOD})
    with pytest.raises(BadInput, match=r"set.zip: expected names inside the zip, got '.*out.png'"):
      load(place)
  fill(place, {"1.png": GOOD})
  locked = place.read_bytes()
  for mark in (b"PK\x03\x04", b"PK\x01\x02"):  # the bit that says "encrypted", in both headers of the member
    at = locked.index(mark) + {b"PK\x03\x04": 6, b"PK\x01\x02": 8}[mark]
    locked = locked[:at] + bytes([locked[at] | 1]) + locked[at + 1 :]
  place.write_bytes(locked)
  with pytest.raises(BadInput, match=r"set.zip: expected a zip without a password, got '1.png' encrypted; unpack it"):
    load(place)
  with zipfile.ZipFile(place, "w") as archive:
    archive.writestr("1.png", GOOD)
    with pytest.warns(UserWarning, match="Duplicate name"):
      archive.writestr("1.png", GOOD)
  with pytest.raises(BadInput, match=r"expected names that differ, got '1.png' twice"):
    load(place)


# The cache


def test_the_second_time_nothing_is_decoded(tmp_path, cache, monkeypatch):
  path = fill(tmp_path / "set", {f"{k}.png": picture() for k in range(4)})
  before = np.array(load(path).data.images)
  monkeypatch.setattr(pictures, "read", None)  # to call it is an error
  np.testing.assert_array_equal(load(path).data.images, before)
  (file,) = cache.iterdir()
  assert file.suffix == ".npy"
  np.testing.assert_array_equal(np.load(file, mmap_mode="r"), before)  # an ordinary .npy to everybody else
  (tmp_path / "set").rename(tmp_path / "moved")
  np.testing.assert_array_equal(load(tmp_path / "moved").data.images, before)


def test_other_options_make_other_pixels(tmp_path, cache):
  path = fill(tmp_path / "set", {f"{k}.png": picture((8, 8, 3)) for k in range(3)})
  options = [{}, {"resolution": "4"}, {"resolution": "4", "filter": "box"}, {"colour": "gray"}, {"resolution": "2x4"}]
  assert len({np.asarray(load(path, **one).data.images).tobytes() for one in options}) == len(options)
  assert len([*cache.iterdir()]) == len(options)


def test_a_changed_file_never_gives_the_old_pixels(tmp_path):
  """Also where its name, its size and its time are those of before: what a copy that keeps times may do."""
  old = {f"{k}.png": written(k) for k in range(3)}
  path = fill(tmp_path / "set", old)
  assert load(path).data.images[1].max() == 1
  file = tmp_path / "set" / "1.png"
  stat = file.stat()
  file.write_bytes(written(200))
  os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
  assert (file.stat().st_size, file.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
  assert load(path).data.images[1].max() == 200
  file.rename(tmp_path / "set" / "9.png")  # another order
  assert [int(image.max()) for image in load(path).data.images] == [0, 2, 200]


def written(value: int) -> bytes:
  """A picture of one gray value, always of as many bytes."""
  content = io.BytesIO()
  Image.fromarray(np.full((4, 4), value, np.uint8)).save(content, "PNG", compress_level=0)
  return content.getvalue()


def test_a_source_that_changes_while_it_is_decoded_is_not_kept(tmp_path, cache, monkeypatch):
  path = fill(tmp_path / "set", {"1.png": written(1), "2.png": written(2)})
  read = pictures.read

  def meddle(content, called, rules):
    monkeypatch.setattr(pictures, "read", read)  # once, while no thread reads yet
    (tmp_path / "set" / "2.png").write_bytes(written(99))
    return read(content, called, rules)

  monkeypatch.setattr(pictures, "read", meddle)
  with pytest.raises(BadInput, match="changed while it was being read; run the same command again"):
    load(path)
  assert not any(cache.iterdir())


def test_a_damaged_cache_is_made_again(tmp_path, cache):
  path = fill(tmp_path / "set", {f"{k}.png": picture() for k in range(4)})
  before = np.array(load(path).data.images)
  (file,) = cache.iterdir()
  whole = file.read_bytes()
  wrong = [b"", whole[:1], whole[:100], whole[:-1], whole + b"\0", whole[:128]]
  wrong += [whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :] for at in (0, 7, 40, 60, 128, 300, len(whole) - 5)]
  for content in wrong:
    file.unlink()
    file.write_bytes(content)
    np.testing.assert_array_equal(load(path).data.images, before)
    assert file.read_bytes() == whole


SLOW = """
import sys, time
from gan_jax import data, game, settings
from gan_jax.data import pictures
read = pictures.read
def slow(content, called, rules):
  if called.endswith("last.png"):
    print("decoding", flush=True)
    time.sleep(float(sys.argv[2]))
  return read(content, called, rules)
pictures.read = slow
found = data.load("images", path=sys.argv[1])
print(int(found.data.images.sum()))
"""


def start(path, seconds):
  """A process of its own that decodes, and sleeps before the last picture; returns it when it has begun to sleep."""
  process = subprocess.Popen(
    [sys.executable, "-c", SLOW, path, str(seconds)], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
  )
  assert process.stdout.readline() == "decoding\n"
  return process


def test_what_a_killed_decode_leaves_is_never_read_and_removed(tmp_path, cache):
  files = {f"{k}.png": picture() for k in range(8)} | {"last.png": picture()}
  path = fill(tmp_path / "set", files)
  with start(path, 60) as process:
    assert [file.suffix for file in cache.iterdir()] == [".part"]
    process.send_signal(signal.SIGKILL)
  assert [file.suffix for file in cache.iterdir()] == [".part"]
  other = fill(tmp_path / "other", {"1.png": picture()})
  load(other)  # any decode removes it
  assert [file.suffix for file in cache.iterdir()] == [".npy"]
  np.testing.assert_array_equal(load(path).data.images, np.stack([files[name] for name in sorted(files)]))


def test_two_processes_at_once_decode_once(tmp_path, cache, monkeypatch):
  files = {f"{k}.png": picture() for k in range(8)} | {"last.png": picture()}
  path = fill(tmp_path / "set", files)
  said = []
  monkeypatch.setattr(decoded, "EVERY", 0.2)
  with start(path, 1.0) as process:
    load(fill(tmp_path / "other", {"1.png": picture()}))  # does not sweep away what a live process writes
    assert sorted(file.suffix for file in cache.iterdir()) == [".npy", ".part"]
    with data.telling(said.append):
      monkeypatch.setattr(pictures, "read", None)  # this process decodes nothing: it waits
      found = load(path)
    assert int(process.stdout.readline()) == int(found.data.images.sum())
  assert "another process decodes the same pictures: waiting for it" in said
  assert {file.suffix for file in cache.iterdir()} == {".npy"}
  np.testing.assert_array_equal(found.data.images, np.stack([files[name] for name in sorted(files)]))


def test_threads_at_once_are_as_processes(tmp_path):
  path = fill(tmp_path / "set", {f"{k}.png": picture() for k in range(30)})
  found = [None] * 4

  def one(k):
    found[k] = np.array(load(path).data.images)

  threads = [threading.Thread(target=one, args=(k,)) for k in range(4)]
  [thread.start() for thread in threads]
  [thread.join() for thread in threads]
  for array in found:
    np.testing.assert_array_equal(array, found[0])


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
  path = fill(tmp_path / "set", {"1.png": picture()})
  (tmp_path / "file").write_text("x")
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
  with pytest.raises(Failure, match=r"decoded pictures cannot be kept in .*: Not a directory; XDG_CACHE_HOME names"):
    load(path)
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "full"))
  full = type("usage", (), {"free": 10})
  monkeypatch.setattr(decoded.shutil, "disk_usage", lambda folder: full)
  with pytest.raises(Failure, match=r"they need 90 bytes, and 10 are free; XDG_CACHE_HOME"):
    load(path)


def test_a_long_decode_says_how_far_it_is(tmp_path, monkeypatch):
  path = fill(tmp_path / "set", {f"{k}/{j}.png": picture() for k in "ab" for j in range(3)})
  said, clock = [], iter(range(0, 1000, 3))
  monkeypatch.setattr(time, "monotonic", lambda: next(clock))
  with data.telling(said.append):
    load(path)
  assert said[0] == f"{path}: looking for changes in 6 pictures"
  assert f"decoding {path}: 2 of 6, about 12 s left" in said
  assert said[-1] == f"{path}: 6 pictures, 5 x 6 RGB, 2 classes (a, b)"


# Data that are mapped from disk


def test_mapped_data_are_looked_at_in_parts(tmp_path, monkeypatch):
  images = RNG.integers(0, 256, (50, 4, 4, 3)).astype(np.uint8)
  np.save(tmp_path / "x.npy", images)
  mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
  found = data.from_arrays(mapped, np.arange(50) % 3)
  assert found.data.images is mapped
  whole = data.digest(data.from_arrays(images, np.arange(50) % 3))
  seen = []
  monkeypatch.setattr(dataset_lib, "CHUNK_BYTES", 7 * 48)  # seven pictures
  decode = dataset_lib.decode_bytes
  watched = found._replace(decode=lambda stored: (seen.append(stored.shape[0]), decode(stored))[1])
  assert data.digest(found) == whole
  assert data.check("mine", watched) is watched
  assert set(seen) == {7}
  wrong = found._replace(decode=lambda stored: jnp.where(stored == images[-1, -1, -1, -1], 2.0, decode(stored)))
  with pytest.raises(BadInput, match=r"values from -?[0-9.]+ to 2"):
    data.check("mine", wrong)


def test_every_step_of_training_takes_pictures(tmp_path):
  """Traced to the end, every shape of it, for gray pictures that are not square; nothing is compiled."""
  path = fill(tmp_path / "set", {f"{name}/{k}.png": picture((6, 8)) for name in "ab" for k in range(5)})
  config = {"dataset": "images", "dataset_options.path": path, "model": "mlp", "batch_size": 4, "conditional": True}
  (group,) = grouping.group([settings.resolve(config, {})])
  found = data.load(group.spec.dataset, **dict(group.spec.dataset_options))
  played = game.build(group.spec, found)
  unasked = Quality(lambda draw, count, near: draw(np.arange(4)), lambda seen: {}, {}, {})
  program = population.compile_group(group, played, found, unasked)
  state = jax.eval_shape(program.init, program.hypers)
  after, _ = jax.eval_shape(lambda h, s, d: program.advance(h, s, d, 2, 3), program.hypers, state, program.data)
  assert after == state
  assert evaluation.real_examples(found).shape == (64, 6, 8, 1)


@pytest.mark.skipif(
  not CIFAR.is_file(), reason="the pictures of CIFAR-10 are not beside this checkout (../shared/data)"
)
def test_the_jpeg_pictures_of_cifar_are_read_as_images():
  """Ten class folders of a zip, decoded; the first against Pillow by itself."""
  found = load(CIFAR)
  assert (found.data.images.shape, found.num_classes) == ((10_000, 32, 32, 3), 10)
  assert np.bincount(found.data.labels).tolist() == [1000] * 10
  with zipfile.ZipFile(CIFAR) as archive, Image.open(io.BytesIO(archive.read("truck/0999.jpg"))) as last:
    np.testing.assert_array_equal(found.data.images[-1], np.asarray(last))
  # Mean of CIFAR-10's test pictures over 255, as is widely used to standardise them: 0.494, 0.485, 0.450.
  np.testing.assert_allclose(found.data.images.mean((0, 1, 2)) / 255, [0.494, 0.485, 0.450], atol=2e-3)
  assert jax.device_get(found.data.labels).dtype == np.int32
