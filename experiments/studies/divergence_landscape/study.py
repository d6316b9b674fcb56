"""`launch.sh divergence_landscape [--config.field=value ...] [--out DIR]`: which losses saturate, which explode.

All registered losses, each at its own optimal discriminator, as a Gaussian model N(mu, 1) moves away from the data N(0,
1): the least loss of the discriminator, the generator's loss there, and its gradient d/dmu with the discriminator
frozen, which pulls towards the data where it is positive. Computed by quadrature in double precision; nothing is
trained.

The gradient is an expectation, which may come from fakes so rare that no batch contains one. So every verdict is given
twice: for the whole gradient, and for its part from fakes within 3 standard deviations of mu, those that a batch of a
few hundred contains.

    runs/divergence_landscape/landscape.svg   the figure
    runs/divergence_landscape/table.md        the caption, and a row per loss
    runs/divergence_landscape/table.csv       every distance, in full precision
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gan_jax.core.errors import BadInput, unknown

from ... import command
from ...sweep import CONFIGS, Parser, place

if TYPE_CHECKING:  # imports jax, which --help does not need
  from gan_jax.theory.optimum import Values

CONFIG = CONFIGS / "theory" / "divergence_landscape.py"
# Limits of the exponent d log|gradient| / d log mu between the two largest distances. A power of mu up to the fourth
# 'grows'; e^(c mu^2) has the exponent 2 c mu^2, which exceeds any power.
SATURATES, BOUNDED, GROWS = -0.5, 0.5, 4.0
CRITERION = (
  "The trend is the exponent d log|gradient| / d log distance between the two largest distances: below -0.5 the loss "
  "*saturates*, up to 0.5 it is *bounded*, up to 4 it *grows*, above it *explodes*. *Wrong sign*: it pushes away from "
  "the data somewhere. *No slope*: the gradient is exactly 0 everywhere."
)
CAPTION = """\
The fakes are N(mu, 1), the data N(0, 1). Each loss has its own optimal discriminator, held fixed; the gradient is that of
the generator's loss with respect to mu, through the samples. A positive gradient pulls towards the data. "Seen" is the
part of the gradient from fakes within 3 standard deviations of mu, those that a batch of a few hundred contains: the solid
curves, coloured by their trend. Dotted: the whole expectation. The last panel leaves out the f-GANs, whose least loss is
minus their divergence.

{criterion}

If the optimal discriminator is piecewise constant (hinge, energy margin, total variation, paired hinge), its slope is 0 at
all fakes except those at a step: at the exact optimum the generator gets no gradient, at any distance. Trained
discriminators are not exact: one that is nearly a step pulls through its steep part, where p = q, with 2 phi(mu/2) for the
hinge (phi the normal density). That vanishes as fast as the gradient of `minimax`, about pi phi(mu/2).

{missing}"""
FAMILIES = {  # the file that registers a loss, and its panel, in the order of the figure
  "logistic": "logistic, alpha, cumulant",
  "tilted": "logistic, alpha, cumulant",
  "least_squares": "least squares, margins, Wasserstein",
  "margins": "least squares, margins, Wasserstein",
  "relativistic": "relativistic",
  "f_gan": "f-GAN, zero-sum",
  "f_gan practical": "f-GAN, practical generator",
}


class Row(NamedTuple):
  """One loss. `trend` and `verdict` describe the whole gradient, `seen_verdict` the part that a batch sees."""

  name: str
  family: str
  critic: str
  values: "Values | None" = None
  trend: float = math.nan
  verdict: str = "no optimum"
  seen_verdict: str = ""


def main(arguments: list[str]) -> None:
  parser = Parser("divergence_landscape")
  parser.add_argument("--out", type=place, default=Path("runs/divergence_landscape"), help="where the files go")
  known, rest = parser.parse_known_args(arguments)

  from gan_jax.runner import standing
  from gan_jax.runs.directory import write_atomic
  from gan_jax.settings import sweeps

  from . import figure as landscape

  names, distances = checked(sweeps.read(str(CONFIG), rest))
  standing.prepare(known.out)
  with command.with_jax(), command.phase(f"{len(names)} losses at their optimal discriminators"):
    rows = compute(names, distances)
  curves = [
    landscape.Curve(row.name, short(row), row.family, row.seen_verdict or row.verdict, row.values) for row in rows
  ]
  files = {"table.md": markdown(rows, distances).encode(), "table.csv": table(rows, distances).encode()}
  files["landscape.svg"] = landscape.figure(curves, np.asarray(distances))
  print(text(rows, distances))
  for file, content in files.items():
    write_atomic(known.out / file, content)
    print(f"{file + ':':15}{known.out / file}")


def checked(config: Mapping[str, Any]) -> tuple[list[str], list[float]]:
  """The losses and the distances, in order and each once.

  Raises:
    BadInput: an unknown loss, fewer than two distances, or one that is not in (0, FARTHEST].
  """
  from gan_jax.losses import LOSSES
  from gan_jax.theory.gaussians import FARTHEST

  for field in ("losses", "distances"):
    if not isinstance(config[field], (list, tuple)):
      raise BadInput(f"config field {field!r} expected a list, got {config[field]!r}")
  for name in config["losses"]:
    if name not in LOSSES:
      raise unknown("loss", name, LOSSES)
  for mu in config["distances"]:
    if not isinstance(mu, (int, float)) or isinstance(mu, bool) or not 0 < mu <= FARTHEST:
      raise BadInput(f"config field 'distances' expected numbers greater than 0 and at most {FARTHEST:g}, got {mu!r}")
  distances = sorted({float(mu) for mu in config["distances"]})
  if len(distances) < 2:
    raise BadInput(f"config field 'distances' expected at least two for a trend, got {config['distances']!r}")
  order = {panel: i for i, panel in enumerate(FAMILIES.values())}
  names = dict.fromkeys(config["losses"] or LOSSES)
  return sorted(names, key=lambda name: order.get(family(name), len(order))), distances


def compute(names: Sequence[str], distances: Sequence[float]) -> list[Row]:
  """A row per loss, in the order given."""
  from gan_jax.theory.optimum import landscape

  rows = []
  for name in names:
    critic, values = landscape(name, distances)
    row = Row(name, family(name), critic, values)
    if values is not None:
      trend, verdict = judge(values.gradient, distances)
      row = row._replace(trend=trend, verdict=verdict, seen_verdict=judge(values.seen, distances)[1])
    rows.append(row)
  return rows


def family(name: str) -> str:
  """The panel of a loss: the file that registers it, and for an f-GAN its generator."""
  from gan_jax.losses import LOSSES

  module = LOSSES[name].builder.__module__.rpartition(".")[2]
  return FAMILIES.get(module + " practical" * name.endswith("_practical"), "other losses")


def short(row: Row) -> str:
  """The name without the part that its panel's title contains."""
  name = row.name.removeprefix("f_gan_").removesuffix("_practical")
  return name.removeprefix("relativistic_") if row.name != "relativistic" else name


