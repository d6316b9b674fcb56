"""The study `lipschitz` at a size of seconds, and the exact row of logit weights that it rests on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.lipschitz import figure as lipschitz
from experiments.studies.lipschitz import study as study
from experiments.studies.lipschitz.figure import Cell
from experiments.sweep import CONFIGS
from gan_jax import data, losses, settings
from gan_jax.core.norms import flat
from gan_jax.probes import lens
from gan_jax.runner import grouping
from gan_jax.settings import sweeps
from tests.support.networks import pure
from tests.support.pages import undrawn

SMALL = """
def get_config():
  return {"dataset": "digits", "panel": "no bound", "model": "mlp", "latent_size": 4,
          "model_options": {"generator_width": 8, "discriminator_width": 8, "depth": 1},
          "optimizer": "sgd", "ema_decay": 0.0, "batch_size": 8, "steps": 4, "probe_every": 2, "evaluation_samples": 250,
          "evaluate_every": 4}

def sweep(s):
  seeds = s.param("seed", range(2))
  spectral = s.fixed(weight_constraint="spectral")
  warmed = s.param("loss", ["temperature(minimax)", "temperature(wasserstein)"])
  return s.chain(
    seeds,
    *(s.product(spectral, s.fixed(panel=f"K = {k:g}", loss_options={"temperature": 1 / k}), warmed, seeds)
      for k in (0.5, 4.0)),
  )
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  folder = tmp_path_factory.mktemp("lipschitz")
  (folder / "small.py").write_text(SMALL)
  with undrawn():
    study.main(["--config", str(folder / "small.py"), "--out", str(folder / "out")])
  return folder / "out"


@pytest.mark.parametrize("k", [0.1, 0.5, 0.9, 3.0])
def test_the_exact_row_of_weight_ratios(k, x64):
  """Largest over smallest generator weight with logits that fill [-k, k]: e^k, (1 + k) / (1 - k), 1."""
  logits = jnp.linspace(-k, k, 101)
  exact = {"minimax": np.exp(k), "non_saturating": np.exp(k), "wasserstein": 1.0, "hinge": 1.0}
  if k < 1:
    exact["least_squares"] = (1 + k) / (1 - k)
  for name, ratio in exact.items():
    sizes = np.abs(lens.weights(name, logits, logits))
    assert sizes.max() / sizes.min() == pytest.approx(ratio, rel=1e-12), name


def test_scaled_down_every_loss_has_one_slope(x64):
  """L(a d) / a -> slope L'(0) as a -> 0: -1/2 of `non_saturating` and of `minimax`, and one weight for all fakes."""
  logits = jnp.array([-3.0, 0.2, 2.5])
  for name in ("minimax", "non_saturating"):
    np.testing.assert_allclose(3 * lens.weights(name, 1e-8 * logits, 1e-8 * logits), -0.5, rtol=1e-7)
  for name in losses.LOSSES:
    if losses.card(name).symmetric:  # its slope has no sign at 0
      continue
    weights = np.asarray(lens.weights(name, 1e-8 * logits, 1e-8 * logits))
    np.testing.assert_allclose(weights / weights.mean(), 1, rtol=1e-6, err_msg=name)


@pytest.fixture(scope="module")
def untrained():
  """(one member's hypers and state, look) of a fresh critic on the digits."""
  from gan_jax import game
  from gan_jax.game.state import initial_state

  config = settings.resolve(
    {"batch_size": 8, "model_options": {"generator_width": 8, "discriminator_width": 8}, "latent_size": 4}
  )
  (group,) = grouping.group([config])
  dataset = data.load("digits")
  hypers = jax.tree.map(lambda x: jnp.asarray(x[0]), group.hypers)
  state = jax.jit(lambda h: initial_state(h, game.build(group.spec, dataset)))(hypers)
  return hypers, state, dataset, study.build_look(group.spec, dataset, study.COMPARED)


