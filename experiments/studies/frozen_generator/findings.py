"""Results of the frozen-generator study: table, sentences and the file that contains them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ... import tables

# Measures that are positive and spread over decades: geometric means.
POSITIVE = ("D loss", "noise / size, fresh", "noise / size, trained")
CAPTION = """\
A generator is trained for a number of steps (colour) with the non-saturating loss and then frozen. A discriminator is
trained from scratch for {steps:,} steps to tell its samples from the data. Lines are means over {seeds}
seeds (geometric on log axes), bands their range. From the left: the discriminator's loss; its accuracy on the batch;
the norm of the gradient that the generator would get from the saturating minimax loss, and from the non-saturating
one, at that discriminator. Right: the distribution of a coordinate of the non-saturating gradient over {batches} batches
of noise, before and after the discriminator's training, for the last stage ({last}): each of 40 coordinates scaled by its
own median and quartiles, with a Cauchy and a Gaussian distribution of the same quartiles. In the table, ± is
half a 95 % interval (Student's t, of the loss and of noise / size on logarithms) over seeds; noise is the root of the
summed variance of the gradient of one batch, size the length of its mean; KS is the Kolmogorov-Smirnov distance; the
Cauchy's mean log-likelihood less the Gaussian's is above 0 where the Cauchy fits better. Every fifth example is
held out from all discriminators; "AUC, held out" is measured on those.
"""


def write(out: Path) -> str:
  """Figure and table of what has been measured; returns what was found, in a few sentences."""
  from gan_jax.runs.directory import write_atomic

  from . import figure as frozen

  stages = frozen.read(out)
  measured = [frozen.measures(stage) for stage in stages]
  findings = sentences(stages, measured)
  text = f"# A frozen generator\n\n![Frozen generator](frozen_generator.png)\n\n{caption(stages)}\n{findings}\n\n"
  text += f"{table(stages, measured)}\n{of_all_losses(stages)}"
  write_atomic(out / "frozen_generator.png", frozen.figure(stages))
  write_atomic(out / "table.md", text.encode())
  return f"{findings}\nfigure: {out / 'frozen_generator.png'}\ntable:  {out / 'table.md'}"


def table(stages: Sequence[Any], measured: Sequence[Mapping[str, list[float]]]) -> str:
  from gan_jax.report.statistics import estimate
  from gan_jax.report.wording import plus_minus

  rows = [
    [
      stage.dataset,
      stage.title,
      *(plus_minus(estimate(values, log=name in POSITIVE)) for name, values in found.items()),
    ]
    for stage, found in zip(stages, measured, strict=True)
  ]
  return tables.markdown(["dataset", "frozen", *measured[0]], rows)


def of_all_losses(stages: Sequence[Any]) -> str:
  """The change of every loss's gradient against the last stage of each dataset."""
  from gan_jax.report.statistics import estimate
  from gan_jax.report.wording import plus_minus

  from . import figure as frozen

  last = {stage.dataset: stage for stage in stages}
  prefix = "lens/norm/"
  columns = [name for name in next(iter(last.values())).runs[0].rows.columns if name.startswith(prefix)]
  changes = {
    name: [estimate([frozen.decades(run, name) for run in stage.runs]) for stage in last.values()] for name in columns
  }
  order = sorted(columns, key=lambda name: np.nan_to_num(changes[name][0].mean, nan=np.inf))
  rows = [[f"`{name.removeprefix(prefix)}`", *(plus_minus(e) for e in changes[name])] for name in order]
  text = "Change of the generator gradient of every loss from the first row to the end, in decades (log10), last stage."
  return f"{text}\n\n{tables.markdown(['loss', *last], rows)}"


def sentences(stages: Sequence[Any], measured: Sequence[Mapping[str, list[float]]]) -> str:
  """The result for each expectation, per dataset, for the last stage of its generators."""
  from gan_jax.report.statistics import estimate
  from gan_jax.report.wording import plus_minus

  said = []
  for stage, found in {stage.dataset: (stage, found) for stage, found in zip(stages, measured, strict=True)}.values():
    e = {name: plus_minus(estimate(values, log=name in POSITIVE)) for name, values in found.items()}
    said.append(
      f"**{stage.dataset}**, {stage.title}: accuracy {e['accuracy']}, loss {e['D loss']}, 0.99 reached at step "
      f"{e['accuracy 0.99 at step']}; the minimax gradient changed by {e['minimax, decades']} decades, the non-saturating "
      f"one by {e['non-saturating, decades']} and its noise by {e['its noise, decades']}; Cauchy less Gaussian "
      f"{e['Cauchy less Gaussian, trained (nats)']} nats a value (a Gaussian sample: about -0.18)."
    )
  return "\n\n".join(said)


def caption(stages: Sequence[Any]) -> str:
  config, runs = stages[0].runs[0].config, stages[0].runs
  return CAPTION.format(
    seeds=len(runs), steps=config["steps"], batches=stages[0].values.shape[2], last=stages[-1].title
  )
