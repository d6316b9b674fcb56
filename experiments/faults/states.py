"""A study's files read as a resuming process reads them, and states saved, in this process. Imports jax when called."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

KINDS = ("NaN", "infinity", "an exploding critic")
HUGE = 1e20  # factor of the weights of a critic that explodes


class Of(NamedTuple):
  """What is needed to read and write the states of one group."""

  ids: list[str]
  blank: Any  # its state filled with zeros
  facts: dict[str, Any]


def _of(study: Path, group: str) -> Of:
  from gan_jax import data
  from gan_jax import game as games
  from gan_jax.runner import restore, resume

  found, entry = restore.entry(study, group, study)
  dataset = data.load(found.spec.dataset, **dict(found.spec.dataset_options))
  blank = resume.template(found, games.build(found.spec, dataset))
  return Of(list(found.ids), blank, resume.facts(found, resume.Origin(entry["data"]["sha256"], {})))


def _digest(arrays: dict[str, Any]) -> str:
  found = hashlib.sha256()
  for name, value in sorted(arrays.items()):
    array = np.asarray(value)
    found.update(f"{name} {array.dtype} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
  return found.hexdigest()


def reader(study: Path) -> Callable[[Path], str]:
  """A function that reads the file of a study with the study's own functions: a digest of what was read.

  It is made of an intact study. The function raises `BadInput` for a file that is noticed to be damaged, or is missing.
  Of a file below a checkpoint the whole checkpoint is read. Of a manifest or status its copy is read where it is damaged.
  """
  from gan_jax import runs
  from gan_jax.runner import best, checkpoint, echoes

  echoes.quiet()

  groups = {entry["name"]: _of(study, entry["name"]) for entry in runs.read_manifest(study)["groups"]}

  def read(path: Path) -> str:
    kind, *rest = path.relative_to(study).parts
    if not rest:
      return json.dumps(runs.read_checked(study, kind.replace(".copy", ""))[0], sort_keys=True)
    of = groups[rest[0]]
    if kind == "checkpoints":
      state = checkpoint.restore_step(study / kind / rest[0], int(rest[1]), of.blank, of.facts)
      return json.dumps(checkpoint.leaves(state), sort_keys=True)
    if kind == "samples":
      return _digest({"samples": runs.read_samples(path, len(of.ids), real=path.stem == "real")})
    if kind == "best":
      like = _first((of.blank.gen_ema, of.blank.memory.average))
      step, value, generator = best.load(study, rest[0], path.stem, like)
      return _digest({"step": step, "value": value, **{str(i): leaf for i, leaf in enumerate(_leaves(generator))}})
    first, last = (int(number) for number in path.stem.split("-"))
    table = runs.read_part(path, first, last, len(of.ids))
    return _digest({"step": table.steps, **table.columns})

  return read


def _leaves(tree: Any) -> list[Any]:
  import jax

  return list(jax.tree.leaves(tree))


def _first(tree: Any) -> Any:
  import jax

  return jax.tree.map(lambda x: x[0], tree)


def saving(whole: Path, study: Path, step: int) -> Callable[[], None]:
  """A function that saves the first group's state of one study after so many steps as a checkpoint of another."""
  import jax

  from gan_jax.runner import checkpoint

  name = min(path.name for path in (whole / "checkpoints").iterdir())
  of, directory = _of(whole, name), whole / "checkpoints" / name
  state = jax.tree.map(jax.device_put, checkpoint.restore_step(directory, step, of.blank, of.facts))
  origin = checkpoint.origin(directory, step, of.blank, of.facts)
  return lambda: checkpoint.save(study / "checkpoints" / name, step, state, of.facts, origin)


def poison(study: Path, step: int, member: int, kind: str) -> None:
  """Replace the first group's newest checkpoint, of that step, by one in which a member's weights are not finite, or huge.

  Its digests are right: it is what a run would have saved. The study is the selftest's own copy.
  """
  import jax

  from gan_jax.runner import checkpoint

  name = min(path.name for path in (study / "checkpoints").iterdir())
  of, directory = _of(study, name), study / "checkpoints" / name
  state = checkpoint.restore_step(directory, step, of.blank, of.facts)
  origin = checkpoint.origin(directory, step, of.blank, of.facts)

  def changed(leaf: np.ndarray) -> np.ndarray:
    leaf = np.array(leaf)
    leaf[member] = {KINDS[0]: np.nan, KINDS[1]: np.inf}.get(kind, HUGE * leaf[member])
    return leaf

  player = "disc_params" if kind == KINDS[2] else "gen_params"
  state = state._replace(**{player: jax.tree.map(changed, getattr(state, player))})
  shutil.rmtree(directory / str(step))
  checkpoint.save(directory, step, jax.tree.map(jax.device_put, state), of.facts, origin)
