"""A study from a config file to its report: the one path that `train` and `sweep` share.

Everything that can be refused is refused before the first byte is written; then groups are trained one after another.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax import report, runs, settings
from gan_jax.core import paths
from gan_jax.core.errors import BadInput, Failure, plural
from gan_jax.runner import devices, signals
from gan_jax.runner.existing import existing, refuse_other_data, unchanged
from gan_jax.runner.manifest import changes, describe, platform_facts
from gan_jax.runner.progress import Progress
from gan_jax.runner.signals import Stop
from gan_jax.settings import sweeps
from gan_jax.settings.records import thawed

Say = Callable[[str], None]


def run(
  config: str, arguments: Sequence[str], out: Path | None, single: bool, say: Say = print, stop: Stop | None = None
) -> Path:
  """Run a study, or go on with it, and write its report; returns its directory.

  Args:
    config: path of a config file.
    arguments: `--config.field=value` overrides.
    out: the study's directory; by default `runs/<config>`, and `runs/<config>-<id>` for a single run.
    single: only the one run of `get_config()`, without the file's sweep.
    say: where progress goes, a line at a time; also called from a helper thread, never twice at once.
    stop: the request to stop that the caller's signals make. Without one, signals are taken note of here, in the main
      thread: SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 finish and save the chunk under way.

  Raises:
    BadInput: input that cannot be used. Nothing on disk has been touched.
    Stopped: a signal asked to stop; what the message names is saved, and the same call goes on from it.
    Failure: the machine could not do it (too little memory, a directory that was removed).
    OSError: something could not be written. What was saved is good, and the same call goes on from it; the error's notes
      say from which step, or that nothing is saved yet.
  """
  with Progress(say) as reading, reading.phase(f"reading {config}", brief=True):
    alone, swept = sweeps.load(config, arguments, single, _registered)
  asked = _Asked(config, tuple(alone if single else swept), out, single)
  own = Stop() if stop is None else stop
  own.outcome = "it had trained nothing yet, and the same command does so"
  with signals.noticed(own) if stop is None else contextlib.nullcontext(), Progress(say) as progress:
    study, page = _conduct(asked, progress, own)
  last = Progress(say)  # without the live line: the table stays
  last.say(report.terminal_table(study))
  last.say(f"report: {page}")
  return study


def _registered(field: str) -> list[str]:
  """`game.registered`, for the configs that ask: it imports jax, which the others need not wait for here."""
  from gan_jax import game

  return game.registered(field)


class _Asked(NamedTuple):
  """What `run` was called with, the config read."""

  config: str
  runs: tuple[dict[str, Any], ...]  # without the options that nobody gave
  out: Path | None
  single: bool

  def directory(self, runs: Sequence[Mapping[str, Any]] | None = None) -> Path | None:
    """The study's; None where it is named after the only run's id, and `runs`, with all options, are not given."""
    name = Path(self.config).stem
    if self.out is None and self.single:
      if runs is None:
        return None
      name += f"-{settings.identity(runs[0])}"
    return paths.usable(Path("runs") / name if self.out is None else self.out, "output directory")


def _conduct(asked: _Asked, progress: Progress, stop: Stop) -> tuple[Path, Path]:
  """`run`, told by `progress`; returns the study's directory and its report."""
  progress.say(f"{asked.directory() or asked.config}: {plural(len(asked.runs), 'run')} of {asked.config}")
  with progress.phase("starting jax"):
    devices.imported()

    from gan_jax.runner import checkpoint, grouping  # which makes no devices yet

    configs = grouping.completed(asked.runs)
    study = asked.directory(configs)
    assert study is not None
    manifest = existing(study, configs)
    devices.configure(len(configs), manifest and manifest["layout"])
  config = asked.config
  checkpoint.quiet()
  with devices.undisturbed(progress.say):
    groups = grouping.group(configs)
    with progress.phase("reading the data", brief=True):
      inputs = _inputs(study, manifest, groups)
    stop.check()
    prepare(study)
    with runs.writer_lock(study), truthful(study):
      unchanged(study, configs, manifest)
      runs.mend(study, progress.say)
      if finished(study, manifest):
        progress.say(f"{study} is complete: {plural(len(configs), 'run')}")
      else:
        _train(config, study, manifest, groups, inputs, progress, stop)
      stop.check()
      stop.outcome = "everything is trained and saved, and the same command writes the report"
      with progress.phase("writing the report", brief=True):
        return study, report.build(study)


class _Inputs(NamedTuple):
  """What the groups of a study train on."""

  datasets: dict[tuple[Any, ...], Any]  # by name and options
  meanings: dict[str, str]  # of the rows and inspections
  origins: dict[str, Any]  # resume.Origin by group
  changed: list[str]  # what differs from when the study began


def _key(group: Any) -> tuple[Any, ...]:
  return group.spec.dataset, group.spec.dataset_options


def _measured(group: Any) -> tuple[Any, ...]:
  """The key of a group's measurement of quality: its dataset's, and what is measured."""
  return *_key(group), group.spec.metrics, group.spec.metric_options


