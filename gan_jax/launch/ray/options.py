"""How Ray is used, as `--ray.NAME=VALUE` says, and whether it can be. No jax import, and none of Ray."""

import importlib.util
import re
import socket
from collections.abc import Sequence
from typing import NamedTuple

from gan_jax.core.errors import BadInput, shown, unknown

PREFIX = "--ray."
LOCAL = "local"  # the address of a Ray that is started for one launch
ANSWER = 5.0  # seconds for a port to answer


class Options(NamedTuple):
  """How Ray is used. Addresses: local, auto (the cluster of this node, or of RAY_ADDRESS), HOST:PORT, ray://HOST:PORT."""

  address: str = LOCAL
  cpus: int = 1  # of each task, on a cluster; this machine's are divided among the workers
  gpus: float = 0.0
  parallel: int = 10_000  # tasks at a time on a cluster, at most; those without room wait, and it may grow for them


def read(flags: Sequence[str], workers: int = 1) -> Options:
  """The options of `--ray.NAME=VALUE`, beside `--workers`.

  >>> read(["--ray.address=auto", "--ray.cpus=8", "--ray.gpus=0.5"])
  Options(address='auto', cpus=8, gpus=0.5, parallel=10000)

  Raises:
    BadInput: an option that there is not, or a value that it cannot have.
  """
  given = Options()
  for flag in flags:
    name, _, value = flag.removeprefix(PREFIX).partition("=")
    if name not in Options._fields:
      raise unknown(f"option {PREFIX}NAME", name, Options._fields)
    number = re.fullmatch(r"\d{1,6}(\.\d{1,6})?" if name == "gpus" else r"[1-9]\d{0,5}", value)
    if name != "address" and not number:
      raise BadInput(f"{PREFIX}{name} expected a {'' if name == 'gpus' else 'whole '}number, got {shown(value)}")
    given = given._replace(**{name: type(getattr(given, name))(value)})
  if given.address == LOCAL and given[1:] != Options()[1:]:
    names = ", ".join(f"{PREFIX}{name}" for name in Options._fields[1:])
    raise BadInput(f"{names} are for a cluster ({PREFIX}address); this machine is divided by --workers")
  if given.address != LOCAL and workers != 1:
    raise BadInput(f"--workers is for this machine; of a cluster's tasks {PREFIX}parallel={workers} run at a time")
  return given


def check(options: Options) -> None:
  """Whether Ray is installed, and whether something answers at the address; no other process is started.

  Raises:
    BadInput: not so.
  """
  if importlib.util.find_spec("ray") is None:
    raise BadInput(
      '--launcher=ray expected the package ray, which is not installed: pip install "gan_jax[ray]", or GAN_JAX_EXTRA=ray '
      "with launch.sh"
    )
  if options.address in (LOCAL, "auto"):
    return
  found = re.fullmatch(r"(?:ray://)?\[?([^/\s\[\]]+)\]?:(\d{1,5})", options.address)
  if not found:
    raise BadInput(f"{PREFIX}address expected local, auto, HOST:PORT or ray://HOST:PORT, got {shown(options.address)}")
  try:
    socket.create_connection((found[1], int(found[2])), timeout=ANSWER).close()
  except (OSError, OverflowError, UnicodeError) as error:
    raise BadInput(f"{PREFIX}address expected a Ray that answers at {options.address}: {error}") from error
