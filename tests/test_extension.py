"""Each kind of thing is added in the files that the README names and no others: in a copy of the tree, by doing it.

All are added to one copy, whose own tests are then run: those that walk through a registry or through the fields of a
run. They find what was added there without being told of it, and hold it to the row that comes with it.
"""

import os
import re
import shutil
import subprocess
import sys
from typing import Any, NamedTuple

import pytest

from tests.conftest import ROOT

PARTS = ("gan_jax", "tests", "configs", "experiments", "README.md", "pyproject.toml")


class Addition(NamedTuple):
  """One new thing."""

  name: str  # under which it is registered
  files: dict[str, str]  # what is written where: a new file, or more text at the end of one that is there
  config: dict[str, Any]  # names it, with an option where it has one
  tests: int  # of the copy's own that must have tried it by its name
  rows: dict[str, tuple[str, str]]  # a line of a table, by file: (what the table's first line begins with, the line)


def example_of_the_readme() -> str:
  page = ROOT / "gan_jax" / "losses" / "README.md"
  blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
  (example,) = [block for block in blocks if "@register" in block]
  return f"\n\n{example}"


ADDED = {
  "loss": Addition(
    "twice",
    {"gan_jax/losses/logistic.py": example_of_the_readme()},
    {"loss": "temperature(twice)", "loss_options.temperature": 2.0},
    10,
    {
      "tests/support/known_losses.py": (
        "KNOWN",
        '  "twice": Known(bce, lambda r, f: -2 * np.log(sg(f)), (5.833865891654, 2.771641759892)),',
      )
    },
  ),
  "penalty": Addition(
    "steepness",
    {
      "gan_jax/penalties/critic.py": '''

from gan_jax.penalties import of_critic


@of_critic(1.0)
def steepness(critic, real, fake, key, *, share: Annotated[ArrayLike, Option("of R1", 0)] = 0.5):
  """|grad D(x)|^2 / 4 at real x."""
  return share * r1(critic, real, fake, key)
'''
    },
    {"penalty": "steepness", "penalty_options.steepness.share": 0.25},
    9,
    {"tests/penalties/test_penalties.py": ("LINEAR", '  "steepness": lambda w: 0.25 * w**2,')},
  ),
  "model": Addition(
    "shallow",
    {
      "gan_jax/models/shallow.py": '''
from typing import Annotated

from gan_jax.core.registry import Option
from gan_jax.models import register
from gan_jax.models.mlp import mlp


@register()
def shallow(image_shape, classes, latent_size, conditional, *, width: Annotated[int, Option("hidden units", 1)] = 64):
  """One hidden layer."""
  return mlp(image_shape, classes, latent_size, conditional, generator_width=width, discriminator_width=width, depth=1)
'''
    },
    {"model": "shallow", "model_options.width": 16},
    4,
    {"tests/models/test_models.py": ("SHAPES", '  "shallow": [(8, 8, 1)],')},
  ),
  "dataset": Addition(
    "cross",
    {
      "gan_jax/data/cross.py": '''
from typing import Annotated

import numpy as np

from gan_jax.core.registry import Option
from gan_jax.data import register
from gan_jax.data.mixtures import mixture


@register()
def cross(*, arm: Annotated[float, Option("length", 0.1, 10.0)] = 1.0):
  """Four modes at right angles."""
  return mixture(arm * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], np.float32), 0.1)
'''
    },
    {"dataset": "cross", "dataset_options.arm": 2.0},
    2,
    {"tests/data/test_data.py": ("KNOWN", '  "cross": (100_000, range(4)),')},
  ),
  "metric": Addition(
    "radius",
    {
      "gan_jax/metrics/radius.py": '''
from typing import Annotated

import jax.numpy as jnp
import numpy as np

from gan_jax.core.registry import Option
from gan_jax.metrics import Quality, register
from gan_jax.metrics.chunks import in_chunks


@register("radius", lambda dataset: False, lambda data: "" if data.kind == "points" else "expected points, got images")
def radius(dataset, cache, *, order: Annotated[float, Option("of the mean", 1, 4)] = 1.0):
  """Mean distance from the origin."""
  measure = lambda draw, count, near: jnp.mean(jnp.linalg.norm(in_chunks(draw, count), axis=1) ** order)
  finish = lambda found: {"points/radius": np.asarray(found) ** (1 / order)}
  return Quality(measure, finish, {"points/radius": "mean distance from the origin"}, {})
'''
    },
    {"metrics": "radius", "metric_options.radius.order": 2.0},
    2,
    {"tests/metrics/test_metrics.py": ("KNOWN", '  "radius": ("ring", None, {"points/radius": 1}),')},
  ),
  "optimizer": Addition(
    "nesterov",
    {
      "gan_jax/game/optimizers.py": '''

@OPTIMIZERS.register()
def nesterov(rate: ArrayLike, *, beta1: Momentum = 0.5) -> optax.GradientTransformation:
  """m <- g + beta1 m, x <- x - rate (g + beta1 m)."""
  return optax.chain(optax.trace(beta1, nesterov=True), optax.scale_by_learning_rate(rate))
'''
    },
    {"optimizer": "nesterov", "optimizer_options.beta1": 0.3},
    6,
    {
      "tests/game/test_optim.py": (
        "REFERENCE",
        '  "nesterov": lambda r, b1, b2: (lambda m: lambda g: -r * g + b1 * m(g))(momentum(r, b1, b2)),',
      )
    },
  ),
  "method": Addition(
    "stretched",
    {
      "gan_jax/game/methods.py": '''

@METHODS.register(facts=Facts(second_order=False))
def stretched(field: Field, point: Point, *, factor: Annotated[ArrayLike, Option("factor", 0, traced=True)] = 1.0):
  """factor * v."""
  v, views = field(point)
  return jax.tree.map(lambda x: factor * x, v), views
'''
    },
    {"method": "stretched", "method_options.factor": 0.5, "order": "simultaneous"},
    4,
    {"tests/game/test_methods.py": ("KNOWN", '  "stretched": lambda v, weight: weight * v,')},
  ),
  "augmentation": Addition(
    "brighten",
    {
      "gan_jax/data/augmentations.py": '''

@register()
def brighten(images: Array, key: Key, *, by: Annotated[float, Option("largest change", 0)] = 0.1) -> Array:
  """x + u, u uniform in [-by, by], one for each example."""
  shape = (len(images), *[1] * (images.ndim - 1))
  return images + by * jax.random.uniform(key, shape, images.dtype, -1, 1)
'''
    },
    {"penalty": "bcr", "augmentation": "brighten", "augmentation_options.by": 0.2},
    4,
    {"tests/data/test_augmentations.py": ("MEANS", '  "brighten": lambda x: x,')},
  ),
  "constraint": Addition(
    "halved",
    {
      "gan_jax/models/constraints.py": '''

@CONSTRAINTS.register("halved")
def halved(*, share: Annotated[ArrayLike, Option("of the weights that is kept", 0, 1, traced=True)] = 0.5) -> Constraint:
  """Every weight times `share`, in each forward pass."""
  bind = lambda params, memory: jax.tree.map(lambda x: share * x, params)
  return unconstrained()._replace(bind=bind, binds=True)
'''
    },
    {"weight_constraint": "halved", "weight_constraint_options.share": 0.9},
    2,
    {"tests/models/test_constraints.py": ("KNOWN", '  "halved": lambda w: 0.5 * w,')},
  ),
  "probe": Addition(
    "spread",
    {
      "gan_jax/probes/winning.py": '''

@probe({"logits/spread": "standard deviation of the real logits"})
def spread(trace):
  """How far the real logits lie apart."""
  return {"logits/spread": trace.generator.real_logits.std()}
'''
    },
    {"probes": "all"},
    1,
    {"tests/probes/test_probes.py": ("KNOWN", '  "logits/spread": lambda t: np.std(t.generator.real_logits),')},
  ),
  "group": Addition(
    "medians",
    {
      "gan_jax/probes/medians.py": '''
from typing import Annotated

import jax.numpy as jnp

from gan_jax.core.registry import Option
from gan_jax.probes import probe


@probe({"logits/real_quantile": "quantile of the real logits"}, group="medians")
def medians(trace, *, at: Annotated[float, Option("which one", 0, 1)] = 0.5):
  """Quantiles of logits."""
  return {"logits/real_quantile": jnp.quantile(trace.generator.real_logits, at)}
'''
    },
    {"probes": "medians", "probe_options.medians.at": 0.9},
    2,
    {
      "tests/probes/test_probes.py": (
        "KNOWN",
        '  "logits/real_quantile": lambda t: np.median(t.generator.real_logits),',
      ),
    },
  ),
  "field": Addition(
    "patience",
    {},
    {"patience": 3},
    0,
    {"gan_jax/settings/fields.py": ("FIELDS", '  "patience": Field(2, "static", "how long one waits", 1, 10),')},
  ),
}
# Tests of the copy, besides those with the name of an addition, that walk through a registry or through the fields. Not
# those that compile all losses once more.
WALKS = {
  "tests/core/test_registry.py": "for_every_field or may_ask_for",
  "tests/data/test_augmentations.py": "",
  "tests/data/test_data.py": "",
  "tests/experiments/test_dirac_study.py": "leaves_nothing_out",
  "tests/experiments/test_divergence_landscape.py": "verdicts_of_the_config",
  "tests/game/test_methods.py": "",
  "tests/game/test_optim.py": "adaptive",
  "tests/losses/test_losses.py": "has_a_row or printable or ranges",
  "tests/metrics/test_metrics.py": "",
  "tests/models/test_constraints.py": "",
  "tests/models/test_models.py": "",
  "tests/penalties/test_penalties.py": "has_known_values",
  "tests/probes/test_probes.py": "is_explained or diverged_member",
  "tests/settings/test_effects.py": "every_field",
  "tests/settings/test_settings.py": "kinds or described or default",
  "tests/test_structure.py": "loss_table",
}
NAMED = """
import pathlib

import gan_jax
import pytest
from gan_jax import game, settings
from gan_jax.runner import grouping

CONFIGS = {configs!r}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_config_names(kind):
  assert pathlib.Path(gan_jax.__file__).is_relative_to(pathlib.Path.cwd())
  (group,) = grouping.group([settings.resolve(CONFIGS[kind])])
  assert game.complete(group.configs[0]) == group.configs[0]
  (field,) = [name for name in CONFIGS[kind] if "_options" in name] or [None]
  if field:
    found = group.configs[0]
    for part in field.split("."):
      found = found[part]
    assert found == CONFIGS[kind][field]
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, str]:
  """'PASSED', 'FAILED' or 'ERROR' of each test that was run in a copy with all additions."""
  copy = tmp_path_factory.mktemp("copy")
  for part in PARTS:
    if (ROOT / part).is_dir():
      shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__", "figures"))
    else:
      shutil.copy(ROOT / part, copy / part)
  for addition in ADDED.values():
    add(addition, copy)
  (copy / "tests" / "test_named.py").write_text(NAMED.format(configs={k: a.config for k, a in ADDED.items()}))
  named = " or ".join(f"{a.name}" for a in ADDED.values())
  walks = " or ".join(f"({file.split('/')[-1].removesuffix('.py')} and ({w}))" for file, w in WALKS.items() if w)
  command = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=short", "-p", "no:cacheprovider"]
  command += ["-k", f"{named} or {walks} or test_named", *WALKS, "tests/test_named.py"]
  environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
  done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
  print(done.stdout[-10_000:], done.stderr[-3000:])
  found = re.findall(r"^(PASSED|FAILED|ERROR) (\S+::\S+)", done.stdout, re.M)
  assert found, done.stdout + done.stderr
  return {test: outcome for outcome, test in found}


def add(addition, root):
  for file, text in addition.files.items():
    with (root / file).open("a") as handle:
      handle.write(text)
  for file, (table, line) in addition.rows.items():
    text, count = re.subn(rf"^({table}[ :].*\n)", rf"\g<1>{line}\n", (root / file).read_text(), flags=re.M)
    assert count == 1, f"{file} expected one line that begins with {table}, got {count}"
    (root / file).write_text(text)


@pytest.mark.parametrize("kind", ADDED)
def test_what_is_added_in_its_files_is_named_by_a_config_and_tried(kind, outcomes):
  addition = ADDED[kind]
  assert len(addition.files | addition.rows) == (1 if kind == "field" else 2)
  assert outcomes[f"tests/test_named.py::test_a_config_names[{kind}]"] == "PASSED"
  mine = {test: outcome for test, outcome in outcomes.items() if re.search(rf"[\[-]{addition.name}\b", test)}
  assert len(mine) >= addition.tests
  assert set(mine.values()) <= {"PASSED"}, mine


def test_nothing_that_walks_through_a_registry_asks_for_more(outcomes):
  failed = sorted(test for test, outcome in outcomes.items() if outcome != "PASSED")
  assert not failed
  assert all(any(test.startswith(file) for test in outcomes) for file in WALKS)
