"""The benchmark: it runs end to end, its peers train our game, and its ratios are right. No time is asserted."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks import bench, clocks, examples, flax_peer, operations, ours, table, worker, works
from gan_jax import data, game, models, settings
from gan_jax.core.errors import BadInput
from gan_jax.core.types import Batches
from gan_jax.game.batches import deal
from gan_jax.game.state import initial_state
from gan_jax.game.step import step
from gan_jax.models import bilinear
from gan_jax.runner import grouping

SIZES = {"generator_width": 8, "discriminator_width": 8, "depth": 1}
TINY = {**works.RING, "model_options": SIZES, "batch_size": 4}
STEPS = 3


def leaves(tree):
  return sum(math.prod(x.shape) for x in jax.tree.leaves(tree))


def renamed(params):
  """Our discriminator's parameters under the names of the peer's: the layer of the logit is the last `Dense`."""
  rest = {name: tree for name, tree in params.items() if name != "LogitHead_0"}
  return {"params": {**rest, f"Dense_{len(rest)}": params["LogitHead_0"]["linear"]}}


def filled(tree):
  """The tree with numbers at random: compiling an initialisation takes longer than all that is tested with it."""
  rng = np.random.default_rng(0)
  return jax.tree.map(lambda x: (0.5 * rng.standard_normal(x.shape)).astype(np.float32), tree)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  """The file of one work at the smallest size. Ours is the step alone: the program of a whole study takes long to compile."""
  out = tmp_path_factory.mktemp("bench") / "bench.json"
  ours, _, scan, *torch = works.contenders(works.WORKS["ring"]._replace(peers=("flax", "torch")), 1)
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(works.WORKS, "ring", works.WORKS["ring"]._replace(fields=TINY, windows=1, length=2))
    patch.setattr(works, "contenders", lambda work, cores: [ours._replace(maker="bare_step"), scan, *torch])
    patch.setattr(bench, "QUICK_SECONDS", 0.001)
    patch.setattr(bench, "CEILING", bench.CEILING._replace(fields={"side": 64}))
    bench.main(["--rows", "ring", "--rounds", "2", "--quick", "--out", str(out)])
  return json.loads(out.read_text())


def test_one_command_writes_one_file_of_the_stated_form(written):
  form = {"format", "started", "seconds", "rounds", "machine", "ceiling_operations_per_second", "rows"}
  assert set(written) == form
  assert (written["format"], written["rounds"], len(written["rows"])) == (1, 2, 1)
  assert written["machine"]["jax"] == jax.__version__
  (row,) = written["rows"]
  assert (row["row"], row["members"], row["fields"]) == ("ring", 1, TINY)
  assert len(row["ceiling_operations_per_second"]) == 2
  assert min(row["ceiling_operations_per_second"]) > 0
  timed, absent = row["contenders"], row["absent"]
  assert {"ours", "Flax in scan"} <= set(timed)
  assert all(len(found["ms"]) == 2 and min(found["ms"]) > 0 for found in timed.values())
  assert set(timed) | set(absent) == {"ours", "Flax in scan", "PyTorch eager, 1 thread"}
  if not bench.installed("torch"):
    assert absent == {"PyTorch eager, 1 thread": "not installed"}
    assert written["machine"]["torch"] == "not installed"


def test_the_claims_of_the_file_follow_from_its_timings(written):
  (row,) = written["rows"]
  flax = next(claim for claim in row["claims"] if claim["what"] == "plain Flax / ours")
  ours, theirs = (np.array(row["contenders"][name]["ms"]) for name in ("ours", flax["peer"]))
  assert flax["value"] == pytest.approx(np.median(theirs / ours))
  assert (flax["low"], flax["high"]) == pytest.approx(((theirs / ours).min(), (theirs / ours).max()))
  assert flax["target"] == 1.0
  assert flax["reached"] == (flax["value"] >= 1.0)


def test_the_operations_of_a_step_are_those_of_its_products():
  """For wide layers the products are nearly all: 2 B I O for each of a layer's passes forward, to weights, to inputs.

  Of the generator: two passes forward, one to its weights, and to the inputs of all but the first layer. Of the
  discriminator: three forward (reals, and fakes twice), two to its weights, and to the inputs three times, twice without
  those of the first layer.
  """
  wide, batch = 256, 64
  sizes = {"generator_width": wide, "discriminator_width": wide, "depth": 2}
  config = game.complete(settings.resolve({**works.RING, "model_options": sizes, "batch_size": batch}))
  first, middle, last_of_g, last_of_d = 2 * wide, wide * wide, wide * 2, wide * 1
  g = 3 * first + 4 * (middle + last_of_g)
  d = (3 + 2 + 1) * first + (3 + 2 + 3) * (middle + last_of_d)
  assert operations.count(config, data.load("ring")) == pytest.approx(2 * batch * (g + d), rel=0.08)
  assert operations.count(config | {"penalty": "r1"}, data.load("ring")) is None


def test_the_program_of_a_study_can_be_compiled_ahead():
  """Without which its memory could not be read: see `ours.production`."""
  work = works.WORKS["ring"]._replace(fields=TINY)
  assert callable(ours.built(works.contenders(work, 1)[0], work)[2].advance.lower)


def test_the_plain_peer_trains_our_game():
  """From the same weights, examples and noise its losses are ours after some steps, and so are its parameters."""
  (group,) = grouping.group([settings.resolve(TINY)])
  dataset = data.load("ring")
  played = game.build(group.spec, dataset)
  hypers = jax.tree.map(lambda x: x[0], group.hypers)
  blank = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(lambda: initial_state(hypers, played)))
  g, d = filled(blank.gen_params), filled(blank.disc_params)
  ours = blank._replace(gen_params=g, gen_ema=g, disc_params=d, diverged_at=np.int32(-1))
  generator, discriminator = flax_peer.modules(TINY, ())
  peer = flax_peer.peer(generator, discriminator)
  g, d = {"params": ours.gen_params}, renamed(ours.disc_params)
  theirs = flax_peer.State(g, d, *(flax_peer.Peer.optimizer().init(x) for x in (g, d)))

  @jax.jit
  def both(ours, theirs, real):
    batches = Batches(real[None], jnp.zeros((1, len(real)), jnp.int32), None)
    dealt = [deal(played, hypers, ours.step, batches, player, 0) for player in ("discriminator", "generator")]
    theirs, losses = flax_peer.step(peer, theirs, dealt[0].real, (dealt[0].noise, dealt[1].noise))
    ours, trace = step(played, hypers, ours, batches)
    return ours, theirs, losses, (trace.discriminator.loss, trace.generator.loss)

  points = examples.stored(())
  for number in range(STEPS):
    ours, theirs, their_losses, our_losses = both(ours, theirs, points[4 * number : 4 * number + 4])
    np.testing.assert_allclose(their_losses, our_losses, rtol=1e-5, atol=1e-5)
  for mine, other in zip(
    jax.tree.leaves((ours.gen_params, renamed(ours.disc_params))), jax.tree.leaves(theirs[:2]), strict=True
  ):
    np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)
  assert int(ours.counts.discriminator_updates) == int(ours.counts.generator_updates) == STEPS
  assert int(theirs.generator_moments[0].count) == int(theirs.discriminator_moments[0].count) == STEPS


def our_sizes(fields, image):
  sizes = fields["model_options"]
  found = models.MODELS.get(fields["model"])
  pair = found(image or (2,), 10, fields["latent_size"], False, **sizes)
  return [leaves(jax.eval_shape(player.init, jax.random.key(0))[0]) for player in pair]


@pytest.mark.parametrize("name", ["ring", "dcgan", "dcgan_128"])
def test_the_plain_peer_has_as_many_parameters(name):
  work = works.WORKS[name]
  modules = flax_peer.modules(work.fields, work.image)
  noise, real = jnp.zeros((1, work.fields["latent_size"])), jnp.zeros((1, *(work.image or (2,))))
  start = lambda key: flax_peer.start(*modules, noise, real, key)  # noqa: E731
  state = jax.eval_shape(start, jax.random.key(0))
  assert [leaves(state.generator), leaves(state.discriminator)] == our_sizes(work.fields, work.image)


def test_the_plain_dcgan_is_ours():
  """The same images and logits from the same weights, at 8 x 8: kernels, padding, normalisation and slopes agree."""
  fields, image = {**works.dcgan(8), "latent_size": 3}, (8, 8, 1)
  ours = models.MODELS.get("dcgan")(image, 10, 3, False, generator_width=8, discriminator_width=8)
  theirs = flax_peer.peer(*flax_peer.modules(fields, image))
  labels = jnp.zeros(2, jnp.int32)

  def renamed_layers(params, old, new):
    found = {"params": {}}
    for name, tree in params.items():
      tree = tree.get("LayerNorm_0", tree.get("conv", tree.get("linear", tree)))
      found["params"][next((n + name[len(o) :] for o, n in zip(old, new, strict=True) if name.startswith(o)), name)] = (
        tree
      )
    return found

  @jax.jit
  def outputs(g, d, noise):
    images = ours[0].apply(g, {}, noise, labels, True)[0]
    logits = ours[1].apply(d, {}, images, labels, True)[0].logits
    g = renamed_layers(g, ("Norm_", "UpConvolution_"), ("LayerNorm_", "ConvTranspose_"))
    d = renamed_layers(d, ("DownConvolution_", "LogitHead_"), ("Conv_", "Dense_"))
    again = theirs.generate(g, noise)
    return images, again, logits, theirs.judge(d, again)

  weights = [filled(jax.eval_shape(player.init, jax.random.key(0))[0]) for player in ours]
  images, again, logits, judged = outputs(*weights, np.array([[1.0, 0.5, -1.0], [0.2, -0.3, 2.0]], np.float32))
  np.testing.assert_allclose(again, images, atol=1e-5)
  np.testing.assert_allclose(judged, logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["ring", "dcgan", "dcgan_128", "sndcgan", "resnet"])
def test_pytorch_has_as_many_parameters(name):
  pytest.importorskip("torch")
  from experiments.benchmarks import torch_networks

  work = works.WORKS[name]
  found = [sum(p.numel() for p in player.parameters()) for player in torch_networks.players(work.fields, work.image)]
  assert found == our_sizes(work.fields, work.image)


def test_pytorch_makes_as_many_updates():
  torch = pytest.importorskip("torch")
  from experiments.benchmarks import torch_peer

  work = works.WORKS["ring"]._replace(fields=TINY)
  loops = [torch_peer.Loop(torch, work, TINY), torch_peer.Ensemble(torch, work, TINY, 2)]
  for loop in loops:
    loop.step()
    loop.step()
    for moments in loop.moments:
      assert {int(held["step"]) for held in moments.state.values()} == {2}


# What is computed from the timings.


def test_rounds_alternate_and_every_contender_is_timed_in_each():
  asked, now = [], iter(range(100))

  def clock(name):
    return lambda: (asked.append(name), next(now))[1]

  found = clocks.alternate({name: clock(name) for name in "abc"}, 3)
  assert "".join(asked) == "abccbaabc"
  assert found == {"a": [0, 5, 6], "b": [1, 4, 7], "c": [2, 3, 8]}


def test_a_ratio_is_taken_within_a_round_from_the_fastest_of_the_peers():
  """A machine that becomes four times as slow: ratios of the rounds are right, that of the best times would not be."""
  timings = {"ours": [1.0, 2.0, 4.0], "one": [3.0, 6.0, 12.0], "two": [2.0, 5.0, 9.0], "gone": []}
  found = clocks.compared("peer / ours", timings, "ours", ["one", "two", "gone", "absent"], 2.25)
  assert found.peer == "two"
  assert found.spread == (2.25, 2.0, 2.5)
  assert found.reached is True
  assert found._replace(target=2.3).reached is False
  assert found._replace(at_least=False).reached is True
  assert found._replace(target=None).reached is None
  nothing = clocks.compared("peer / ours", timings, "ours", ["gone"], 2.0)
  assert (nothing.spread, nothing.reached) == (None, None)


def measured(name, timings, facts=None, ceiling=(), **changes):
  work = works.WORKS[name]._replace(**changes)
  return table.Measured(work, works.contenders(work, 2), timings, facts or {}, {}, ceiling)


def said(row):
  return {claim.what: claim for claim in table.claims(row)}


def test_the_share_of_the_ceiling_is_operations_over_time():
  row = measured("dcgan", {"ours": [10.0, 20.0]}, {"ours": {"operations": 2e9}}, (400e9, 400e9))
  share = said(row)["of the matrix products' ceiling"]  # 200 and 100 GFLOP/s
  assert share.spread == pytest.approx((37.5, 25.0, 50.0))
  assert (share.target, share.reached) == (40.0, False)


def test_overheads_are_shares_of_the_bare_step():
  timings = {"bare step": [2.0], "bare step without average": [1.6], "default probes": [4.0], "checkpoint": [20.0]}
  found = said(measured("overhead", timings))
  assert found["default probes"].spread.value == pytest.approx(4.0)  # a row costs 2 steps, at every 50th
  assert found["average"].spread.value == pytest.approx(25.0)
  assert found["checkpoint"].spread.value == pytest.approx(1.0)  # 10 steps, at every 1,000th
  assert [found[name].reached for name in ("default probes", "average", "checkpoint")] == [True, False, True]
  assert found["noise"].spread is None


def test_members_are_compared_with_the_fastest_count_and_their_memory_is_linear():
  named = lambda n: f"{n} member{'s' * (n > 1)}"  # noqa: E731
  timings = {named(n): [t, 2 * t] for n, t in ((1, 1.0), (2, 1.0), (4, 1.2), (8, 1.1))}
  facts = {named(n): {"bytes": 100 + 10 * n} for n in (1, 2, 4, 8)}
  time, memory = table.claims(measured("members", timings, facts, members=8))
  assert (time.spread.value, time.reached) == (pytest.approx(1.2), False)
  assert (memory.spread.value, memory.reached) == (pytest.approx(1.0), True)
  facts["8 members"] = {"bytes": 300}
  assert not table.claims(measured("members", timings, facts, members=8))[1].reached


def test_penalties_and_large_studies():
  found = said(measured("r1", {"ours": [5.0], "ours, no penalty": [2.0], "PyTorch eager, 1 thread": [4.0]}))
  assert [(c.spread.value, c.reached) for c in found.values()] == [(2.5, False), (0.8, False)]
  names = ("1,000 runs", "10,000 runs")
  found = said(measured("plans", {names[0]: [3e3], names[1]: [33e3]}, {names[1]: {"process_peak_bytes": 2**30}}))
  assert [round(c.spread.value, 9) for c in found.values()] == [33.0, 1.0, 1.1]
  assert all(claim.reached for claim in found.values())


def test_the_table_says_what_was_not_measured():
  row = measured("ring", {"ours": [1.0]})._replace(absent={"PyTorch eager, 1 thread": "not installed"})
  text = table.printed([(row, table.claims(row))])
  assert "| ring | PyTorch / ours |  | not installed | >= 2 x |  |" in text
  assert "| ring | plain Flax / ours |  | not measured | >= 1 x |  |" in text
  assert "not installed" in "\n".join(table.lines(row))


@pytest.mark.parametrize(
  ("arguments", "words"),
  [
    (
      ["--rows", "rings"],
      r"unknown row of the benchmark 'rings'; did you mean 'ring'\? known: cores, dcgan, .*sndcgan",
    ),
    (["--rows", "ring,,dcgn"], "unknown row of the benchmark 'dcgn'"),
    (["--rows", ","], "--rows expected names joined by commas, got none; known: ring, "),
    (["--rounds", "0"], "expected a whole number from 1 to 1000, got '0'"),
    (["--rounds", "many"], "expected a whole number from 1 to 1000, got 'many'"),
    (["--out", "no/such/folder/bench.json"], "--out expected a file in a folder that exists"),
    (["--fast"], "unrecognized arguments: --fast"),
  ],
)
def test_what_cannot_be_measured_is_refused_in_a_sentence(arguments, words, monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(bench, "measure", lambda *given: pytest.fail("something was measured"))
  with pytest.raises(BadInput, match=words):
    bench.main(arguments)
  assert not list(tmp_path.iterdir())


def test_every_work_is_a_game_of_ours_and_every_contender_is_named_once():
  for name, work in works.WORKS.items():
    assert work.name == name
    everyone = works.contenders(work, 2)
    assert len({c.name for c in everyone}) == len(everyone)
    for contender in everyone:
      if contender.library == "jax" and contender.maker != "plans":
        grouping.group([settings.resolve({**work.fields, **contender.fields})])
  assert set(works.QUICK) <= set(works.WORKS)


def test_the_claim_on_precision_is_how_many_times_faster_bfloat16_is():
  found = table.claims(measured("precision", {"float32": [4.0, 6.0, 9.0], "bfloat16": [2.0, 2.0, 3.0]}))
  assert [(claim.what, claim.spread) for claim in found] == [("float32 / bfloat16", clocks.Spread(3.0, 2.0, 3.0))]


def test_dividing_a_batch_is_compared_width_by_width():
  work = works.WORKS["cores"]
  contenders = works.contenders(work, 6)  # six do not divide the batch of 64, four do
  assert {contender.fields["batch_devices"] for contender in contenders} == {1, 4}
  timings = {contender.name: [12.0, 12.0] for contender in contenders} | {"width 64, divided": [6.0, 8.0]}
  found = table.claims(table.Measured(work, contenders, timings, {}, {}, ()))
  assert [claim.spread.value for claim in found] == pytest.approx([1.0, 1.0, 1.75])
  assert (found[-1].spread.low, found[-1].spread.high) == pytest.approx((1.5, 2.0))


def test_layers_of_few_channels_are_compared_width_by_width():
  work = works.WORKS["narrow"]
  contenders = works.contenders(work, 2)
  timings = {contender.name: [3.0] for contender in contenders} | {"width 8, products": [2.0]}
  found = table.claims(table.Measured(work, contenders, timings, {}, {}, ()))
  assert {claim.what: claim.spread.value for claim in found} == {
    f"width {width}: convolutions / products": 1.5 if width == 8 else 1.0 for width in works.FEW
  }


@pytest.mark.parametrize(("form", "bound"), [("convolutions", (0, 0)), ("products", (4, 64))])
def test_layers_of_few_channels_are_timed_in_either_form(form, bound, monkeypatch):
  """The rule is replaced while the step is compiled, and put back afterwards."""
  seen, before = [], bilinear.NARROW
  clock = lambda calls: seen.append(bilinear.NARROW)  # noqa: E731
  monkeypatch.setattr(
    ours, "bare", lambda contender, work: seen.append(bilinear.NARROW) or worker.Prepared(clock, 1, 1)
  )
  work = works.WORKS["narrow"]
  (contender,) = (c for c in works.contenders(work, 2) if c.name == f"width 16, {form}")
  ours.MAKERS[contender.maker](contender, work)
  assert seen == [bound, bound]
  assert before == bilinear.NARROW
