"""A field without effect is refused, and what the table says of effects is what the compiled programs do."""

import jax
import numpy as np
import pytest

from gan_jax import data, game, penalties, settings
from gan_jax.core.errors import BadInput
from gan_jax.game.optimizers import OPTIMIZERS
from gan_jax.game.state import initial_state
from gan_jax.game.step import build_resident_step
from gan_jax.runner import grouping
from gan_jax.settings import effects, sweeps
from tests.conftest import ROOT

# Another value of each field than its default, and what gives the field an effect.
OTHER = {
  "penalty_weight": 0.3,
  "penalty_weights": {"r1": 0.3},
  "penalty_every": 2,
  "augmentation": "jitter",
  "generator_penalty_weight": 0.3,
  "augmentation_strength": 0.3,
  "augmentation_target": 0.3,
  "augmentation_images": 300.0,
  "class_weight": 0.3,
  "instance_noise_scale": 0.3,
  "instance_noise_steps": 7,
  "unroll_gradient": "stopped",
  "unroll_rate": 0.3,
  "lookahead_pace": 0.3,
  "penalty_options": {"gradient_penalty": {"centre": 0.3}},
  "augmentation_options": {"scale": 0.3},
  "discriminator_augmentation_options": {"jitter": {"scale": 0.3}},
  "class_loss_options": {"fakes": False},
  "generator_penalty_options": {"zcr_generator": {"shift": 0.3}},
  "weight_constraint_options": {"bound": 0.02},
  "probe_options": {"geometry": {"size": 5}},
  "metric_options": {"images": {"reference": 100}},
}
ON = {
  "penalty_weight": {"penalty": "r1"},
  "penalty_weights": {"penalty": "r1", "penalty_weights": {"r1": 0.2}},
  "penalty_every": {"penalty": "r1"},
  "augmentation": {"penalty": "bcr"},
  "generator_penalty_weight": {"generator_penalty": "orthogonal"},
  "augmentation_strength": {"discriminator_augmentation": "jitter"},
  "augmentation_target": {"discriminator_augmentation": "jitter"},
  "augmentation_images": {"discriminator_augmentation": "jitter", "augmentation_target": 0.5},
  "class_weight": {"class_loss": "ac", "conditional": True},
  "instance_noise_scale": {"instance_noise": True},
  "instance_noise_steps": {"instance_noise": True},
  "unroll_gradient": {"unroll_steps": 1},
  "unroll_rate": {"unroll_steps": 1},
  "lookahead_pace": {"lookahead_every": 1},
  "penalty_options": {"penalty": "gradient_penalty", "penalty_options": {"gradient_penalty": {"centre": 0.2}}},
  "augmentation_options": {"penalty": "bcr", "augmentation": "jitter"},
  "discriminator_augmentation_options": {
    "discriminator_augmentation": "jitter",
    "discriminator_augmentation_options": {"jitter": {"scale": 0.2}},
  },
  "class_loss_options": {"class_loss": "ac", "conditional": True},
  "generator_penalty_options": {
    "generator_penalty": "zcr_generator",
    "generator_penalty_options": {"zcr_generator": {"shift": 0.2}},
  },
  "weight_constraint_options": {"weight_constraint": "clip"},
  "probe_options": {"probes": "geometry", "probe_options": {"geometry": {"size": 4}}},
  "metric_options": {"metrics": "images", "metric_options": {"images": {"reference": 99}}},
}
SMALL = {
  "model_options": {"generator_width": 4, "discriminator_width": 4},
  "latent_size": 2,
  "batch_size": 2,
  "order": "generator_first",
}


def test_every_field_of_the_table_is_tried():
  assert OTHER.keys() == ON.keys() == effects.NEEDS.keys()


@pytest.mark.parametrize("field", effects.NEEDS)
def test_a_field_is_refused_without_what_gives_it_effect_and_taken_with_it(field, tmp_path):
  other, off, on = {field: OTHER[field]}, {"metrics": "mixture"} if field == "metric_options" else {}, ON[field]
  with pytest.raises(
    BadInput, match=f"config field '{field}', here .* has no effect with .*: expected .* to be"
  ) as caught:
    load(tmp_path, {**off, **other})
  assert "\n" not in str(caught.value)
  assert load(tmp_path, {**on, **other})[0][field] == OTHER[field]
  if isinstance(OTHER[field], dict):
    return
  with pytest.raises(BadInput, match=f"'{field}', here"):
    load(tmp_path, off, [f"--config.{field}={OTHER[field]}"])
  default = settings.FIELDS[field].default
  with pytest.raises(BadInput, match=f"'{field}', here"):  # named on purpose, and without effect all the same
    load(tmp_path, off, [f"--config.{field}={default}"])
  assert load(tmp_path, {**off, field: default})  # a file that spells out a default is nobody's mistake


