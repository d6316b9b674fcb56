"""Break every penalty, constraint, method and transformation of a loss on purpose, and print the score.

    python tests/support/mutants_penalties.py [FILE ...]

As `mutants.py` does for losses, with what its mutations miss here: subscripts, sum for mean, one attribute or draw for
another, a transposition or a cast left out. A mutant is executed in the module's own namespace, and the tests of
`TESTS` run on it, those that name the broken function first, until one objects. Exits with 1 where a mutant survives that
`EQUIVALENT` does not explain.
"""

import ast
import importlib
import inspect
import itertools
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_backend_optimization_level=0"
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import jax  # noqa: E402

from gan_jax.penalties.registry import PENALTIES  # noqa: E402
from tests.support.mutations import mutants, mutations  # noqa: E402

FILES = {
  "penalties.critic": "penalties.test_penalties",
  "penalties.logits": "penalties.test_penalties",
  "penalties.consistency": "penalties.test_penalties",
  "penalties.parameters": "penalties.test_penalties",
  "data.augmentations": "data.test_augmentations",
  "models.constraints": "models.test_constraints",
  "game.methods": "game.test_methods",
  "losses.transforms": "losses.test_losses",
}
# The tests of a file that has tests of much else too.
ONLY = {
  "losses.test_losses": (
    "top_k",
    "label_smoothing",
    "defaults",
    "temperature",
    "matched_gain",
    "zero_sum",
    "composition",
  )
}
# Tests of slopes of the critic, and those that only read names: what they see, others see sooner.
UNMOVED = (
  "convolutions",
  "finite_differences_tend",
  "dragan_stays",
  "tf_gan",
  "interpolates",
  "both_sides",
  "_player",
  "names",
)
SWAPS = {
  "real": "fake",
  "fake": "real",
  "real_augmented": "fake_augmented",
  "fake_augmented": "real_augmented",
  "sum": "mean",
  "square": "abs",
  "max": "mean",
  "maximum": "minimum",
  "std": "var",
  "uniform": "normal",
  "normal": "uniform",
  "zeros": "ones",
  "any": "all",
}
OMITTED = {"at_least_float32", "stop_gradient"}  # f(x) -> x

# Survivors that cannot be killed, by file, change and a part of the line, with the reason.
EQUIVALENT: dict[tuple[str, str, str], str] = {
  ("penalties.critic", "1.0 -> 2.0", "positive, jnp.sqrt"): "any number above 0 will do where it is not taken",
  ("penalties.critic", "1.0 -> 0.5", "positive, jnp.sqrt"): "any number above 0 will do where it is not taken",
  ("penalties.critic", "Add -> Sub", "critic(images + noise)"): "e and -e have one distribution",
  ("penalties.critic", "call left out", "difference = at_least"): "the other side is float32 and promotes it",
  ("penalties.critic", "real -> fake", "a = jax.random.uniform"): "reals and fakes have one shape and one dtype",
  ("penalties.critic", "real -> fake", "shift_key, real.shape"): "one shape and one dtype (the other two die)",
  ("penalties.critic", "fake -> real", "* r1("): "r1 does not look at fakes",
  ("penalties.critic", "real -> fake", "* r2("): "r2 does not look at reals",
  ("penalties.critic", "fake -> real", "r1(critic, real, fake, key) + r2"): "r1 does not look at fakes",
  ("penalties.critic", "real -> fake", "r1(critic, real, fake, key) + r2"): "r2 does not look at reals",
  ("penalties.logits", "call left out", "real, fake = at_least"): "the averages are float32 and promote it",
  ("penalties.logits", "real -> fake", "jnp.full_like(real"): "reals and fakes have one shape and one dtype",
  ("penalties.consistency", "Add -> Sub", "noise + jnp"): "e and -e have one distribution",
  ("penalties.consistency", "call left out", "jnp.square(at_least"): "the other side is float32 and promotes it",
  ("penalties.consistency", "call left out", "nearby = at_least"): "the other side is float32 and promotes it",
  ("data.augmentations", "Add -> Sub", "images + scale"): "e and -e have one distribution",
  ("constraints", "30 -> 31", "INITIAL_ITERATIONS"): "the power method has converged, or nearly",
  ("constraints", "1 -> 2", "vector / jnp.where"): "zero over any number but 0 is zero",
  ("data.augmentations", "1 -> 2", "offset[1]"): "jax takes an index past the end for the last",
  ("data.augmentations", "1 -> 2", "centres[:, 1]"): "jax takes an index past the end for the last",
  ("data.augmentations", "2 -> 3", "centres = "): "a draw that nobody reads",
  ("data.augmentations", "2 -> -1", "image.shape[:2]"): "an image has three axes",
  ("data.augmentations", "Add -> Sub", "offset["): "offsets are as likely to the left as to the right",
  ("losses.transforms", "real -> fake", "/ temperature).astype"): "reals and fakes have one dtype (the other two die)",
  ("losses.transforms", "fake -> real", "/ temperature).astype"): "reals and fakes have one dtype (the other two die)",
  ("losses.transforms", "fake -> real", "zero = jnp.zeros"): "reals and fakes have one dtype",
  ("losses.transforms", "0 -> 1", "slope = jax.grad"): "jax takes an index past the end for the last",
  ("losses.transforms", "fake -> real", "batch = fake"): "reals and fakes have one shape",
  ("losses.transforms", "1e-05 -> 5e-06", "jnp.ceil"): "any such small number will do",
  ("losses.transforms", "call left out", "rank = "): "an order has no slope of its own",
  ("constraints", "0 -> 1", "lax.fori_loop"): "one of 30 iterations less",
  ("constraints", "normal -> uniform", "start = "): "any start that is not orthogonal to the leading vector will do",
}


