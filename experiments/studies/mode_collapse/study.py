"""`launch.sh mode_collapse [--full] [--config.field=value ...] [--out DIR]`: which methods lose modes, on ring and grid.

As published (Lin et al. 2018, "PacGAN", arXiv:1712.04086, table 1, 10 trials, mean +- standard error): packing two
examples for the discriminator finds 7.9 +- 0.1 of the ring's 8 modes where a GAN finds 6.3 +- 0.5,
and 23.8 +- 0.7 of the grid's 25 where it finds 17.3 +- 0.8; reverse KL falls from 0.45 to 0.07 and from 0.70 to 0.13.
Huang et al. 2024 (R3GAN, arXiv:2501.05441, table 1, Stacked MNIST): the relativistic pairing loss with R1 + R2 finds
all 1,000 modes where the plain GAN loss with R1 + R2 finds 693. So we expect: packing finds more modes than GAN and
spreads them more evenly; relativistic with R1 + R2 is not behind GAN with R1 + R2.

The default is *not* the published protocol. It is the same game (networks, batch sizes, optimizer except for the rate,
2,500 samples, a mode found if one sample is within 3 standard deviations) with 4,000 steps and narrow networks.
`--full` runs 400,000 steps at the published widths and rate, still with 5 seeds. One difference remains: batch norm
uses the statistics of the evaluated batch, see gan_jax/models/pacgan.py.

Writes `mode_collapse.png` and `table.md` beside the study's own report. About 6 minutes on 2 quiet cores; `--full` is
for a GPU.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ... import command, tables
from ...sweep import conduct

FULL = {
  "steps": 400_000,
  "model_options.generator_width": 400,
  "model_options.discriminator_width": 200,
  "generator_rate": 1e-4,
  "discriminator_rate": 1e-4,
  "probe_every": 1000,
  "evaluate_every": 20_000,
  "checkpoint_every": 20_000,
}
MODES, QUALITY, DIVERGENCE = METRICS = ("modes/covered", "modes/high_quality", "modes/reverse_kl")
TITLES = {MODES: "modes", QUALITY: "high-quality share", DIVERGENCE: "reverse KL"}
# Lin et al. 2018, table 1: (mean, standard error) of modes, high-quality share in %, reverse KL, over 10 trials.
PUBLISHED: dict[str, dict[str, tuple[tuple[float, float], ...]]] = {
  "ring": {
    "GAN": ((6.3, 0.5), (98.2, 0.2), (0.45, 0.09)),
    "PacGAN2": ((7.9, 0.1), (95.6, 2.0), (0.07, 0.03)),
    "PacGAN4": ((7.8, 0.1), (95.9, 1.4), (0.07, 0.02)),
  },
  "grid": {
    "GAN": ((17.3, 0.8), (94.8, 0.7), (0.70, 0.07)),
    "PacGAN2": ((23.8, 0.7), (91.3, 0.8), (0.13, 0.04)),
    "PacGAN4": ((24.8, 0.2), (93.6, 0.6), (0.04, 0.01)),
  },
}
EVEN = {"ring": 8, "grid": 25}  # modes
CAPTION = """\
Above: samples of the generators of seed {seed} after {steps:,} steps, one square per method, with grey circles at the
modes of the data. Below: the number of modes found, the share of samples within 3 standard deviations of a mode, and the
reverse KL divergence of the samples' modes from equal shares. Bars are means over {seeds} seeds with 95 % intervals
(geometric means of the divergence, with an interval of the median seed), black diamonds the published means (Lin et
al. 2018, table 1) of the methods that it contains. A run without any sample near a mode has no divergence and is left out
of its mean.

