"""Networks of Linen, NNX and Equinox as players: the same network in each, held to NumPy, and what users get wrong."""

import math

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gan_jax.core.errors import BadInput
from gan_jax.core.types import Output, Player
from gan_jax.models import players
from gan_jax.models.players.trial import check_pair

SHAPE, LATENT = (4, 6, 3), 5
PIXELS = math.prod(SHAPE)
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (8, *SHAPE)).astype(np.float32)
NOISE = RNG.normal(size=(8, LATENT)).astype(np.float32)
LABELS = (np.arange(8) % 3).astype(np.int32)


# One network three times: linear, batch norm, leaky rectifier, linear.
class Linen(nn.Module):
  size: int
  shape: tuple[int, ...] = ()

  @nn.compact
  def __call__(self, x, train: bool):
    x = nn.Dense(7)(x.reshape(len(x), -1))
    x = nn.leaky_relu(nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)(x), 0.2)
    return nn.Dense(self.size)(x).reshape(len(x), *self.shape)


class Nnx(nnx.Module):
  def __init__(self, inputs, size, shape, rngs):
    self.shape = shape
    self.first, self.last = nnx.Linear(inputs, 7, rngs=rngs), nnx.Linear(7, size, rngs=rngs)
    self.norm = nnx.BatchNorm(7, momentum=0.9, epsilon=1e-5, rngs=rngs)

  def __call__(self, x):
    x = nnx.leaky_relu(self.norm(self.first(x.reshape(len(x), -1))), 0.2)
    return self.last(x).reshape(len(x), *self.shape)


class Equinox(eqx.Module):
  first: eqx.nn.Linear
  last: eqx.nn.Linear
  norm: eqx.nn.BatchNorm
  shape: tuple[int, ...] = eqx.field(static=True)

  def __init__(self, inputs, size, shape, key):
    one, two = jax.random.split(key)
    self.first, self.last = eqx.nn.Linear(inputs, 7, key=one), eqx.nn.Linear(7, size, key=two)
    self.norm = eqx.nn.BatchNorm(7, "batch", momentum=0.9, mode="batch")
    self.shape = shape

  def __call__(self, x, state):
    x, state = self.norm(self.first(x.ravel()), state)
    return self.last(jax.nn.leaky_relu(x, 0.2)).reshape(self.shape), state


def equinox(inputs, size, shape):
  return lambda key: eqx.nn.make_with_state(Equinox)(inputs, size, shape, key)


PAIRS = {  # (generator, discriminator)
  "linen": lambda: (
    players.from_linen(Linen(PIXELS, SHAPE), (LATENT,)),
    players.from_linen(Linen(1), SHAPE, discriminator=True),
  ),
  "nnx": lambda: (
    players.from_nnx(lambda rngs: Nnx(LATENT, PIXELS, SHAPE, rngs), (LATENT,)),
    players.from_nnx(lambda rngs: Nnx(PIXELS, 1, (), rngs), SHAPE, discriminator=True),
  ),
  "equinox": lambda: (
    players.from_equinox(equinox(LATENT, PIXELS, SHAPE), (LATENT,)),
    players.from_equinox(equinox(PIXELS, 1, ()), SHAPE, discriminator=True),
  ),
}
# Where each library keeps the same arrays: first kernel and bias, scale and shift, last kernel and bias; mean and variance.
PLACES = {
  "linen": ("Dense_0/kernel Dense_0/bias BatchNorm_0/scale BatchNorm_0/bias Dense_1/kernel Dense_1/bias",)
  + ("batch_stats/BatchNorm_0/mean batch_stats/BatchNorm_0/var",),
  "nnx": ("first/kernel first/bias norm/scale norm/bias last/kernel last/bias", "norm/mean norm/var"),
  "equinox": ("first/weight first/bias norm/weight norm/bias last/weight last/bias", "state/1/0 state/1/1"),
}


@pytest.fixture(params=PAIRS, scope="module")
def pair(request):
  return request.param, *PAIRS[request.param]()


def arrays(tree, places):
  found = []
  for place in places.split():
    leaf = tree
    for name in place.split("/"):
      leaf = leaf[name]
    found.append(np.asarray(leaf, np.float64))
  return found