def changes(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
  """The mutations of losses, and these."""
  yield from mutations(node)
  if isinstance(node, ast.Attribute) and node.attr == "T":
    yield node.value, "T left out"
  elif isinstance(node, ast.Attribute) and node.attr in SWAPS:
    yield ast.Attribute(node.value, SWAPS[node.attr], node.ctx), f"{node.attr} -> {SWAPS[node.attr]}"
  elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", None)) in OMITTED:
    yield node.args[0], "call left out"
  elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd):
    yield ast.BinOp(node.left, ast.BitOr(), node.right), "and -> or"
  elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.GtE):
    yield ast.Compare(node.left, [ast.Gt()], node.comparators), ">= -> >"


def put(module: ModuleType, tree: ast.Module) -> None:
  """Run the tree in the module's namespace; what it registered before makes room."""
  for name in [name for name, penalty in PENALTIES.items() if penalty.builder.__module__ == module.__name__]:
    del PENALTIES[name]
  exec(compile(tree, str(module.__file__), "exec"), module.__dict__)


def cases(module: ModuleType, file: str) -> list[tuple[str, Callable[[], None]]]:
  """(name with arguments, thunk) of every test of a module that can see a change in that file, its marks obeyed."""
  strangers = {name for name, penalty in PENALTIES.items() if penalty.builder.__module__ != f"gan_jax.{file}"}
  found = []
  only = ONLY.get(FILES[file], ("test_",))
  for name, test in vars(module).items():
    if not any(part in name for part in only):
      continue
    if not name.startswith("test_") or (file != "penalties.critic" and any(part in name for part in UNMOVED)):
      continue
    axes, double = [], "x64" in inspect.signature(test).parameters
    for mark in [*getattr(test, "pytestmark", [])]:
      if mark.name == "usefixtures":
        double |= "x64" in mark.args
      elif mark.name == "parametrize":
        names, values = mark.args[:2]
        names = [names] if isinstance(names, str) else list(names)
        axes.append([dict(zip(names, v if len(names) > 1 else [v], strict=True)) for v in values])
    for choice in itertools.product(*axes):
      arguments = {key: value for part in choice for key, value in part.items()}
      if strangers.intersection(str(value) for value in arguments.values()):
        continue

      if "x64" in inspect.signature(test).parameters:
        arguments["x64"] = None

      def run(test=test, arguments=arguments, double=double) -> None:
        with jax.enable_x64(double):
          test(**arguments)

      found.append((f"{name}{list(arguments.values())}", run))
  return found


def enclosing(tree: ast.Module) -> dict[int, str]:
  """line -> the function that it belongs to."""
  return {
    line: node.name
    for node in tree.body
    if isinstance(node, ast.FunctionDef)
    for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
  }


def cheapest_first(tests: list) -> list:
  """Sorted by the time each takes unbroken; raises what fails then."""

  def seconds(run: Callable[[], None]) -> float:
    start = time.time()
    run()
    return time.time() - start

  for _, run in tests:
    run()  # compiles what all mutants share
  return sorted(tests, key=lambda test: seconds(test[1]))


def killed(module: ModuleType, tree: ast.Module, tests: list, first: str | None) -> str | None:
  """What objected to the mutant, or None."""
  try:
    put(module, tree)
  except Exception as error:
    return f"import: {type(error).__name__}"
  named = [t for t in tests if first and (f"'{first}'" in t[0] or first in t[0])]
  for name, run in [*named, *(t for t in tests if t not in named)]:
    try:
      run()
    except Exception as error:
      return f"{name}: {type(error).__name__}"
  return None


def main(chosen: list[str]) -> int:
  warnings.simplefilter("ignore")
  survivors, killers, total, dead, explained, start = [], {}, 0, 0, [], time.time()
  for name in chosen or FILES:
    module = importlib.import_module(f"gan_jax.{name}")
    tests = cheapest_first(cases(importlib.import_module(f"tests.{FILES[name]}"), name))
    text = Path(str(module.__file__)).read_text()
    tree, lines = ast.parse(text), text.splitlines()
    counts = [0, 0]
    for mutant, line, change in mutants(tree, changes, ("annotation", "returns")):
      objection = killed(module, mutant, tests, enclosing(tree).get(line))
      if objection is not None and objection.endswith(
        ("NameError", "UnboundLocalError", "AttributeError", "TypeError")
      ):
        continue  # it did not run: no merit of the tests'
      counts[0] += 1
      if objection is not None:
        counts[1] += 1
        killers[objection.split("[")[0]] = killers.get(objection.split("[")[0], 0) + 1
        continue
      where = f"{name}:{line}: {change}: {lines[line - 1].strip()}"
      reason = next(
        (r for (f, c, p), r in EQUIVALENT.items() if (f, c) == (name, change) and p in lines[line - 1]), None
      )
      (survivors if reason is None else explained).append(where if reason is None else f"{where} ({reason})")
      print(f"  {'SURVIVED' if reason is None else 'equivalent'} {where}", flush=True)
    put(module, tree)
    jax.clear_caches()
    total, dead = total + counts[0], dead + counts[1]
    print(f"{name}: {len(tests)} tests, {counts[1]} of {counts[0]} killed, {time.time() - start:.0f} s", flush=True)
  print(f"\nscore: {dead} of {total} mutants killed, {len(explained)} equivalent, {len(survivors)} survived")
  for text in [*(f"equivalent: {e}" for e in explained), *(f"SURVIVED {s}" for s in survivors)]:
    print(f"  {text}")
  for killer, count in sorted(killers.items(), key=lambda pair: -pair[1]):
    print(f"  {count} by {killer}")
  return 1 if survivors else 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
