"""The study that a fork goes on from, and the step at which it does. No jax import.

All runs of a fork begin at one step, so that they stay comparable: the newest one of which each group of the parent has a
checkpoint, and at which a chunk of the fork ends.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax import runs
from gan_jax.core import files
from gan_jax.core.errors import BadInput
from gan_jax.runs import plan

Config = Mapping[str, Any]


class Parent(NamedTuple):
  """What is forked."""

  path: Path
  manifest: Mapping[str, Any]
  digest: str  # sha256 of the manifest, which the manifest itself carries
  checkpoints: Mapping[str, Mapping[int, str]]  # sha256 of each intact one, by the group's name and by step
  step: int  # at which it is forked

  @property
  def common(self) -> set[int]:
    """The steps of which all groups have a checkpoint."""
    return set.intersection(*(set(steps) for steps in self.checkpoints.values()))

  def facts(self, name: str) -> dict[str, Any]:
    """What the checkpoints of a group say that they are of; see `resume.facts`."""
    (group,) = [group for group in self.manifest["groups"] if group["name"] == name]
    ids = [member["id"] for member in group["members"]]
    return {"members": group.get("grown", {}).get("ids") or ids, "data": group["data"]["sha256"]}

  def place(self, group: str) -> Path:
    """Where the checkpoints of a group are."""
    return self.path / "checkpoints" / group


def read(path: Path) -> Parent:
  """A study, at the newest step of which every group has an intact checkpoint."""
  manifest = runs.read_manifest(path)
  if manifest["format"] < runs.FORMAT or any("data" not in group for group in manifest["groups"]):
    raise BadInput(f"{path} was begun by an earlier version, and cannot be forked: expected a study of this one")
  if manifest.get("halving"):
    raise BadInput(f"{path} has runs that halving stopped, and cannot be forked: expected a study without halving()")
  found = {group["name"]: _checkpoints(path / "checkpoints" / group["name"]) for group in manifest["groups"]}
  parent = Parent(path, manifest, manifest["sha256"], found, 0)
  if not parent.common:
    there = "; ".join(f"{name}: {', '.join(map(str, sorted(steps))) or 'none'}" for name, steps in found.items())
    alike = len({group["members"][0]["config"]["steps"] for group in manifest["groups"]}) == 1
    way = "its own sweep trains it to its end, where all have one, and " if alike else ""
    raise BadInput(
      f"{path} expected checkpoints of all its groups at one step, since all runs of a fork begin at one, got {there}; "
      f"{way}a new study with the changed fields begins at step 0"
    )
  return parent._replace(step=max(parent.common))


def _checkpoints(directory: Path) -> dict[int, str]:
  """The digest of each intact checkpoint, by step: that of its `meta`, which has the digests of all arrays."""
  found = {}
  for path in sorted(directory.iterdir()) if directory.is_dir() else ():
    if path.name.isdecimal():
      try:
        meta = files.read_json(path / "meta" / "metadata")
      except BadInput:  # missing or damaged: an older one may be whole
        continue
      if files.sealed(meta):
        found[int(path.name)] = meta["sha256"]
  return found


def at_an_end(parent: Parent, configs: Sequence[Config]) -> Parent:
  """The parent at its newest step at which a chunk of these runs ends. Raises `BadInput` where there is none."""
  few = {tuple(config[name] for name in plan.CADENCE): config for config in configs}
  for config in few.values():
    if config["steps"] <= parent.step:
      raise BadInput(
        f"{parent.path} is forked at step {parent.step:,}, the newest of its checkpoints ({_listed(parent.common)}): "
        f"expected steps above {parent.step:,}, got {config['steps']:,}"
      )
  ends = set.intersection(*({chunk.last for chunk in plan.of(config)} for config in few.values()))
  if ends & parent.common:
    return parent._replace(step=max(ends & parent.common))
  fits = all(parent.step % config["probe_every"] == 0 for config in few.values())
  way = f"--config.checkpoint_every={parent.step}" if fits else f"a probe_every that divides {parent.step:,}"
  raise BadInput(
    f"{parent.path} has checkpoints at {_listed(parent.common)}, by its checkpoint_every, and no chunk of these runs ends "
    f"there: expected probe_every, evaluate_every and checkpoint_every with which one does, such as {way}"
  )


def _listed(steps: Iterable[int]) -> str:
  """`step 60`, `steps 60, 80 and 100`."""
  *most, last = (f"{step:,}" for step in sorted(steps))
  return f"steps {', '.join(most)} and {last}" if most else f"step {last}"
