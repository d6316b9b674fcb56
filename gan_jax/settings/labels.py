"""Labels of variants. A variant is a config without its seed; its label states the fields that vary within its panel.

No jax import.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gan_jax import settings
from gan_jax.core.errors import unknown

LENGTH = 80  # to which a label is cut, to fit a line of a table; the full config is in the exports
LISTED = 20  # choices of a baseline that a message lists; of more, only the losses among them
UNSAID = (
  "seed",
  "panel",
  "baseline",
  "code",
)  # fields that do not distinguish variants, or repeat what another field says


def without(config: Mapping[str, Any], *names: str) -> dict[str, Any]:
  return {name: value for name, value in config.items() if name not in names}


def key(config: Mapping[str, Any]) -> str:
  """A key that the runs of one variant share: all fields but the seed."""
  return json.dumps(without(config, "seed"), sort_keys=True)


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
  """A config with the entries of its dicts as fields of their own: `model_options.depth`."""
  flat: dict[str, Any] = {}
  for name, value in config.items():
    if isinstance(value, Mapping):
      flat |= {f"{name}.{inner}": v for inner, v in sorted(flatten(value).items())}
    else:
      flat[name] = value
  return flat


def said(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
  """The config without the options that are at their defaults, as a user would write it.

  Args:
    config: a full config; one of an earlier version has no options, and is returned unchanged.
    defaults: `{field: {entry: {option: default}}}`, as a manifest has them.
  """
  found = dict(config)
  for name, field in settings.FIELDS.items():
    if not field.of or not isinstance(config.get(name), Mapping):
      continue
    known = defaults.get(field.of, {})
    if field.joined:
      own = {entry: _other(options, known.get(entry, {})) for entry, options in config[name].items()}
      found[name] = {entry: options for entry, options in own.items() if options}
    else:
      found[name] = _other(config[name], known.get(config.get(field.of), {}))
  return found


def _other(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
  return {name: value for name, value in options.items() if name not in defaults or defaults[name] != value}


def in_words(name: str) -> str:
  """A flattened field as messages call it: the digest of a file, which says nothing to a reader, is `the code of mine.py`.

  >>> in_words("code.mine.py"), in_words("model_options.depth")
  ('the code of mine.py', 'model_options.depth')
  """
  return f"the code of {name.removeprefix('code.')}" if name.startswith("code.") else name


def varying(configs: Sequence[Mapping[str, Any]]) -> list[str]:
  """The fields (and entries of dict fields) in which these configs differ, in the order of `FIELDS`."""
  flat = [flatten(config) for config in configs]
  order = {name: i for i, name in enumerate(dict.fromkeys([*settings.FIELDS, *(n for c in configs for n in c)]))}
  names = sorted({n for c in flat for n in c}, key=lambda n: (order.get(n, order.get(settings.split(n)[0], 0)), n))
  return [n for n in names if settings.split(n)[0] not in UNSAID and any(c.get(n) != flat[0].get(n) for c in flat)]


def label(config: Mapping[str, Any], fields: Sequence[str]) -> str:
  """The values of the fields that vary: `hinge, head_start=2000`; the loss if nothing varies.

  >>> label({"loss": "hinge", "head_start": 2000}, ["loss", "head_start"])
  'hinge, head_start=2000'
  >>> label({"loss": "hinge", "model_options": {"depth": 3}}, ["model_options.depth"])
  'depth=3'
  """
  return ", ".join(_parts(config, fields))


def shortened(names: Sequence[str]) -> list[str]:
  """The labels of one table, cut to `LENGTH` characters: at the end, but in the middle where two would then look alike.

  Where two still would, all stay whole.

  >>> [name[-9:] for name in shortened(["a" * 90 + ", b=1", "a" * 90 + ", b=2"])]
  ['aaaa, b=1', 'aaaa, b=2']
  """
  half = LENGTH // 2
  for cut in (lambda name: name[: LENGTH - 1] + "…", lambda name: f"{name[: LENGTH - half - 1]}…{name[-half:]}"):
    found = [name if len(name) <= LENGTH else cut(name) for name in names]
    if len(set(found)) == len(set(names)):
      return found
  return list(names)


def _parts(config: Mapping[str, Any], fields: Sequence[str]) -> list[str]:
  flat, said = flatten(config), []
  for name in fields or ["loss"]:
    value = flat.get(name)
    if value is None:  # a penalty weight that is left to its paper, or an option at its default
      continue
    _, inner = settings.split(name)
    said.append(short(value) if name == "loss" else f"{'.'.join(inner) or name}={short(value)}")
  return said


def short(value: Any) -> str:
  """A value as text; a float with many digits, such as a random one, is rounded to five; a name is as the user wrote it.

  >>> short(0.001), short(0.0013000000000000002), short("r1"), short("losses/mine.py:soft")
  ('0.001', '0.0013', 'r1', 'losses/mine.py:soft')
  """
  return f"{value:.5g}" if isinstance(value, float) and len(repr(value)) > 8 else str(value)


def check_baselines(configs: Sequence[Mapping[str, Any]]) -> None:
  """Raises `BadInput` for a config whose `baseline` is neither a loss nor a label of its panel."""
  panels: dict[str, list[Mapping[str, Any]]] = {}
  for config in configs:
    panels.setdefault(config["panel"], []).append(config)
  for own in panels.values():
    names = dict.fromkeys(config["baseline"] for config in own if config["baseline"])
    if names:
      distinct = list({key(config): config for config in own}.values())
      fields = varying(distinct)
      choices = dict.fromkeys([*(c["loss"] for c in distinct), *shortened([label(c, fields) for c in distinct])])
      options = any("." in field for field in fields)
      for name in names:
        if name not in choices and not (options and any(_may_be(name, c, fields) for c in distinct)):
          raise unknown(
            "baseline", name, choices if len(choices) <= LISTED else dict.fromkeys(c["loss"] for c in distinct)
          )


def _may_be(name: str, config: Mapping[str, Any], fields: Sequence[str]) -> bool:
  """Whether this can be the label of a config in which options vary.

  The label lacks the options that are at their defaults, and has numbers in the type of their option (1.0 for 1); only
  their registry knows both.
  """
  number = re.compile(r"(=-?\d+)\.0(?=,|$)")
  known = {number.sub(r"\1", part) for part in (*_parts(config, fields), config["loss"])}
  return "…" in name or known.issuperset(number.sub(r"\1", name).split(", "))
