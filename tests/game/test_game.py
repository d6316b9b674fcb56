"""Update orders, optimizers, lazy penalties, counters: each against a few lines of numpy, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import game, penalties, settings
from gan_jax.core.errors import BadInput
from gan_jax.game import optimizers
from gan_jax.game.batches import resident_batch
from gan_jax.penalties.logits import DECAY
from gan_jax.runner import grouping
from tests.game.test_optim import REFERENCE
from tests.game.test_step import random_case, random_game, stepper
from tests.support import records
from tests.support.networks import pure
from tests.support.records import fitted
from tests.support.steps import bare
from tests.support.theory import hypers_of, play

W = ("wasserstein",)
RATE = 0.1


def gradient(x):
  """Of (generator, discriminator) for the bilinear game: D minimises psi theta, G minimises -psi theta."""
  return np.array([-x[1], x[0]])


def fresh_path(machine, h, steps):
  """The production path from (1, 1) with empty memories, as a run begins."""
  from gan_jax.game.state import initial_state

  state, points = initial_state(fitted(h, machine.spec), machine.game), []
  state = state._replace(gen_params=jnp.ones(()), disc_params=jnp.ones(()))
  for _ in range(steps):
    points.append([float(state.gen_params), float(state.disc_params)])
    state = machine.step(h, state)
  return np.array(points), state


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", sorted(optimizers.OPTIMIZERS))
@pytest.mark.parametrize("method", ["gradient", "extragradient"])
def test_every_optimizer_under_both_methods(name, method):
  """Simultaneous updates from one point; extragradient moves by the gradient where the optimizer would have gone."""
  assert name in REFERENCE, f"add the published rule of optimizer {name!r} to REFERENCE in tests/game/test_optim.py"
  b1, b2 = (-0.3, 0.9) if name == "momentum" else (0.5, 0.9)
  machine = play(order="simultaneous", method=method, optimizer=name, losses=W)
  h = hypers_of(W, generator_rate=RATE, discriminator_rate=RATE, optimizer_options={"beta1": b1, "beta2": b2})
  found, _ = fresh_path(machine, h, 6)
  direction, x = REFERENCE[name](RATE, b1, b2), np.array([1.0, 1.0])
  for point in found:
    np.testing.assert_allclose(point, x, rtol=1e-9, atol=1e-12)
    step = direction(gradient(x))
    x = x + (direction(gradient(x + step)) if method == "extragradient" else step)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_lazy_penalty_has_updates_of_its_own(optimizer):
  """Every k-th update is followed by one of k times the penalty; Adam's rate times k/(k+1), its betas to that power."""
  k, weight, b1, b2 = 3, 0.4, 0.5, 0.9
  machine = play(order="generator_first", optimizer=optimizer, losses=W, penalty="r1", penalty_every=k)
  h = hypers_of(
    W, generator_rate=RATE, discriminator_rate=RATE, optimizer_options={"beta1": b1, "beta2": b2}, penalty_weight=weight
  )
  found, _ = fresh_path(machine, h, 7)
  c = k / (k + 1) if optimizer == "adam" else 1.0
  g_step = REFERENCE[optimizer](RATE, b1, b2)
  d_step = REFERENCE[optimizer](RATE * c, b1**c, b2**c)
  theta, psi = 1.0, 1.0
  for t, point in enumerate(found):
    np.testing.assert_allclose(point, [theta, psi], rtol=1e-9)
    theta += g_step(np.array([-psi, 0.0]))[0]
    psi += d_step(np.array([theta, 0.0]))[0]
    if t % k == 0:
      psi += d_step(np.array([k * weight * psi, 0.0]))[0]