def by_numpy(library, params, memory, x, train):
  """The network's outputs, and its running mean and variance afterwards."""
  first, bias, scale, shift, last, end = arrays(params, PLACES[library][0])
  mean, variance = arrays(memory, PLACES[library][1])
  if library == "equinox":  # its kernels are [outputs, inputs]
    first, last = first.T, last.T
  hidden = x.reshape(len(x), -1).astype(np.float64) @ first + bias
  if train:
    batch_mean, batch_variance = hidden.mean(0), hidden.var(0)
    used = batch_mean, batch_variance
    mean, variance = 0.9 * mean + 0.1 * batch_mean, 0.9 * variance + 0.1 * batch_variance
  else:
    used = mean, variance
  z = (hidden - used[0]) / np.sqrt(used[1] + 1e-5) * scale + shift
  return np.where(z > 0, z, 0.2 * z) @ last + end, mean, variance


def test_equals_numpy_in_training_and_in_evaluation(pair):
  library, *both = pair
  for player, x in zip(both, (NOISE, IMAGES), strict=True):
    params, memory = player.init(jax.random.key(0))
    for _ in range(3):
      expected, mean, variance = by_numpy(library, params, memory, x, True)
      value, memory = jax.jit(player.apply, static_argnums=4)(params, memory, x, LABELS, True)
      got = value.logits if isinstance(value, Output) else value
      np.testing.assert_allclose(got.reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)
      if library != "equinox":  # which corrects its averages for their start at zero, and the variance for its bias
        for there, known in zip(arrays(memory, PLACES[library][1]), (mean, variance), strict=True):
          np.testing.assert_allclose(there, known, rtol=1e-4, atol=1e-5)
      x = x + 0.5
    expected, *_ = by_numpy(library, params, memory, x, False)
    value, after = player.apply(params, memory, x, LABELS, False)
    jax.tree.map(np.testing.assert_array_equal, after, memory)
    if library != "equinox":
      got = value.logits if isinstance(value, Output) else value
      np.testing.assert_allclose(got.reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)


def test_the_running_statistics_come_to_be_those_of_a_batch_that_does_not_change(pair):
  """Then training and evaluation are one function, up to Equinox's factor B / (B - 1) of the variance."""
  _, generator, _ = pair
  params, memory = generator.init(jax.random.key(1))
  before, _ = generator.apply(params, memory, NOISE, LABELS, False)
  for _ in range(200):
    trained, memory = jax.jit(generator.apply, static_argnums=4)(params, memory, NOISE, LABELS, True)
  evaluated, _ = generator.apply(params, memory, NOISE, LABELS, False)
  assert np.abs(before - trained).max() > 0.1
  assert np.abs(evaluated - trained).max() < 0.1 * np.abs(trained).max()


def test_contract(pair):
  _, generator, discriminator = pair
  keys = jax.random.split(jax.random.key(7), 3)
  for player, x in ((generator, NOISE), (discriminator, IMAGES)):

    def run(key, player=player, x=x):
      params, memory = player.init(key)
      return params, memory, *player.apply(params, memory, x, LABELS, True)

    together, alone = jax.jit(jax.vmap(run))(keys), run(keys[1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-4, atol=1e-5), together, alone)
    assert all(isinstance(tree, dict) for tree in alone[:2])
    assert all(leaf.dtype != jax.dtypes.prng_key for leaf in jax.tree.leaves(alone[:2]))
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(jax.eval_shape(run, keys[0])))
    value = alone[2]
    assert isinstance(value, Output) == (player is discriminator)
    leaf = value.logits if isinstance(value, Output) else value
    assert (leaf.shape, leaf.dtype) == ((8,) if player is discriminator else (8, *SHAPE), jnp.float32)
    assert jax.tree.structure(alone[1]) == jax.tree.structure(alone[3])


