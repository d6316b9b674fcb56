"""`launch.sh dirac [CONFIG] [--config.field=value ...] [--out DIR]`: every loss, penalty and method on the Dirac-GAN.

The data are 0, the generator is theta, the discriminator psi x. For each game of the config it computes the trajectory
of the production step from (1, 1), its vector field, and the eigenvalues of its Jacobian at (0, 0): measured by
differences of that step, and predicted by linear algebra from the loss's slopes at logit 0 and the penalty's curvature.
"""

import csv
import functools
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.core import installation

from ... import command
from ...sweep import CONFIGS, Parser, place

CONFIG = CONFIGS / "theory" / "dirac.py"
START, GRID = (1.0, 1.0), np.linspace(-1.8, 1.8, 9)
STEP = 1e-5  # of the central differences, in double precision
CAPTION = """\
Each square is one game of two numbers: the generator's theta (across) and the discriminator's slope psi (up), the
equilibrium at the cross. Grey: the direction of one step. Coloured: {steps} steps from the dot at (1, 1), darker with
time. Radius: the largest absolute eigenvalue of one step's Jacobian at the equilibrium, below 1 if the equilibrium
attracts; *predicted* from the loss's slopes, *measured* by central differences of the production step. Distance: from the
end of the path to the equilibrium, divided by that of its start. A game whose update does not shrink with the gradient
(Adam, RMSProp), or which has a kink at psi = 0, has no linear map there. For a game with noise, measured eigenvalues are
those of one draw.
"""


class Row(NamedTuple):
  panel: str
  name: str
  predicted: np.ndarray | None  # eigenvalues of one step
  measured: np.ndarray | None
  distance: float
  outcome: str


def main(arguments: list[str]) -> None:
  parser = Parser("dirac")
  parser.add_argument(
    "config", nargs="?", type=installation.config, default=str(CONFIG), help="a file like configs/theory/dirac.py"
  )
  parser.add_argument("--out", type=place, default=Path("runs/dirac"), help="where the files go")
  known, rest = parser.parse_known_args(arguments)

  with command.with_jax():
    draw(known, rest)


def draw(known: Any, rest: list[str]) -> None:
  """Train every game of the config, and write figures and tables."""
  from gan_jax import game
  from gan_jax.runner import grouping, standing
  from gan_jax.runs.directory import write_atomic
  from gan_jax.settings import sweeps

  from . import figure

  _, configs = sweeps.load(known.config, rest, every=game.registered)
  groups = grouping.group(configs)
  standing.prepare(known.out)
  points = np.stack(np.meshgrid(GRID, GRID), -1).reshape(-1, 2)
  rows, drawn = [], []
  played = []
  for number, group in enumerate(groups, 1):
    with command.phase(f"playing games, program {number} of {len(groups)}", brief=number > 1):
      played.append(play(group, points))
  for group, results in zip(groups, played, strict=True):
    for config, (path, arrows, jacobian) in zip(group.configs, results, strict=True):
      rows.append(row := assess(config, path, jacobian))
      drawn.append(figure.Game(f"{row.name}\n{radii(row)}", row.outcome, path, points, arrows))
  order = {name: i for i, name in enumerate(dict.fromkeys(config["panel"] for config in configs))}
  sequence = sorted(range(len(rows)), key=lambda i: order[rows[i].panel])
  rows, drawn = [rows[i] for i in sequence], [drawn[i] for i in sequence]
  steps = max(config["steps"] for config in configs)
  files = {"table.md": markdown(rows, steps).encode(), "table.csv": table(rows).encode()}
  for panel in order:
    games = [game for game, row in zip(drawn, rows, strict=True) if row.panel == panel]
    title = (
      f"Dirac-GAN, {panel or 'games'}: {steps} steps of the production code from (1, 1); radius predicted / measured"
    )
    with command.phase("drawing", brief=True):
      files[f"{panel or 'games'}.png"] = figure.figure(games, title)
  for row in rows:
    print(f"{row.panel:10} {row.name:44} radius {radii(row):19} {row.outcome:10} distance {row.distance:.3g}")
  for file, content in files.items():
    write_atomic(known.out / file, content)
    print(f"{file + ':':15}{known.out / file}")


