"""What the README tells a newcomer to write, pasted where it says, in a copy of the tree: it works, and no more is asked.

A loss is one function and one row of known values: the tests that read the registry then hold it too.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

ROW = """
KNOWN["twice"] = Known(bce, lambda r, f: -2 * np.log(sg(f)), (5.833865891654, 2.771641759892))
"""
PENALTY = '''

from gan_jax.penalties import of_critic


@of_critic(1.0)
def steepness(critic, real, fake, key):
  """|grad D(x)|^2 / 4 at real x."""
  return 0.5 * r1(critic, real, fake, key)
'''
PROBE = """

from gan_jax.probes import probe


@probe({"logits/spread": "standard deviation of the real logits"})
def spread(trace):
  return {"logits/spread": trace.generator.real_logits.std()}
"""
LOADER = """

from gan_jax.data import Dataset
"""
# The battery of a loss, and tests that walk through all losses; not those that compile all of them once more.
BATTERY = {
  "losses/test_losses.py": "twice or has_a_row or printable or ranges",
  "experiments/test_dirac_study.py": "leaves_nothing_out",
  "experiments/test_divergence_landscape.py": "verdicts_of_the_config",
  "test_structure.py": "loss_table",
  "probes/test_probes.py": "threshold and twice",
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
  """The tree with a loss, a penalty, a probe and an import of a loader's, each at the end of a file of its kind."""
  root = tmp_path_factory.mktemp("copy")
  for part in ("gan_jax", "tests", "configs", "experiments"):
    shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__", "figures"))
  for part in ("README.md", "pyproject.toml"):
    shutil.copy(ROOT / part, root / part)
  blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
  (example,) = [block for block in blocks if "@register" in block]
  pasted = {
    "gan_jax/losses/logistic.py": f"\n\n{example}",
    "gan_jax/penalties/critic.py": PENALTY,
    "gan_jax/probes/winning.py": PROBE,
    "gan_jax/data/line.py": LOADER,
    "tests/support/known_losses.py": ROW,
  }
  for file, text in pasted.items():
    with (root / file).open("a") as handle:
      handle.write(text)
  return root


def python(root, *arguments):
  environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
  return subprocess.run(
    [sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True, check=False
  )


def test_what_was_pasted_is_registered_and_a_config_may_name_it(copy):
  code = """
import gan_jax, pathlib
assert pathlib.Path(gan_jax.__file__).is_relative_to(pathlib.Path.cwd())
from gan_jax import losses, penalties, probes, settings; from gan_jax.runner import grouping
assert "twice" in losses.LOSSES and "steepness" in penalties.PENALTIES and "logits/spread" in probes.EXPLANATIONS[""]
(group,) = grouping.group([settings.resolve({"loss": "top_k(twice)", "penalty": "steepness", "penalty_weight": 1.0})])
"""
  done = python(copy, "-c", code)
  assert done.returncode == 0, done.stderr


def test_the_battery_of_losses_asks_for_a_function_and_a_row_only(copy):
  files = [str(copy / "tests" / name) for name in BATTERY]
  chosen = " or ".join(f"({Path(name).stem} and ({words}))" for name, words in BATTERY.items())
  done = python(copy, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", chosen, *files)
  assert done.returncode == 0, done.stdout[-3000:]
  assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 14
