"""Sweeps: a sweep is a list of dicts of overrides, and five functions compose it. No jax import.

def sweep(s):  # s has these functions, so that a config file imports nothing
  losses = s.param("loss", ["minimax", "non_saturating", "hinge"])
  return s.chain(
    s.product(losses, s.param("seed", range(5))),
    s.product(s.fixed(panel="strong discriminator", n_critic=5), losses, s.param("seed", range(5))),
  )

`s` also has the functions of `draws`, for values that are drawn at random.
"""

import itertools
import math
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gan_jax import settings
from gan_jax.core.errors import BadInput, shown
from gan_jax.settings import draws, effects, labels, roles
from gan_jax.settings.command_line import overrides
from gan_jax.settings.config_file import MOST_RUNS, execute, few

Sweep = list[dict[str, Any]]
Names = Callable[[str], list[str]]  # (field, such as `loss`) -> every registered name that it can have


def param(name: str, values: Iterable[Any]) -> Sweep:
  """A sweep over one field or option (`model_options.depth`): one run for each value.

  Raises `BadInput` for text or a single value, for none, or for values without an end.
  """
  if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
    raise BadInput(f"a sweep over {name!r} expected a list of values, got {shown(values)}")
  found = [{name: value} for value in itertools.islice(values, MOST_RUNS + 1)]
  if not found:
    raise BadInput(f"a sweep over {name!r} expected at least one value, got none")
  return few(found, f"a sweep over {name!r}")


def fixed(**fields: Any) -> Sweep:
  """A sweep of one run, with these values of several fields."""
  return [fields]


def composers(every: Names) -> types.SimpleNamespace:
  """The argument of a config's `sweep(s)`: the functions of this module and of `draws`, and `s.every(field)`: all
  registered names.
  """
  composed = {f.__name__: f for f in (param, fixed, product, zipit, chain)}
  drawn = {f.__name__: f for f in (draws.random, draws.sobol, draws.uniform, draws.log_uniform, draws.choice)}
  return types.SimpleNamespace(every=every, **composed, **drawn)


def no_names(field: str) -> list[str]:
  """`s.every` in commands that do not import the registries."""
  raise BadInput(f"s.every({field!r}) expected a command that trains, which knows the registered names")


def _list(sweep: Iterable[Mapping[str, Any]], what: str) -> Sweep:
  """A sweep as a list, after checks; it may be an iterator. `what` is how messages call it."""
  if isinstance(sweep, (str, bytes, Mapping)) or not isinstance(sweep, Iterable):
    raise BadInput(f"{what} expected lists of dicts, got {type(sweep).__name__} {shown(sweep)}")
  found: list[Any] = list(itertools.islice(sweep, MOST_RUNS + 1))
  strange = [run for run in found if not hasattr(run, "keys")]
  if strange:
    raise BadInput(f"{what} expected dicts of fields, got {type(strange[0]).__name__} {shown(strange[0])}")
  return few(found, what)


