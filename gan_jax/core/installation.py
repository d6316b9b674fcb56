"""Where this copy of the package lies, and by which name its command was called. No jax import."""

import os
import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
NAME = re.compile(r"(configs/)?(?P<name>(\w{1,100}/)?\w{1,100})(\.py)?")  # of a config that comes with the package


def folder(name: str) -> Path:
  """`experiments` or `configs`: within the package where it was installed, beside it in a clone of the repository."""
  installed = PACKAGE / name
  return installed if installed.is_dir() else PACKAGE.parent / name


def config(text: str) -> str:
  """The path of a config file: of the user's, or else of the one that comes with the package under this name.

  `digits`, `digits.py` and `configs/digits.py` all name `digits.py` of `configs`, unless there is a file of that name.
  What names neither comes back as it is.
  """
  named = NAME.fullmatch(text)
  if named is None or Path(text).is_file():
    return text
  own = folder("configs") / f"{named['name']}.py"
  return str(own) if own.is_file() else text


def typed() -> str:
  """What a person types before the name of a command: `gan-jax`, or the `launch.sh` that called it, as it was typed."""
  return os.environ.get("GAN_JAX_TYPED", "gan-jax")