def _inputs(study: Path, manifest: Mapping[str, Any] | None, groups: Sequence[Any]) -> _Inputs:
  """Load the data, and refuse whatever does not fit them or what is on disk. Nothing is written."""
  from gan_jax import data, game, metrics
  from gan_jax.runner import memory, population, resume

  here = platform_facts()
  found = _Inputs({}, {}, {}, changes(manifest, here))
  for group in groups:
    key = _key(group)
    if key not in found.datasets:
      found.datasets[key] = data.load(key[0], **dict(key[1]))
    metrics.check(key[0], found.datasets[key], group.spec.metrics)
    played = game.build(group.spec, found.datasets[key])
    memory.check(group.spec, played, len(group.configs))
    found.meanings.update(population.explanations(group.spec, played))
    found.origins[group.name] = resume.Origin(data.digest(found.datasets[key]), here, found.changed)
  refuse_other_data(study, manifest, groups, {name: origin.data for name, origin in found.origins.items()})
  for group in groups:
    resume.check(study, group, game.build(group.spec, found.datasets[_key(group)]), found.origins[group.name])
  return found


def _train(
  config: str,
  study: Path,
  manifest: dict[str, Any] | None,
  groups: Sequence[Any],
  inputs: _Inputs,
  progress: Progress,
  stop: Stop,
) -> None:
  """Train what is not yet trained of a study, the lock held."""
  import jax

  from gan_jax import game, metrics
  from gan_jax.runner import failures, grouping, loop, population

  with progress.phase("preparing the measurements (a classifier of the data, where none is cached)", brief=True):
    qualities = {}
    for group in groups:
      chosen = (group.spec.metrics, thawed(group.spec.metric_options))
      if _measured(group) not in qualities:
        qualities[_measured(group)] = metrics.build(inputs.datasets[_key(group)], devices.cache_directory(), *chosen)
  if manifest is None:
    meanings = inputs.meanings | population.all_explanations(qualities, groups)
    digests = {name: origin.data for name, origin in inputs.origins.items()}
    manifest = describe(config, study.name, groups, meanings, digests, defaults=grouping.defaults(groups))
    runs.write_manifest(study, manifest)
  for change in inputs.changed:
    progress.say(f"warning: {change}: what is computed from here on may not be the same bits")
  members = sum(len(group.configs) for group in groups)
  progress.say(f"{study}: {plural(members, 'run')} in {plural(len(groups), 'compiled program')}")
  for number, (group, entry) in enumerate(zip(groups, manifest["groups"], strict=True), 1):
    if whole(study, entry):
      continue
    dataset, quality = inputs.datasets[_key(group)], qualities[_measured(group)]
    note(study, group.name, quality.notes)
    try:
      runs.write_samples(study, group.name, None, population.real_examples(dataset))
      program = population.compile_group(group, game.build(group.spec, dataset), dataset, quality)
      conduct = loop.Conduct(progress, stop, number, len(groups))
      loop.run_group(study, group, program, inputs.origins[group.name], conduct)
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
      raise failures.explain(error, group, study) from error
    for gap in missing(study, entry):
      progress.say(f"{gap}, and cannot be computed again from the checkpoints that are left")


def prepare(study: Path) -> None:
  """Make the directory, and be sure that it can be written before anything is trained."""
  try:
    study.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=study):  # it has no name: nothing is left of it, whenever we are killed
      pass
  except OSError as error:
    if error.errno == 28:  # no space left: not the directory's fault
      raise
    raise BadInput(f"output directory {study} cannot be written: {error.strerror or error}") from error


def missing(study: Path, group: Mapping[str, Any]) -> list[runs.Gap]:
  """What a group of the manifest should have by now and has not."""
  return runs.gaps(study, group, runs.read_status(study)["groups"].get(group["name"], {}))


def whole(study: Path, group: Mapping[str, Any]) -> bool:
  """Whether a group of the manifest is trained to its end and everything is there."""
  complete = runs.read_status(study)["groups"].get(group["name"], {}).get("complete")
  return bool(complete) and not missing(study, group)


def confirm(study: Path) -> None:
  """Raises `Failure` where a study that `run` has brought to its end is not whole: 0 would say that nothing is missing."""
  gaps = [gap for group in runs.read_manifest(study)["groups"] for gap in missing(study, group)]
  if gaps:
    more = f", and {plural(len(gaps) - 1, 'gap')} more" * (len(gaps) > 1)
    raise Failure(f"{study} is trained and reported, but not whole: {gaps[0]}{more}; it cannot be computed again")


def finished(study: Path, manifest: Mapping[str, Any] | None) -> bool:
  return manifest is not None and all(whole(study, group) for group in manifest["groups"])


@contextlib.contextmanager
def truthful(study: Path) -> Iterator[None]:
  """An `OSError` within takes along what is true of the study's checkpoints then."""
  try:
    yield
  except OSError as error:
    with contextlib.suppress(OSError):  # what cannot be looked at is not spoken of
      error.add_note(saved(study / "checkpoints"))
    raise


def saved(checkpoints: Path) -> str:
  """What the same command would go on from, in words."""
  groups = sorted(checkpoints.iterdir()) if checkpoints.is_dir() else []
  for group in reversed(groups):
    step = max((int(path.name) for path in group.iterdir() if path.name.isdecimal()), default=0)
    if step:
      return f"step {step:,} of {group.name} is saved: once that is mended, the same command goes on from there"
  return "nothing is saved yet: once that is mended, the same command starts it again"


def note(study: Path, group: str, notes: Mapping[str, Any]) -> None:
  status = runs.read_status(study)
  status["groups"].setdefault(group, {})["notes"] = dict(notes)
  runs.write_status(study, status)
