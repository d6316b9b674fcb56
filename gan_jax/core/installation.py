"""The version of this copy of the package, where it is installed, and how its command was called. No jax import."""

import os
import re
from pathlib import Path

__version__ = "0.1.0"
PACKAGE = Path(__file__).resolve().parents[1]
NAME = re.compile(r"(configs/)?(?P<name>(\w{1,100}/)?\w{1,100})(\.py)?")  # of a config that comes with the package


def folder(name: str) -> Path:
  """The folder `experiments` or `configs`: inside an installed package, next to it in a clone of the repository."""
  installed = PACKAGE / name
  return installed if installed.is_dir() else PACKAGE.parent / name


def config(text: str) -> str:
  """The path of a config file: the user's file, or else the one of this name that comes with the package.

  `digits`, `digits.py` and `configs/digits.py` all name `digits.py` of `configs`, unless there is a file of that name.
  Any other text is returned unchanged.
  """
  named = NAME.fullmatch(text)
  if named is None or Path(text).is_file():
    return text
  own = folder("configs") / f"{named['name']}.py"
  return str(own) if own.is_file() else text


def typed() -> str:
  """What was typed before the name of the command: `gan-jax`, or the path of `launch.sh`."""
  return os.environ.get("GAN_JAX_TYPED", "gan-jax")
