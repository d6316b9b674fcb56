"""`launch.sh frozen_generator [--full] [--config.field=value ...] [--out DIR]`: a still generator's fresh discriminator.

As published (Arjovsky and Bottou 2017, "Towards principled methods for training GANs", arXiv:1701.04862, figures 1 to 3,
DCGAN after 1, 10 and 25 epochs, one run each): the generator frozen and the discriminator trained from scratch, its loss
falls to 0 on a log scale and its accuracy goes to 1, "in sometimes less than 50 iterations"; the norm of the saturating
gradient falls, "in the best case 5 orders of magnitude after 4000 discriminator iterations"; that of the -log D gradient
grows, and its variance with it. Theorem 2.6: if the discriminator's error and its slope's are independent white noise,
each coordinate of the -log D gradient is Cauchy distributed. So we expect: accuracy to 1 and loss to 0; minimax down by
decades; non-saturating up, in size and in noise; and a distribution nearer to a Cauchy than to a Gaussian.

Here the players are fully connected, on digits, on MNIST (the 10,000 images of its test set, where its files are) and on
the ring of eight Gaussians; every fifth example is kept from both discriminators. Both phases are the production
program, the second with a head start longer than the run: nothing of the first but the generator is carried over.

Writes `frozen_generator.png`, `table.md` and every row (`launch.sh export` reads them). About 7 minutes on 2 busy cores.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.core.errors import BadInput

from ... import command, tables
from ...sweep import CONFIGS, Parser, place

CONFIG = CONFIGS / "theory" / "frozen_generator.py"
FULL = {"seeds": 10, "retraining": 4000}
# Measures that are positive and spread over decades: geometric means.
POSITIVE = ("D loss", "noise / size, fresh", "noise / size, trained")
LOSSES = ("minimax", "non_saturating")  # whose gradient is sampled
EARLY, EARLY_EVERY, EVERY = 100, 2, 50  # a row every second step at first, then every 50th
HOLD_OUT = 5
NEVER = 2**31 - 1  # a head start that no run outlasts
OTHER_SEED = 1_000_000  # what is added to a generator's seed for the discriminator that is trained against it
COORDINATES = 40  # of the gradient, whose distribution is told
CAPTION = """\
A generator is trained for so many steps (colour) with the non-saturating loss and then stands still; a discriminator
that starts from scratch learns for {steps:,} steps to tell its samples from the data. Lines are means over {seeds}
seeds (geometric on log axes), bands their range. From the left: the discriminator's loss; its accuracy on the batch;
the norm of the gradient that the generator would get from the saturating minimax loss, and from the non-saturating
one, at that discriminator. Right: how one coordinate of the non-saturating gradient is spread over {batches} batches
of noise, before and after the discriminator's training, against the last stage ({last}): each of 40 coordinates by
its own median and quartiles, beside a Cauchy and a Gaussian distribution with the same quartiles. In the table, ± is
half a 95 % interval (Student's t, of the loss and of noise / size on logarithms) over seeds; noise is the root of the
summed variance of the gradient of one batch, size the length of its mean; KS is the Kolmogorov-Smirnov distance; the
Cauchy's mean log-likelihood less the Gaussian's is above 0 where the Cauchy fits better. Every fifth example is kept
from all discriminators: "AUC, held out" tells it apart.
"""


def main(arguments: list[str]) -> None:
  parser = Parser("frozen_generator")
  parser.add_argument("--full", action="store_true", help="10 seeds, 4,000 steps as published")
  parser.add_argument("--out", type=place, help="the study's directory (default: runs/frozen_generator[_full])")
  known, rest = parser.parse_known_args(arguments)

  from gan_jax import runs
  from gan_jax.runner import devices, grouping, study
  from gan_jax.settings import sweeps

  full = [f"--config.{name}={value}" for name, value in FULL.items()] if known.full else []
  config = checked(sweeps.read(str(CONFIG), [*full, *rest]))
  out = known.out or Path("runs/frozen_generator_full" if known.full else "runs/frozen_generator")
  members = {name: grouping.completed(retraining_runs(config, name)) for name in config["datasets"]}
  manifest = study.existing(out, [run for runs_ in members.values() for run in runs_])
  with command.phase("starting jax"):
    devices.configure(config["seeds"] * len(config["stages"]), manifest and manifest["layout"])
  study.prepare(out)
  with devices.undisturbed(print), runs.writer_lock(out):
    study.unchanged(out, [run for runs_ in members.values() for run in runs_], manifest)
    runs.mend(out, print)
    if not study.finished(out, manifest):
      train(config, members, out)
    with command.phase("drawing", brief=True):
      text = write(out)
  print(text)


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
  """The config, without MNIST where its files are not, which is said.

  Raises:
    BadInput: stages that do not rise, a retraining that does not divide into rows, nothing to train on, an unknown loss.
  """
  from gan_jax.data import mnist
  from gan_jax.probes import lens

  stages, steps = config["stages"], config["retraining"]
  if not stages or stages[0] < 1 or any(a >= b for a, b in itertools.pairwise(stages)):
    raise BadInput(f"stages expected rising numbers of steps from 1 on, got {stages}")
  if steps <= EARLY or (steps - EARLY) % EVERY:
    raise BadInput(f"retraining expected {EARLY} steps and a positive multiple of {EVERY}, got {steps}")
  for name in ("seeds", "width", "batch_size", "batches"):
    if config[name] < 1:
      raise BadInput(f"{name} expected at least 1, got {config[name]}")
  missing = set(LOSSES) - set(lens.names(config["lens"]))
  if missing:
    raise BadInput(f"lens expected 'all', or losses among which are {' and '.join(LOSSES)}, got {config['lens']!r}")
  datasets = list(config["datasets"])
  if "mnist" in datasets and not mnist.is_there(config["mnist_dir"]):
    expected = "train-images-idx3-ubyte, or one of its test set"
    print(f"without MNIST: expected {expected}, in --config.mnist_dir={config['mnist_dir']}, found none")
    datasets.remove("mnist")
  if not datasets:
    raise BadInput("datasets expected at least one that is there, got none")
  return {**config, "datasets": datasets}


def base(config: Mapping[str, Any], dataset: str) -> dict[str, Any]:
  """What both phases have in common."""
  return {
    "dataset": dataset,
    "dataset_options": {"data_dir": config["mnist_dir"]} if dataset == "mnist" else {},
    "hold_out": HOLD_OUT,
    "latent_size": 2 if dataset in ("ring", "grid") else 32,
    "model_options": {"generator_width": config["width"], "discriminator_width": config["width"]},
    "batch_size": config["batch_size"],
    "generator_rate": config["rate"],
    "discriminator_rate": config["rate"],
    "loss": "non_saturating",
  }


def generator_runs(config: Mapping[str, Any], dataset: str) -> list[dict[str, Any]]:
  from gan_jax import settings

  steps = config["stages"][-1]
  return [settings.resolve(base(config, dataset), {"seed": s, "steps": steps}) for s in range(config["seeds"])]


def retraining_runs(config: Mapping[str, Any], dataset: str) -> list[dict[str, Any]]:
  """The runs of the second phase, stage by stage, seeds running fastest."""
  from gan_jax import settings

  fixed = {"steps": config["retraining"], "probe_every": EVERY, "lens": config["lens"], "head_start": NEVER}
  return [
    settings.resolve(
      base(config, dataset), fixed, {"panel": f"{dataset}, generator of {stage} steps", "seed": OTHER_SEED + seed}
    )
    for stage in config["stages"]
    for seed in range(config["seeds"])
  ]


def train(config: Mapping[str, Any], members: Mapping[str, list[dict[str, Any]]], out: Path) -> None:
  """Both phases on every dataset, and all that is measured, into `out`."""
  from gan_jax import data, game, runs
  from gan_jax.runner import grouping, population, study

  unasked: Any = None  # the quality of samples
  groups = {}
  for name, configs in members.items():
    (group,) = grouping.group(configs)
    groups[name] = group._replace(name=name)
  manifest = study.describe(str(CONFIG), out.name, list(groups.values()), {}, tables=("rows",))
  runs.write_manifest(out, manifest)
  for name, group in groups.items():
    dataset = data.load(name, **dict(group.spec.dataset_options))
    with command.phase(f"{name}: training the generators"):
      frozen = freeze(config, name, dataset)
    program = population.compile_group(group, game.build(group.spec, dataset), dataset, unasked)
    with command.phase(f"{name}: training a fresh discriminator against each"):
      state = retrain(program, frozen, group, out)
    diverged = np.asarray(state.diverged_at)[: program.members]
    print(f"{name}: {len(group.configs)} discriminators trained from scratch", flush=True)
    with command.phase(f"{name}: measuring gradients", brief=True):
      sample(config, group, program, dataset, state, frozen, out)
    status = runs.read_status(out)
    at = {i: int(step) for i, step in zip(group.ids, diverged, strict=True) if step >= 0}
    status["groups"][name] = {"step": group.spec.steps, "complete": True, "diverged": at}
    runs.write_status(out, status)


def freeze(config: Mapping[str, Any], name: str, dataset: Any) -> Any:
  """Phase one: the generators' parameters after each stage, numpy with leaves [stages * seeds, ...]."""
  import jax

  from gan_jax import game
  from gan_jax.runner import grouping, population

  (group,) = grouping.group(generator_runs(config, name))
  unasked: Any = None
  program = population.compile_group(group, game.build(group.spec, dataset), dataset, unasked)
  state = program.init(program.hypers)
  unit = int(np.gcd.reduce(config["stages"]))  # one length, one compilation
  copies = []
  for step in range(unit, config["stages"][-1] + 1, unit):
    state, _ = program.advance(program.hypers, state, program.data, 1, unit)
    if step in config["stages"]:
      copies.append(jax.tree.map(lambda x: x[: program.members], jax.device_get(state.gen_params)))
  return jax.tree.map(lambda *x: np.concatenate(x), *copies)


def start(program: Any, frozen: Any) -> Any:
  """Phase two before its first step: everything fresh from the run's own seed, but for the generator."""
  return program.init(program.hypers)._replace(gen_params=program.place(frozen), gen_ema=program.place(frozen))


def retrain(program: Any, frozen: Any, group: Any, out: Path) -> Any:
  """Phase two: the state at its end; its rows go to `out`."""
  from gan_jax import runs

  state, first = start(program, frozen), 0
  for last, every in ((EARLY, EARLY_EVERY), (group.spec.steps, EVERY)):
    windows = (last - first) // every
    state, rows = program.advance(program.hypers, state, program.data, windows, every)
    columns = {name: np.asarray(value)[:, : program.members] for name, value in rows.items()}
    runs.append(out, "rows", group.name, first, last, runs.Table(first + every * np.arange(windows), columns))
    first = last
  return state


def sample(
  config: Mapping[str, Any], group: Any, program: Any, dataset: Any, state: Any, frozen: Any, out: Path
) -> None:
  """The generator's gradient over many batches of noise, at the fresh discriminators and at the trained ones.

  Writes gradients/<dataset>.npz: `norm` and `noise` [2, members, losses], the length of the mean gradient and the root
  of the trace of one batch's covariance, and `values` [2, members, batches, COORDINATES], the non-saturating one's.
  """
  import jax

  from gan_jax import runs

  measure = build_measure(group.spec, dataset, config["batches"])
  norms, noises, values = [], [], []
  for point in jax.device_get((start(program, frozen), state)):  # on the host: a member is cut out there
    found = []
    for i in range(program.members):
      hypers, one = (jax.tree.map(lambda x, i=i: x[i], tree) for tree in (group.hypers, point))
      found.append(jax.device_get(measure(hypers, one, dataset.data)))
    norms.append([f[0] for f in found])
    noises.append([f[1] for f in found])
    values.append([f[2] for f in found])
  arrays = {"norm": np.array(norms), "noise": np.array(noises), "values": np.array(values)}
  runs.write_arrays(out / "gradients" / f"{group.name}.npz", **arrays)


def build_measure(spec: Any, dataset: Any, batches: int) -> Any:
  """(hypers, state, data) of one member -> (norm [losses], noise [losses], values [batches, COORDINATES]), compiled.

  The coordinates are drawn among those whose gradient is not zero in any batch: a dead unit has no distribution.
  """
  import jax
  import jax.numpy as jnp

  from gan_jax import game as game_lib
  from gan_jax.core.norms import flat
  from gan_jax.game import generator
  from gan_jax.game.batches import resident_batch

  spec = spec._replace(losses=LOSSES, lens="none")
  game = game_lib.build(spec, dataset)

  def measure(hypers: Any, state: Any, data: Any):
    def gradient(step, index):
      """At a step that no run reaches: noise that nobody was trained on."""
      hyper = hypers._replace(loss_index=index, loss_options=({}, {}))
      batch = resident_batch(game, hyper, step, data, "generator", 0)
      point = (state.gen_params, state.disc_params)
      return flat(generator.gradient(game, hyper, point, state.memory, batch)[0])

    def of_loss(index: int):
      steps = 10_000_000 + jnp.arange(batches)
      vectors = jax.lax.map(lambda step: gradient(step, index), steps)
      largest = jnp.max(jnp.abs(vectors))  # of minimax the squares leave float32
      unit = vectors / largest
      mean = unit.mean(axis=0)
      noise = jnp.sqrt(jnp.sum(jnp.square(unit - mean[None])) / (batches - 1))
      return largest * jnp.sqrt(jnp.sum(jnp.square(mean))), largest * noise, vectors

    (first, first_noise, _), (second, second_noise, vectors) = of_loss(0), of_loss(1)
    alive = jnp.all(vectors != 0, axis=0)
    lot = jnp.where(alive, jax.random.uniform(jax.random.key(0), alive.shape), -1.0)
    _, chosen = jax.lax.top_k(lot, COORDINATES)
    return jnp.stack([first, second]), jnp.stack([first_noise, second_noise]), vectors[:, chosen]

  return jax.jit(measure)


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
  """What the numbers say of each expectation, per dataset, against the last stage of its generators."""
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


if __name__ == "__main__":
  command.run(main)