def load(folder, base, arguments=(), sweep=None, single=True):
  """The runs of a config file: the single one, or those of its sweep."""
  text = f"def get_config():\n  return {base!r}\n"
  text += f"def sweep(s):\n  return {sweep!r}\n" if sweep else ""
  (folder / "study.py").write_text(text)
  alone, runs = sweeps.load(str(folder / "study.py"), arguments, single)
  return alone if single else runs


@pytest.fixture(scope="module")
def digits():
  return data.load("digits")


def two_steps(config, digits):
  """What two steps make of a run, as the text of their program and as numbers."""
  (group,) = grouping.group([config])
  spec = group.spec._replace(probes="none")
  played = game.build(spec._replace(dataset="digits"), digits)
  step = build_resident_step(played)

  def run(hypers):
    state = initial_state(hypers, played)
    return jax.lax.fori_loop(0, 2, lambda _, s: step(hypers, s, digits.data)[0], state)

  hypers = jax.tree.map(lambda x: x[0], group.hypers)
  return jax.jit(run).lower(hypers).as_text(), lambda: jax.tree.leaves(jax.jit(run)(hypers))


TRACED = [name for name in effects.NEEDS if settings.FIELDS[name].kind == "traced"]
OPTIONS = [name for name in effects.NEEDS if settings.FIELDS[name].kind == "options"]
STATIC = [n for n in effects.NEEDS if n not in (*TRACED, *OPTIONS)]


@pytest.mark.parametrize("field", STATIC)
def test_a_static_field_changes_the_program_just_where_the_table_says(field, digits):
  off = settings.resolve(SMALL, {})
  assert two_steps(off, digits)[0] == two_steps({**off, field: OTHER[field]}, digits)[0]
  on = settings.resolve(SMALL, ON[field])
  if field != "augmentation":  # `bcr` without one is refused
    assert two_steps(on, digits)[0] != two_steps({**on, field: OTHER[field]}, digits)[0]


def hyper(field, config):
  """The name of a traced field among the arrays of a group, and its value there."""
  name = "penalty_weights" if field == "penalty_weight" else field
  (group,) = grouping.group([config])
  return name, getattr(group.hypers, name)


@pytest.mark.parametrize("field", TRACED)
def test_a_traced_field_reaches_the_state_just_where_the_table_says(field, digits):
  """By the program's own data flow: what a traced number cannot reach, no value of it changes."""
  for switch, reached in (({}, False), (ON[field], True)):
    config = settings.resolve(SMALL, {"order": "generator_first"}, switch)
    (group,) = grouping.group([config])
    spec = group.spec
    played = game.build(spec, digits)
    step = build_resident_step(played)
    hypers = jax.tree.map(lambda x: x[0], group.hypers)
    name, value = hyper(field, config)
    assert effects.felt(field, config) == reached
    if not jax.tree.leaves(value):  # no penalty, no weight
      assert not reached
      continue

    def run(number, hypers=hypers, name=name, step=step, spec=spec, played=played):
      state = initial_state(hypers, played)
      changed = hypers._replace(**{name: number})
      state = jax.lax.fori_loop(0, 2, lambda _, s: step(changed, s, digits.data)[0], state)
      return jax.tree.leaves((state.gen_params, state.disc_params))

    one = jax.tree.map(lambda x: x[0], value)
    jaxpr = jax.make_jaxpr(run)(one)
    _, used = jax.interpreters.partial_eval.dce_jaxpr(jaxpr.jaxpr, [True] * len(jaxpr.jaxpr.outvars))
    assert any(used) == reached, (field, switch)


@pytest.mark.parametrize("name", [name for name, entry in OPTIMIZERS.items() if entry.options])
def test_every_option_of_an_optimizer_is_read(name):
  entry = OPTIMIZERS[name]
  grads = [np.array([1.0, -2.0], np.float32), np.array([0.5, 3.0], np.float32)]

  def update(**options):
    optimizer, moves = entry(0.1, **options), []
    state = optimizer.init(grads[0])
    for grad in (*grads, grads[0]):
      move, state = optimizer.update(grad, state, grads[0])
      moves.append(np.asarray(move))
    return np.stack(moves)

  for option, default in entry.defaults.items():
    assert (update() != update(**{option: 0.9 * default})).any(), option


@pytest.mark.parametrize(
  ("fields", "words"),
  [
    ({"penalty": "r1", "augmentation": "jitter"}, "'augmentation', here 'jitter', has no effect with penalty 'r1'"),
    ({"penalty": "lecam", "penalty_every": 4}, "'penalty_every', here 4, has no effect with penalty 'lecam'"),
  ],
)
def test_what_only_a_registry_knows_to_be_without_effect_is_refused_once_it_is_there(fields, words):
  with pytest.raises(BadInput, match=words):
    grouping.completed([settings.resolve(fields)])
  other = settings.resolve(fields, {"penalty": "bcr", "augmentation": "jitter"})
  one, two = grouping.completed([settings.resolve(fields), other])
  assert one == game.complete(settings.resolve({"penalty": fields["penalty"]}))  # put back to its default there
  assert two["penalty"] == "bcr"


