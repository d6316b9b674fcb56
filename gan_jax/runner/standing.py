"""The state of a study on disk: whether it can be continued, what is missing, and what is saved. No jax import."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_jax import runs, settings
from gan_jax.core import homes
from gan_jax.core.errors import BadInput, Failure, plural
from gan_jax.runner import growth
from gan_jax.runs import schema
from gan_jax.settings import labels


def begun(study: Path) -> dict[str, Any] | None:
  """The manifest of the study in this directory, if this version can continue it; None for a new directory.

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
  if manifest["format"] < runs.FORMAT:
    raise BadInput(
      f"{study} was begun by an earlier version, whose configs had other fields: it can be reported and exported, but not "
      "continued; choose another directory with --out"
    )
  layout = manifest.get("layout", {})
  wrong = schema.wrong(layout, {"backend": str, "devices": int, "cores": int}, "layout")
  if wrong or not all(1 <= layout[name] <= 4096 for name in ("devices", "cores")):
    raise BadInput(f"{study / runs.MANIFEST} does not say on what it began ({wrong or layout}): see --out")
  return manifest


def existing(study: Path, configs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
  """The manifest of the study in this directory, whose runs must be among these (completed) ones; None: a new directory.

  It may have fewer of them, or with fewer steps: then it grows (growth.py).

  Raises:
    BadInput: as `begun`; or the study has other runs, or cannot grow to these.
  """
  manifest = begun(study)
  if manifest is None:
    return None
  there = {m["id"]: m["config"] for group in manifest["groups"] for m in group["members"]}
  asked = {settings.identity(config): config for config in configs}
  if there.keys() != asked.keys() and growth.asked(manifest, configs) is None:
    _refuse_changed_code(study, there.values(), asked.values())
    raise BadInput(
      f"{study} holds another study ({difference(there, asked)}): it can get more runs or steps if all its runs are still "
      "asked for; choose another directory with --out"
    )
  return manifest


def _refuse_changed_code(study: Path, there: Iterable[Mapping[str, Any]], asked: Iterable[Mapping[str, Any]]) -> None:
  """Raises `BadInput` if a file of user code has changed since the study began."""
  began = {place: digest for config in there for place, digest in config.get("code", {}).items()}
  now = {place: digest for config in asked for place, digest in config.get("code", {}).items()}
  changed = sorted(place for place in began.keys() & now.keys() if began[place] != now[place])
  if changed:
    raise BadInput(
      f"{' and '.join(labels.in_words(f'code.{place}') for place in changed)}, or of a file that it imports, has changed "
      f"since {study} began: put it back, or choose another directory with --out"
    )


def unchanged(study: Path, configs: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any] | None) -> None:
  """Check, with the lock held, that the study is still as it was found before.

  Raises:
    BadInput: another process has written the study in between.
  """
  if existing(study, configs) != manifest:
    raise BadInput(f"{study} has just been written by another process; the same command goes on from there")


def with_roles(study: Path, manifest: dict[str, Any] | None, roles: Mapping[str, list[str]]) -> dict[str, Any] | None:
  """The manifest with these roles of fields, written where they differ: roles change no run, so they may be changed."""
  if manifest is None or manifest.get("roles", {}) == roles:
    return manifest
  changed = {**manifest, "roles": dict(roles)}
  runs.write_manifest(study, changed)
  return changed


def refuse_other_data(
  study: Path,
  manifest: Mapping[str, Any] | None,
  groups: Sequence[Any],
  digests: Mapping[str, str],
  otherwise: str = ", or choose another directory with --out",
) -> None:
  """Raises `BadInput` where the data are not those with which the study began; `otherwise`: a second way out."""
  began = {g["name"]: g.get("data", {}).get("sha256") for g in manifest["groups"]} if manifest else {}
  for group in groups:
    there, here = began.get(group.name), digests[group.name]
    if there not in (None, here):
      options = dict(group.spec.dataset_options)
      folder = options.get("data_dir") or options.get("path") or homes.fetched(group.spec.dataset)
      raise BadInput(
        f"the dataset {group.spec.dataset!r}{f' in {folder}' if folder else ''} is not the one that {study} began with: "
        f"expected sha256 {there[:12]}, got {here[:12]}; "
        f"{'put its files back' if folder else 'go back to the version that made it'}{otherwise}"
      )


