"""The lesson's last part: a GAN that draws digits of a given class, its gradient by factors, and where to go next."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from gan_jax import data
from gan_jax.core import installation
from gan_jax.core.errors import plural
from gan_jax.report import pictures
from gan_jax.report.canvas import COLOURS, GREY
from gan_jax.report.wording import number
from gan_jax.verdict import CALLED, FACTORS

from ..mnist_dcgan.study import COLUMNS, tile
from .page import Formula, Picture, Section, Table
from .uncertainty import png

METRIC = "frechet/distance"
GRADIENT = "gen/grad_norm"


class Fall(NamedTuple):
  """Of one run: decades by which the generator's gradient changed during the head start. Factors add up to the total."""

  total: float
  factors: dict[str, float]  # by name, as in `verdict.FACTORS`
  slope: float  # |d loss / d logit| at its end, mean over the batch


def fall(run: Any) -> Fall:
  """Between the first row and the last one of the head start, at the same weights of the generator."""
  columns = run.rows.columns
  last = int(np.flatnonzero(run.rows.steps < max(run.config["head_start"], 1))[-1])
  decades = {name: math.log10(columns[name][last] / columns[name][0]) for name in (GRADIENT, *_names())}
  slope = float(columns["signal/loss_slope_mean"][last])
  return Fall(decades[GRADIENT], {f: decades[f"factor/{f}"] for f in FACTORS}, slope)


def _names() -> list[str]:
  return [f"factor/{name}" for name in FACTORS]


def distance(run: Any, step: int) -> float:
  """The run's Frechet distance at the last evaluation up to that step."""
  at = int(np.flatnonzero(run.quality.steps <= step)[-1])
  return float(run.quality.columns[METRIC][at])


def mean(values: Sequence[float]) -> float:
  """The geometric mean: distances differ by factors."""
  return float(np.exp(np.mean(np.log(values))))


def sections(study: Any) -> list[Section]:
  """Of a finished study of configs/lessons/first_gan.py; `study` is a `report.records.Study`."""
  level, ahead = study.panels
  return [first_gan(study, level), uneven(ahead), further()]


def first_gan(study: Any, level: Any) -> Section:
  config = level.variants[0].config
  rows = []
  for variant in level.variants:
    last = [run.rows.columns for run in variant.runs]
    d, g, auc = (
      float(np.mean([columns[name][-1] for columns in last])) for name in ("disc/loss", "gen/loss", "disc/auc")
    )
    before, after = (mean([distance(run, step) for run in variant.runs]) for step in (0, config["steps"]))
    rows.append([variant.config["loss"], number(before), number(after), f"{auc:.2f}", f"{d:.3f}", f"{g:.3f}"])
  return Section(
    "What does a first GAN look like, one that is told what to draw?",
    [
      f"Two small networks of fully connected layers learn from {examples(study):,} pictures of handwritten digits. The "
      f"generator is given {config['latent_size']} random numbers and a class from 0 to 9, and returns a picture of 8 x "
      "8 pixels. The discriminator is given a picture and the class that it is said to have. So a good picture of a 3 that "
      "was asked for as a 7 is a fake, and the generator has to obey. A step is one update by plain gradient descent for D "
      f"and one for G. A run has {config['steps']:,} steps, and each loss has {len(level.variants[0].runs)} seeds: "
      "other first weights, other noise, another order of the data. All runs of sections 8 and 9 train side by side in one "
      "compiled program.",
      Table(["loss", "distance, untrained", "distance, trained", "AUC", "loss of D", "loss of G"], rows),
      "The distance is the Frechet distance between generated and real digits, in the features of a small classifier of the "
      "same digits: 0 would be equal, and lower is better. The AUC is the chance that D gives a real picture the higher "
      "logit: 0.5 if it cannot tell them apart, 1 if it always can. The losses of D and G at the end say little, as section "
      "6 made us expect; 1.386 and 0.693 would be a D that always answers 0.5 (for `minimax`, whose loss of G has the "
      "opposite sign, -0.693).",
      Picture("digits.png", _digits_figure(level), "Generated digits. A column is one class that was asked for."),
    ],
  )


def examples(study: Any) -> int:
  """The number of training examples."""
  return len(data.load(study.runs[0].config["dataset"]).data.images)