def test_cosines_go_to_one_and_ratios_stay_within_the_exact_row(untrained):
  hypers, state, dataset, look = untrained
  ratio_of = dict(zip(study.COMPARED, range(len(study.COMPARED)), strict=True))
  least = []
  for k in (0.01, 0.3, 10.0):
    cosine, ratio, widest = jax.device_get(look(hypers, state, dataset.data, np.float32(k), True))
    least.append(cosine.min())
    assert widest == pytest.approx(k, rel=1e-5)
    np.testing.assert_allclose(np.diag(cosine), 1, rtol=1e-4)
    np.testing.assert_allclose(cosine, cosine.T, atol=1e-4)
    assert ratio[ratio_of["wasserstein"]] == ratio[ratio_of["hinge"]] == 1
    for name in ("minimax", "non_saturating"):
      assert 1 <= ratio[ratio_of[name]] <= np.exp(k) * (1 + 1e-5)
    if k < 1:
      assert ratio[ratio_of["least_squares"]] <= (1 + k) / (1 - k) * (1 + 1e-5)
  assert least[0] > 0.999 > least[-1]


def test_the_look_is_the_gradient_of_the_scaled_loss(untrained):
  """Against autodiff of the mean loss of the scaled logits, end to end."""
  from gan_jax import game as game_lib
  from gan_jax.game.batches import resident_batch

  hypers, state, dataset, look = untrained
  (group,) = grouping.group(
    [
      settings.resolve(
        {"batch_size": 8, "model_options": {"generator_width": 8, "discriminator_width": 8}, "latent_size": 4}
      )
    ]
  )
  game = game_lib.build(group.spec, dataset)
  scale = 3.0

  @jax.jit
  def expected(step):
    batch = resident_batch(game, hypers, step, dataset.data, "generator", 0)
    judge = lambda images: scale * pure(game.discriminator).apply(state.disc_params, images, batch.labels)  # noqa: E731

    def gradient(name):
      mean = lambda p: (  # noqa: E731
        losses.get(name)
        .generator(judge(batch.real), judge(pure(game.generator).apply(p, batch.noise, batch.labels)))
        .mean()
      )
      return flat(jax.grad(mean)(state.gen_params))

    a, b = gradient("minimax"), gradient("least_squares")
    return a @ b / jnp.sqrt((a @ a) * (b @ b))

  steps = 10_000_000 + jnp.arange(study.BATCHES)
  mean = np.mean([expected(step) for step in steps])
  cosine, _, _ = look(hypers, state, dataset.data, np.float32(scale), False)
  assert cosine[0, 2] == pytest.approx(mean, abs=2e-5)


def test_figure_table_and_measures(written):
  assert (written / "lipschitz.png").read_bytes().startswith(b"\x89PNG")
  text = (written / "table.md").read_text()
  assert "**K = 4**, 2 losses: worst over best Frechet distance" in text
  assert "| `relativistic` |" in text
  cells, fixed = lipschitz.read(written)
  assert fixed.cosine.shape == (2, len(study.RANGES), len(losses.LOSSES))
  named = {(cell.panel, cell.loss): cell for cell in cells}
  assert {cell.constant for cell in cells if cell.panel != "no bound"} == {0.5, 4.0}
  # The same networks at the start; a scale eight times larger, and logits nearly so.
  small, large = (named[panel, "wasserstein"].range[0] for panel in ("K = 0.5", "K = 4"))
  assert large / small == pytest.approx(8, rel=0.2)


def cell(loss, quality):
  return Cell("p", loss, 1.0, np.nan, 1, 2, 0, quality, np.nan, {}, {})


def test_spread_is_worst_over_best_by_seed():
  found = lipschitz.spread([cell("a", {0: 2.0, 1: 8.0}), cell("b", {0: 4.0, 1: 2.0}), cell("c", {0: 3.0})])
  assert found.mean == pytest.approx((2.0 * 4.0) ** 0.5)
  assert found.n == 2


def test_the_config_has_every_pair_of_constant_and_loss():
  _, configs = sweeps.load(str(CONFIGS / "lipschitz.py"))
  cells = {(c["panel"], c["loss"]) for c in configs}
  assert len(cells) == 1 + 4 * 6 + 3 * 4
  assert len(configs) == 5 * len(cells)
  assert len(grouping.group(configs)) == 3