def test_twice_differentiable(pair):
  _, _, discriminator = pair
  params, memory = discriminator.init(jax.random.key(2))

  def r1(params):
    slope = jax.grad(lambda x: discriminator.apply(params, memory, x, LABELS, False)[0].logits.sum())(IMAGES)
    return (slope**2).sum()

  value, grads = jax.jit(jax.value_and_grad(r1))(params)
  square = sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(grads))
  step = 1e-3 * float(value) / square
  ahead, behind = (r1(jax.tree.map(lambda p, g, s=sign: p + s * step * g, params, grads)) for sign in (1, -1))
  assert (ahead - behind) / (2 * step) == pytest.approx(square, rel=0.02)


def tried(generator=None, discriminator=None):
  """The pair of which one may be given, as somebody's model is tried before it is trained."""
  made = generator or players.from_linen(Linen(PIXELS, SHAPE), (LATENT,)), discriminator or PAIRS["linen"]()[1]
  return check_pair(made, "mine.py:own", SHAPE, LATENT)


def linen(call, **attributes):
  """A Linen module whose compact `__call__` is this function."""
  return type("Own", (nn.Module,), {"__call__": nn.compact(call), **attributes})()


def logits(x):
  return nn.Dense(1)(x.reshape(len(x), -1))


def judged(player, train=True, labels=LABELS):
  params, memory = player.init(jax.random.key(0))
  return player.apply(params, memory, IMAGES, labels, train)[0]


SIGNATURES = {
  "labels by name": (lambda self, x, labels: logits(x) + labels[:, None], True, False),
  "labels by place": (lambda self, x, condition: logits(x) + condition[:, None], True, False),
  "labels by name, after the flag": (lambda self, x, train, y=None: logits(x) + y[:, None] + train, True, True),
  "neither": (lambda self, x: logits(x), False, False),
  "train": (lambda self, x, train=False: logits(x) + train, False, True),
  "deterministic": (lambda self, x, *, deterministic: logits(x) + (not deterministic), False, True),
  "further arguments with defaults": (lambda self, x, width=3, **rest: logits(x) + width, False, False),
}


@pytest.mark.parametrize(("call", "takes_labels", "takes_flag"), SIGNATURES.values(), ids=SIGNATURES)
def test_labels_and_flag_are_found_from_the_signature(call, takes_labels, takes_flag):
  player = players.from_linen(linen(call), SHAPE, discriminator=True)
  there = judged(player).logits
  np.testing.assert_allclose(judged(player, labels=LABELS + 1).logits - there, float(takes_labels), atol=1e-5)
  np.testing.assert_allclose(there - judged(player, train=False).logits, float(takes_flag), atol=1e-5)


RETURNED = {
  "[B]": lambda self, x: logits(x)[:, 0],
  "[B, 1] in bfloat16": lambda self, x: logits(x).astype(jnp.bfloat16),
  "(logits, features)": lambda self, x: (logits(x), x.reshape(len(x), -1)),
  "Output": lambda self, x: Output(logits(x), x.reshape(len(x), -1), nn.Dense(4)(x.reshape(len(x), -1))),
}


@pytest.mark.parametrize("name", RETURNED)
def test_what_a_discriminator_may_return(name):
  found = judged(players.from_linen(linen(RETURNED[name]), SHAPE, discriminator=True))
  assert (found.logits.shape, found.logits.dtype) == ((8,), jnp.float32)
  assert (found.features is None) == (name.startswith("[B"))
  assert (found.classes is None) == (name != "Output")


