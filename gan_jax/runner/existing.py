"""Whether a directory holds the very study that is asked for, on the very data. No jax import."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_jax import runs, settings
from gan_jax.core.errors import BadInput, plural
from gan_jax.runs import schema
from gan_jax.settings import labels


def existing(study: Path, configs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
  """The manifest of a study that asks for just these runs, or None where there is nothing yet.

  Raises:
    BadInput: the directory holds something else, or a study of an earlier version.
  """
  if not study.exists() or (study.is_dir() and not runs.is_study(study)):
    strangers = runs.strangers(study) if study.is_dir() else []
    if strangers:
      raise BadInput(
        f"{study} holds other files ({strangers[0]}, ...): expected a new directory or this study's; see --out"
      )
    return None
  manifest = runs.read_manifest(study)
  there = {m["id"]: m["config"] for group in manifest["groups"] for m in group["members"]}
  asked = {settings.identity(config): config for config in configs}
  if manifest["format"] < runs.FORMAT:
    raise BadInput(
      f"{study} was begun by an earlier version, whose configs had other fields: it can be reported and exported, but not "
      "continued; choose another directory with --out"
    )
  if there.keys() != asked.keys():
    raise BadInput(f"{study} holds another study ({difference(there, asked)}); choose another directory with --out")
  layout = manifest.get("layout", {})
  wrong = schema.wrong(layout, {"backend": str, "devices": int, "cores": int}, "layout")
  if wrong or not all(1 <= layout[name] <= 4096 for name in ("devices", "cores")):
    raise BadInput(f"{study / runs.MANIFEST} does not say on what it began ({wrong or layout}): see --out")
  return manifest


def unchanged(study: Path, configs: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any] | None) -> None:
  """With the lock held: what was found before is still what is there.

  Raises:
    BadInput: another process has written the study in between.
  """
  if existing(study, configs) != manifest:
    raise BadInput(f"{study} has just been written by another process; the same command goes on from there")


def refuse_other_data(
  study: Path, manifest: Mapping[str, Any] | None, groups: Sequence[Any], digests: Mapping[str, str]
) -> None:
  """Raises `BadInput` where the data are not those that the study began with."""
  began = {g["name"]: g.get("data", {}).get("sha256") for g in manifest["groups"]} if manifest else {}
  for group in groups:
    there, here = began.get(group.name), digests[group.name]
    if there not in (None, here):
      folder = dict(group.spec.dataset_options).get("data_dir")
      raise BadInput(
        f"the dataset {group.spec.dataset!r}{f' in {folder}' if folder else ''} is not the one that {study} began with: "
        f"expected sha256 {there[:12]}, got {here[:12]}; "
        f"{'put its files back' if folder else 'go back to the version that made it'}, or choose another directory with --out"
      )


def difference(there: Mapping[str, Mapping[str, Any]], asked: Mapping[str, Mapping[str, Any]]) -> str:
  """What sets two sets of runs apart, in a few words."""
  if len(there) != len(asked):
    return f"{plural(len(there), 'run')} there, {len(asked):,} asked for"
  one = labels.flatten(there[next(i for i in there if i not in asked)])

  def fields(other: Mapping[str, Any]) -> list[str]:
    return [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]

  other = min((labels.flatten(asked[i]) for i in asked if i not in there), key=lambda config: len(fields(config)))
  return "; ".join(f"{name}: {one.get(name)!r} there, {other.get(name)!r} asked for" for name in fields(other)[:3])