def _digits_figure(panel: Any) -> bytes:
  chosen = [(variant.label, variant.runs[0]) for variant in panel.variants]
  drawn = pictures.latest([run for _, run in chosen])
  drawing = Figure(figsize=(7.2, 2.5), dpi=100, layout="constrained")
  for axes, (label, run) in zip(drawing.subplots(1, len(chosen)), chosen, strict=True):
    images = drawn[run.id][1]
    width = images.shape[2] + 1  # with the line between neighbours
    axes.imshow(tile(images), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(label, fontsize=9)
    axes.set_xticks(width * np.arange(COLUMNS) + width / 2 - 1, [str(i) for i in range(COLUMNS)], fontsize=8)
    axes.set_yticks([])
    axes.tick_params(length=0)
  return png(drawing)


def uneven(ahead: Any) -> Section:
  start = ahead.variants[0].runs[0].config["head_start"]
  soon, end = start + ahead.variants[0].runs[0].config["evaluate_every"], ahead.variants[0].config["steps"]
  rows, later, causes = [], [], []
  for variant in ahead.variants:
    falls = [fall(run) for run in variant.runs]
    total = float(np.mean([f.total for f in falls]))
    factors = {name: float(np.mean([f.factors[name] for f in falls])) for name in FACTORS}
    slope = mean([f.slope for f in falls])
    rows.append([variant.config["loss"], f"{slope:.2g}", f"{total:+.2f}", *(f"{factors[n]:+.2f}" for n in FACTORS)])
    values = [mean([distance(run, step) for run in variant.runs]) for step in (start, soon, end)]
    later.append([variant.config["loss"], *map(number, values)])
    lowest = min(FACTORS, key=lambda name: factors[name])
    cause = f"it falls by {-total:.2f} decades, and the factor that falls most is the {CALLED[lowest]}'s"
    causes.append(f"Under `{variant.config['loss']}` {cause if total < 0 else 'it does not fall'}.")
  return Section(
    "What if the players do not start level?",
    [
      f"Now the discriminator trains alone for the first {start:,} steps, and the generator waits. Its weights do not change "
      "in that time, but its gradient does, and each of its three factors (section 7) is measured. A decade is a factor of "
      "ten, a change of -3 decades a fall to a thousandth, and the decades of the factors add up to those of the gradient:",
      Table(["loss", "mean slope of the loss", "gradient", *(f"{CALLED[n]}'s factor" for n in FACTORS)], rows),
      f"What becomes of the gradient? {' '.join(causes)} The slope of `minimax` is D(fake), as in section 7, and D(fake) is "
      "what a discriminator learns to lower. Then the generator trains too:",
      Table(["loss", f"distance at step {start:,}", f"at step {soon:,}", f"at step {end:,}"], later),
      "Under plain gradient descent a small gradient is a small step. The generator under `minimax` leaves its place late, "
      "and once D(fake) has risen it learns as usual: the gradient was small, not wrong. Adam divides each step by the usual "
      f"size of the gradient, which hides most of this. {plural(len(ahead.variants[0].runs), 'seed')} of each loss "
      "cannot rank losses whose distances are close: the report gives intervals.",
      Picture(
        "gradient.png",
        _gradient_figure(ahead),
        f"Norm of the generator's gradient by step, one line for each seed. The generator trains from step {start:,} on.",
      ),
    ],
  )


def _gradient_figure(ahead: Any) -> bytes:
  drawing = Figure(figsize=(5.6, 2.8), dpi=100, layout="constrained")
  axes = drawing.subplots()
  for colour, variant in zip(COLOURS, ahead.variants, strict=False):
    for i, run in enumerate(variant.runs):
      label = variant.config["loss"] if i == 0 else None
      axes.plot(run.rows.steps, run.rows.columns[GRADIENT], color=colour, linewidth=1.1, label=label)
  axes.axvline(ahead.variants[0].runs[0].config["head_start"], color=GREY, linewidth=0.8, dashes=(4, 3))
  axes.set(yscale="log", xlabel="step", ylabel="norm of the gradient")
  axes.spines[["top", "right"]].set_visible(False)
  axes.legend(frameon=False, fontsize=8)
  return png(drawing)


def further() -> Section:
  typed = installation.typed()
  commands: Mapping[str, str] = {
    f"{typed} losses": "every loss with its slope; one in full: losses hinge",
    f"{typed} sweep lessons/first_gan --config.optimizer=adam --out runs/adam": "section 9 again, under Adam",
    f"{typed} sweep compare_losses": "seven losses, five seeds, intervals: which one is better?",
    f"{typed} tournament": "16 losses, each tuned with the same budget",
    f"{typed} dirac": "the game of two numbers for every loss, penalty and method",
    f"{typed} dominance": "how strong a discriminator each loss tolerates",
  }
  return Section(
    "Where to go next?",
    [
      "The report of the study above is `report.html` in its directory. It shows all of its measurements. Compare other "
      "losses:",
      Formula("\n".join(f"{command}\n    {text}" for command, text in commands.items())),
      "The notebooks in experiments/notebooks/ tell the same with code to change, train your own model on your own data with "
      "your own loss, and explain a report part by part.",
    ],
  )
