"""Small changes to a syntax tree, each of which a good battery of tests must notice. No jax import."""

import ast
import copy
from collections.abc import Callable, Iterator

SWAPS = {"real": "fake", "fake": "real", "r": "f", "f": "r"}
NEIGHBOURS = {
  "softplus": "relu",
  "relu": "softplus",
  "sigmoid": "softplus",
  "log_sigmoid": "sigmoid",
  "exp": "expm1",
  "expm1": "exp",
  "log": "log1p",
  "log1p": "log",
  "sqrt": "log1p",
  "mean": "sum",
  "sign": "tanh",
}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
COMPARISONS = {ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.Eq: ast.NotEq}
# What a card says in words, and ranges, are not what these checks hold (overflows_at they do).
SKIPPED = {"title", "reference", "ranges", "options", "strict"}
Mutations = Callable[[ast.AST], Iterator[tuple[ast.AST, str]]]


def mutations(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
  """The nodes that could stand in place of `node`, with a name for the change."""
  if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
    operator = OPERATORS[type(node.op)]
    yield ast.BinOp(node.left, operator(), node.right), f"{type(node.op).__name__} -> {operator.__name__}"
  elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
    yield node.operand, "sign flipped"
  elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
    operator = COMPARISONS[type(node.ops[0])]
    yield ast.Compare(node.left, [operator()], node.comparators), f"{type(node.ops[0]).__name__} turned"
  elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
    for value in (node.value + 1, 0.5 * node.value) if type(node.value) is float else (node.value + 1, 1 - node.value):
      if value != node.value:
        yield ast.Constant(value), f"{node.value} -> {value}"
  elif isinstance(node, ast.Constant) and type(node.value) is bool:
    yield ast.Constant(not node.value), f"{node.value} -> {not node.value}"
  elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in SWAPS:
    yield ast.Name(SWAPS[node.id], node.ctx), f"{node.id} -> {SWAPS[node.id]}"
  elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in NEIGHBOURS:
    yield ast.Name(NEIGHBOURS[node.id], node.ctx), f"{node.id} -> {NEIGHBOURS[node.id]}"
  elif isinstance(node, ast.Attribute) and node.attr in NEIGHBOURS:
    yield ast.Attribute(node.value, NEIGHBOURS[node.attr], node.ctx), f"{node.attr} -> {NEIGHBOURS[node.attr]}"


def mutants(
  tree: ast.Module, changes: Mutations = mutations, unentered: tuple[str, ...] = ("annotation", "returns", "slice")
) -> Iterator[tuple[ast.Module, int, str]]:
  """Every copy of the tree with one node exchanged: (tree, line, change). The fields `unentered` stay as they are."""

  def walk(node: ast.AST, path: tuple) -> Iterator[tuple[tuple, ast.AST]]:
    for field, value in ast.iter_fields(node):
      if isinstance(node, ast.keyword) and node.arg in SKIPPED:
        return
      if field in unentered or isinstance(node, (ast.Import, ast.ImportFrom, ast.ClassDef)):
        continue
      for i, child in enumerate(value) if isinstance(value, list) else ((None, value),):
        if isinstance(child, ast.AST):
          yield (*path, (field, i)), child
          yield from walk(child, (*path, (field, i)))

  for path, node in walk(tree, ()):
    for replacement, change in changes(node):
      mutant = copy.deepcopy(tree)
      place = mutant
      for field, i in path[:-1]:
        place = getattr(place, field) if i is None else getattr(place, field)[i]
      field, i = path[-1]
      if i is None:
        setattr(place, field, replacement)
      else:
        getattr(place, field)[i] = replacement
      ast.fix_missing_locations(mutant)
      yield mutant, node.lineno, change