@pytest.mark.usefixtures("x64")
def test_lazy_and_eager_penalties_agree_to_first_order():
  """Over k steps of small plain descent both move psi by k h (loss + weight * penalty)."""
  h = hypers_of(W, generator_rate=0.0, discriminator_rate=1e-4, penalty_weight=0.7)
  ends = []
  for every in (1, 4):
    machine = play(order="generator_first", losses=W, penalty="r1", penalty_every=every)
    ends.append(machine.path(h, steps=5)[-1, 1] - 1)
  assert ends[1] == pytest.approx(ends[0], rel=1e-3)
  assert ends[0] == pytest.approx(-4e-4 * (1 + 0.7), rel=1e-3)


def test_a_lazy_penalty_stays_a_branch_in_a_population():
  """A select would pay for it in every step: the compiled step of many members keeps a conditional."""
  _spec, played, h, data, state = random_case(("hinge",), "r1", penalty_every=4)
  from gan_jax.game.step import build_resident_step

  step = build_resident_step(played)
  many = lambda tree: jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * 3), tree)  # noqa: E731

  def together(h, states, number):
    return jax.vmap(lambda one, s: step(one, s._replace(step=number), data)[0])(h, states)

  text = str(jax.make_jaxpr(together)(many(h), many(state), jnp.int32(0)))
  assert " cond[" in text


@pytest.mark.usefixtures("x64")
def test_lecam_keeps_its_averages():
  """On the Dirac-GAN logits are theta psi and 0: the averages are a geometric series of them."""
  machine = play(order="generator_first", losses=W, penalty="lecam")
  h = hypers_of(W, generator_rate=RATE, discriminator_rate=RATE, penalty_weight=0.5)
  points, state = fresh_path(machine, h, 5)
  theta, psi, average = 1.0, 1.0, 0.0
  for point in points:
    np.testing.assert_allclose(point, [theta, psi], rtol=1e-9)
    theta += RATE * psi
    logit = theta * psi
    # D(fake) - D(real) + 0.5 (D(real) - a_F)^2 + 0.5 (D(fake) - a_R)^2, a_R = 0, D(real) = 0 whatever psi is
    slope = theta + 0.5 * 2 * logit * theta
    psi -= RATE * slope
    average = DECAY * average + (1 - DECAY) * logit
  assert float(state.memory.logit_means.fake) == pytest.approx(average, rel=1e-9)
  assert float(state.memory.logit_means.real) == 0


def counted(trace):
  return trace.counts


@pytest.mark.parametrize(
  ("fields", "updates"),
  [
    ({}, (1, 1, 8)),
    ({"n_critic": 3}, (3, 1, 24)),
    ({"n_gen": 2, "order": "generator_first"}, (1, 2, 8)),
    ({"order": "simultaneous"}, (1, 1, 8)),
    ({"order": "simultaneous", "method": "extragradient"}, (1, 1, 16)),
    ({"order": "simultaneous", "method": "extragradient", "fakes": "same_noise"}, (1, 1, 8)),
  ],
)
def test_counters(fields, updates):
  """Per step (discriminator updates, generator updates, images); during the head start the generator's stand still."""
  spec, _, h, data, state = random_case(("hinge",), head_start=1, **fields)
  for _ in range(3):
    state, counts = stepper(spec, counted)(h, state, data)
  d, g, images = updates
  assert [int(x) for x in state.counts] == [3 * d, 2 * g, 3 * images]
  assert [int(x) for x in counts] == [3 * d, 2 * g, 3 * images]


def drawn(spec, player, index, step=4):
  batch = resident_batch(random_game(spec), hypers_of(W), jnp.int32(step), random_case(W)[3], player, index)
  return np.asarray(batch.noise), np.asarray(batch.real)


def test_fresh_and_shared_noise():
  spec = random_case(W, n_critic=2, n_gen=2)[0]
  updates = [("discriminator", 0), ("discriminator", 1), ("generator", 0), ("generator", 1)]
  fresh = [drawn(spec, *u)[0] for u in updates]
  shared = [drawn(spec._replace(fakes="same_noise"), *u)[0] for u in updates]
  assert len({x.tobytes() for x in fresh}) == 4
  assert len({x.tobytes() for x in shared}) == 1
  assert drawn(spec._replace(fakes="same_noise"), "generator", 0, step=5)[0].tobytes() != shared[0].tobytes()
  # The generator's real examples are those of the discriminator's last update.
  np.testing.assert_array_equal(drawn(spec, "generator", 1)[1], drawn(spec, "discriminator", 1)[1])


