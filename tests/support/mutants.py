"""Break every loss on purpose and see the battery notice: `python tests/support/mutants.py [FILE ...]` prints the score.

Each mutant is one change to the syntax tree of one file of `gan_jax/losses`: a sign flipped, + for -, * for /, a comparison
turned, a number changed (a half dropped, a target moved, another axis), real and fake exchanged, max for min, one function
for its neighbour. The file is compiled anew, its losses are registered in a scratch registry, and `known_losses.CHECKS` run
on each until one objects. A mutant that does not run at all is not counted. Not collected by pytest; exits with 1 where
a mutant survives that `EQUIVALENT` does not explain. `mutants_penalties.py` does the same for penalties.
"""

import ast
import importlib
import os
import sys
import time
import types
import warnings
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import jax  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

from gan_jax import losses  # noqa: E402
from gan_jax.losses import registry  # noqa: E402
from tests.support.known_losses import CHECKS, check_row, measured  # noqa: E402
from tests.support.mutations import mutants  # noqa: E402

# A file, and the files that must be run again where it changes. The last ones register.
FILES = {
  "logistic": ["logistic"],
  "least_squares": ["least_squares"],
  "margins": ["margins"],
  "relativistic": ["relativistic"],
  "contrastive": ["contrastive"],
  "kernels": ["kernels"],
  "transport": ["transport"],
  "equilibrium": ["equilibrium"],
  "tilted": ["tilted"],
  "f_divergences": ["f_divergences", "f_gan"],
  "f_gan": ["f_gan"],
  "special": ["special", "least_squares", "tilted", "f_divergences", "f_gan"],
}

# Survivors that cannot be killed, by file, change and a part of the line, with the reason: the program means the same.
EQUIVALENT = {
  ("margins", "fake -> real", "jnp.ones_like(fake)"): "reals and fakes have one shape and one dtype",
  ("kernels", "1 -> 2", "return jnp.sum(jnp.where(different"): "of a batch of one the sum is 0",
  ("kernels", "fake -> real", "/ max(fake.size - 1, 1)"): "reals and fakes have one shape",
  ("kernels", "fake -> real", "jnp.full_like(fake"): "reals and fakes have one shape and one dtype (the others die)",
  **{
    ("transport", change, "return -epsilon * (logsumexp"): "a constant of each of the three costs, which cancels"
    for change in ("Sub -> Add", "log -> log1p")
  },
  ("transport", "8 -> 9", "still = 8"): "it stops a rounding earlier",
  ("transport", "300 -> 301", "MOST = 300"): "a round more where the iteration has not converged",
  ("equilibrium", "fake -> real", "jnp.ones_like(fake)"): "reals and fakes have one shape and one dtype",
  ("tilted", "fake -> real", "-fake.size * softmax"): "reals and fakes have one shape",
  ("tilted", "1.0 -> 2.0", "safe = jnp.where"): "any number but 0 will do in the branch that is not taken",
  ("tilted", "1.0 -> 0.5", "safe = jnp.where"): "any number but 0 will do in the branch that is not taken",
  ("special", "1.0 -> 2.0", "inside = jnp.where"): "any number above 0 will do in the branch that is not taken",
  ("special", "1.0 -> 0.5", "inside = jnp.where"): "any number above 0 will do in the branch that is not taken",
  ("special", "20 -> 21", "high = v"): "both branches are exact from 20 to 21",
  ("f_divergences", "Mult -> Div", "0.5 * jnp.sign"): "a sign is its own reciprocal",
  ("special", "20 -> 21", "low = x"): "both branches are exact from -21 to -20",
  ("special", "0.0 -> 1.0", "inside = jnp.where"): "any number will do in the branch that is not taken",
  ("special", "0.0 -> 1.0", "x - 0.5 * jnp.exp"): "where it is taken x is below 0",
  **{
    ("special", change, "y = jnp.where(z > 1"): "Newton's method arrives from any start near the solution"
    for change in ("1 -> 2", "1 -> 0", "log -> log1p", "1.0 -> 2.0", "1.0 -> 0.5", "sigmoid -> softplus")
  },
  ("special", "5 -> 6", "range"): "a step of Newton's method more than it takes",
}


def source(name: str) -> Path:
  return ROOT / "gan_jax" / "losses" / f"{name}.py"


