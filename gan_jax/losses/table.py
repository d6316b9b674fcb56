"""The cards as text: one row or one page each, for a terminal and for the README."""

from gan_jax.losses.registry import LOSSES, PAIRINGS, card, default_options


def signature(name: str) -> str:
  """The name with its hyperparameters, as in `least_squares(fake=0, real=1, target=1)`."""
  options = ", ".join(f"{key}={value:g}" for key, value in default_options(name).items())
  return f"{name}({options})" if options else name


def _ordered() -> list[str]:
  """All names; the long f-GAN family last."""
  return sorted(LOSSES, key=lambda name: name.startswith("f_gan_"))


def markdown_table() -> str:
  """Every loss, one row: the table of the README. Ends with a newline."""
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
  """Every loss, one line: name, generator's slope, zero-sum or not, pairing, source."""
  header = ("loss", "generator's slope in f", "zero-sum", "pairing", "source")
  rows = [header]
  for name in _ordered():
    c = card(name)
    rows.append((signature(name), c.slope, "yes" if c.zero_sum else "no", c.pairing, c.reference))
  widths = [max(len(row[i]) for row in rows) for i in range(len(header) - 1)]
  return "\n".join(
    "  ".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)), row[-1]]) for row in rows
  )


def text_card(name: str) -> str:
  """One loss, all of its card. Raises `BadInput` for an unknown name."""
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
    "saturates": c.saturates,
    "overflows at": "nowhere" if c.overflows_at is None else f"|logit| = {c.overflows_at:g} in float32, by its formula",
    "hyperparameters": "; ".join(
      f"{key} = {value:g}" + (f", {c.ranges[key].text}" if key in c.ranges else "")
      for key, value in default_options(name).items()
    )
    or "none",
    "source": c.reference,
  }
  return "\n".join(f"{label + ':':20}{text}" for label, text in lines.items())
