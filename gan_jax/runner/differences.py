"""How what a checkpoint holds differs from what is asked for, in a few words. No jax import."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_jax.core.errors import BadInput, plural

Leaves = dict[str, dict[str, Any]]  # dtype, shape and sha256 of each leaf of a state, by its path


NETWORKS, OPTIMIZER = "weights", "optimizer"
PARTS = {  # of a state, as messages call them
  "gen_params": f"the generator's {NETWORKS}",
  "gen_ema": f"the average of the generator's {NETWORKS}",
  "gen_opt": f"the generator's {OPTIMIZER}",
  "disc_params": f"the discriminator's {NETWORKS}",
  "disc_opt": f"the discriminator's {OPTIMIZER}",
  "memory": "the memory of the players",
}


class Unfit(BadInput):
  """A checkpoint of other runs, other data or another program."""

  def __init__(self, path: Path, why: str):
    super().__init__(f"checkpoint {path} does not fit this command and is left as it is: {why}; choose another --out")
    self.why = why


def of_facts(there: Mapping[str, Any], here: Mapping[str, Any]) -> str | None:
  """How two sets of facts differ, in a few words; None where they are equal."""
  for name in dict.fromkeys([*there, *here]):
    a, b = there.get(name), here.get(name)
    if a != b and isinstance(a, list) and isinstance(b, list):
      only = [[x for x in one if x not in other] for one, other in ((a, b), (b, a))]
      said = [
        f"{len(one)} {where}{f' (only {found[0]})' if found else ''}"
        for one, found, where in zip((a, b), only, ("there", "here"), strict=True)
      ]
      return f"{name}: {', '.join(said)}"
    if a != b:
      return f"{name}: {str(a)[:16]} there, {str(b)[:16]} here"
  return None


def called(leaf: str) -> str:
  """The path of a leaf of a state in words.

  >>> called(".gen_params['params']['Dense_0']['kernel']"), called(".disc_opt[0].count")
  ("the generator's weights Dense_0/kernel", "the discriminator's optimizer 0/count")
  """
  part, *names = re.findall(r"[^\[\].'\"]+", leaf)
  return " ".join([PARTS.get(part, part), "/".join(name for name in names if name != "params")]).rstrip()


def of_leaves(there: Leaves, here: Leaves) -> str | None:
  """How two layouts of a state differ: a leaf that only one has, or the first leaf of another dtype or shape."""

  def layout(leaf: Mapping[str, Any]) -> str:
    return f"{leaf['dtype']} {leaf['shape']}"

  for name in there:
    if name not in here:
      return f"its state has {called(name)}, {layout(there[name])}, and this program's has not"
  for name in here:
    if name not in there:
      return f"this program's state has {called(name)}, {layout(here[name])}, and the checkpoint has not"
  differ = [name for name in there if layout(there[name]) != layout(here[name])]
  if not differ:
    return None
  more = f", and {plural(len(differ) - 1, 'other part differs', 'other parts differ')} too" * (len(differ) > 1)
  return f"{called(differ[0])}: expected {layout(there[differ[0]])}, got {layout(here[differ[0]])}{more}"
