"""What sets variants apart, in words: a variant is a config without its seed, and its label says what varies in its panel.

No jax import.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gan_jax import settings
from gan_jax.core.errors import unknown

LENGTH = 80  # a label is a line in a table, not an essay: the full config is in the exports
UNSAID = ("seed", "panel", "baseline")  # what is no difference between variants


def without(config: Mapping[str, Any], *names: str) -> dict[str, Any]:
  return {name: value for name, value in config.items() if name not in names}


def key(config: Mapping[str, Any]) -> str:
  """What runs of one variant share: all but the seed."""
  return json.dumps(without(config, "seed"), sort_keys=True)


def varying(configs: Sequence[Mapping[str, Any]]) -> list[str]:
  """The fields in which these configs differ, in the order of the schema."""
  names = dict.fromkeys([*settings.FIELDS, *(name for config in configs for name in config)])
  return [n for n in names if n not in UNSAID and any(c.get(n) != configs[0].get(n) for c in configs)]


def label(config: Mapping[str, Any], fields: Sequence[str]) -> str:
  """The fields that vary as a person reads them: `hinge, head_start=2000`; the loss where nothing varies.

  >>> label({"loss": "hinge", "head_start": 2000}, ["loss", "head_start"])
  'hinge, head_start=2000'
  """
  said = []
  for name in fields or ["loss"]:
    value = config.get(name)
    if value is None:  # a penalty's weight that is its source's
      continue
    if isinstance(value, Mapping):
      said += [f"{option}={short(number)}" for option, number in sorted(value.items())]
    else:
      said.append(str(value) if name == "loss" else f"{name}={short(value)}")
  text = ", ".join(said)
  return text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"


def short(value: Any) -> str:
  """A value as text; a float with many digits, such as one that was drawn, to five.

  >>> short(0.001), short(0.0013000000000000002), short("r1")
  ('0.001', '0.0013', 'r1')
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
      choices = dict.fromkeys([*(c["loss"] for c in distinct), *(label(c, fields) for c in distinct)])
      for name in names:
        if name not in choices:
          raise unknown("baseline", name, choices)