def difference(there: Mapping[str, Mapping[str, Any]], asked: Mapping[str, Mapping[str, Any]]) -> str:
  """How two sets of runs differ, in a few words."""
  if len(there) != len(asked):
    return f"{plural(len(there), 'run')} there, {len(asked):,} asked for"
  one = labels.flatten(there[next(i for i in there if i not in asked)])

  def fields(other: Mapping[str, Any]) -> list[str]:
    found = [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]
    return sorted(found, key=lambda name: name.startswith("code."))  # a digest differs because something else does

  def told(name: str) -> str:
    if name.startswith("code."):
      return f"{labels.in_words(name)} differs"
    return f"{name}: {one.get(name)!r} there, {other.get(name)!r} asked for"

  other = min((labels.flatten(asked[i]) for i in asked if i not in there), key=lambda config: len(fields(config)))
  return "; ".join(told(name) for name in fields(other)[:3])


def writable(study: Path) -> None:
  """Raises `BadInput` where a study's directory cannot be written or made: for dry runs, which leave nothing behind."""
  place = next(path for path in (study.absolute(), *study.absolute().parents) if path.exists())
  try:
    with tempfile.TemporaryFile(dir=place):  # it has no name, as in `prepare`
      pass
  except OSError as error:  # also where the rights allow it and the file system does not, such as /proc
    raise BadInput(f"output directory {study} cannot be written: {place}: {error.strerror or error}") from error


def prepare(study: Path) -> None:
  """Make the directory, and check that it can be written before anything is trained."""
  try:
    study.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=study):  # it has no name, so nothing is left even after a kill
      pass
  except OSError as error:
    if error.errno == 28:  # no space left: not the directory's fault
      raise
    raise BadInput(f"output directory {study} cannot be written: {error.strerror or error}") from error


def missing(study: Path, group: Mapping[str, Any]) -> list[runs.Gap]:
  """What is missing of a group of the manifest."""
  return runs.gaps(study, group, runs.read_status(study)["groups"].get(group["name"], {}))


def whole(study: Path, group: Mapping[str, Any]) -> bool:
  """Whether a group of the manifest is trained to its end, or all of it stopped before, and nothing is missing."""
  return trained(group, runs.read_status(study)["groups"].get(group["name"], {})) and not missing(study, group)


def trained(group: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
  """Whether a group is trained to its end, or all of it stopped before; `status`: the group's.

  Where a study became longer and was killed before that was written into its status, that still says that it is complete.
  """
  there = bool(status.get("complete")) and int(status.get("step", 0)) >= group["members"][0]["config"]["steps"]
  return there or stopped(group, status)


def stopped(group: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
  """Whether all runs of a group were stopped (halving.py); `status`: the group's."""
  return {member["id"] for member in group["members"]} <= status.get("stopped", {}).keys()


def confirm(study: Path) -> None:
  """Raises `Failure` where a trained study has gaps, so that exit code 0 means that nothing is missing."""
  gaps = [gap for group in runs.read_manifest(study)["groups"] for gap in missing(study, group)]
  if gaps:
    more = f", and {plural(len(gaps) - 1, 'gap')} more" * (len(gaps) > 1)
    raise Failure(f"{study} is trained and reported, but not whole: {gaps[0]}{more}; it cannot be computed again")


def finished(study: Path, manifest: Mapping[str, Any] | None) -> bool:
  return manifest is not None and all(whole(study, group) for group in manifest["groups"])


@contextlib.contextmanager
def truthful(study: Path) -> Iterator[None]:
  """Adds to an `OSError` of the body notes: the bytes that are free, and what is saved in the study's checkpoints."""
  try:
    yield
  except OSError as error:
    with contextlib.suppress(OSError):
      error.add_note(f"{shutil.disk_usage(study).free:,} bytes are free in {study}")
    with contextlib.suppress(OSError):  # no note if the checkpoints cannot be read
      error.add_note(saved(study / "checkpoints"))
    raise


def saved(checkpoints: Path) -> str:
  """What the same command would resume from, as a sentence."""
  groups = sorted(checkpoints.iterdir()) if checkpoints.is_dir() else []
  for group in reversed(groups):
    step = max((int(path.name) for path in group.iterdir() if path.name.isdecimal()), default=0)
    if step:
      return f"step {step:,} of {group.name} is saved: once that is mended, the same command goes on from there"
  return "nothing is saved yet: once that is mended, the same command starts it again"
