"""The lesson's third part: cops and robbers, a game of two numbers, played with the step that trains networks."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from gan_jax import settings
from gan_jax.report.canvas import COLOURS
from gan_jax.runner import grouping

from ..dirac import study as dirac
from .page import Formula, Picture, Section, Table
from .uncertainty import png

RATE = 0.2
STEPS = 200
GAME = {
  "loss": "minimax",
  "optimizer": "sgd",
  "generator_rate": RATE,
  "discriminator_rate": RATE,
  "batch_size": 4,
  "latent_size": 1,
  "ema_decay": 0.0,
  "steps": STEPS,
}
RULES: Mapping[str, Mapping[str, Any]] = {
  "both at once": {"order": "simultaneous"},
  "in turns": {"order": "generator_first"},
  "in turns, with R1": {"order": "generator_first", "penalty": "r1", "penalty_weight": 0.25},
}


class Played(NamedTuple):
  path: np.ndarray  # [T, 2]: (theta, psi)
  predicted: float  # largest absolute eigenvalue of one step at the equilibrium, by linear algebra
  measured: float  # the same, of the step itself


def play() -> dict[str, Played]:
  """Every rule's game from (1, 1)."""
  found = {}
  for name, rule in RULES.items():
    (group,) = grouping.group([settings.resolve(GAME, rule)])
    ((path, _, jacobian),) = dirac.play(group, np.zeros((1, 2)))
    row = dirac.assess(group.configs[0], path, jacobian)
    assert row.predicted is not None
    assert row.measured is not None
    found[name] = Played(path, *(float(np.abs(values).max()) for values in (row.predicted, row.measured)))
  return found


def section() -> Section:
  games = play()
  rows = []
  for name, game in games.items():
    distance = np.linalg.norm(game.path, axis=1) / np.linalg.norm(game.path[0])
    rows.append(
      [name, f"{game.predicted:.5f}", f"{game.measured:.5f}", *(f"{distance[t]:.3g}" for t in (50, 100, 200))]
    )
  return Section(
    "Cops and robbers: why is this not a descent?",
    [
      "The discriminator is the cop, the generator the robber. Each changes its own numbers to lower its own loss, and the "
      "ground moves under both. The smallest such game has two numbers (Mescheder et al. 2018): the data are the number 0, "
      "the generator always answers theta, and the discriminator's logit is psi x. The robber hides by being where the data "
      "are, theta = 0; the cop then has nothing to point at, psi = 0. Near that equilibrium each player's gradient depends "
      "on the other player's number only:",
      Formula("theta <- theta + rate * psi / 2\npsi   <- psi   - rate * theta / 2"),
      f"Both start at 1, with rate {RATE:g} and the loss `minimax`, and play by the step that trains networks here. The "
      "largest absolute eigenvalue of one step says by which factor a small distance from the equilibrium changes:",
      Table(["who moves", "eigenvalue, predicted", "measured", "distance after 50 steps", "100", "200"], rows),
      "If both move at once, the distance grows at every step: descent in each player's own loss leads away from the "
      "solution. If they move in turns, they circle for ever. R1, a penalty on the slope of the discriminator at real data, "
      "makes the cop slower the steeper it points, and the circle becomes a spiral that ends at the equilibrium. So a "
      "loss that does not fall is no sign of failure in a game. What counts is whether the samples improve.",
      Picture("game.png", _figure(games), "Three games from (1, 1), marked by a dot; the cross is the equilibrium."),
    ],
  )


def _figure(games: Mapping[str, Played]) -> bytes:
  drawing = Figure(figsize=(7.2, 2.6), dpi=100, layout="constrained")
  for axes, colour, (name, game) in zip(drawing.subplots(1, len(games)), COLOURS, games.items(), strict=False):
    axes.plot(*game.path.T, color=colour, linewidth=1)
    axes.plot(*game.path[0], "o", color=colour, markersize=4)
    axes.plot(0, 0, "+", color="black")
    axes.set(xlim=(-4, 4), ylim=(-4, 4), aspect="equal", xlabel="theta (robber)")
    axes.set_title(name, fontsize=9)
  drawing.axes[0].set_ylabel("psi (cop)")
  return png(drawing)