def test_a_penalty_without_a_weight_has_that_of_its_source():
  """Gulrajani et al. 2017 and Mescheder et al. 2018 train with 10, Karras et al. 2018 with an epsilon of 0.001."""
  config = settings.resolve({"penalty": "gradient_penalty+r1+logit_drift", "penalty_weights": {"r1": 0.5}})
  (group,) = grouping.group([config])
  assert [float(w[0]) for w in group.hypers.penalty_weights] == pytest.approx([10, 0.5, 1e-3])
  (group,) = grouping.group([settings.resolve({"generator_penalty": "zcr_generator"})])
  assert group.hypers.generator_penalty_weight.tolist() == [0.5]
  for full, half in (
    ("r1_full", "r1"),
    ("r2_full", "r2"),
    ("r1_r2_full", "r1_r2"),
  ):  # twice the penalty, half the weight
    assert 2 * penalties.get(full).default_weight == penalties.get(half).default_weight
  with pytest.raises(
    BadInput, match="'weight_decay' has no published weight to take: expected penalty_weight, a number"
  ):
    grouping.group([settings.resolve({"penalty": "weight_decay"})])
  with pytest.raises(BadInput, match="generator_penalty_weight expected a number for the penalties of"):
    grouping.group([settings.resolve({"generator_penalty": "zcr_generator+orthogonal"})])


@pytest.mark.parametrize(
  ("fields", "words"),
  [
    (
      {"penalty": "r1", "penalty_weight": 0.0},
      "penalty 'r1' has no effect with weight 0: .* out for 10, the weight of",
    ),
    ({"penalty": "r1+lecam", "penalty_weights": {"lecam": 0.0}}, "penalty 'lecam' has no effect with weight 0"),
    (
      {"generator_penalty": "weight_decay", "generator_penalty_weight": 0.0},
      "generator_penalty 'weight_decay' .* above 0",
    ),
    ({"method": "consensus", "order": "simultaneous"}, "method 'consensus' has no effect with method_options.weight=0"),
    ({"instance_noise": True, "instance_noise_scale": 0.0}, "instance_noise True has no effect with instance_noise_sc"),
    ({"unroll_steps": 3, "unroll_rate": 0.0}, "unroll_steps 3 has no effect with unroll_rate=0"),
    ({"lookahead_every": 5, "lookahead_pace": 1.0}, "lookahead_every 5 has no effect with lookahead_pace=1"),
  ],
)
def test_a_switch_at_size_nothing_is_refused_unless_another_run_has_a_size(fields, words, tmp_path):
  size = next(name for name in [*fields][::-1] if name != "order")
  other = {"lecam": 0.1} if size == "penalty_weights" else 0.3
  size = "method_options.weight" if size == "method" else size
  with pytest.raises(BadInput, match=words):
    grouping.group(load(tmp_path, fields))
  runs = load(tmp_path, fields, sweep=[{}, {size: other}], single=False)
  assert len(runs) == 2
  grouping.group(runs)


def test_a_weight_that_some_runs_feel_is_accepted_and_left_out_of_the_others(tmp_path):
  base = {"penalty_weight": 0.5, "weight_constraint_options": {"bound": 0.1}}
  sweep = [{"penalty": "none"}, {"penalty": "r1"}, {"weight_constraint": "clip"}]
  runs = load(tmp_path, base, sweep=sweep, single=False)
  assert [(r["penalty_weight"], r["weight_constraint_options"]) for r in runs] == [
    (None, {}),
    (0.5, {}),
    (None, {"bound": 0.1}),
  ]
  assert runs[0] == settings.resolve()
  assert load(tmp_path, base, sweep=sweep) == [settings.resolve()]  # `train` of the same file


def test_runs_that_would_be_the_same_bits_are_one(tmp_path):
  sweep = sweeps.product(sweeps.param("penalty", ["none", "r1"]), sweeps.param("penalty_weight", [0.1, 1.0, 10.0]))
  runs = load(tmp_path, {}, sweep=sweep, single=False)
  assert [(r["penalty"], r["penalty_weight"]) for r in runs] == [("none", None), ("r1", 0.1), ("r1", 1.0), ("r1", 10.0)]


def test_the_command_line_may_take_the_effect_from_a_field_of_the_file_but_not_give_one_without(tmp_path):
  base = {"penalty": "r1", "penalty_weight": 0.5}
  assert load(tmp_path, base, ["--config.penalty=none"]) == [settings.resolve()]
  with pytest.raises(BadInput, match=r"'penalty_weight', here 3\.0, has no effect with penalty 'none'"):
    load(tmp_path, base, ["--config.penalty=none", "--config.penalty_weight=3"])
  (run,) = load(tmp_path, base, ["--config.penalty_weight=none"])
  assert run["penalty_weight"] is None


def test_every_config_of_the_repository_is_accepted():
  for path in [*(ROOT / "configs").glob("*.py"), ROOT / "configs" / "theory" / "dirac.py"]:
    for runs in sweeps.load(str(path), every=game.registered):
      assert grouping.group(runs)