def judge(gradient: np.ndarray, distances: Sequence[float]) -> tuple[float, str]:
  """The exponent of |gradient| at the largest distances, and the verdict by `CRITERION`."""
  if not gradient.any():
    return math.nan, "no slope"
  if gradient[-1] == 0:
    return -math.inf, "saturates"
  trend = float(np.log(np.abs(gradient[-1] / gradient[-2])) / math.log(distances[-1] / distances[-2]))
  if (gradient < 0).any():
    return trend, "wrong sign"
  limits = {SATURATES: "saturates", BOUNDED: "bounded", GROWS: "grows"}
  return trend, next((verdict for limit, verdict in limits.items() if trend < limit), "explodes")


def shown(distances: Sequence[float]) -> list[int]:
  """Indices of the distances in the tables: the first, the one nearest to 1, the last."""
  middle = min(range(len(distances)), key=lambda i: abs(math.log(distances[i])))
  return sorted({0, middle, len(distances) - 1})


def text(rows: Sequence[Row], distances: Sequence[float]) -> str:
  """The short table of the terminal."""
  at = shown(distances)
  lines = [["", *(f"{distances[i]:g}" for i in at), "whole gradient", "seen in a batch"]]
  for row in rows:
    cells = [f"{row.values.gradient[i]:.3g}" for i in at] if row.values else ["-"] * len(at)
    lines.append([row.name, *cells, row.verdict, row.seen_verdict])
  widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
  title = "the generator's gradient by the distance of the fakes from the data, at each loss's optimal discriminator"
  return "\n".join(
    [title, *("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)]
  )


def markdown(rows: Sequence[Row], distances: Sequence[float]) -> str:
  """The caption and the table of `table.md`."""
  at = shown(distances)
  near, far = at[len(at) // 2], at[-1]
  heading = ["loss", "optimal discriminator", f"D loss at {distances[near]:g}", f"G loss at {distances[near]:g}"]
  heading += [f"gradient at {distances[i]:g}" for i in at] + [
    "trend",
    "verdict",
    f"seen at {distances[far]:g}",
    "verdict on the seen",
  ]
  lines = [heading, ["---"] * len(heading)]
  for row in rows:
    cells = ["-"] * (len(heading) - 2)
    cells[-3] = row.verdict
    if row.values is not None:
      losses = [f"{half[near]:.6g}" for half in row.values[:2]]
      gradients = [f"{row.values.gradient[i]:.4g}" for i in at]
      trend = "-" if math.isnan(row.trend) else f"{row.trend:.2f}"
      cells = [*losses, *gradients, trend, row.verdict, f"{row.values.seen[far]:.3g}", row.seen_verdict]
    lines.append([f"`{row.name}`", row.critic.replace("|", "\\|"), *cells])
  grid = "\n".join(f"| {' | '.join(line)} |" for line in lines)
  without = ", ".join(f"`{row.name}`" for row in rows if row.values is None) or "none"
  caption = CAPTION.format(criterion=CRITERION, missing=f"Without values, for the reason in the table: {without}.")
  return f"# Divergence landscape\n\n![The landscape](landscape.svg)\n\n{caption}\n\n{grid}\n"


def table(rows: Sequence[Row], distances: Sequence[float]) -> str:
  """The rows of `table.csv`: one per loss and distance, in full precision; a loss without an optimum has an empty row."""
  buffer = io.StringIO()
  writer = csv.writer(buffer, lineterminator="\n")
  columns = ("discriminator", "generator", "gradient", "seen")  # those of `Values`
  writer.writerow(
    ["loss", "family", "optimal_discriminator", "distance", *columns, "pull", "trend", "verdict", "seen_verdict"]
  )
  for row in rows:
    head, tail = [row.name, row.family, row.critic], [row.trend, row.verdict, row.seen_verdict]
    if row.values is None:
      writer.writerow([*head, *[""] * 7, *tail[1:]])
      continue
    for i, mu in enumerate(distances):
      values = [float(column[i]) for column in row.values]
      pull = "towards" if values[2] > 0 else "away" if values[2] < 0 else "none"
      writer.writerow([*head, mu, *values, pull, *tail])
  return buffer.getvalue()


if __name__ == "__main__":
  command.run(main)
