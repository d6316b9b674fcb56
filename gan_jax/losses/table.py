"""The cards as text: one row or one page each, for a terminal and for gan_jax/losses/README.md."""

import re
from collections.abc import Iterable, Mapping

import jax.numpy as jnp

from gan_jax.core import installation
from gan_jax.core.registry import Option
from gan_jax.losses.compose import TRANSFORMATIONS, parse, signed
from gan_jax.losses.registry import CARDS, LOSSES, PAIRINGS, card

TOLD = ("title", "discriminator", "generator", "slope", "saturates", "optimal_logit", "reference")  # in a manifest


def signature(name: str) -> str:
  """The name with its hyperparameters, as in `least_squares(fake=0, real=1, target=1)`."""
  return name + _arguments(parse(name).defaults)


def _arguments(defaults: Mapping[str, float]) -> str:
  return f"({', '.join(f'{key}={value:g}' for key, value in defaults.items())})" if defaults else ""


def _ordered() -> list[str]:
  """All names; the long f-GAN family last."""
  return sorted(LOSSES, key=lambda name: name.startswith("f_gan_"))


def facts(names: Iterable[str]) -> dict[str, dict[str, str]]:
  """What a report says of the losses of a study, for its manifest: by name, the texts of the card.

  Of a loss with a transformation, `matched_gain(hinge)`, both parts have an entry. A transformation, or a loss without a
  card, has a title only.
  """
  found: dict[str, dict[str, str]] = {}
  for name in names:
    for part in [name] if name in LOSSES else re.findall(r"[^(),\s]+", name):
      if part in CARDS:
        found[part] = {key: str(getattr(CARDS[part], key)) for key in TOLD}
      elif part in LOSSES or part in TRANSFORMATIONS:
        found[part] = {"title": (LOSSES[part] if part in LOSSES else TRANSFORMATIONS[part]).text}
  return found


def markdown_table() -> str:
  """One row for every loss: the table of gan_jax/losses/README.md. Ends with a newline."""
  rows = [
    "| loss | discriminator minimises | generator minimises | generator's slope in f | pairing | source |",
    "| --- | --- | --- | --- | --- | --- |",
  ]
  for name in _ordered():
    c = card(name)
    cells = (f"`{name}`", f"`{c.discriminator}`", f"`{c.generator}`", f"`{c.slope}`", c.pairing, c.reference)
    rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
  return "\n".join(rows) + "\n"


def text_table() -> str:
  """Every loss in one line: name, generator's slope, zero-sum, pairing, source. Then the transformations."""
  header = ("loss", "generator's slope in f", "zero-sum", "pairing", "source")
  rows = [header]
  for name in _ordered():
    c = card(name)
    rows.append((signature(name), c.slope, "yes" if c.zero_sum else "no", c.pairing, c.reference))
  widths = [max(len(row[i]) for row in rows) for i in range(len(header) - 1)]
  lines = [
    "  ".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)), row[-1]]) for row in rows
  ]
  transformed = ", ".join(name + _arguments(t.defaults) for name, t in TRANSFORMATIONS.items())
  return "\n".join([*lines, "", f"transformed by name, as in matched_gain(hinge): {transformed}"])


def optimal_range(name: str) -> str:
  """The range of the optimal discriminator's logits, at the default hyperparameters."""
  formula = card(name).optimal_logit_at
  if formula is None:
    return "no closed form in p/q"
  low, high = (float(v) for v in formula(jnp.asarray([-jnp.inf, jnp.inf]), **parse(name).defaults))
  return "all numbers" if (low, high) == (-jnp.inf, jnp.inf) else f"from {low:g} to {high:g}"


def text_card(name: str) -> str:
  """The whole card of a loss; of a transformed one, its transformations and losses. Raises `BadInput` for an unknown name."""
  composed = parse(name)
  options = _explained(composed.options)
  if name not in LOSSES:
    parts = re.findall(r"\w+", name)
    made = {p: TRANSFORMATIONS[p].text for p in parts if p in TRANSFORMATIONS}
    of = {p: f"{card(p).title}; its card: {installation.typed()} losses {p}" for p in parts if p in LOSSES}
    return _columns({"loss": signature(name), **made, **of, "options": options})
  if name not in CARDS:  # of user code without the decorator
    return _columns({"loss": signature(name), "title": "a loss of your own, without a card", "options": options})
  c = card(name)
  lines = {
    "loss": signature(name),
    "title": c.title,
    "discriminator": c.discriminator,
    "generator": c.generator,
    "generator's slope": f"{c.slope}   (of the sum over the batch, in f)",
    "zero-sum": "yes" if c.zero_sum else "no",
    "pairing": f"{c.pairing}: {PAIRINGS[c.pairing]}",
    "optimal logit": c.optimal_logit,
    "its range": optimal_range(name),
    "its sign": 'high means "real"' if signed(name) else "none, so AUC, accuracy and win rate are not measured",
    "of features": f"yes, as on_features({name})" if c.of_features else "no",
    "saturates": c.saturates,
    "overflows at": "nowhere" if c.overflows_at is None else f"|logit| = {c.overflows_at:g} in float32, by its formula",
    "options": options,
    "source": c.reference,
  }
  return _columns(lines)


def _explained(options: Mapping[str, Option]) -> str:
  return "; ".join(f"{n} = {o.default:g}, {o.range}: {o.text}" for n, o in options.items()) or "none"


def _columns(lines: Mapping[str, str]) -> str:
  return "\n".join(f"{label + ':':20}{text}" for label, text in lines.items())
