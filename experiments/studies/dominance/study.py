"""`launch.sh dominance [--full] [--config.field=value ...] [--out DIR]`: how strong a discriminator each loss tolerates.

As published. Goodfellow et al. 2014 (arXiv:1406.2661, section 3): early on, when the discriminator rejects samples with
high confidence, log(1 - D(G(z))) saturates; maximising log D(G(z)) "provides much stronger gradients". Arjovsky and
Bottou 2017 (arXiv:1701.04862, theorem 2.4 and figure 2): the better the discriminator, the smaller the saturating
gradient, by orders of magnitude. Arjovsky et al. 2017 (arXiv:1701.07875, section 3): the Wasserstein critic can, and
should, be trained till optimality, "the more reliable gradient" comes from that. Mao et al. 2017 (arXiv:1611.04076):
least squares keeps a gradient where the sigmoid's is flat. So we expect, as the discriminator is made stronger:
`minimax` stops learning first, because the loss's factor vanishes; `non_saturating`, `least_squares` and the
relativistic losses tolerate more; `wasserstein` tolerates the most discriminator steps (although there is no penalty
here, so its discriminator is not Lipschitz). Adam normalises the gradient's size (README, the main job's second panel),
so under it we expect `minimax` to tolerate much higher rates.

A run *learns* if its final Frechet distance is at most a fifth of its untrained generator's (the verdict's threshold of
good samples). A loss *tolerates* a strength if most of its seeds learn at it and at every lesser one of that axis. The
verdict says which player is ahead; a loss can learn while the discriminator wins.

Writes `phase-sgd.svg`, `phase-adam.svg` (one for each optimizer) and `table.md` beside the study's own report. About 5
minutes on 2 cores.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ... import command, tables
from ...sweep import conduct

METRIC = "frechet/distance"
LEARNS = 0.2  # largest ratio of the final distance to the untrained generator's at which a run has learned
AXES = {
  "discriminator steps": "steps",
  "learning rate": "rate",
  "width": "width",
}  # and how a column of the diagram says it
FULL = {"steps": 3200, "probe_every": 40, "evaluate_every": 400, "evaluation_samples": 2000, "checkpoint_every": 3200}
CAPTION = """\
Columns: in what the discriminator is stronger than the generator (steps, learning rate, width), and by how much; level
players on the left. Rows: the loss. Colour and first line: the verdict on most of the {seeds} seeds, with their share
where they disagree; "D wins loss": the discriminator dominates, and the loss's factor of the generator's gradient vanished.
Second line: the mean final Frechet distance (untrained {untrained}; diverged runs are left out), and how many seeds
*learn*: end at or below {learns:g} of the untrained distance. `{dataset}`, `{model}` players of width {width}, rates
{rates}, no penalty, {steps:,} steps.
"""


class Cell(NamedTuple):
  """One loss at one strength, over its seeds. `axis` is '' where the players are level."""

  optimizer: str
  loss: str
  axis: str
  strength: float  # of the discriminator over the generator, 1 where they are level
  variant: Any  # report.records.Variant


class Stand(NamedTuple):
  """The strength that one loss tolerates on one axis."""

  strongest: float  # 0: not even level players
  learned: int  # seeds that learn there
  following: Cell | None  # the first strength at which most seeds do not learn; None: it tolerates all


def main(arguments: list[str]) -> None:
  directory = conduct("dominance", arguments, FULL)
  print(write(directory))


def write(directory: Path) -> str:
  """Figure and table of a study that has been run; returns what was found, in a few lines."""
  from gan_jax.report import records
  from gan_jax.runs.directory import write_atomic

  found = cells(records.read(directory))
  lines, drawn = [], ""
  for name, mine in by_optimizer(found).items():
    write_atomic(directory / f"phase-{name}.svg", figure(mine, f"dominance, {name}").encode())
    drawn += f"![Phase diagram, {name}](phase-{name}.svg)\n\n"
    for loss in losses(mine):
      stands = "  ".join(f"{axis} {said(mine, loss, axis)}" for axis in axes(mine))
      lines.append(f"{name:6} {loss:22} tolerates {stands}")
  text = f"# Dominance\n\n{drawn}{caption(found)}\n{table(found)}"
  write_atomic(directory / "table.md", text.encode())
  return "\n".join([*lines, f"figures: {directory / 'phase-*.svg'}", f"table:   {directory / 'table.md'}"])


def cells(study: Any) -> list[Cell]:
  """The study's variants: ordered by loss, for each the level players first, then by axis and strength."""
  found = [
    Cell(variant.config["optimizer"], variant.config["loss"], *strength(variant.runs[0].config), variant)
    for panel in study.panels
    for variant in panel.variants
  ]
  order = losses(found)
  return sorted(found, key=lambda c: (order.index(c.loss), ("", *AXES).index(c.axis), c.strength))


def losses(found: Sequence[Cell]) -> list[str]:
  return list(dict.fromkeys(cell.loss for cell in found))


def by_optimizer(found: Sequence[Cell]) -> dict[str, list[Cell]]:
  names = dict.fromkeys(cell.optimizer for cell in found)
  return {name: [cell for cell in found if cell.optimizer == name] for name in names}


def axes(found: Sequence[Cell]) -> list[str]:
  """The axes on which some discriminator is stronger."""
  return [axis for axis in AXES if any(cell.axis == axis for cell in found)]