Our rows are PacGAN's game, **{cut}**: {steps:,} steps at rate {rate:g}, generator of width {width}, {units} maxout
units, {seeds} seeds. Numbers from runs of different lengths cannot be compared; differences between methods may be. Our
intervals are 95 % (Student's t, of the divergence on logarithms), not corrected for their number; the published ± is one
standard error over 10 trials. No generator can score better than {samples:,} samples of the data themselves:
reverse KL (K − 1) / 2N = {floors}, high-quality share 98.9 %.
"""


class Method(NamedTuple):
  """One method on one dataset, over its seeds."""

  data: str
  title: str
  variant: Any  # report.records.Variant


def main(arguments: list[str]) -> None:
  directory = conduct("mode_collapse", arguments, FULL)
  print(write(directory))


def write(directory: Path) -> str:
  """Figure and table of a study that has been run; returns what was found, in a few sentences."""
  from gan_jax.report import records
  from gan_jax.runs.directory import write_atomic

  found = methods(records.read(directory))
  write_atomic(directory / "mode_collapse.png", figure(directory, found))
  findings = sentences(found)
  text = f"# Mode collapse\n\n![Modes](mode_collapse.png)\n\n{caption(found)}\n{findings}\n\n{table(found)}"
  write_atomic(directory / "table.md", text.encode())
  return f"{findings}\nfigure: {directory / 'mode_collapse.png'}\ntable:  {directory / 'table.md'}"


def named(config: Mapping[str, Any]) -> str:
  """'PacGAN2', 'relativistic, R1 + R2', 'unrolled GAN, 5 steps', ...: how a config differs from a plain GAN."""
  base = "GAN" if config["loss"] == "non_saturating" else config["loss"]
  if config["packing"] > 1:
    base = f"Pac{base}{config['packing']}"
  text = f"unrolled {base}, {config['unroll_steps']} steps" if config["unroll_steps"] else base
  return {"none": text, "r1_r2": f"{text}, R1 + R2"}.get(config["penalty"], f"{text}, {config['penalty']}")


def methods(study: Any) -> list[Method]:
  """The study's variants, in its order."""
  return [Method(v.config["dataset"], named(v.config), v) for panel in study.panels for v in panel.variants]


def finals(method: Method, metric: str) -> dict[int, float]:
  """Final values by seed. A run without any sample near a mode has no divergence: it is NaN and left out."""
  from gan_jax.report.records import final

  return {run.seed: final(run, metric) for run in method.variant.counted}


def against(found: Sequence[Method], method: Method, metric: str, reference: str = "GAN"):
  """A method's metric compared with the reference's on the same data, paired by seed: the ratio of divergences, which are
  positive, the difference of other metrics; None for the reference itself.
  """
  from gan_jax.report.statistics import paired, paired_ratio

  other = next((m for m in found if (m.data, m.title) == (method.data, reference)), None)
  if other is None or other is method:
    return None
  return (paired_ratio if metric == DIVERGENCE else paired)(finals(method, metric), finals(other, metric))


def table(found: Sequence[Method]) -> str:
  from gan_jax.report.statistics import estimate
  from gan_jax.report.wording import interval, plus_minus

  heading = ["method", *TITLES.values(), "modes, minus GAN's", "reverse KL, over GAN's"]
  heading += [f"published {title}" for title in TITLES.values()]
  parts = []
  for data in dict.fromkeys(method.data for method in found):
    rows = []
    for method in (m for m in found if m.data == data):
      values = [
        plus_minus(estimate(list(finals(method, metric).values()), log=metric == DIVERGENCE)) for metric in METRICS
      ]
      differences = [against(found, method, metric) for metric in (MODES, DIVERGENCE)]
      published = PUBLISHED.get(data, {}).get(method.title)
      theirs = ["", "", ""]
      if published:
        (m, m_error), (q, q_error), (k, k_error) = published
        theirs = [f"{m:g} ± {m_error:g}", f"{q / 100:.3f} ± {q_error / 100:.3f}", f"{k:g} ± {k_error:g}"]
      rows.append([method.title, *values, *("" if d is None else interval(d) for d in differences), *theirs])
    parts.append(f"## {data.capitalize()}, {EVEN.get(data, '?')} modes\n\n{tables.markdown(heading, rows)}")
  return "\n".join(parts)


def sentences(found: Sequence[Method]) -> str:
  """The results for the two expectations on each dataset, whose comparisons are one family (Holm)."""
  from gan_jax.report.statistics import holm
  from gan_jax.report.wording import interval, p_value, surely

  said = []
  pairs = (("PacGAN2", "GAN"), ("PacGAN4", "GAN"), ("relativistic, R1 + R2", "GAN, R1 + R2"))
  for data in dict.fromkeys(method.data for method in found):
    methods = {m.title: m for m in found if m.data == data}
    asked = [(*pair, metric) for pair in pairs for metric in METRICS if pair[0] in methods]
    changes = holm([against(found, methods[title], metric, reference) for title, reference, metric in asked])
    for pair in pairs:
      parts = [
        f"{TITLES[metric]} {'over' if p.log else 'minus'} the other's {interval(p)}, {surely(p)} different ({p_value(p)})"
        for (title, reference, metric), p in zip(asked, changes, strict=True)
        if p is not None and (title, reference) == pair
      ]
      if parts:
        said.append(f"**{data.capitalize()}**, {pair[0]} against {pair[1]}, paired by seed: {'; '.join(parts)}.")
  return "\n\n".join(said)


def caption(found: Sequence[Method]) -> str:
  from gan_jax.settings.labels import flatten

  runs = found[0].variant.runs
  config, widths = runs[0].config, runs[0].config["model_options"]
  published = all(flatten(config)[name] == FULL[name] for name in ("steps", *(n for n in FULL if n.endswith("width"))))
  samples = config["evaluation_samples"]
  floors = ", ".join(f"{(k - 1) / (2 * samples):.4f} ({data})" for data, k in EVEN.items())
  return CAPTION.format(
    seed=runs[0].seed,
    seeds=len(runs),
    steps=config["steps"],
    cut="in full" if published else "shortened and narrowed, so not the published protocol",
    rate=config["generator_rate"],
    width=widths["generator_width"],
    units=widths["discriminator_width"],
    samples=samples,
    floors=floors,
  )


def figure(directory: Path, found: Sequence[Method]) -> bytes:
  """A PNG: for each data set a row of samples, and under it a row of three bar charts; see `CAPTION`."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  from gan_jax.report.canvas import style

  sets = list(dict.fromkeys(method.data for method in found))
  across = max(sum(m.data == data for m in found) for data in sets)
  whole = Figure(figsize=(1.9 * across, 5.2 * len(sets)), dpi=100, layout="constrained")
  titles = list(dict.fromkeys(method.title for method in found))
  for part, data in zip(np.ravel(whole.subfigures(len(sets), 1, squeeze=False)), sets, strict=True):
    members = [m for m in found if m.data == data]
    above, below = part.subfigures(2, 1, height_ratios=(1, 1.25))
    squares = above.subplots(1, across, squeeze=False)[0]
    for axes in squares[len(members) :]:
      axes.set_visible(False)
    for axes, method in zip(squares, members, strict=False):
      scatter(axes, directory, method, style(titles.index(method.title)).colour)
    for axes, metric in zip(below.subplots(1, len(METRICS)), METRICS, strict=True):
      bars(axes, members, metric, [style(titles.index(m.title)).colour for m in members])
    part.suptitle(f"{data}: {EVEN.get(data, '?')} modes", fontsize=11)
  buffer = io.BytesIO()
  FigureCanvasAgg(whole).print_png(buffer)
  return buffer.getvalue()


def scatter(axes: Any, directory: Path, method: Method, colour: str) -> None:
  """The samples of a method's first seed at its last step, over circles at the modes."""
  from gan_jax.data import mixtures
  from gan_jax.runs.directory import read_arrays

  modes = mixtures.ring_modes() if method.data == "ring" else mixtures.grid_modes()
  run = method.variant.runs[0]
  file = directory / "samples" / run.group / f"{run.last_step:09d}.npz"
  points = read_arrays(file)["samples"][run.member] if file.exists() else np.zeros((0, 2))
  axes.scatter(*modes.T, s=45, facecolors="none", edgecolors="0.6", linewidths=0.8)
  axes.scatter(*points.T, s=3, color=colour, alpha=0.4, linewidths=0)
  reach = 1.35 * np.abs(modes).max()
  axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
  axes.set_title(method.title.replace(", ", ",\n"), fontsize=8)


def bars(axes: Any, members: Sequence[Method], metric: str, colours: Sequence[str]) -> None:
  """Means with 95 % intervals, and diamonds where a mean was published."""
  from gan_jax.report.statistics import estimate

  for place, (method, colour) in enumerate(zip(members, colours, strict=True)):
    e = estimate(list(finals(method, metric).values()), log=metric == DIVERGENCE)
    if np.isfinite(e.mean):
      ends = np.nan_to_num([[e.mean - e.low], [e.high - e.mean]])
      axes.bar(place, e.mean, 0.75, yerr=ends, color=colour, capsize=3, error_kw={"linewidth": 1})
    published = PUBLISHED.get(method.data, {}).get(method.title)
    if published:
      mean = published[METRICS.index(metric)][0] / (100 if metric == QUALITY else 1)
      axes.plot(place, mean, "D", color="black", markersize=5, zorder=3)
  if metric == MODES:
    axes.axhline(EVEN.get(members[0].data, np.nan), color="0.5", linewidth=0.8, linestyle=":")
  axes.set_ylim(bottom=0)
  if metric == DIVERGENCE:  # a single mode has log K, the largest value
    axes.set_ylim(top=min(axes.get_ylim()[1], 1.02 * np.log(EVEN.get(members[0].data, np.inf))))
  axes.set_title(TITLES[metric], fontsize=10)
  axes.set_xticks(range(len(members)), [m.title for m in members], rotation=30, ha="right", fontsize=7.5)
  axes.grid(axis="y", alpha=0.2)


if __name__ == "__main__":
  command.run(main)