@pytest.mark.parametrize(("fakes", "stale"), [("fresh", False), ("same_noise", False), ("same_images", True)])
def test_same_images_are_those_of_the_generator_before_the_step(fakes, stale):
  """Generator first, D(x) = psi x: what the discriminator saw is the fake logit over psi."""
  machine = play(order="generator_first", losses=W, fakes=fakes)
  h = hypers_of(W, generator_rate=0.5, discriminator_rate=0.1)
  after = machine.step(h, machine.at(1.0, 1.0, h))
  # theta moves from 1 to 1.5, and psi by -0.1 times the fake that was seen.
  assert float(after.gen_params) == pytest.approx(1.5)
  assert float(after.disc_params) == pytest.approx(1 - 0.1 * (1.0 if stale else 1.5))


def test_instance_noise_fades():
  spec, played, _, data, _ = random_case(W, instance_noise=True)
  game_without = played._replace(spec=spec._replace(instance_noise=False))
  for length, step, left in [(0, 10**6, 1.0), (10, 0, 1.0), (10, 4, 0.6), (10, 10, 0.0), (10, 50, 0.0)]:
    h = hypers_of(W, instance_noise_scale=0.3, instance_noise_steps=length)
    batch = resident_batch(played, h, jnp.int32(step), data, "discriminator", 0)
    clean = resident_batch(game_without, h, jnp.int32(step), data, "discriminator", 0)
    noise = np.asarray(batch.real - clean.real)
    # 24 numbers: their deviation is within a factor of two of what was asked for
    assert 0.5 * 0.3 * left <= noise.std() <= 2 * 0.3 * left + 1e-6
    assert 0.5 * 0.3 * left <= np.asarray(batch.blur).std() <= 2 * 0.3 * left + 1e-6
    assert left == 0 or not np.allclose(noise, batch.blur)


def test_spectral_normalisation_in_the_step():
  """The critic that is trained and traced is the normalised one: its Lipschitz constant is at most 1."""
  spec, _, h, data, state = random_case(W, weight_constraint="spectral", discriminator_rate=0.05)
  step = stepper(spec, lambda trace: trace.generator.logit_slope)
  for _ in range(5):
    state, slope = step(h, state, data)
  slopes = np.linalg.norm(np.asarray(slope), axis=1)
  assert slopes.max() <= 1 + 1e-3
  assert len(state.memory.constraint) == 2
  for w, v in zip(state.disc_params, state.memory.constraint, strict=True):
    assert np.linalg.norm(np.asarray(w) @ np.asarray(v)) == pytest.approx(np.linalg.norm(w, 2), rel=1e-2)


def test_a_generator_penalty_moves_the_generator_only_by_its_gradient():
  """Plain descent: the update is -rate (loss gradient + weight * params)."""
  spec, _, h, data, state = random_case(
    W, generator_penalty="weight_decay", generator_penalty_weight=0.3, optimizer="sgd"
  )
  new, trace = stepper(spec, bare)(h, state, data)
  for old, now, g in zip(state.gen_params, new.gen_params, trace.generator.grads, strict=True):
    np.testing.assert_allclose(now, old - h.generator_rate * (g + 0.3 * old), rtol=1e-4, atol=1e-6)
  half = 0.5 * sum(float((np.asarray(x) ** 2).sum()) for x in state.gen_params)
  assert float(trace.generator.penalty) == pytest.approx(half, rel=1e-5)


