"""Runs a study from its config to its report; `train`, `sweep` and `gan_jax.run_study` all call it.

All input is checked before anything is written; then the groups are trained one after another.
"""

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax import report, runs, settings
from gan_jax.core import paths
from gan_jax.core.errors import Planned, plural
from gan_jax.runner import devices, echoes, ending, halving, processes, signals, sinks, standing, watchdog, worker
from gan_jax.runner.followers import Followers
from gan_jax.runner.manifest import description
from gan_jax.runner.progress import Progress
from gan_jax.runner.signals import Stop
from gan_jax.runner.worker import Part
from gan_jax.runs import lock
from gan_jax.settings import sweeps

Say = Callable[[str], None]
Place = Path | Callable[[Sequence[Mapping[str, Any]]], Path]  # a study's directory, or what gives it for its runs


class Asked(NamedTuple):
  """What a study is to run."""

  configs: Sequence[dict[str, Any]]  # of every run, all fields; missing options are filled in
  source: str  # where they come from, for messages: the path of a config file
  description: str  # what the study is about; the report's heading
  # (group) -> the fields of its `GanState` that are not to start fresh, by name, numpy with leaves [members, ...].
  # Asked again whenever a group starts, so it must always give the same.
  begin: Callable[[Any], Mapping[str, Any]] | None = None
  folder: Path = Path()  # the config's folder: user code named by a path or module is looked for there
  roles: Mapping[str, list[str]] = {}  # what the varying fields are for; see settings/roles.py
  halving: Any = None  # when the worst runs stop; see halving.py
  log: Sequence[str] = ()  # sinks that are written during the training; see followers.py
  part: Part = worker.WHOLE  # what this process does of it


def run(
  config: str,
  arguments: Sequence[str] | Mapping[str, Any],
  out: Path | None,
  single: bool,
  say: Say = print,
  stop: Stop | None = None,
  dry: bool = False,
  log: Sequence[str] = (),
  part: Part = worker.WHOLE,
) -> Path:
  """Run or resume the study of a config file and write its report; returns its directory.

  Args:
    config: path of a config file.
    arguments: `--config.field=value` overrides, or those fields as a dict.
    out: the study's directory; by default `runs/<config>`, and `runs/<config>-<id>` for a single run.
    single: train only the run of `get_config()`, not the file's sweep.
    say, stop, dry: as of `conduct`.
    log: 'tensorboard' and 'wandb', to which rows, measurements and samples are sent as they are written.
    part: what this process does of the study; without a launcher all of it.

  Raises as `conduct` does.
  """
  _meet()
  with _progress(say) as reading, reading.phase(f"reading {config}", brief=True):
    plan = sweeps.plan(config, arguments, single, registered)
  configs = plan.single if single else plan.swept
  stem = Path(config).stem
  # A single run's directory is named by the run's id, which the defaults of all options are part of.
  named = lambda full: Path("runs") / f"{stem}-{settings.identity(full[0])}"  # noqa: E731
  default = named if single else Path("runs") / stem
  own: dict[str, Any] = {} if single else {"roles": plan.roles, "halving": plan.halving}
  asked = Asked(configs, config, description(config), folder=Path(config).parent, log=tuple(log), part=part, **own)
  return conduct(asked, default if out is None else out, say, stop, dry)


