"""`launch.sh fetch [DATASET...] [--out DIR]`: download mnist, fashion_mnist, kmnist, cifar10 or cifar100; or list them.

The files come from the data sets' public homes, are compared with the published size and checksum, and are found by a
config that names the dataset and no folder. What is there is verified and left. A download that was stopped goes on
where it ended. With `--out` they go below another folder, in one of the data set's name, for `dataset_options`.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from gan_jax.core import homes, installation, paths
from gan_jax.core.download import download
from gan_jax.core.errors import BadInput, shown

from . import command
from .sweep import Parser, place

# Those that a person may ask for, and why they are not downloaded.
OTHERS = {
  "emnist": "emnist is one zip of six sets: unpack it yourself and name its folder in dataset_options.data_dir",
  "stacked_mnist": "stacked_mnist is made of mnist: fetch that",
}


def main(arguments: list[str]) -> None:
  parser = Parser("fetch")
  parser.add_argument("dataset", nargs="*", help=f"of {', '.join(homes.HOMES)}; without one, they are listed")
  parser.add_argument("--out", type=place, help="the folder that gets a folder for each (default: the user's own)")
  known = parser.parse_args(arguments)
  for name in known.dataset:
    if name not in homes.HOMES:
      more = f"; {OTHERS[name]}" if name in OTHERS else ""
      raise BadInput(f"expected a data set of {', '.join(homes.HOMES)}, got {shown(name)}{more}")
  if not known.dataset:
    command.deliver(listing())
    return
  command.stop().outcome = "what has come is kept, and the same command goes on from there"
  for name in dict.fromkeys(known.dataset):
    print(fetch(name, known.out))


def fetch(name: str, root: Path | None) -> str:
  """Download all files of a data set; returns a line that says where they are, and how a config finds them."""
  from gan_jax.runner.progress import Progress

  home = homes.HOMES[name]
  if root is None and not os.environ.get("GAN_JAX_DATA"):  # a place that the user named may be for others too
    paths.private(paths.data_directory())
  folder = (root or paths.data_directory()) / name
  with Progress() as told:
    new = 0
    for file in home.files:
      with told.phase(f"fetching {file.name}, {megabytes(file.size)}"):
        new += download(file, folder, told.say, counted(told, file))
  found = "found without further options" if root is None else f"--config.dataset_options.{home.option}="
  where = homes.place(name, root)
  what = f"{new} of {len(home.files)} files downloaded, all verified" if new else "there already, verified"
  return f"{name}: {what}: {where}; {found}{'' if root is None else where}"


def counted(told, file: homes.File) -> Callable[[int], None]:
  """Tells how many bytes have come: below a live line, or as a line from time to time."""
  from gan_jax.runner.progress import SILENCE

  first: list[tuple[int, float]] = []  # bytes and time of the first chunk
  said = [time.monotonic()]

  def advanced(done: int) -> None:
    now = time.monotonic()
    first[:] = first or [(done, now)]
    rate = (done - first[0][0]) / (now - first[0][1]) if now > first[0][1] else 0.0
    text = f"{file.name}: {100 * done // file.size} % of {megabytes(file.size)}, {megabytes(int(rate))}/s"
    told.note(text)
    if not told.live and now - said[0] >= SILENCE:
      said[0] = now
      told.say(text)

  return advanced


def listing() -> str:
  """A line for each data set: size, licence, home, and whether it is there."""
  rows = [
    f"{name:14} {megabytes(home.size):>9}  {home.licence:13} {'there' if homes.fetched(name) else '-':6} {home.page}"
    for name, home in homes.HOMES.items()
  ]
  head = f"{'data set':14} {'size':>9}  {'licence':13} {'here':6} home"
  end = (
    f"`{installation.typed()} fetch NAME` downloads to {paths.data_directory()} (GAN_JAX_DATA names another folder)."
  )
  return "\n".join([head, *rows, "", end, *(f"Not fetched: {why}." for why in OTHERS.values()), ""])


def megabytes(size: int) -> str:
  return f"{size / 1e6:,.1f} MB"


if __name__ == "__main__":
  command.run(main)