def strength(config: Mapping[str, Any]) -> tuple[str, float]:
  """(axis, ratio): in what, and by how much, the discriminator is stronger than the generator.

  Raises:
    BadInput: in several respects at once.
  """
  from gan_jax.core.errors import BadInput

  ratios = {
    "discriminator steps": config["n_critic"] / config["n_gen"],
    "learning rate": config["discriminator_rate"] / config["generator_rate"],
    "width": config["model_options"]["discriminator_width"] / config["model_options"]["generator_width"],
  }
  unequal = {axis: float(f"{ratio:.6g}") for axis, ratio in ratios.items() if abs(ratio - 1) > 1e-6}
  if len(unequal) > 1:
    raise BadInput(f"dominance expected players that differ in one of {list(AXES)}, got {unequal}")
  return next(iter(unequal.items()), ("", 1.0))


def learns(run: Any) -> bool:
  """Whether a run ends with good samples; one that diverged does not."""
  values = run.quality.columns[METRIC]
  return run.status != "diverged" and bool(values[-1] <= LEARNS * values[0])


def count(cell: Cell) -> int:
  return sum(learns(run) for run in cell.variant.runs)


def on_axis(found: Sequence[Cell], loss: str, axis: str) -> list[Cell]:
  """The level players and those of the axis, weaker ones first."""
  return [c for c in found if c.loss == loss and c.axis in ("", axis)]


def stand(cells: Sequence[Cell]) -> Stand:
  """The largest strength up to which most seeds learn at each. The cells are one axis's, weaker ones first."""
  strongest, learned = 0.0, 0
  for cell in cells:
    if 2 * count(cell) <= len(cell.variant.runs):
      return Stand(strongest, learned, cell)
    strongest, learned = cell.strength, count(cell)
  return Stand(strongest, learned, None)


def said(found: Sequence[Cell], loss: str, axis: str) -> str:
  """`10 (5/5; at 30: 1/5)`: the strength that the loss tolerates, and the result at the next one."""
  there = on_axis(found, loss, axis)
  result = stand(there)
  following = result.following
  after = "" if following is None else f"at {following.strength:g}: {count(following)}/{len(following.variant.runs)}"
  if not result.strongest:
    return f"none ({after})"
  share = f"{result.learned}/{len(there[0].variant.runs)}"
  return f"{result.strongest:g} ({'; '.join(part for part in (share, after or 'all') if part)})"


def finals(cell: Cell) -> dict[int, float]:
  from gan_jax.report.records import final

  return {run.seed: final(run, METRIC) for run in cell.variant.counted}


def change(found: Sequence[Cell], loss: str, axis: str) -> str:
  """The distance at the strongest discriminator of the axis over that of level players, paired by seed."""
  from gan_jax.report.statistics import paired_ratio
  from gan_jax.report.wording import NOTHING, interval

  there = on_axis(found, loss, axis)
  ratio = paired_ratio(finals(there[-1]), finals(there[0])) if len(there) > 1 else None
  return NOTHING if ratio is None else interval(ratio)


def table(found: Sequence[Cell]) -> str:
  from gan_jax.report.statistics import estimate
  from gan_jax.report.wording import plus_minus

  text = (
    "*Tolerates*: the largest strength up to which most seeds learn; in brackets how many learn at it and at the next "
    "strength. Ratios of distances are geometric means over the seeds, paired, each with its own 95 % interval."
    "\n"
  )
  for name, mine in by_optimizer(found).items():
    there = axes(mine)
    top = [f"{max(cell.strength for cell in mine if cell.axis == axis):g} times the {axis}" for axis in there]
    heading = ["loss", "distance, level players", *(f"tolerates: {axis}" for axis in there)]
    heading += [f"distance at {strongest}, over level" for strongest in top]
    rows = []
    for loss in losses(mine):
      level = next(cell for cell in mine if cell.loss == loss and not cell.axis)
      cells = [said(mine, loss, axis) for axis in there] + [change(mine, loss, axis) for axis in there]
      rows.append([f"`{loss}`", plus_minus(estimate(list(finals(level).values()), log=True)), *cells])
    text += f"\n`{name}`\n\n{tables.markdown(heading, rows)}"
  return text


def caption(found: Sequence[Cell]) -> str:
  from gan_jax.report.statistics import estimate
  from gan_jax.report.wording import number

  config, runs = found[0].variant.runs[0].config, [run for cell in found for run in cell.variant.runs]
  rates = [f"{mine[0].variant.config['generator_rate']:g} ({name})" for name, mine in by_optimizer(found).items()]
  return CAPTION.format(
    seeds=len(found[0].variant.runs),
    untrained=number(estimate([float(run.quality.columns[METRIC][0]) for run in runs], log=True).mean),
    learns=LEARNS,
    width=config["model_options"]["generator_width"],
    rates=" and ".join(rates),
    **{name: config[name] for name in ("dataset", "model", "steps")},
  )


def figure(found: Sequence[Cell], name: str) -> str:
  """The phase diagram of one optimizer's cells as SVG, see `CAPTION`."""
  from gan_jax.report import phase, verdicts
  from gan_jax.report.statistics import estimate
  from gan_jax.report.wording import number

  drawn = []
  for cell in sorted(found, key=lambda c: ("", *AXES).index(c.axis)):  # the columns in the order in which they come
    end = verdicts.majority([verdicts.of(run) for run in cell.variant.runs])
    note = verdicts.short(end).removeprefix(verdicts.LOOKS[end.state].short).removeprefix(":").strip()
    quality = number(estimate(list(finals(cell).values()), log=True).mean)
    text = f"{quality} ({count(cell)}/{len(cell.variant.runs)})"
    column = f"{AXES[cell.axis]} x{cell.strength:g}" if cell.axis else "level"
    drawn.append(phase.Cell(column, cell.loss, end.state, text, note))
  across = "discriminator over generator"
  return phase.figure(drawn, across, "loss", name)


if __name__ == "__main__":
  command.run(main)