def conduct(asked: Asked, out: Place, say: Say = print, stop: Stop | None = None, dry: bool = False) -> Path:
  """Run or resume a study and write its report; returns its directory.

  Where the environment asks for several processes (processes.py), all of them call this.

  Args:
    asked: the runs.
    out: the study's directory, or a function that gives it for the runs with all options.
    say: prints one line of progress; it is also called from a helper thread, never twice at once.
    stop: the request to stop, if the caller handles signals. Without one they are handled here, in the main thread:
      after SIGTERM, SIGHUP, SIGUSR1 or SIGUSR2 the current chunk is finished and saved.
    dry: only check the input and print the plan. Nothing is trained, and the directory is not written.

  Raises:
    Planned: the plan of a dry run is printed.
    BadInput: input that cannot be used. Nothing on disk has been changed.
    Stopped: a signal asked to stop. The message says what is saved; the same call continues from it.
    Failure: the machine could not do it (too little memory, a directory that was removed).
    OSError: something could not be written. What was saved is valid, and the same call continues from it; the error's
      notes say from which step, or that nothing is saved yet.
  """
  sinks.check(asked.log)
  _meet()
  if not callable(out) and processes.leads():
    standing.begun(paths.usable(out, "output directory"))
  own = Stop() if stop is None else stop
  own.unsaved = not processes.leads()  # a signal to another process is answered when all agree on it
  own.outcome = worker.outcome(asked.part)
  told = worker.told(asked.part, say)
  with signals.noticed(own) if stop is None else contextlib.nullcontext(), _progress(told) as progress:
    where = Path() if callable(out) else out
    with worker.held(where, asked.part.group, progress, own):
      study, page = _conduct(asked, out, progress, own, dry)
  if page and processes.leads():
    last = Progress(say)  # without the live line, so that the table stays
    last.say(report.terminal_table(study))
    last.say(f"report: {page}")
  return study


def _meet() -> None:
  """Meet the other processes, where there are to be several."""
  processes.join()
  ending.attend()


def _progress(say: Say) -> Progress:
  """What shows the progress at the first process, and shows nothing at the others."""
  return Progress(say) if processes.leads() else Progress(lambda line: None, io.StringIO())


def registered(field: str) -> list[str]:
  """`game.registered`, imported only for configs that call it, because it imports jax."""
  from gan_jax import game, inspections  # inspections are among the probes

  del inspections
  return game.registered(field)


def _conduct(asked: Asked, out: Place, progress: Progress, stop: Stop, dry: bool) -> tuple[Path, str]:
  """`conduct`, reporting to `progress`; returns the study's directory and its report ('': not to be written)."""
  progress.say(f"{asked.source if callable(out) else out}: {plural(len(asked.configs), 'run')} of {asked.source}")
  with progress.phase("starting jax"):
    devices.imported()

    from gan_jax.game import outside
    from gan_jax.runner import (
      gallery,
      grouping,
      inputs,
      outline,
      preflight,
    )  # jax makes its devices when it is configured

    configs = grouping.completed(outside.enter(asked.configs, asked.folder))
    study = paths.usable(out(configs) if callable(out) else out, "output directory")
    processes.same("runs", " ".join(settings.identity(config) for config in configs))
    worker.refuse_halving(asked.part, asked.halving, asked.source)
    halved = halving.checked(asked.halving, f"halving() of {asked.source}", configs, asked.roles)
    manifest = processes.told(lambda: halving.unchanged(study, standing.existing(study, configs), halved))
    each = max(config["batch_devices"] for config in configs)
    most = max(config["most_members"] or len(configs) for config in configs)
    devices.configure(min(most, len(configs)), manifest and manifest["layout"], each)
  echoes.quiet()
  with devices.undisturbed(progress.say), watchdog.watching(study, progress, stop):
    with progress.phase("reading the data", brief=True):
      found = inputs.load(study, manifest, configs, progress.say, asked.part.group)
    processes.agree(stop)
    stop.check()
    worker.begun(study, asked.part, manifest, found.growth.grows)
    halving.measured(halved, inputs.ranks(found))
    if manifest and found.growth.grows:
      progress.say(f"{study} grows: it {found.growth}")
    if dry:
      processes.told(lambda: standing.writable(study))
      outline.tell(study, found.groups, found.states, progress.say, preflight.total(found.groups, found.disk))
      halved.tell(progress.say, inputs.ranks(found))
    processes.told(lambda: preflight.check(study, found.groups, found.disk))
    if dry:
      raise Planned(f"a dry run: nothing was trained, and {study} was not written")
    same = manifest is not None and not found.growth.grows
    with worker.written(study, asked.part, same) as alone, standing.truthful(study):
      manifest, finished = processes.told(lambda: _opened(asked, study, configs, manifest, progress, alone))
      worker.trained(study, asked.part, finished)
      if finished and not found.growth.grows:
        progress.say(f"{study} is complete: {plural(len(configs), 'run')}")
      else:
        with sinks.following(asked.log if processes.leads() else (), study, progress) as following:
          _train(asked, study, manifest, found, halved, progress, stop, following)
      processes.agree(stop)
      stop.check()
      if not asked.part.reports:
        return study, ""
      stop.outcome = "everything is trained and saved, and the same command writes the report"
      with progress.phase("writing the report", brief=True):
        return study, processes.told(lambda: gallery.reported(study, found, asked.folder))