def _join(overrides: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
  joined: dict[str, Any] = {}
  for override in overrides:
    # A field and an entry of it (`model_options` and `model_options.depth`) count as the same field.
    twice = sorted(
      n for n in override if n in joined or any(n.startswith(f"{m}.") or m.startswith(f"{n}.") for m in joined)
    )
    if twice:
      raise BadInput(f"a sweep sets {twice[0]!r} twice in one run: give each field to one of the joined sweeps")
    joined |= override
  return joined


def product(*sweeps: Sweep) -> Sweep:
  """Every combination; the last sweep varies fastest. Raises `BadInput` for a field set twice, or too many runs."""
  lists = [_list(s, "a product of sweeps") for s in sweeps]
  if math.prod(len(s) for s in lists) > MOST_RUNS:
    raise BadInput(f"a product of sweeps expected at most {MOST_RUNS:,} runs, got lengths {[len(s) for s in lists]}")
  return [_join(combination) for combination in itertools.product(*lists)]


def zipit(*sweeps: Sweep) -> Sweep:
  """Joins the first runs of all sweeps, the second runs, ... Raises `BadInput` for unequal lengths."""
  lists = [_list(s, "zipit") for s in sweeps]
  if len({len(s) for s in lists}) > 1:
    raise BadInput(f"zipit expected sweeps of one length, got lengths {[len(s) for s in lists]}")
  return [_join(combination) for combination in zip(*lists, strict=True)]


def chain(*sweeps: Sweep) -> Sweep:
  """One sweep after the other."""
  what = "a chain of sweeps"
  return few([dict(override) for s in sweeps for override in _list(s, what)], what)


def expand(
  base: Mapping[str, Any], sweep: Sequence[Mapping[str, Any]], pinned: Mapping[str, Any]
) -> list[dict[str, Any]]:
  """The full config of every run, equal ones once, in order; fields without effect at their defaults.

  `pinned` fields (those given on the command line) override the sweep's: `--config.seed=3` reduces a sweep over five
  seeds to one, `--config.steps=100` shortens all its runs. Runs that differ only in fields without effect become one
  run: without a penalty, all penalty weights do.

  Raises:
    BadInput: an unknown field, or a value of the wrong type or out of range.
  """
  configs = [effects.settled(settings.resolve(base, override, pinned)) for override in sweep]
  return list({settings.identity(config): config for config in configs}.values())


class Plan(NamedTuple):
  """What a config file asks for."""

  single: list[dict[str, Any]]  # the full config of the run of `get_config()`
  swept: list[dict[str, Any]]  # the full configs of the runs of its sweep
  roles: roles.Roles  # what the varying fields are for; {} where the file does not say it
  halving: Any = None  # what the file's `halving()` returned; None without it. See runner/halving.py


def load(
  path: str, arguments: Iterable[str] | Mapping[str, Any] = (), single: bool | None = None, every: Names = no_names
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
  """(the single run, the runs of the sweep) of `plan`, which lists the arguments and what is raised."""
  return plan(path, arguments, single, every)[:2]


def plan(
  path: str, arguments: Iterable[str] | Mapping[str, Any] = (), single: bool | None = None, every: Names = no_names
) -> Plan:
  """Read a config file and the `--config.field=value` arguments.

  A config file defines `get_config() -> ConfigDict | dict` and, for a study, `sweep(s) -> list[dict]` (`s` has the
  functions of this module; a `sweep()` that imports them works too). Without `sweep`, the study is the single run.
  `roles() -> dict` may say what the varying fields are for (see `roles`), and `halving() -> dict` when the worst stop.

  Args:
    path: of the config file.
    arguments: `--config.field=value`, or those fields as a dict.
    single: whether the single run is wanted, or the sweep; None: either. Fields in `arguments` must have an effect in the
      runs that are wanted.
    every: what the file's `s.every` returns; `game.registered` in a study.

  Raises:
    BadInput: no such file, no `get_config` in it, an unknown field, a value of the wrong type, a field without effect
      (see `effects`), or roles that cannot be (see `roles.checked`).
  """
  base, sweep, said, halving = execute(path, composers(every))
  if isinstance(arguments, Mapping):
    pinned = arguments
  else:
    # A field whose default is None can be set to None, whatever its value in the file.
    typed = {n: None if settings.FIELDS[n].default is None else v for n, v in settings.resolve(base).items()}
    pinned = overrides(typed, arguments)
  alone, swept = planned(base, sweep, pinned, single)
  whole = [settings.resolve(base, override) for override in sweep] if said is not None else []
  return Plan(alone, swept, roles.checked(said, f"roles() of {path}", whole), halving)


def planned(
  base: Mapping[str, Any], sweep: Sequence[Mapping[str, Any]], pinned: Mapping[str, Any], single: bool | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
  """The full configs of a study: (the single run, the runs of its sweep).

  Args:
    base: the fields that differ from the defaults.
    sweep: the overrides of every run, at least one.
    pinned: fields that override the others.
    single: as in `load`, which lists what is raised.
  """
  alone = settings.resolve(base)
  given = [alone, *(settings.resolve(base, override) for override in sweep)]
  effects.check(effects.changed(given), given)
  runs = [settings.resolve(base, override, pinned) for override in sweep]
  asked = [settings.resolve(base, pinned)] * (single is not False) + runs * (single is not True)
  effects.check(pinned, asked)
  effects.check_sizes(asked)
  swept = expand(base, sweep, pinned)
  _check_baselines(swept, lambda: expand(base, sweep, {k: v for k, v in pinned.items() if k == "baseline"}))
  return expand(base, [{}], pinned), swept


def _check_baselines(configs: Sequence[Mapping[str, Any]], whole: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
  """Checks baselines; one that the command line removed from the study is accepted, and missing in the report."""
  try:
    labels.check_baselines(configs)
  except BadInput:
    labels.check_baselines([*configs, *whole()])


def read(path: str, arguments: Iterable[str] = ()) -> dict[str, Any]:
  """The config of a study that trains nothing: the file's own fields, overridden by `--config.field=value`.

  Its fields are the keys of the dict that `get_config()` returns, and their types are those of the values.

  Raises:
    BadInput: no such file, no `get_config` in it, an unknown field, or a value of the wrong type.
  """
  base, *_ = execute(path, composers(no_names))
  base = {name: [settings.plain(v) for v in value] if _is_list(value) else value for name, value in base.items()}
  for name, value in overrides(base, arguments).items():
    root, inner = settings.split(name)
    base[root] = settings.merged(base[root], settings.nested(inner, value)) if inner else value
  return base


def _is_list(value: Any) -> bool:
  return isinstance(value, Iterable) and not isinstance(value, (str, Mapping)) and getattr(value, "shape", None) != ()
