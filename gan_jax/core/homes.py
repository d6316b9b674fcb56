"""Where data sets are published: addresses, sizes, checksums and licences. No jax import.

Sizes and SHA-256 are those of TensorFlow Datasets' lists (tensorflow_datasets/url_checksums), which several other
libraries repeat. Where the authors publish MD5 (CIFAR, Fashion-MNIST), it is that of the same files. A data set without
a published checksum is not in this table, and not downloaded. Addresses are tried in order.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from gan_jax.core import installation, paths
from gan_jax.core.errors import BadInput


class File(NamedTuple):
  """One published file."""

  name: str
  size: int  # bytes
  sha256: str
  urls: tuple[str, ...]  # https


class Home(NamedTuple):
  """A data set as its authors publish it."""

  page: str
  licence: str
  option: str  # of the dataset, which names the folder (`data_dir`) or the file (`path`)
  files: tuple[File, ...]

  @property
  def size(self) -> int:
    """Bytes of all files."""
    return sum(file.size for file in self.files)


IDX = tuple(f"{s}-{w}-ubyte.gz" for s in ("train", "t10k") for w in ("images-idx3", "labels-idx1"))
MNIST = (
  (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
  (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
  (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
  (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
)
FASHION = (
  (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
  (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
  (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
  (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
)
KUZUSHIJI = (
  (18165135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
  (29497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
  (3041136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
  (5120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
)
TEN = ((170052171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),)
HUNDRED = ((168513733, "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"),)


def _files(names: tuple[str, ...], known: tuple[tuple[int, str], ...], *folders: str) -> tuple[File, ...]:
  """The files of one data set: the same names in each of the folders of the web."""
  return tuple(
    File(name, size, digest, tuple(f"https://{folder}/{name}" for folder in folders))
    for name, (size, digest) in zip(names, known, strict=True)
  )


_CIFAR = ("www.cs.toronto.edu/~kriz", "cave.cs.toronto.edu/kriz")
HOMES = {
  "mnist": Home(
    "yann.lecun.com/exdb/mnist",
    "CC BY-SA 3.0",
    "data_dir",
    _files(IDX, MNIST, "storage.googleapis.com/cvdf-datasets/mnist", "ossci-datasets.s3.amazonaws.com/mnist"),
  ),
  "fashion_mnist": Home(
    "github.com/zalandoresearch/fashion-mnist",
    "MIT",
    "data_dir",
    _files(
      IDX,
      FASHION,
      "raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
      "github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
    ),
  ),
  "kmnist": Home(
    "codh.rois.ac.jp/kmnist",
    "CC BY-SA 4.0",
    "data_dir",
    _files(IDX, KUZUSHIJI, "codh.rois.ac.jp/kmnist/dataset/kmnist"),
  ),
  # The binary versions: they are read without unpickling.
  "cifar10": Home(
    "www.cs.toronto.edu/~kriz/cifar.html", "not stated", "path", _files(("cifar-10-binary.tar.gz",), TEN, *_CIFAR)
  ),
  "cifar100": Home(
    "www.cs.toronto.edu/~kriz/cifar.html", "not stated", "path", _files(("cifar-100-binary.tar.gz",), HUNDRED, *_CIFAR)
  ),
}


def place(name: str, root: Path | None = None) -> Path:
  """What the dataset's option names: the folder of its files, or its only file; below `root`, by default the user's."""
  folder = (root or paths.data_directory()) / name
  return folder if HOMES[name].option == "data_dir" else folder / HOMES[name].files[0].name


def fetched(name: str) -> str:
  """`place(name)` where all files are there in their published sizes; else ''.

  Half a download is no data set: images without labels would be read as one class.
  """
  if name not in HOMES:
    return ""
  try:
    folder = paths.data_directory() / name
    whole = all((folder / file.name).stat().st_size == file.size for file in HOMES[name].files)
  except (OSError, RuntimeError):  # RuntimeError: nobody's home directory is known
    return ""
  return str(place(name)) if whole else ""


def verified(name: str) -> str:
  """As `fetched`; raises `BadInput` where a file is not, to the byte, the published one."""
  found = fetched(name)
  for file in HOMES[name].files if found else ():
    there(paths.data_directory() / name / file.name, file, "and fetch it again, or name your own data")
  return found


def there(path: Path, file: File, advice: str = "or choose another folder with --out") -> bool:
  """Whether the right file is at `path`; raises `BadInput` where another one is."""
  if not os.path.lexists(path):
    return False
  if not path.is_file():
    got = "a folder, a pipe or a link to nothing"
  elif (size := path.stat().st_size) != file.size:
    got = f"{size:,} bytes"
  elif (digest := digest_of(path)) != file.sha256:
    got = f"sha256 {digest}"
  else:
    return True
  raise BadInput(
    f"{path}: expected the published file ({file.size:,} bytes, sha256 {file.sha256}), got {got}; it is left as it is: "
    f"move it away, {advice}"
  )


def digest_of(path: Path) -> str:
  with open(path, "rb") as stream:
    return hashlib.file_digest(stream, "sha256").hexdigest()


def hint(name: str) -> str:
  """The end of a message about data that are not there: how to get them; '' where they cannot be fetched."""
  if name not in HOMES:
    return ""
  return f"; `{installation.typed()} fetch {name}` downloads it to where it is found without that option"
