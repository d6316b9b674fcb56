"""`launch.sh precision [--config.field=value ...] [--out DIR]`: what bfloat16 does to a vanishing gradient.

bfloat16 has the exponents of float32 and 8 bits of its digits. Parameters, logits, losses and norms stay float32
(gan_jax/models/precision.py). So we expect that the gradient reaches zero no sooner; that the networks' factors lose
about 1 %; and that the loss's loses more, the smaller it is: the layers round the numbers of which a logit f is the sum,
so it is off by up to about 2^-8 |f|, and the minimax slope sigmoid(f), there e^f, by that share of itself. At f = -100
it is a quarter. The last layer adds up in float32, so a logit is not rounded once more.

Two comparisons. First, the gradients of runs trained in either precision, each in its own. Second, at the weights of
the float32 runs, the gradient g in float32, g' in bfloat16, and g'' through bfloat16 networks from the slopes of the
loss at float32 logits: |g'' - g| / |g| is what the networks lose, |g' - g| / |g| what networks and loss lose together.

Writes `table.md` beside the study's own report. Under 2 minutes on 2 cores.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ... import command, tables
from ...sweep import conduct, measure_once

PRECISIONS = ("float32", "bfloat16")
BATCHES = 20  # of 64 fakes, at each run's end
FACTORS = ("loss", "critic", "generator")  # of the gradient's norm, as the columns factor/... of a study
CAPTION = """\
By the discriminator's rate, at the end of {steps:,} steps in which it was trained alone: medians over {seeds} seeds and \
{batches} batches. *Zero*: the share of fakes whose slope of the loss is exactly zero, and of batches whose whole \
gradient is. *Lost*: |g' - g| / |g| at the same weights, g in float32, g' in bfloat16; *by the networks*: g' from the \
slopes at float32 logits; *cosine*: of g' and g. Where g is zero there is nothing to compare.
"""


def main(arguments: list[str]) -> None:
  directory = conduct("precision", arguments)
  measure_once(directory, "gradients.npz", lambda: measure(directory))
  print(write(directory))


def measure(directory: Path) -> dict[str, np.ndarray]:
  """At the end of every run, in the order of the manifest's groups: the arrays of `build_look`, each [runs, ...].

  Also `rate` [runs] and `trained` [runs], the index in PRECISIONS of the precision that a run was trained in.

  Raises:
    BadInput: a checkpoint is missing.
  """
  import jax

  from gan_jax import runs
  from gan_jax.runner import restore

  found: dict[str, list[Any]] = {}
  for entry in runs.read_manifest(directory)["groups"]:
    group = restore.group(directory, entry["name"])
    look = build_look(group.group.spec, group.dataset)
    for i, config in enumerate(group.group.configs):
      seen = jax.device_get(look(*restore.member(group, i), group.dataset.data))
      seen |= {"rate": config["discriminator_rate"], "trained": PRECISIONS.index(config["precision"])}
      for name, value in seen.items():
        found.setdefault(name, []).append(value)
  return {name: np.array(values) for name, values in found.items()}


def build_look(spec: Any, dataset: Any) -> Any:
  """(hypers, state, data) of one run -> what its generator's gradient is in either precision, compiled.

  `logit` [2, N], the mean fake logit of each of N batches in each of PRECISIONS; `zero` [2, N], the share of its fakes
  whose slope is zero; `norm` [2, N]; `factors` [3, 2, N], of FACTORS; and of bfloat16 against float32 `lost` [N],
  `by_networks` [N] and `cosine` [N], NaN where a gradient is zero.
  """
  import jax
  import jax.numpy as jnp

  from gan_jax import game as game_lib
  from gan_jax.core.norms import cosine, global_norm, ratio
  from gan_jax.game import generator, objective
  from gan_jax.game.batches import resident_batch

  full, low = (game_lib.build(spec._replace(precision=name), dataset) for name in PRECISIONS)

  @jax.jit
  def look(hypers: Any, state: Any, data: Any) -> dict[str, Any]:
    point = (state.gen_params, state.disc_params)

    def gradient(links: Any, slopes: Any) -> tuple[Any, Any]:
      (images,) = links.pull_to_images(objective.from_read(full, links.fake, slopes))
      return links.pull_to_params(images)[0], images

    def at(step: Any) -> dict[str, Any]:
      batch = resident_batch(full, hypers, step, data, "generator", 0)
      both = [generator.chain(game, hypers, point, state.memory, batch) for game in (full, low)]
      read = lambda links: [objective.read(full, output) for output in (links.real, links.fake)]  # noqa: E731
      of = lambda links: objective.loss_slopes(full, "generator", hypers, *read(links))[2]  # noqa: E731
      slopes = [of(links) for links in both]
      (g, images), (rounded, rounded_images) = map(gradient, both, slopes)
      through, _ = gradient(both[1], slopes[0])
      lost = lambda other: ratio(global_norm(jax.tree.map(jnp.subtract, other, g)), global_norm(g))  # noqa: E731
      norms = [jnp.stack(list(map(global_norm, trees))) for trees in (slopes, (images, rounded_images), (g, rounded))]
      root = jnp.sqrt(jnp.asarray(len(slopes[0]), jnp.float32))
      return {
        "logit": jnp.stack([links.fake_logits.mean() for links in both]),
        "zero": jnp.stack([(s == 0).mean() for s in slopes]),
        "norm": norms[2],
        "factors": jnp.stack([root * norms[0], ratio(norms[1], norms[0]), ratio(norms[2], root * norms[1])]),
        "lost": lost(rounded),
        "by_networks": lost(through),
        "cosine": cosine(rounded, g),
      }

    steps = 10_000_000 + jnp.arange(BATCHES)  # noise that was not used in training
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), jax.lax.map(at, steps))

  return look


def write(directory: Path) -> str:
  """The table of a study that has been run and measured; returns it, with the path of its file."""
  from gan_jax import runs
  from gan_jax.runs.directory import write_atomic

  found = runs.read_arrays(directory / "gradients.npz")
  configs = [member["config"] for group in runs.read_manifest(directory)["groups"] for member in group["members"]]
  seeds, steps = len({config["seed"] for config in configs}), configs[0]["steps"]
  caption = CAPTION.format(steps=steps, seeds=seeds, batches=BATCHES)
  text = f"{own(found)}\n{same_weights(found)}"
  write_atomic(directory / "table.md", f"# Precision\n\n{caption}\n{text}".encode())
  return f"{text}table: {directory / 'table.md'}"


def median(values: np.ndarray) -> str:
  """The median of those that are finite; a dash where there are none."""
  from gan_jax.report.wording import number

  there = np.asarray(values)[np.isfinite(values)]
  return number(float(np.median(there))) if there.size else "–"


def own(found: Mapping[str, np.ndarray]) -> str:
  """Of the runs of each precision, as that precision sees them: logits, zeros, the gradient and its factors."""
  heading = ["rate", "precision", "fake logit", "zero: fakes, batches", "gradient", *(f"{name}'s" for name in FACTORS)]
  rows = []
  for rate in np.unique(found["rate"]):
    for index, name in enumerate(PRECISIONS):
      mine = (found["rate"] == rate) & (found["trained"] == index)
      if not mine.any():  # the command line chose one precision
        continue
      of = lambda column, mine=mine, index=index: found[column][mine][..., index, :]  # noqa: E731
      shares = f"{of('zero').mean():.0%}, {(of('norm') == 0).mean():.0%}"
      factors = [median(of("factors")[:, i]) for i in range(len(FACTORS))]
      rows.append([f"{rate:g}", name, f"{np.median(of('logit')):.1f}", shares, median(of("norm")), *factors])
  return tables.markdown(heading, rows)


def same_weights(found: Mapping[str, np.ndarray]) -> str:
  """At the weights of the float32 runs: what bfloat16 loses of the gradient, and where."""
  heading = ["rate", "fake logit", "zero: fakes in float32", "in bfloat16", "lost", "by the networks", "cosine"]
  rows: list[Sequence[str]] = []
  for rate in np.unique(found["rate"]):
    mine = (found["rate"] == rate) & (found["trained"] == 0)
    if not mine.any():
      continue
    cosine = found["cosine"][mine]
    rows.append(
      [
        f"{rate:g}",
        f"{np.median(found['logit'][mine][:, 0]):.1f}",
        *(f"{share:.1%}" for share in found["zero"][mine].mean((0, 2))),
        *(median(found[name][mine]) for name in ("lost", "by_networks")),
        f"{np.nanmedian(cosine):.5f}" if np.isfinite(cosine).any() else "–",
      ]
    )
  return tables.markdown(heading, rows)


if __name__ == "__main__":
  command.run(main)
