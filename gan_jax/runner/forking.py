"""A fork: a new study whose runs begin with the states of another one's, at one of its checkpoints.

    ./launch.sh sweep my_study.py --out runs/a --fork runs/b --config.generator_rate=1e-4

`runs/a`, the parent, is only read. Each of its runs has one run in the fork, which is trained beside the same others. The
states are copied to `runs/b/fork/<group>/<step>`, so the fork needs its parent no more, and is resumed like any study:
where a fresh study starts from step 0, it starts from the copies. Everything of a run is in its state (weights, averages,
optimizers' memory, number of steps, from which follow data and noise), so a fork with unchanged settings has the bits of
its parent going on.

All runs of a fork begin at one step; see parents.py.

The manifest says what was forked: the parent's path and digests, the step, and which fields differ; of each group, which
of the parent's runs its runs continue.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_jax import runs, settings
from gan_jax.core import paths
from gan_jax.core.errors import BadInput, Planned, plural
from gan_jax.runner import differences, parents
from gan_jax.runner.parents import Config, Parent
from gan_jax.runs import plan
from gan_jax.settings import labels

Say = Callable[[str], None]
# How a refusal calls what does not fit, by what the name of that part of the state contains.
PARTS = {differences.NETWORKS: "with other networks", differences.OPTIMIZER: "with other optimizers"}
SHOWN = 3  # values of a changed field that are written out


def begin(
  config: str, arguments: Sequence[str], parent: Path, new: Path, single: bool, say: Say = print, dry: bool = False
) -> None:
  """Make the directory of a fork, from which `study.run` with the same config and arguments goes on.

  A fork of the same parent that is there already is left as it is.

  Args:
    config, arguments, single, say, dry: as of `study.run`.
    parent: the study that is forked.
    new: the fork's directory.

  Raises:
    Planned: the plan of a dry run is printed.
    BadInput: `new` exists and is no fork of this parent; runs that cannot be matched one to one with the parent's; a
      state of another structure, shape or dtype; no checkpoint of all groups at one step, or none before the last step.
    OSError: something could not be read or written.
  """
  from gan_jax.runner import processes
  from gan_jax.runner.progress import Progress
  from gan_jax.settings import sweeps

  if processes.asked(os.environ) is not None:
    raise BadInput("--fork expected one process, got several: fork with one, and go on with any number")
  if there(parent, new):
    return
  from gan_jax.runner.study import registered

  asked = sweeps.plan(config, arguments, single, registered)
  if asked.halving is not None and not single:
    raise BadInput(f"--fork expected a study without halving(), got one in {config}")
  with Progress(say) as progress:
    _begin(asked.single if single else asked.swept, config, parents.read(parent), new, progress, dry)


def there(parent: Path, new: Path) -> bool:
  """Whether `new` is a fork of this parent; raises `BadInput` where it is anything else."""
  for path, what in ((parent, "--out"), (new, "--fork")):
    paths.usable(path, what)
  if new.resolve().is_relative_to(parent.resolve()):
    raise BadInput(f"--fork expected a directory outside of {parent}, which is only read, got {new}")
  if runs.is_study(new):
    fork = runs.read_manifest(new).get("fork", {})
    if fork and Path(fork["study"]).resolve() == parent.resolve():
      return True
    raise BadInput(f"--fork expected a new directory, got the study {new}; to go on with it, name it by --out")
  if new.exists() and (not new.is_dir() or runs.strangers(new)):
    raise BadInput(f"--fork expected a new directory, got {new}, which exists")
  return False


def _begin(asked: Sequence[Config], config: str, parent: Parent, new: Path, progress: Any, dry: bool) -> None:
  from gan_jax import game
  from gan_jax.game import outside
  from gan_jax.runner import checkpoint, devices, grouping, inputs, outline, preflight, resume, standing

  devices.imported()
  configs = grouping.completed(outside.enter(asked, Path(config).parent))
  newest, late = parent.step, None
  try:
    parent = parents.at_an_end(parent, configs)
  except BadInput as error:  # no number of steps helps where the networks are others, so that is said first
    late = error
  entries, changed = matched(parent, configs)
  devices.configure(len(configs), parent.manifest["layout"], max(one["batch_devices"] for one in configs))
  with devices.undisturbed(progress.say):
    bare = [{name: value for name, value in entry.items() if name != "data"} for entry in entries]
    found = inputs.load(new, {**parent.manifest, "groups": bare}, configs, progress.say)
    digests = {name: origin.data for name, origin in found.origins.items()}
    standing.refuse_other_data(parent.path, {"groups": entries}, found.groups, digests, "")
    games = [game.build(group.spec, found.datasets[inputs.key(group)]) for group in found.groups]
    blanks = [resume.template(group, own) for group, own in zip(found.groups, games, strict=True)]
    for group, blank in zip(found.groups, blanks, strict=True):
      _check_state(parent, group.name, blank, changed)
    if late is not None:
      raise late
    if dry:
      standing.writable(new)
      outline.tell(new, found.groups, found.states, progress.say, preflight.total(found.groups, found.disk))
    preflight.check(new, found.groups, found.disk)
    told = ", ".join(f"{name} {values}" for name, values in changed.items()) or "nothing changed"
    progress.say(f"{new} forks {parent.path} at step {parent.step:,}: {told}")
    if parent.step < newest:
      progress.say(
        f"warning: no chunk of these runs ends at step {newest:,}, where the newest checkpoints of {parent.path} are"
      )
    for change in found.changed:
      progress.say(f"warning: {parent.path} was {change}: going on may not give the same bits")
    if dry:
      raise Planned(f"a dry run: nothing was trained, and {new} was not written")
    standing.prepare(new)
    with runs.writer_lock(new):
      if (new / runs.FORK).exists():  # of a process that was killed before it wrote the manifest
        runs.set_aside(new, new / runs.FORK, "not begun")
      for group, blank in zip(found.groups, blanks, strict=True):
        state = checkpoint.restore_step(parent.place(group.name), parent.step, blank, parent.facts(group.name))
        origin = found.origins[group.name]
        checkpoint.save(new / runs.FORK / group.name, parent.step, state, resume.facts(group, origin), origin.platform)
      runs.write_manifest(new, _manifest(parent, entries, changed, found, config, new, progress))


def _check_state(parent: Parent, group: str, blank: Any, changed: Mapping[str, str]) -> None:
  """Raises `BadInput` where the runs' states are not those of the parent's group; `changed`: the fields that differ."""
  from gan_jax.runner import checkpoint

  try:
    checkpoint.origin(parent.place(group), parent.step, blank, parent.facts(group))
  except checkpoint.Unfit as error:
    what = next((words for part, words in PARTS.items() if part in error.why), "under these settings")
    fields = ", ".join(f"{name} {values}" for name, values in changed.items() if name not in plan.CADENCE)
    raise BadInput(
      f"the runs of {group} of {parent.path} cannot go on {what}{f' ({fields})' if fields else ''}: a fork keeps networks "
      f"and optimizers, and a new study begins with others; {error.why}"
    ) from error


def _manifest(
  parent: Parent,
  entries: Sequence[Mapping[str, Any]],
  changed: Mapping[str, str],
  found: Any,
  config: str,
  new: Path,
  progress: Any,
) -> dict[str, Any]:
  """The manifest of a fork: that of a new study, and what it was forked from."""
  from gan_jax.runner import halving, opening
  from gan_jax.runner.manifest import description

  qualities = opening.measurements(found, progress)
  described = opening.described(new, found, qualities, halving.Halving(), description(config), {})
  groups = [
    {**group, **{name: entry[name] for name in ("generation", "forked") if name in entry}}
    for group, entry in zip(described["groups"], entries, strict=True)
  ]
  fork = {
    "study": str(parent.path),
    "step": parent.step,
    "manifest": parent.digest,
    "changed": dict(changed),
  }
  return {**described, "groups": groups, "fork": fork}


def matched(parent: Parent, configs: Sequence[Config]) -> tuple[list[dict[str, Any]], dict[str, str]]:
  """(the parent's groups with the configs that its runs get, in their order; the fields that differ: `old -> new`).

  A field differs where its values over all runs do; runs are matched by all other fields.

  Raises:
    BadInput: not as many runs, or runs that the other fields do not tell apart.
  """
  there = [member["config"] for group in parent.manifest["groups"] for member in group["members"]]
  if len(there) != len(configs):
    raise BadInput(
      f"a fork goes on with each run of {parent.path}, which has {plural(len(there), 'run')}: expected as many, got "
      f"{len(configs):,}"
    )
  old, new = ([labels.flatten(config) for config in some] for some in (there, configs))
  names = dict.fromkeys(name for config in (*old, *new) for name in config)
  spread = lambda some, name: sorted(json.dumps(config.get(name), sort_keys=True) for config in some)  # noqa: E731
  differ = [name for name in names if spread(old, name) != spread(new, name)]
  changed = sorted(differ, key=lambda name: name.startswith("code."))  # files last: a field says which is used
  rest = lambda flat: json.dumps({n: v for n, v in flat.items() if n not in changed}, sort_keys=True)  # noqa: E731
  by_rest = {rest(flat): config for flat, config in zip(new, configs, strict=True)}
  keys = [rest(flat) for flat in old]
  if len(set(keys)) < len(keys) or by_rest.keys() != set(keys):
    raise BadInput(
      f"the runs cannot be matched one to one with those of {parent.path}: expected runs that are told apart by fields "
      f"other than {', '.join(map(labels.in_words, changed)) or 'these'}, in which the two studies differ"
    )
  said = {labels.in_words(name): _change(old, new, name) for name in changed}
  found, left = [], iter(keys)
  for group in parent.manifest["groups"]:
    members = [by_rest[next(left)] for _ in group["members"]]
    found.append(_entry(group, members, parent))
  return found, said


def _entry(group: Mapping[str, Any], configs: Sequence[Config], parent: Parent) -> dict[str, Any]:
  """A group of the parent's manifest as that of the fork."""
  before = [member["config"] for member in group["members"]]
  same_data = all(
    a[name] == b[name] for a, b in zip(before, configs, strict=True) for name in ("dataset", "dataset_options")
  )
  return {
    "name": group["name"],
    "tables": list(runs.TABLES),
    "members": [{"id": settings.identity(config), "config": dict(config)} for config in configs],
    **({"data": group["data"]} if same_data else {}),
    **({"generation": group["generation"]} if "generation" in group else {}),
    "forked": {
      "step": parent.step,
      "runs": [member["id"] for member in group["members"]],
      "checkpoint": parent.checkpoints[group["name"]][parent.step],
    },
  }


def _change(old: Sequence[Config], new: Sequence[Config], name: str) -> str:
  """`0.001 -> 0.0001`; of a file's digest, which says nothing to a reader, only whether it is another or there at all."""
  if not name.startswith("code."):
    return f"{_values(old, name)} -> {_values(new, name)}"
  before, now = (any(name in config for config in flat) for flat in (old, new))
  return "changed" if before and now else "not used before" if now else "not used any more"


def _values(flat: Sequence[Config], name: str) -> str:
  values = list(dict.fromkeys(labels.short(config[name]) if name in config else "none" for config in flat))
  return "/".join(values[:SHOWN]) + ("/..." if len(values) > SHOWN else "")
