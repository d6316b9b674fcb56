"""The state of a group of a study, from its checkpoint: to measure something of trained players.

    found = restore.group(Path("runs/compare_losses"), "group-0")
    hypers, state = restore.member(found, 3)
    images, _ = found.game.generator.apply(state.gen_params, state.memory.generator, noise, labels, False)

Nothing is compiled or trained here: `runner.study` does that.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax

from gan_jax import data, runs
from gan_jax import game as game_lib
from gan_jax.core.errors import BadInput
from gan_jax.core.files import Damaged
from gan_jax.core.types import GanState
from gan_jax.data import Dataset
from gan_jax.game import outside
from gan_jax.game.rules import Game
from gan_jax.runner import checkpoint, resume
from gan_jax.runner.grouping import Group
from gan_jax.runner.grouping import group as grouped
from gan_jax.settings import outside as code
from gan_jax.settings.records import Hypers


class Restored(NamedTuple):
  """A group at one step of its training."""

  group: Group
  dataset: Dataset
  game: Game
  state: GanState  # numpy, each leaf [members, ...]; of a member that diverged, its last good state


def group(study: Path, name: str, step: int | None = None, folder: Path | None = None) -> Restored:
  """The state of a group after so many steps.

  Args:
    study: the study's directory.
    name: of the group, as in its manifest.
    step: after which; None: at the end of the run. A study keeps its last few checkpoints.
    folder: that of the config, where the user's code is that it names. It is run, so it must be named.

  Raises:
    BadInput: no such study or group; no intact checkpoint of that step, and which steps there are; or a checkpoint of
      other data, of the user's code before a change, or of another version of the program.
    OSError: the machine could not read it.
  """
  found, _ = entry(study, name, folder)
  dataset = data.load(found.spec.dataset, **dict(found.spec.dataset_options))
  game = game_lib.build(found.spec, dataset)
  at = found.spec.steps if step is None else step
  directory = study / "checkpoints" / name
  there = checkpoint.steps(directory)
  if at not in there:
    raise BadInput(f"{study} expected a checkpoint of {name} at step {at:,}, found {listed(there)}")
  facts = resume.facts(found, resume.Origin(data.digest(dataset), {}))
  try:
    state = checkpoint.restore_step(directory, at, resume.template(found, game), facts)
  except Damaged as error:
    rest = listed([other for other in there if other != at])
    raise BadInput(f"{error}; besides it {study} has {rest} of {name}") from error
  return Restored(found, dataset, game, state)


def entry(study: Path, name: str, folder: Path | None = None) -> tuple[Group, dict[str, Any]]:
  """(a group of a study, its entry in the manifest).

  Raises:
    BadInput: no such study or group; or one whose manifest names code, which is run only from a `folder` that the caller
      names, and never from the study's own directory. Who sends a study would run anything otherwise.
  """
  entries = {entry["name"]: entry for entry in runs.read_manifest(study)["groups"]}
  if name not in entries:
    raise BadInput(f"{study} expected one of its groups, {', '.join(entries)}, got {name!r}")
  configs = [member["config"] for member in entries[name]["members"]]
  for place in {reference.partition(":")[0] for config in configs for _, reference in code.named(config)}:
    if folder is None:
      raise BadInput(
        f"{study} names code ({place}), which is run only from a folder that you name: expected --folder (or folder=), that "
        "of its config file, got none"
      )
    if place.endswith(".py") and (folder / place).resolve().is_relative_to(study.resolve()):
      raise BadInput(
        f"{study} names code in its own directory ({place}), which is never run: expected a file elsewhere"
      )
  (found,) = grouped(outside.enter(configs, folder or Path()))
  begun = tuple(entries[name].get("grown", {}).get("ids", ()))
  return found._replace(name=name, begun=begun), entries[name]


def member(found: Restored, index: int) -> tuple[Hypers, GanState]:
  """(hypers, state) of one member of a group: what a step of the game takes."""
  hypers, state = jax.tree.map(lambda x: x[index], (found.group.hypers, found.state))
  return hypers, state


def listed(steps: list[int]) -> str:
  """The steps of checkpoints, for a message."""
  return f"those at {', '.join(f'{step:,}' for step in steps)}" if steps else "none"