@pytest.mark.parametrize("name", ["non_saturating", "minimax"])
def test_unrolled_gradient_is_that_of_the_whole_computation(name):
  """Through 2 unrolled steps, against jax.grad of the objective written in one piece.

  Zero-sum, the generator's is minus the discriminator's whole loss: the critic's reply moves the real term too.
  """
  spec, played, h, data, state = random_case((name,), order="simultaneous", unroll_steps=2, unroll_rate=0.3)
  _, trace = stepper(spec, bare)(h, state, data)
  draw = resident_batch(played, h, jnp.int32(0), data, "generator", 0)
  judge, generate = pure(played.discriminator).apply, pure(played.generator).apply

  def objective(theta):
    fake, psi = generate(theta, draw.noise, None), state.disc_params
    loss = lambda p: (jax.nn.softplus(-judge(p, draw.real, None)) + jax.nn.softplus(judge(p, fake, None))).mean()  # noqa: E731
    for _ in range(2):
      psi = jax.tree.map(lambda p, g: p - 0.3 * g, psi, jax.grad(loss)(psi))
    return -loss(psi) if name == "minimax" else jax.nn.softplus(-judge(psi, fake, None)).mean()

  expected = jax.jit(jax.grad(objective))(state.gen_params)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), trace.generator.grads, expected)


def test_methods_of_second_order_have_a_program_for_each_loss():
  """A traced choice among losses would let the inf of one into the others' second derivatives."""
  members = [
    settings.resolve({"loss": loss, "order": "simultaneous", "method": method, "seed": seed} | options)
    for method, options in (("gradient", {}), ("consensus", {"method_options": {"weight": 0.1}}))
    for loss in ("minimax", "hinge")
    for seed in (0, 1)
  ]
  assert [(g.spec.method, g.spec.losses, len(g.configs)) for g in grouping.group(members)] == [
    ("gradient", ("minimax", "hinge"), 4),
    ("consensus", ("minimax",), 2),
    ("consensus", ("hinge",), 2),
  ]


CONSENSUS = {"order": "simultaneous", "method": "consensus", "method_options": {"weight": 0.1}}


