"""A study from a config file to its report: the one path that `train` and `sweep` share.

Everything that can be refused is refused before the first byte is written; then groups are trained one after another.
"""

import datetime
import importlib.metadata
import inspect
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_jax import devices, report, runs, settings, sweeps
from gan_jax.errors import BadInput

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scikit-learn")

Say = Callable[[str], None]


def run(config: str, arguments: Sequence[str], out: Path | None, single: bool, say: Say = print) -> Path:
  """Run a study, or go on with it, and write its report; returns its directory.

  Args:
    config: path of a config file.
    arguments: `--config.field=value` overrides.
    out: the study's directory; by default `runs/<config>`, and `runs/<config>-<id>` for a single run.
    single: only the one run of `get_config()`, without the file's sweep.
    say: where progress goes, a line at a time.

  Raises:
    BadInput: input that cannot be used. Nothing on disk has been touched.
    OSError: something could not be written. The last checkpoint is good, and the same call goes on from it.
  """
  alone, swept = sweeps.load(config, arguments, single)
  configs = alone if single else swept
  stem = Path(config).stem
  study = out or Path("runs") / (f"{stem}-{settings.identity(configs[0])}" if single else stem)
  manifest = existing(study, configs)
  devices.configure(len(configs), manifest and manifest["layout"])

  from gan_jax import checkpoint, data, game, loop, metrics, population  # jax only now: the layout is set

  checkpoint.quiet()
  groups = population.group(configs)
  datasets: dict[tuple[str, str], Any] = {}
  meanings: dict[str, str] = {}
  for group in groups:
    key = (group.spec.dataset, group.spec.data_dir)
    if key not in datasets:
      datasets[key] = data.load(*key)
      metrics.check(key[0], datasets[key])
    meanings |= population.explanations(group.spec, game.build(group.spec, datasets[key]))

  prepare(study)
  with runs.writer_lock(study):
    if finished(study, manifest):
      say(f"{study} is complete: {len(configs)} runs")
    else:
      qualities = {key: metrics.build(dataset, devices.cache_directory()) for key, dataset in datasets.items()}
      if manifest is None:
        meanings |= {k: v for q in qualities.values() for k, v in population.quality_explanations(q, groups).items()}
        manifest = describe(config, study.name, groups, meanings)
        runs.write_json(study / "manifest.json", manifest)
      elif manifest["layout"] != devices.layout():
        say(f"warning: begun on {manifest['layout']}, going on on {devices.layout()}: the bits may differ")
      say(f"{study}: {len(configs)} runs in {len(groups)} compiled program{'s' * (len(groups) > 1)}")
      for group in groups:
        key = (group.spec.dataset, group.spec.data_dir)
        dataset, quality = datasets[key], qualities[key]
        note(study, group.name, quality.notes)
        real = population.real_examples(dataset)
        runs.write_arrays(study / "samples" / group.name / "real.npz", samples=real)
        program = population.compile_group(group, game.build(group.spec, dataset), dataset, quality)
        loop.run_group(study, group, program, teller(group, len(groups), say), say)
    page = report.build(study)
  say(report.terminal_table(study))
  say(f"report: {page}")
  return study


def existing(study: Path, configs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
  """The manifest of a study that asks for just these runs, or None where there is nothing yet.

  Raises:
    BadInput: the directory holds something else.
  """
  if not study.exists() or (study.is_dir() and not (study / "manifest.json").exists()):
    strangers = [path.name for path in study.iterdir() if path.name != "lock"] if study.is_dir() else []
    if strangers:
      raise BadInput(
        f"{study} holds other files ({strangers[0]}, ...): expected a new directory or this study's; see --out"
      )
    return None
  manifest = runs.read_manifest(study)
  there = {m["id"]: m["config"] for group in manifest["groups"] for m in group["members"]}
  asked = {settings.identity(config): config for config in configs}
  if there.keys() != asked.keys():
    raise BadInput(f"{study} holds another study ({difference(there, asked)}); choose another directory with --out")
  return manifest


def difference(there: Mapping[str, Mapping[str, Any]], asked: Mapping[str, Mapping[str, Any]]) -> str:
  """What sets two sets of runs apart, in a few words."""
  if len(there) != len(asked):
    return f"{len(there)} runs there, {len(asked)} asked for"
  one = there[next(i for i in there if i not in asked)]

  def fields(other: Mapping[str, Any]) -> list[str]:
    return [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]

  other = min((asked[i] for i in asked if i not in there), key=lambda config: len(fields(config)))
  return "; ".join(f"{name}: {one.get(name)!r} there, {other.get(name)!r} asked for" for name in fields(other)[:3])


def prepare(study: Path) -> None:
  """Make the directory, and be sure that it can be written before anything is trained."""
  try:
    study.mkdir(parents=True, exist_ok=True)
    runs.write_atomic(study / ".writable", b"")
    (study / ".writable").unlink()
  except OSError as error:
    if error.errno == 28:  # no space left: not the directory's fault
      raise
    raise BadInput(f"output directory {study} cannot be written: {error.strerror or error}") from error


def finished(study: Path, manifest: Mapping[str, Any] | None) -> bool:
  groups = runs.read_status(study)["groups"]
  return manifest is not None and all(groups.get(g["name"], {}).get("complete") for g in manifest["groups"])


def describe(config: str, name: str, groups: Sequence[Any], meanings: Mapping[str, str]) -> dict[str, Any]:
  """The manifest: all that was asked for, and what it runs on."""
  text = inspect.cleandoc(ast_docstring(Path(config)) or "")
  return {
    "format": runs.FORMAT,
    "study": name,
    "description": text.split("\n\n")[0].replace("\n", " "),
    "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    "commit": commit(),
    "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in PACKAGES}},
    "layout": devices.layout(),
    "metrics": dict(meanings),
    "groups": [
      {
        "name": group.name,
        "members": [{"id": i, "config": dict(c)} for i, c in zip(group.ids, group.configs, strict=True)],
      }
      for group in groups
    ],
  }


def ast_docstring(path: Path) -> str | None:
  import ast

  return ast.get_docstring(ast.parse(path.read_bytes()))


def commit() -> str | None:
  """The git commit of this checkout, with `+changes` where the working tree differs; None outside git."""
  here = Path(__file__).resolve().parent
  try:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True).stdout
    dirty = subprocess.run(
      ["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True
    ).stdout
  except (OSError, subprocess.CalledProcessError):
    return None
  return head.strip() + ("+changes" if dirty.strip() else "")


def note(study: Path, group: str, notes: Mapping[str, Any]) -> None:
  status = runs.read_status(study)
  status["groups"].setdefault(group, {})["notes"] = dict(notes)
  runs.write_json(study / "status.json", status)


def teller(group: Any, groups: int, say: Say) -> Callable[[Any], None]:
  """Progress for a person: one line that rewrites itself on a terminal, a line every so often elsewhere."""
  live = sys.stderr.isatty()
  told = [0.0]

  def tell(progress: Any) -> None:
    rate = progress.steps_done / max(progress.seconds, 1e-9)
    left = (progress.steps - progress.step) / max(rate, 1e-9)
    line = (
      f"{group.name} of {groups}: step {progress.step:,}/{progress.steps:,}  {rate:,.0f} steps/s x {progress.members} "
      f"members  {int(left) // 60}:{int(left) % 60:02d} left"
    )
    last = progress.step >= progress.steps
    if live:
      print(f"\r{line}\033[K", end="\n" if last else "", file=sys.stderr, flush=True)
    elif last or progress.seconds - told[0] >= 5:
      told[0] = progress.seconds
      say(line)

  return tell