def play(group: Any, points: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
  """(path [T, 2], arrows [K, 2], map [n, n] of `period` steps at the origin) of each member, in double precision.

  One program steps many states side by side: those that start at the points, near the origin, and at (1, 1).
  """
  import jax
  import jax.numpy as jnp

  from gan_jax import data, game
  from gan_jax.core.compilation import quick_compilation
  from gan_jax.game.state import initial_state
  from gan_jax.game.step import build_resident_step
  from gan_jax.theory import dirac

  spec = group.spec
  with jax.enable_x64(True):  # of this thread
    dataset = data.from_numbers(jnp.zeros(spec.batch_size))
    built = game.assemble(spec, dataset, *dirac.dirac())
    step = build_resident_step(built)
    quick = quick_compilation() if jax.default_backend() == "cpu" else {}

    @functools.partial(jax.jit, compiler_options=quick)
    def run(hypers):
      fresh = initial_state(hypers, built)
      origin = dirac.numbers(dirac.placed(fresh, 0.0, 0.0))
      shifts = STEP * jnp.eye(len(origin.vector))
      near = jax.vmap(origin.restore)(origin.vector[None] + jnp.concatenate([shifts, -shifts]))
      far = jax.vmap(lambda p: dirac.placed(fresh, p[0], p[1]))(jnp.asarray(points))
      alone = dirac.placed(fresh, *START)._replace(
        gen_opt=fresh.gen_opt, disc_opt=fresh.disc_opt
      )  # with a fresh optimizer state
      states = jax.tree.map(lambda a, b, c: jnp.concatenate([a, b, c[None]]), far, near, alone)

      def move(states, _):
        states = jax.vmap(lambda state: step(hypers, state, dataset.data)[0])(states)
        return states, (jnp.stack([states.gen_params, states.disc_params], axis=1), dirac.read(states))

      return jax.lax.scan(move, states, None, length=spec.steps)[1]

    played = []
    for i in range(len(group.configs)):
      hypers = jax.tree.map(lambda x, i=i: jnp.asarray(x[i], float if x.dtype == np.float32 else x.dtype), group.hypers)
      places, numbers = jax.device_get(run(hypers))
      ahead, behind = np.split(numbers[period(spec) - 1, len(points) : -1], 2)
      path = np.concatenate([np.asarray([START]), places[:, -1]])
      played.append((path, places[period(spec) - 1, : len(points)] - points, (ahead - behind).T / (2 * STEP)))
    return played


def period(spec: Any) -> int:
  """Steps after which the dynamics repeat."""
  return max(spec.lookahead_every, spec.penalty_every, 1)


def assess(config: Mapping[str, Any], path: np.ndarray, measured: np.ndarray) -> Row:
  """The row of one game: its eigenvalues, and how its path ended."""
  from gan_jax.theory.linearisation import predict

  predicted = predict(config)
  power = 1 / max(config["lookahead_every"], config["penalty_every"], 1)
  # At a kink the differences have no meaning.
  maps = (None, None) if predicted is None else (predicted, measured + 0j)
  # A game whose numbers are not finite has no eigenvalues.
  values = [None if m is None or not np.isfinite(m).all() else np.linalg.eigvals(m) ** power for m in maps]
  repels = values[0] is not None and np.abs(values[0]).max() > 1 + 1e-6
  lengths = np.linalg.norm(path, axis=1) / np.linalg.norm(START)
  quarter = len(lengths) // 4
  early, late = lengths[quarter : 2 * quarter].max(), lengths[-quarter:].max()
  if not np.isfinite(late) or late > 2 or 0.25 < 1.03 * early < late:
    outcome = "diverges"
  elif (
    late < max(0.25, 0.97 * early) and not repels
  ):  # near a repelling equilibrium a path may shrink towards a limit cycle
    outcome = "converges"
  else:
    outcome = "stops" if np.abs(np.diff(path[-20:], axis=0)).max() < 1e-9 else "circles"
  return Row(config["panel"], named(config), values[0], values[1], float(lengths[-1]), outcome)


def named(config: Mapping[str, Any]) -> str:
  """How a game differs from plain simultaneous descent, in a few words."""
  if config["panel"] == "losses":
    return config["loss"]
  orders = {"generator_first": "alternating, G first", "discriminator_first": "alternating, D first"}
  from gan_jax.theory.linearisation import penalty_weights

  weights = penalty_weights(config)
  penalised = [name for name in weights if weights[name] > 0]
  words = {
    orders.get(config["order"], ""): config["order"] in orders,
    f"{config['n_critic']} D : {config['n_gen']} G": config["n_critic"] + config["n_gen"] > 2,
    config["fakes"]: config["fakes"] != "fresh",
    config["optimizer"]: config["optimizer"] != "sgd",
    f"{config['optimizer_options'].get('beta1', 0):g}": config["optimizer"] == "momentum",
    config["method"]: config["method"] != "gradient",
    " + ".join(penalised): bool(penalised),
    f"every {config['penalty_every']}": config["penalty_every"] > 1,
    f"G: {config['generator_penalty']}": config["generator_penalty"] != "none",
    f"clip {config['weight_constraint_options'].get('bound', 0):g}": config["weight_constraint"] == "clip",
    "spectral": config["weight_constraint"] == "spectral",
    f"instance noise {config['instance_noise_scale']:g}": config["instance_noise"],
    f"unrolled {config['unroll_steps']}, {config['unroll_gradient']}": config["unroll_steps"] > 0,
    f"lookahead {config['lookahead_every']}": config["lookahead_every"] > 0,
  }
  return " ".join(word for word, holds in words.items() if holds) or "simultaneous"


def radii(row: Row) -> str:
  """Predicted and measured spectral radius."""
  return " / ".join("none" if v is None else f"{np.abs(v).max():.4f}" for v in (row.predicted, row.measured))


def markdown(rows: Sequence[Row], steps: int) -> str:
  lines = ["| | game | radius predicted | radius measured | path | distance |", "|---|---|--:|--:|---|--:|"]
  for row in rows:
    predicted, measured = radii(row).split(" / ")
    lines.append(f"| {row.panel} | {row.name} | {predicted} | {measured} | {row.outcome} | {row.distance:.3g} |")
  return CAPTION.format(steps=steps) + "\n" + "\n".join(lines) + "\n"


def table(rows: Sequence[Row]) -> str:
  """Eigenvalues in full, as text that Python's `complex` reads."""
  buffer = io.StringIO()
  writer = csv.writer(buffer, lineterminator="\n")
  writer.writerow(["panel", "game", "predicted_eigenvalues", "measured_eigenvalues", "outcome", "distance"])
  for row in rows:
    values = ["" if v is None else " ".join(map(str, v)) for v in (row.predicted, row.measured)]
    writer.writerow([row.panel, row.name, *values, row.outcome, row.distance])
  return buffer.getvalue()


if __name__ == "__main__":
  command.run(main)
