"""`launch.sh lipschitz [--full] [--config.field=value ...] [--out DIR]`: do all losses act alike with a flat discriminator?

As published (Qin et al. 2020, "How does Lipschitz regularization influence GAN training?", arXiv:1811.09567, abstract):
a bound on the discriminator's slope "degenerates GAN loss functions to almost linear ones by restricting their domain",
"loss functions perform poorly if they are not degenerated", and so "all loss functions effectively work in the same
way". Their tables were not available. Exact numbers: if logits lie in [-k, k], the largest logit weight of the
generator is e^k times the smallest for `minimax` and `non_saturating`, (1 + k) / (1 - k) times for `least_squares` with
k < 1, and equal to it for `wasserstein`. So we expect: cosines between the generator gradients of all losses go to 1 as
k falls; for large k only losses that are linear for the generator (`wasserstein`, `hinge`) keep that direction; and the
final quality of six losses lies close together for a small constant and far apart for a large one.

It is tested in two ways. First, on fixed networks trained without a bound, the logits are scaled until the largest is
k. Second, runs are trained with spectral normalisation and temperature 1 / K, and with R1 of three weights; at the end
of each run the gradients of all losses are compared with one another, at the scale of the training.

Writes `lipschitz.png` and `table.md` beside the study's own report. Under 3 minutes on 2 cores; `--full` for a GPU.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ... import command, tables
from ...sweep import conduct, measure_once

FULL = {
  "steps": 6000,
  "model_options.generator_width": 256,
  "model_options.discriminator_width": 256,
  "evaluation_samples": 10_000,
  "probe_every": 200,
  "evaluate_every": 6000,
  "checkpoint_every": 6000,
}
RANGES = np.array([0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0])  # k, the largest logit, at fixed networks
COMPARED = ("minimax", "non_saturating", "least_squares", "hinge", "f_gan_kl", "wasserstein")
BATCHES = 8  # over which cosines are averaged
CAPTION = """\
**Above left**: {seeds} generators and discriminators, trained for {steps:,} steps without any bound, are held fixed, and
the logits are scaled until the largest is k (horizontal axis). Cosine of the generator gradient of each loss with that of
`wasserstein`, which weights all fakes equally: six losses in colour, mean and range over seeds; all other registered losses
in grey. **Above middle**: the largest logit weight over the smallest there, solid the largest over seeds, dotted the
exact bounds of logits in [-k, k], e^k and (1 + k) / (1 - k). **Above right** and **below left**: runs trained with a
spectrally normalised discriminator and the losses of K times its logits, by K. The least cosine between the gradients of any
two of the six losses at the end of the run, coloured by the loss that trained; and the Frechet distance of the final
samples from the data (untrained: {untrained}). **Below middle and right**: the same with R1, by its
weight; the flattest discriminator is on the left. Lines are means over seeds (geometric for distances), bands the range; a
diverged run is left out, and so is a gradient that is zero or not finite in float32. ± in the table is half a 95 %
interval (Student's t) over seeds, of positive quantities on logarithms (geometric mean, interval of the median seed).
The ratio of the worst loss's distance to the best one's is above 1 even if all losses are equal.
"""


def main(arguments: list[str]) -> None:
  directory = conduct("lipschitz", arguments, FULL)
  measure_once(directory, "lens.npz", lambda: measure(directory))
  print(write(directory))


def measure(directory: Path) -> dict[str, np.ndarray]:
  """The lens at the end of every run, from its checkpoint: the arrays of lens.npz.

  `names` of all losses and `ranges`, k [K]. Of every run, in the order of the manifest's groups: `own/cosine` [runs, L,
  L] and `own/range` [runs] of the compared losses at the scale that it was trained at; one that diverged is measured at
  its last finite state. Of those without a bound: `fixed/cosine` [members, K, all losses] with `wasserstein`, and
  `fixed/ratio` of their weights.

  Raises:
    BadInput: a checkpoint is missing.
  """
  import jax

  from gan_jax import losses, runs
  from gan_jax.runner import restore

  own: list[Any] = []
  fixed: list[Any] = []
  for entry in runs.read_manifest(directory)["groups"]:
    found = restore.group(directory, entry["name"])
    look = build_look(found.group.spec, found.dataset, COMPARED)
    look_at_all = build_look(found.group.spec, found.dataset, tuple(losses.LOSSES))
    for i, config in enumerate(found.group.configs):
      at = (*restore.member(found, i), found.dataset.data)
      scale = 1 / config["loss_options"].get("temperature", 1.0)
      own.append(jax.device_get(look(*at, np.float32(scale), False)))
      if unbounded(config):
        seen = [jax.device_get(look_at_all(*at, np.float32(k), True)) for k in RANGES]
        index = list(losses.LOSSES).index("wasserstein")
        fixed.append(([s[0][:, index] for s in seen], [s[1] for s in seen]))
  return {
    "names": np.array(list(losses.LOSSES)),
    "own/cosine": np.array([o[0] for o in own]),
    "own/range": np.array([o[2] for o in own]),
    "ranges": RANGES,
    "fixed/cosine": np.array([f[0] for f in fixed]),
    "fixed/ratio": np.array([f[1] for f in fixed]),
  }


def unbounded(config: Mapping[str, Any]) -> bool:
  return config["weight_constraint"] == "none" and config["penalty"] == "none"


def build_look(spec: Any, dataset: Any, names: tuple[str, ...]) -> Any:
  """(hypers, state, data, scale, relative) of one member -> (cosine [L, L], ratio [L], range), compiled.

  The logits are multiplied by `scale`, or if `relative` scaled so that the largest one of a batch is `scale`. Cosines
  between the generator gradients of the losses, largest over smallest size of their logit weights, and the largest
  logit; each the mean over BATCHES batches (of the ratio the largest). NaN where a gradient is zero or not finite.
  """
  import functools

  import jax
  import jax.numpy as jnp

  from gan_jax import game as game_lib
  from gan_jax.core.norms import flat
  from gan_jax.game.batches import resident_batch
  from gan_jax.game.discriminator import generate, judge
  from gan_jax.probes import lens

  game = game_lib.build(spec, dataset)

  @functools.partial(jax.jit, static_argnums=4)
  def look(hypers: Any, state: Any, data: Any, scale: Any, relative: bool):
    def at(step):
      batch = resident_batch(game, hypers, step, data, "generator", 0)
      point = (state.disc_params, state.memory)
      see = lambda x: judge(game, hypers, *point, x, batch.labels, batch.view)[0].logits  # noqa: E731
      make = lambda p: generate(game, p, state.memory, batch.noise, batch.labels)[0]  # noqa: E731
      images, to_params = jax.vjp(make, state.gen_params)
      fake, to_images = jax.vjp(see, images)
      real = see(batch.real)
      widest = jnp.maximum(jnp.max(jnp.abs(real)), jnp.max(jnp.abs(fake)))
      factor = scale / widest if relative else scale
      rows = jnp.stack([lens.weights(name, factor * real, factor * fake) for name in names])
      sizes = jnp.abs(rows)
      unit = rows / jnp.max(sizes, axis=1, keepdims=True)
      gradients = jax.vmap(lambda w: flat(to_params(to_images(w)[0])[0]))(unit)
      lengths = jnp.sqrt(jnp.sum(jnp.square(gradients), axis=1))
      cosine = gradients @ gradients.T / (lengths[:, None] * lengths[None, :])
      return cosine, jnp.max(sizes, axis=1) / jnp.min(sizes, axis=1), factor * widest

    cosine, ratio, widest = jax.lax.map(at, 10_000_000 + jnp.arange(BATCHES))  # noise that was not used in training
    return cosine.mean(axis=0), ratio.max(axis=0), widest.mean()

  return look


def write(directory: Path) -> str:
  """Figure and table of a study that has been run and measured; returns what was found, in a few sentences."""
  from gan_jax.runs.directory import write_atomic

  from . import figure as lipschitz

  cells, fixed = lipschitz.read(directory)
  findings = sentences(cells, fixed)
  text = f"# The Lipschitz constant\n\n![Lipschitz](lipschitz.png)\n\n{caption(cells, fixed)}\n{findings}\n\n"
  text += f"{table(cells)}\n{of_all_losses(fixed)}"
  write_atomic(directory / "lipschitz.png", lipschitz.figure(cells, fixed, COMPARED))
  write_atomic(directory / "table.md", text.encode())
  return f"{findings}\nfigure: {directory / 'lipschitz.png'}\ntable:  {directory / 'table.md'}"


def table(cells: Sequence[Any]) -> str:
  from gan_jax.report.statistics import estimate
  from gan_jax.report.wording import plus_minus

  heading = ["discriminator", "loss", "Frechet distance", "diverged", "largest logit", "least cosine of two losses"]
  rows = [
    [
      cell.panel,
      f"`{cell.loss}`",
      plus_minus(estimate(list(cell.quality.values()), log=True)),
      f"{cell.diverged}/{cell.runs}",
      plus_minus(estimate(list(cell.range.values()), log=True)),
      plus_minus(estimate(list(cell.cosine.values()))),
    ]
    for cell in cells
  ]
  return tables.markdown(heading, rows)


def of_all_losses(fixed: Any) -> str:
  """The cosines at fixed networks of every registered loss."""
  from gan_jax.report.statistics import estimate
  from gan_jax.report.wording import plus_minus

  shown = [i for i, k in enumerate(RANGES) if k in (0.01, 0.1, 1.0, 10.0, 100.0)]
  order = sorted(range(len(fixed.names)), key=lambda i: -np.nan_to_num(fixed.cosine[:, shown[2], i].mean(), nan=-2))
  rows = [[f"`{fixed.names[i]}`", *(plus_minus(estimate(fixed.cosine[:, k, i])) for k in shown)] for i in order]
  heading = ["loss", *(f"k = {RANGES[k]:g}" for k in shown)]
  return f"Cosine with `wasserstein` at fixed networks, every registered loss:\n\n{tables.markdown(heading, rows)}"


def sentences(cells: Sequence[Any], fixed: Any) -> str:
  """The result for each expectation."""
  from gan_jax.report.statistics import estimate
  from gan_jax.report.wording import interval, plus_minus

  from . import figure as lipschitz

  said = []
  six = [fixed.names.index(name) for name in COMPARED]
  for k in (0, int(np.argmin(np.abs(RANGES - 1))), len(RANGES) - 1):
    each = [f"`{fixed.names[i]}` {plus_minus(estimate(fixed.cosine[:, k, i]))}" for i in six]
    said.append(f"Fixed networks, k = {RANGES[k]:g}: cosine with `wasserstein` of {', '.join(each)}.")
  for panel in dict.fromkeys(cell.panel for cell in cells):
    own = [cell for cell in cells if cell.panel == panel]
    spread = lipschitz.spread(own)
    if len(own) < 2 or spread is None:
      continue
    cosines = [value for cell in own for value in cell.cosine.values()]
    lost = sum(cell.diverged for cell in own)
    said.append(
      f"**{panel}**, {len(own)} losses: worst over best Frechet distance {interval(spread)}"
      f"{f' ({lost} diverged runs left out)' * bool(lost)}; least cosine of two losses {np.nanmean(cosines):.3f} on average."
    )
  return "\n\n".join(said)


def caption(cells: Sequence[Any], fixed: Any) -> str:
  from gan_jax.report.wording import number

  return CAPTION.format(seeds=len(fixed.cosine), steps=cells[0].steps, untrained=number(cells[0].untrained))


if __name__ == "__main__":
  command.run(main)