REFUSED = {
  "two logits": (lambda self, x: nn.Dense(2)(x.reshape(len(x), -1)), r"got float32 \[4, 2\]"),
  "maps": (lambda self, x: nn.Dense(1)(x), r"got float32 \[4, 4, 6, 1\]"),
  "whole numbers": (lambda self, x: (logits(x) > 0).astype(jnp.int32), r"got int32 \[4, 1\]"),
  "a dict": (lambda self, x: {"logits": logits(x)}, "got dict"),
  "nothing": (lambda self, x: None, "got NoneType None"),
  "features of another size": (lambda self, x: (logits(x), x), r"got tuple of \(float32 \[4, 1\], float32 \[4, 4, 6"),
  "an unknown argument": (lambda self, x, labels, mask: logits(x), "an argument 'mask' without a default"),
  "no input": (lambda self: 0.0, "first argument is its input"),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_what_it_may_not_is_refused_with_what_was_expected_and_what_came(call, message):
  with pytest.raises(BadInput, match=f"Own expected .*{message}") as caught:
    tried(discriminator=players.from_linen(linen(call), SHAPE, discriminator=True))
  assert "\n" not in str(caught.value)


def test_images_of_another_shape_are_refused():
  gray = players.from_linen(Linen(PIXELS // 3, (4, 6, 1)), (LATENT,))
  with pytest.raises(BadInput, match=r"generator of model 'mine.py:own' .*\[4, 4, 6, 3\], got float32 \[4, 4, 6, 1\]"):
    tried(generator=gray)


def broken(self, x):
  return nn.Dense(1)(x) @ jnp.ones((9, 9))  # the line that is named


@pytest.mark.parametrize("library", ["linen", "nnx", "equinox", "plain"])
def test_an_error_in_a_module_is_one_sentence_with_its_file_and_line(library):
  in_nnx = type(
    "Own", (nnx.Module,), {"__init__": lambda self, rngs: None, "__call__": lambda self, x: broken(self, x)}
  )
  in_eqx = type("Own", (eqx.Module,), {"__call__": lambda self, x: x @ jnp.ones((9, 9))})
  make = {
    "linen": lambda: players.from_linen(linen(broken), SHAPE, discriminator=True),
    "nnx": lambda: players.from_nnx(in_nnx, SHAPE, discriminator=True),
    "equinox": lambda: players.from_equinox(lambda key: in_eqx(), SHAPE, discriminator=True),
    "plain": lambda: players.plain(lambda key: {}, lambda params, x, y: x @ jnp.ones((9, 9)), discriminator=True),
  }
  with pytest.raises(BadInput, match=r"Error: .*test_players\.py, line \d+\)$") as caught:
    tried(discriminator=make[library]())
  assert "\n" not in str(caught.value)


def test_dropout_draws_anew_at_each_call_in_training_and_not_in_evaluation():
  class InEquinox(eqx.Module):
    head: eqx.nn.Linear
    dropout: eqx.nn.Dropout

    def __call__(self, x, *, key=None):
      return self.head(self.dropout(x.ravel(), key=key))

  class InNnx(nnx.Module):
    def __init__(self, rngs):
      self.head, self.dropout = nnx.Linear(PIXELS, 1, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
      return self.head(self.dropout(x.reshape(len(x), -1)))

  def in_equinox(key):
    return InEquinox(eqx.nn.Linear(PIXELS, "scalar", key=key), eqx.nn.Dropout(0.5))

  def call(self, x, deterministic: bool):
    return logits(nn.Dropout(0.5, deterministic=deterministic)(x))

  for player in (
    players.from_linen(linen(call), SHAPE, discriminator=True),
    players.from_nnx(InNnx, SHAPE, discriminator=True),
    players.from_equinox(
      lambda key: InEquinox(eqx.nn.Linear(PIXELS, "scalar", key=key), eqx.nn.Dropout(0.5)), SHAPE, discriminator=True
    ),
  ):
    params, memory = player.init(jax.random.key(0))
    same = np.repeat(IMAGES[:1], 8, axis=0)
    one, after = player.apply(params, memory, same, LABELS, True)
    again, _ = player.apply(params, memory, same, LABELS, True)
    other, _ = player.apply(params, after, same, LABELS, True)
    np.testing.assert_array_equal(one.logits, again.logits)
    assert np.abs(one.logits - other.logits).min() > 1e-4
    assert np.ptp(one.logits) > 1e-4, "each example has a mask of its own"
    evaluated, kept = player.apply(params, after, same, LABELS, False)
    assert np.ptp(evaluated.logits) < 1e-5
    jax.tree.map(np.testing.assert_array_equal, kept, after)


def test_modules_without_anything_to_remember_have_an_empty_memory():
  plain = players.plain(
    lambda key: {"w": jnp.ones((PIXELS,))}, lambda p, x, y: x.reshape(len(x), -1) @ p["w"], discriminator=True
  )
  mlp = players.from_equinox(
    lambda key: eqx.nn.Sequential([eqx.nn.Lambda(jnp.ravel), eqx.nn.MLP(PIXELS, 1, 8, 2, key=key)]),
    SHAPE,
    discriminator=True,
  )
  for player in (plain, players.from_linen(linen(lambda self, x: logits(x)), SHAPE, discriminator=True), mlp):
    assert jax.tree.leaves(player.init(jax.random.key(0))[1]) == []
    tried(discriminator=player)
  np.testing.assert_allclose(judged(plain).logits, IMAGES.reshape(8, -1).sum(1), rtol=1e-4, atol=1e-4)


def test_a_batch_norm_that_never_asks_whether_it_trains_can_be_evaluated():
  player = players.from_linen(
    linen(lambda self, x: logits(nn.BatchNorm(use_running_average=False)(x))), SHAPE, discriminator=True
  )
  params, memory = player.init(jax.random.key(0))
  _, after = player.apply(params, memory, IMAGES, LABELS, False)
  jax.tree.map(np.testing.assert_array_equal, after, memory)


def test_channels_first():
  """A sum over the channels of a module that wants them first, and its transpose of a generator."""

  class Pick(eqx.Module):
    def __call__(self, x):
      return x[0].sum()

  class Make(eqx.Module):
    def __call__(self, z):
      return jnp.broadcast_to(jnp.arange(3.0)[:, None, None], (3, 4, 6))

  found = judged(players.from_equinox(lambda key: Pick(), SHAPE, discriminator=True, channels_first=True))
  np.testing.assert_allclose(found.logits, IMAGES[..., 0].sum((1, 2)), rtol=1e-4, atol=1e-5)
  generator = players.from_equinox(lambda key: Make(), (LATENT,), channels_first=True)
  images, _ = generator.apply(*generator.init(jax.random.key(0)), NOISE, LABELS, True)
  np.testing.assert_array_equal(images[0, 0, 0], [0, 1, 2])


def test_convolutions_run_as_products_unless_told_and_others_are_spoken_of_once(capsys):
  def call(self, x):
    x = nn.Conv(3, (3, 3), strides=2)(x)
    return logits(nn.ConvTranspose(6, (3, 3), strides=(2, 2), kernel_dilation=(2, 2))(x))

  ours, plain = (
    players.from_linen(linen(call), SHAPE, discriminator=True, convolution=name) for name in ("auto", "lax")
  )
  for _ in range(2):
    tried(discriminator=ours)
  said = capsys.readouterr().err
  assert said.count("\n") == 1
  assert said.startswith("note: 1 convolution of the discriminator of model 'mine.py:own' ")
  start = ours.init(jax.random.key(0))

  def count(player):
    return str(jax.make_jaxpr(lambda x: player.apply(*start, x, LABELS, True))(IMAGES)).count("conv_general_dilated[")

  assert (count(ours), count(plain)) == (1, 2)
  np.testing.assert_allclose(judged(ours).logits, judged(plain).logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("made", [None, players, (1, 2), ("g", "d", "e")])
def test_a_model_that_returns_no_two_players_is_refused(made):
  with pytest.raises(BadInput, match=r"model 'mine.py:own' expected to return \(generator, discr.*, got"):
    check_pair(made, "mine.py:own", SHAPE, LATENT)


def test_players_written_by_hand_are_held_to_the_same():
  good = PAIRS["linen"]()[1]
  bare = Player(good.init, lambda *arguments: (good.apply(*arguments)[0].logits, good.apply(*arguments)[1]))
  with pytest.raises(BadInput, match=r"discriminator of .* expected to return an Output .*, got float32 \[4\]"):
    tried(discriminator=bare)
  forgetful = Player(good.init, lambda *arguments: (good.apply(*arguments)[0], ()))
  with pytest.raises(BadInput, match="expected to leave its memory in the form that it had"):
    tried(discriminator=forgetful)


def test_equinox_with_batch_norms_of_two_axes_is_refused():
  def create(key):
    return eqx.nn.make_with_state(
      lambda: eqx.nn.Sequential([eqx.nn.BatchNorm(3, name, mode="batch") for name in ("a", "b")])
    )()

  with pytest.raises(BadInput, match="expected one axis_name in all its batch norms, got 'a', 'b'"):
    players.from_equinox(create, SHAPE)