def _opened(
  asked: Asked,
  study: Path,
  configs: Sequence[Mapping[str, Any]],
  manifest: dict[str, Any] | None,
  progress: Progress,
  alone: bool,
) -> tuple[dict[str, Any] | None, bool]:
  """The study's manifest, with what can be mended mended, and whether the study is finished; the lock is held.

  Where it is not held `alone`, nothing is mended. A worker sees only its own group.
  """
  standing.unchanged(study, configs, manifest)
  if alone:
    unsure = lock.remark(study)
    if unsure:
      progress.say(f"warning: {unsure}")
    runs.mend(study, progress.say)
    manifest = standing.with_roles(study, manifest, asked.roles)
  manifest = worker.view(manifest, asked.part.group)
  return manifest, standing.finished(study, manifest)


def _train(
  asked: Asked,
  study: Path,
  manifest: dict[str, Any] | None,
  found: Any,
  halved: halving.Halving,
  progress: Progress,
  stop: Stop,
  following: Followers,
) -> None:
  """Train the unfinished groups of a study, of which `found` are the inputs; the lock is held."""
  import jax

  from gan_jax.runner import evaluation, failures, inputs, loop, opening, packing

  groups = found.groups
  qualities = opening.measurements(found, progress)
  manifest = opening.begun(study, manifest, found, qualities, halved, progress, asked.description, asked.roles)
  if not asked.part.trains:
    return
  last: Any = None  # (group, its program)
  turns = halving.turns(study, manifest["groups"], halved, progress.say)  # followed by the first process
  for place, until in iter(lambda: processes.told(lambda: next(turns, None)), None):
    group, entry, number = groups[place], manifest["groups"][place], place + 1
    dataset, quality = found.datasets[inputs.key(group)], qualities[inputs.measured(group)]
    try:
      if processes.leads():
        note(study, group.name, quality.notes)
        runs.write_samples(study, group.name, None, evaluation.real_examples(dataset))
      if not _shared(last, group):
        last = group, packing.compiled(group, dataset, quality)
      program = last[1]._replace(hypers=last[1].layout.place(group.hypers))
      gone = halving.stopped(study, group.name)
      program = packing.packed(program, group, gone, dataset, quality)
      if asked.begin is not None:
        program = _begun(program, asked.begin(group))
      later = sum(len(group.configs) * group.spec.steps for group in groups[number:])
      conduct = loop.Conduct(progress, stop, number, len(groups), later, following, len(gone), bool(halved.rules))
      loop.run_group(study, group, program, found.origins[group.name], conduct, until)
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
      raise failures.explain(error, group, study) from error
    for gap in standing.missing(study, entry) if processes.leads() else ():
      progress.say(f"{gap}, and cannot be computed again from the checkpoints that are left")


def _shared(last: Any, group: Any) -> bool:
  """Whether the last (group, program) trains this group too: equal parts of one population, whose data are on the device.

  Their losses must lie in its blocks as the last one's do: a block of one loss computes no other.
  """
  if last is None or last[1].data is None:
    return False
  from gan_jax.runner import evaluation

  alike = [
    (one.spec, len(one.configs), evaluation.averages(one), last[1].in_blocks(one.hypers.loss_index))
    for one in (last[0], group)
  ]
  return bool(alike[0] == alike[1])


def _begun(program: Any, given: Mapping[str, Any]) -> Any:
  """The program, its runs starting from the `given` fields of a state; the other fields are fresh."""

  def init(hypers: Any) -> Any:
    placed = {name: program.place(tree) for name, tree in given.items()}  # each time: a step donates its state
    return program.init(hypers)._replace(**placed)

  return program._replace(init=init)


def note(study: Path, group: str, notes: Mapping[str, Any]) -> None:
  with runs.changed_status(study) as status:
    status["groups"].setdefault(group, {})["notes"] = dict(notes)