def registered(files: list[str], tree: ast.Module) -> tuple[dict[str, tuple], dict]:
  """What the files enter, the first of them replaced by the tree: losses, and rows of the table of f-divergences.

  Global state is as before afterwards.
  """
  kept = dict(registry.LOSSES), dict(registry.CARDS)
  modules = {name: sys.modules[f"gan_jax.losses.{name}"] for name in files}
  registry.LOSSES.clear()
  registry.CARDS.clear()
  try:
    for name in files:
      module = types.ModuleType(f"gan_jax.losses.{name}")
      module.__file__ = str(source(name))
      sys.modules[module.__name__] = module
      code = tree if name == files[0] else ast.parse(source(name).read_text())
      exec(compile(code, str(source(name)), "exec"), module.__dict__)
    table = getattr(sys.modules["gan_jax.losses.f_divergences"], "DIVERGENCES", {}) if "f_divergences" in files else {}
    return {name: (registry.LOSSES[name].builder, registry.CARDS[name]) for name in registry.LOSSES}, table
  finally:
    for name, module in modules.items():
      sys.modules[f"gan_jax.losses.{name}"] = module
    for registered_now, before in zip((registry.LOSSES, registry.CARDS), kept, strict=True):
      registered_now.clear()
      registered_now.update(before)


def rows(tree: ast.Module) -> dict[int, str]:
  """Which row of a table (a dict of calls) each line belongs to: where to look for the damage first."""
  return {
    line: key.value
    for node in ast.walk(tree)
    if isinstance(node, ast.Dict)
    for key, value in zip(node.keys, node.values, strict=True)
    if isinstance(key, ast.Constant) and isinstance(value, ast.Call)
    for line in range(value.lineno, (value.end_lineno or value.lineno) + 1)
  }


def killed(files: list[str], tree: ast.Module, likely: str | None = None) -> str | None:
  """What objected to the mutant, or None."""
  try:
    found, table = registered(files, tree)
  except Exception as error:
    return f"import: {type(error).__name__}"
  for row in [likely] if likely in table else table:
    try:
      check_row(row, table[row])
    except Exception as error:
      return f"check_row({row}): {type(error).__name__}"
  suspects = [name for name in found if likely is not None and name.startswith(f"f_gan_{likely}")]
  seen = {}
  for (
    check,
    part,
  ) in CHECKS.items():  # the cheap check first; a change in a row can reach only that row's losses
    for name in suspects or found:
      build, card = found[name]
      try:
        if (name, part) not in seen:
          seen[name, part] = measured({name: (build, card)}, part)[name]
        check(name, build, card, seen[name, part])
      except Exception as error:
        return f"{check.__name__}({name}): {type(error).__name__}"
  return None


def main(chosen: list[str]) -> int:
  warnings.simplefilter("ignore")
  importlib.import_module("gan_jax.losses")
  survivors, total, explained, start = [], 0, 0, time.time()
  for name in chosen or FILES:
    text = source(name).read_text()
    tree, lines = ast.parse(text), text.splitlines()
    objection = killed(FILES[name], tree)
    assert objection is None, f"{name} fails unbroken: {objection}"
    count, alive, crashed, table = 0, 0, 0, rows(tree)
    for mutant, line, change in mutants(tree):
      count += 1
      objection = killed(FILES[name], mutant, table.get(line))
      if objection is not None and objection.endswith(("NameError", "TypeError", "AttributeError")):
        crashed += 1  # it did not run: no merit of the battery's
      elif objection is None:
        if any((name, change) == key[:2] and key[2] in lines[line - 1] for key in EQUIVALENT):
          explained += 1
        else:
          alive += 1
          survivors.append(f"{name}.py:{line}: {change}: {lines[line - 1].strip()}")
    jax.clear_caches()  # every mutant compiled functions of its own
    total += count - crashed
    runs = count - crashed
    print(f"{name}: {runs - alive} of {runs} killed or explained, {time.time() - start:.0f} s", flush=True)
  print(f"\nscore: {total - len(survivors) - explained} of {total} mutants killed, {explained} equivalent")
  for (name, change, place), reason in EQUIVALENT.items():
    print(f"  equivalent: {name}.py, {change} in `{place}`: {reason}")
  for survivor in survivors:
    print(f"  SURVIVED {survivor}")
  assert losses.LOSSES  # the registry is as it was
  return 1 if survivors else 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