@pytest.mark.parametrize(
  ("fields", "words"),
  [
    ({"optimizer": "adma"}, "unknown optimizer 'adma'; did you mean 'adam'"),
    ({"order": "simultanous"}, "did you mean 'simultaneous'"),
    ({"method": "extragradient"}, "method 'extragradient' expected order 'simultaneous', got 'discriminator_first'"),
    ({"order": "simultaneous", "n_critic": 2}, "expected n_critic=1 and n_gen=1, got n_critic=2"),
    ({"order": "simultaneous", "penalty_every": 2, "penalty": "r1"}, "expected penalty_every=1 or another order"),
    ({**CONSENSUS, "unroll_steps": 1}, "expected unroll_steps=0"),
    ({**CONSENSUS, "weight_constraint": "spectral"}, "singular vectors as constants"),
    ({**CONSENSUS, "method_options": {}}, "method 'consensus' has no effect with method_options.weight=0"),
    ({"method": "concensus"}, "unknown method 'concensus'; did you mean 'consensus'"),
    ({"weight_constraint": "clipp"}, "unknown weight_constraint 'clipp'; did you mean 'clip'"),
    ({"metrics": "image"}, "unknown metric 'image'; did you mean 'images'"),
    ({"metrics": "FID"}, "unknown metric 'FID'; did you mean frechet with metric_options.frechet.features=inception"),
    ({"model": "SNGAN"}, "unknown model 'SNGAN'; did you mean resnet (or sndcgan)?"),
    ({"hold_out": 1}, "hold_out expected 0 or at least 2"),
    ({"penalty": "bcr"}, "expected an augmentation to be consistent under"),
    ({"penalty": "r1+r1"}, "different names joined by '+'"),
    ({"penalty": "zcr_generator"}, "is not one of the discriminator's; known: none, r1"),
    ({"generator_penalty": "r1"}, "is not one of the generator's"),
    ({"penalty": "r1+lecam", "penalty_weights": {"lecma": 1.0}}, "did you mean 'lecam'"),
    ({"penalty_weights": {"r1": 1.0}}, "expected none with penalty 'none', got one for 'r1'"),
    ({"penalty": "r1", "penalty_weight": -1.0}, "'penalty_weight' expected at least 0, got -1"),
    ({"penalty": "r1", "penalty_every": 2, "optimizer_options.beta1": -0.5}, "expected beta1 at least 0, got -0.5"),
    ({"loss": "matched_gian(hinge)"}, "unknown loss transformation 'matched_gian'; did you mean 'matched_gain'"),
    ({"loss": "top_k(relativistic_average)"}, "any but those with batch averages; got 'relativistic_average'"),
    ({"loss": "label_smoothing(least_squares)"}, "two terms agree at logit 0"),
    ({"loss": "mix(hinge)"}, "expected 2 losses"),
    (
      {"loss": "top_k(hinge)", "loss_options": {"fraction": 0.0}},
      "'fraction' of loss 'top_k(hinge)' expected a number above 0",
    ),
    ({"augmentation": "flop"}, "did you mean 'flip'"),
  ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(fields, words):
  with pytest.raises(BadInput) as caught:
    grouping.group([settings.resolve(fields)])
  assert words in str(caught.value)
  assert "\n" not in str(caught.value)


def test_an_augmentation_of_images_refuses_points():
  from gan_jax import data

  (group,) = grouping.group([settings.resolve({"dataset": "ring", "penalty": "bcr", "augmentation": "flip"})])
  with pytest.raises(BadInput, match=r"augmentation 'flip' expected images \[H, W, C\], got examples of shape \[2\]"):
    game.build(group.spec, data.load("ring"))


def test_losses_may_be_transformed_by_name():
  """The slope of every matched loss at logit 0 is that of the non-saturating one; mixing takes a half of each."""
  from gan_jax import losses

  real, fake = jnp.array([0.3, -0.2]), jnp.array([0.0, 0.0])
  for name in ("minimax", "hinge", "least_squares"):
    matched = losses.get(f"matched_gain({name})")
    slope = jax.grad(lambda f, m=matched: m.generator(real, f).sum())(fake)
    np.testing.assert_allclose(slope, [-0.5, -0.5], rtol=1e-6)
  mixed = losses.get("mix(hinge, matched_gain(minimax))")
  np.testing.assert_allclose(mixed.discriminator(real, fake), losses.get("hinge").discriminator(real, fake))
  np.testing.assert_allclose(mixed.generator(real, fake), -np.log(2) * np.ones(2), rtol=1e-6)
  assert losses.default_options("top_k(label_smoothing(hinge))") == {
    "fraction": 0.5,
    "real_target": 0.9,
    "fake_target": 0.0,
  }
  spec, _, h, data, state = random_case(("top_k(hinge)", "hinge"))
  assert np.isfinite(float(stepper(spec, bare)(h, state, data)[1].generator.loss))


def test_every_penalty_of_the_discriminator_trains():
  """All of them at once, with clipping, lazily: one step, finite, and the gradient is not that of the loss alone."""
  chosen = game.registered("penalty")
  assert chosen == [name for name, entry in penalties.PENALTIES.items() if entry.facts.kind != "generator"]
  spec, _, h, data, state = random_case(
    W, "+".join(chosen), penalty_weight=(0.01,) * len(chosen), augmentation="jitter"
  )
  new, trace = stepper(spec, bare)(h, state, data)
  assert bool(trace.alive)
  assert float(trace.discriminator.penalty) > 0
  plain, _, h, data, state = random_case(W)
  other, _ = stepper(plain, bare)(h, state, data)
  assert not np.allclose(new.disc_params[0], other.disc_params[0])


def test_second_derivatives_through_spectral_layers_are_refused():
  """As with the constraint: a model's own spectral normalisation takes its singular vectors as constants, too."""
  fields = {"model": "sndcgan", "order": "simultaneous", "method": "consensus"}
  with pytest.raises(BadInput, match=r"model_options.spectral 'discriminator' takes its singular vectors as constants"):
    game.check(records.spec_of(W, **fields))
  game.check(records.spec_of(W, **fields, model_options={"spectral": "none"}))
