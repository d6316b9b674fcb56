"""Changed configs, bad data files, hostile names and bombs: what a study is to refuse before it does anything."""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from .bench import Code

MARK = "<script>alert('selftest')</script>"  # the undisturbed study has it in its description and its panel
NAMES = (
  *("../../outside", "/outside", "..", ".", "~", "~root/outside", "a/../../outside", "..\\..\\outside", "a/b"),
  *(f"../../{MARK}", MARK, '" onerror="alert(1)', "<img src=x onerror=alert(1)>", "javascript:alert(1)", "&lt;b&gt;"),
  *(
    "=cmd()",
    "+1+1",
    "@SUM(1)",
    "-rf",
    "%s%n%x",
    "%(name)s",
    "{0.__class__}",
    "${HOME}",
    "$(mkdir ran)",
    "`mkdir ran`",
  ),
  *("; mkdir ran", "| mkdir ran", "&& mkdir ran", "a\nb", "a\tb", "\x1b[31mred", "\u202eevil", "\u200b", "x" * 300),
  *("\U0001f600", "hinge ", "hinge(", "__import__('os').mkdir('ran')", "!!python/object/apply:os.mkdir [ran]"),
  '{"py/reduce": [{"py/function": "os.mkdir"}]}',
)
CHANGES = (  # of the undisturbed study's config, each sound by itself
  *("generator_rate=1e-3", "discriminator_rate=1e-3", "batch_size=17", "latent_size=3", "ema_decay=0.5", "n_critic=2"),
  *("n_gen=2", "optimizer=sgd", "penalty=r1", "weight_constraint=clip", "weight_constraint=spectral"),
  *(
    "instance_noise=true",
    "dataset=grid",
    "dataset=line",
    "fakes=same_noise",
    "order=simultaneous",
    "method=extragradient",
  ),
  *("probe_every=10", "evaluate_every=200", "checkpoint_every=300", "evaluation_samples=300", "precision=bfloat16"),
  *("head_start=10", "lookahead_every=5", "unroll_steps=1", "seed=7", "loss=minimax", "model_options.depth=2"),
  *("model_options.generator_width=8", "generator_penalty=r1"),
)
SOUND = np.arange(6 * 28 * 28).reshape(6, 28, 28).astype(np.uint8)


def idx(array: np.ndarray, magic: int = 0x0800) -> bytes:
  """As MNIST's files are."""
  return struct.pack(f">{1 + array.ndim}I", magic + array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def png(side: int) -> bytes:
  """A black picture of one bit, and few bytes."""

  def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

  packer = zlib.compressobj(1)
  rows = b"".join(packer.compress(bytes(1 + (side + 7) // 8)) for _ in range(side)) + packer.flush()
  header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
  return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def zipped(files: dict[str, bytes]) -> bytes:
  found = io.BytesIO()
  with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
    for name, content in files.items():
      archive.writestr(name, content)
  return found.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
  found = io.BytesIO()
  with tarfile.open(fileobj=found, mode="w:gz") as archive:
    for name, content in files.items():
      member = tarfile.TarInfo(name)
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))
  return found.getvalue()


def bad_images() -> dict[str, bytes]:
  """The images of MNIST, by what is wrong with them."""
  whole, packed = idx(SOUND), gzip.compress(idx(SOUND))
  return {
    "truncated gzip": packed[:-100],
    "flipped gzip": packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:],
    "empty": b"",
    "a page": b"<!DOCTYPE html><html>404</html>",
    "wrong magic": idx(SOUND, 0x0D00),
    "more in the header": struct.pack(">4I", 0x0803, 60000, 28, 28) + whole[16:],
    "more after the header": whole + bytes(9),
    "a huge claim": struct.pack(">4I", 0x0803, 2**31, 28, 28),
    "junk after the gzip": packed + b"junk",
  }


def data(folder: Path) -> list[list[str]]:
  """Arguments that name a bad data set each; the files are written below `folder`."""
  found = []
  sound = {"train-images-idx3-ubyte": idx(SOUND), "train-labels-idx1-ubyte": idx(np.arange(6))}
  sets = {name: sound | {"train-images-idx3-ubyte": content} for name, content in bad_images().items()}
  sets["a label of 10"] = sound | {"train-labels-idx1-ubyte": idx(np.arange(5, 11))}
  for name, files in sets.items():
    place = folder / name.replace(" ", "-")
    place.mkdir(parents=True)
    for file, content in files.items():
      (place / file).write_bytes(content)
    found.append(["--config.dataset=mnist", f"--config.dataset_options.data_dir={place}"])
  objects = io.BytesIO()
  np.savez(objects, images=np.array([Code(folder / "ran")], object))
  archives = {
    "objects.npz": ("images", objects.getvalue()),
    "outside.tar.gz": ("cifar10", tarred({"../outside": b"x"})),
    "outside.zip": ("images", zipped({"../../outside.png": png(8)})),
    "code.tar.gz": ("cifar10", tarred({"cifar-10-batches-py/data_batch_1": pickle.dumps(Code(folder / "ran"))})),
  }
  return found + _named(folder, archives)


def bombs(folder: Path) -> list[list[str]]:
  """Arguments that name files each that are small and would be huge when unpacked."""
  folder.mkdir(parents=True)
  archives = {
    "picture.zip": ("images", zipped({"1.png": png(20000)})),
    "zeros.zip": ("images", zipped({"1.png": bytes(2**28)})),
    "zeros.tar.gz": ("cifar10", tarred({"cifar-10-batches-py/data_batch_1": bytes(2**28 + 1)})),
  }
  (folder / "mnist").mkdir()
  (folder / "mnist" / "train-images-idx3-ubyte").write_bytes(gzip.compress(idx(SOUND) + bytes(2**27), 1))
  (folder / "mnist" / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(6)))
  mnist = ["--config.dataset=mnist", f"--config.dataset_options.data_dir={folder / 'mnist'}"]
  return [mnist, *_named(folder, archives)]


def _named(folder: Path, archives: dict[str, tuple[str, bytes]]) -> list[list[str]]:
  found = []
  for name, (dataset, content) in archives.items():
    (folder / name).write_bytes(content)
    found.append([f"--config.dataset={dataset}", f"--config.dataset_options.path={folder / name}"])
  return found
