"""Formulas as the cards of losses print them, read and computed in NumPy: what a reader sees is what is computed.

A text is `FORMULA[, NAME = FORMULA ...][; remark]`. In a formula products may be written by juxtaposition (`0.5 (r - f)`,
`3k`), and then bind as `*` and `/` do, from left to right; a function's name takes the parenthesis that follows it at
once, and otherwise the whole product that follows (`log p/q`, `mean_i e^(-r_i)`); `[a < b]` is 1 where it holds and else
0. Of a batch: r and f are the logits of one example, R and F the batch means, B its size; r_i, r_j, f_i and f_j those that
`mean_i`, `mean_j`, `sum_i` and `sum_j` run over, and `mean_pairs` the pairs of which i and j differ.

The tests hold every card's text to the code of its loss; the report draws the slope from it. Nothing is evaluated as
Python, so a text may come from a file.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import special

TOKEN = re.compile(r"\s*(?:(?P<number>\d+\.?\d*)|(?P<name>[A-Za-z]\w*)|(?P<sign>[-+*/^()\[\]<>,=]))")
FUNCTIONS: dict[str, Callable[..., Any]] = {
  "softplus": lambda x: np.logaddexp(0, x),
  "sigmoid": special.expit,
  "relu": lambda x: np.maximum(x, 0),
  "omega": special.wrightomega,
  "log": np.log,
  "exp": np.exp,
  "sqrt": np.sqrt,
  "sign": np.sign,
  "tanh": np.tanh,
  "cosh": np.cosh,
  "abs": np.abs,
  "max": np.maximum,
  "min": np.minimum,
  "mean_pairs": lambda x: (np.sum(x) - np.trace(x)) / (len(x) * (len(x) - 1)),
  "mean_i": lambda x: np.mean(x, axis=0, keepdims=True),
  "mean_j": lambda x: np.mean(x, axis=1, keepdims=True),
  "sum_i": lambda x: np.sum(x, axis=0, keepdims=True),
  "sum_j": lambda x: np.sum(x, axis=1, keepdims=True),
}


class Unreadable(ValueError):
  """A text that is no formula."""


class Reader:
  """Recursive descent: sum, product, power, atom. Values are computed while reading."""

  def __init__(self, text: str, names: Mapping[str, Any]):
    self.text, self.names, self.tokens, place = text, names, [], 0
    for match in TOKEN.finditer(text):
      if match.start() != place:
        break
      self.tokens.append((match[match.lastgroup or ""], match.lastgroup, match.start(match.lastgroup or "")))
      place = match.end()
    if text[place:].strip():
      raise Unreadable(f"{text!r}: cannot read {text[place:]!r}")
    self.at = 0

  def next(self) -> str:
    return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

  def take(self, expected: str = "") -> str:
    token = self.next()
    if not token or (expected and token != expected):
      raise Unreadable(f"{self.text!r}: expected {expected or 'more'!r}, got {token or 'the end'!r}")
    self.at += 1
    return token

  def whole(self) -> Any:
    value = self.sum()
    if self.next():
      raise Unreadable(f"{self.text!r}: nothing expected after the formula, got {self.next()!r}")
    return value

  def sum(self) -> Any:
    value = self.product()
    while self.next() in ("+", "-"):
      sign = self.take()
      if self.next() in ("+", "-"):
        raise Unreadable(f"{self.text!r}: two signs in a row")
      other = self.product()
      value = value + other if sign == "+" else value - other
    return value

  def product(self) -> Any:
    if self.next() == "-":
      self.take()
      if self.next() in ("+", "-"):
        raise Unreadable(f"{self.text!r}: two signs in a row")
      return -self.product()
    value = self.power()
    while self.next() in ("*", "/", "(", "[") or self.kind() in ("name", "number"):
      if self.next() == "/":
        self.take()
        with np.errstate(invalid="ignore"):  # 0/0 is NaN, for the caller to see
          value = np.divide(value, self.power())
      else:
        if self.next() == "*":
          self.take()
        value = value * self.power()
    return value

  def kind(self) -> str:
    return (self.tokens[self.at][1] or "") if self.at < len(self.tokens) else ""

  def power(self) -> Any:
    value = self.atom()
    if self.next() == "^":
      self.take()
      negative = self.next() == "-" and bool(self.take())
      exponent = self.atom()
      return np.power(value, -exponent if negative else exponent)
    return value

  def atom(self) -> Any:
    kind, token = self.kind(), self.take()
    start = self.tokens[self.at - 1][2]
    if kind == "number":
      return float(token)
    if kind == "name":
      found = self.names.get(token, FUNCTIONS.get(token))
      if found is None:
        raise Unreadable(f"{self.text!r}: {token!r} has no meaning")
      if not callable(found):
        return found
      called = self.text[start + len(token) : start + len(token) + 1] == "("
      return found(*self.arguments()) if called else found(self.product())
    if token == "(":
      value = self.sum()
      self.take(")")
      return value
    if token == "[":
      left, sign, right = self.sum(), self.take(), self.sum()
      self.take("]")
      if sign not in ("<", ">"):
        raise Unreadable(f"{self.text!r}: expected a comparison in brackets")
      return np.where(left < right if sign == "<" else left > right, 1.0, 0.0)
    raise Unreadable(f"{self.text!r}: unexpected {token!r}")

  def arguments(self) -> list[Any]:
    self.take("(")
    values = [self.sum()]
    while self.next() == ",":
      self.take()
      values.append(self.sum())
    self.take(")")
    return values


def parts(text: str) -> tuple[str, list[str]]:
  """(formula, definitions) of a text, without its remark."""
  formula, *definitions = re.split(r", (?=\w+(?:\(\w+\))? = )", text.split("; ")[0])
  return formula, definitions


def define(definitions: list[str], names: Mapping[str, Any]) -> dict[str, Any]:
  """The names with those that are defined, the last definition first: it may be used by those before it."""
  known = dict(names)
  for text in reversed(definitions):
    match = re.fullmatch(r"(\w+)(?:\((\w+)\))? = (.*)", text)
    if match is None:
      raise Unreadable(f"{text!r} is no definition; a remark comes after '; '")
    name, argument, body = match.groups()
    if argument is None:
      known[name] = Reader(body, known).whole()
    else:  # looks its names up when it is called: another k makes another l
      known[name] = lambda value, body=body, argument=argument: Reader(body, {**known, argument: value}).whole()
  return known


def evaluate(text: str, names: Mapping[str, Any], before: str = "") -> Any:
  """The value of a text; definitions of the text `before` it hold in it too, its own win.

  Raises:
    Unreadable: the text is no formula.
  """
  formula, own = parts(text)
  replaced = {definition.split(" = ")[0] for definition in own}
  inherited = [d for d in parts(before)[1] if d.split(" = ")[0] not in replaced] if before else []
  return Reader(formula, define([*inherited, *own], names)).whole()


def of_batch(real: np.ndarray, fake: np.ndarray, options: Mapping[str, float]) -> dict[str, Any]:
  """What the letters of a card mean: see the head of this file."""
  return {
    "e": np.e,
    "r": real[None, :],
    "f": fake[None, :],
    "r_i": real[:, None],
    "f_j": fake[None, :],
    "r_j": real[None, :],
    "f_i": fake[:, None],
    "R": real.mean(),
    "F": fake.mean(),
    "B": float(len(fake)),
    **options,
  }
