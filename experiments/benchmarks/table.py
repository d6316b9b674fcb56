"""What the timings of a row say: ratios, shares and their targets, and the table that is printed. No jax import."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..tables import markdown
from .clocks import Claim, Spread, compared, ratio, spread
from .works import APART, FEW, FORMS, PENALTIES, ROWS, WHOLE, WIDTHS, Contender, Work

ROW_EVERY, SAVE_EVERY = 50, 1000  # steps: the defaults of a run


class Measured(NamedTuple):
  """The timings of one row."""

  work: Work
  contenders: Sequence[Contender]
  timings: Mapping[str, Sequence[float]]  # ms a member and step in each round, of those that were timed
  facts: Mapping[str, Mapping[str, Any]]
  absent: Mapping[str, str]  # why the others were not
  ceiling: Sequence[float]  # operations per second of a matrix product, in each round


def names(measured: Measured, library: str) -> list[str]:
  """The peers of one library."""
  return [c.name for c in measured.contenders if c.library == library and not c.name.startswith("ours")]


def claims(measured: Measured) -> list[Claim]:
  """Everything that the table says of a row."""
  of = {
    "race": _race,
    "members": _members,
    "penalty": _penalty,
    "penalties": _penalties,
    "precision": _precision,
    "cores": _cores,
    "narrow": _narrow,
    "overhead": _overhead,
    "plans": _plans,
  }
  return of[measured.work.kind](measured)


def achieved(measured: Measured, name: str) -> list[float]:
  """Operations per second of a contender in each round, by the count of the plain step; [] where it is not known."""
  count = measured.facts.get("ours", {}).get("operations")
  return [1e3 * count / ms for ms in measured.timings.get(name, ())] if count else []


def _race(measured: Measured) -> list[Claim]:
  work, timings = measured.work, measured.timings
  found = []
  for what, library in (("PyTorch", "torch"), ("plain Flax", "jax")):
    there = names(measured, library)
    if there:
      found.append(
        compared(f"{what} / ours", timings, "ours", there, work.targets.get("flax" if library == "jax" else library))
      )
  rates = achieved(measured, "ours")
  share = None
  if rates and measured.ceiling:
    share = spread([100 * rate / most for rate, most in zip(rates, measured.ceiling, strict=True)])
  return [*found, Claim("of the matrix products' ceiling", "", share, work.targets.get("ceiling"), unit="%")]


def _members(measured: Measured) -> list[Claim]:
  """The slowest count over the fastest; and the bytes that a member adds at the large end, over those in the middle."""
  work, timings = measured.work, measured.timings
  timed = [c for c in measured.contenders if timings.get(c.name)]
  slowest = None
  if len(timed) > 1:
    slowest = spread([max(each) / min(each) for each in zip(*(timings[c.name] for c in timed), strict=True)])
  sizes = [
    (c.members, int(measured.facts[c.name]["bytes"])) for c in timed if "bytes" in measured.facts.get(c.name, {})
  ]
  growth = None
  if len(sizes) > 2:
    (a, low), (b, middle), (c, high) = sizes[len(sizes) // 2 - 1], sizes[-2], sizes[-1]
    if b > a and middle > low:
      growth = spread([((high - middle) / (c - b)) / ((middle - low) / (b - a))])
  return [
    Claim("slowest count / fastest", "", slowest, work.targets.get("time"), at_least=False),
    Claim("bytes of a further member, at the end / before", "", growth, work.targets.get("memory"), at_least=False),
  ]


def _penalty(measured: Measured) -> list[Claim]:
  work, timings = measured.work, measured.timings
  plain, ours = timings.get("ours, no penalty"), timings.get("ours")
  cost = ratio(ours, plain) if plain and ours else None
  return [
    Claim("with the penalty / without", "ours, no penalty", cost, work.targets.get("none"), at_least=False),
    compared("PyTorch / ours, both with it", timings, "ours", names(measured, "torch"), work.targets.get("torch")),
  ]


def _penalties(measured: Measured) -> list[Claim]:
  plain = measured.timings.get("none")
  cost = {n: ratio(measured.timings[n], plain) for n in PENALTIES if plain and measured.timings.get(n)}
  return [Claim(f"{name} / none", "none", cost.get(name), None, at_least=False) for name in PENALTIES]


def _precision(measured: Measured) -> list[Claim]:
  return [compared("float32 / bfloat16", measured.timings, "bfloat16", ["float32"], None)]


def _cores(measured: Measured) -> list[Claim]:
  """One device / divided for each width: above 1 where dividing the batch is worth it, which runner/mesh.py decides."""
  return _by_width(measured, WIDTHS, (WHOLE, APART))


def _narrow(measured: Measured) -> list[Claim]:
  """Convolutions / products for each width: above 1 where products are worth it, which `NARROW` decides (bilinear.py)."""
  return _by_width(measured, FEW, FORMS)


def _by_width(measured: Measured, widths: Sequence[int], names: tuple[str, str]) -> list[Claim]:
  found = []
  for width in widths:
    one, other = (measured.timings.get(f"width {width}, {name}") for name in names)
    gain = ratio(one, other) if one and other else None
    found.append(Claim(f"width {width}: {names[0]} / {names[1]}", "", gain, None))
  return found


def _overhead(measured: Measured) -> list[Claim]:
  """Per cent of the bare step: rows at every 50th step, a checkpoint at every 1,000th."""
  work, timings = measured.work, measured.timings
  bare = timings.get("bare step")

  def percent(name: str, every: int) -> Spread | None:
    there = timings.get(name)
    return spread([100 * a / (every * b) for a, b in zip(there, bare, strict=True)]) if there and bare else None

  without = timings.get("bare step without average")
  average = spread([100 * (a / b - 1) for a, b in zip(bare, without, strict=True)]) if bare and without else None
  parts = {name: percent(name, ROW_EVERY) for name in ROWS}
  parts |= {"average": average, "rows": percent("rows", ROW_EVERY), "checkpoint": percent("checkpoint", SAVE_EVERY)}
  return [Claim(name, "bare step", part, work.targets.get(name), False, "%") for name, part in parts.items()]


def _plans(measured: Measured) -> list[Claim]:
  work, timings = measured.work, measured.timings
  timed = [c for c in measured.contenders if timings.get(c.name)]
  seconds = spread([ms / 1e3 for ms in timings[timed[-1].name]]) if timed else None
  peak = measured.facts[timed[-1].name].get("process_peak_bytes") if timed else None
  growth = None
  if len(timed) > 1:
    few, many = timed[0], timed[-1]
    growth = spread([r * few.members / many.members for r in ratio(timings[many.name], timings[few.name])])
  return [
    Claim("all runs", "", seconds, work.targets.get("seconds"), False, "s"),
    Claim("memory", "", spread([peak / 2**30]) if peak else None, work.targets.get("memory"), False, "GiB"),
    Claim("seconds a run, many / few", "", growth, work.targets.get("linear"), at_least=False),
  ]


def number(value: float) -> str:
  return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def lines(measured: Measured) -> list[str]:
  """Every contender of a row, for reading while the rest is measured."""
  unit = "seconds" if measured.work.kind == "plans" else "ms a member and step"
  scale = 1e-3 if measured.work.kind == "plans" else 1
  found = [f"{measured.work.name}: {measured.work.text} ({unit}, median [min, max])"]
  for contender in measured.contenders:
    name, taken = contender.name, measured.timings.get(contender.name)
    if not taken:
      found.append(f"  {name:32} {measured.absent.get(name, 'not measured')}")
      continue
    value, low, high = (number(scale * x) for x in spread(taken))
    rates = achieved(measured, name)
    speed = f"  {number(spread(rates).value / 1e9)} GFLOP/s" if rates else ""
    size = measured.facts.get(name, {}).get("bytes")
    memory = f"  {number(size / 2**20)} MiB a device" if size else ""
    found.append(f"  {name:32} {value:>8} [{low}, {high}]{speed}{memory}")
  return found


def absences(measured: Measured, library: str) -> str:
  """What stands in the table where no peer of a library was timed: 'not installed'."""
  reasons = dict.fromkeys(measured.absent[name] for name in names(measured, library) if name in measured.absent)
  return ", ".join(reasons) or "not measured"


def printed(found: Sequence[tuple[Measured, Sequence[Claim]]]) -> str:
  """The whole table."""
  rows = []
  for measured, said in found:
    for claim in said:
      reached = {None: "", True: "yes", False: "no"}[claim.reached]
      bound = f"{'>=' if claim.at_least else '<='} {claim.target:g} {claim.unit}" if claim.target is not None else ""
      if claim.spread is None:
        value = absences(measured, "torch") if claim.what.startswith("PyTorch") else "not measured"
      else:
        middle, low, high = map(number, claim.spread)
        value = f"{middle} [{low}, {high}] {claim.unit}"
      rows.append([measured.work.name, claim.what, claim.peer, value, bound, reached])
  return markdown(["work", "what", "against", "median [min, max]", "to reach", "reached"], rows)
