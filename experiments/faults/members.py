"""Members of a population whose weights become NaN, infinite or huge beside healthy ones."""

import json
import re
from pathlib import Path

import numpy as np

from .bench import Bench, Row, clear, copy, finish, launch, steps, told
from .states import KINDS


def diverging(bench: Bench, count: int) -> list[Row]:
  """In a checkpoint, the weights of each member in turn become not finite; `count` of all members times kinds."""
  ids = members(bench.whole)
  cases = [(i, kind) for kind in KINDS for i in range(len(ids))]
  chosen = [cases[i * len(cases) // min(count, len(cases))] for i in range(min(count, len(cases)))]
  reasons = []
  for i, (member, kind) in enumerate(chosen):
    study = copy(bench, f"member-{i}")
    bench.program.poison(study, max(steps(study)), member, kind)
    ended = finish(launch(bench, study))
    reason = "" if ended.code == 0 else f"exit code {ended.code}: {ended.error.strip()[-160:]}"
    reason = reason or alone(bench, study, ids, member) or spread(bench.whole, study, member)
    reasons += [f"{kind} in member {member}: {reason}"] if reason else []
    clear(bench, study, not reason)
    bench.done(i + 1, len(chosen), f"{kind} in member {member}: {reason or 'the others are the same bits'}")
  detail = f"NaN, infinity, a critic times 1e20: the other {len(ids) - 1} bit-identical, 'k of n' in the table"
  return [Row("a member diverges", len(chosen), len(chosen) - len(reasons), told(reasons, detail))]


def members(study: Path) -> list[str]:
  """The ids of the first group's runs, in the order of its tables' columns."""
  manifest = json.loads((study / "manifest.json").read_text())
  return [member["id"] for member in manifest["groups"][0]["members"]]


def alone(bench: Bench, study: Path, ids: list[str], member: int) -> str:
  """What is wrong with how a diverged run is listed: it alone diverged, and its loss shows one run fewer."""
  groups = json.loads((study / "status.json").read_text())["groups"]
  found = [run for group in groups.values() for run in group.get("diverged", {})]
  if found != [ids[member]]:
    return f"{len(found)} runs diverged"
  table = bench.program.table(study)
  if not re.search(r"\b(\d+)/(?!\1\b)\d+\b", table):
    return "the table does not say that a run is missing"
  if re.search(r"\bnan\b|\binf\b", table, re.I):
    return "the table averages what is not finite"
  return ""


def spread(whole: Path, study: Path, sick: int) -> str:
  """Where the healthy members of two studies differ. Tables have a column for each member, samples a first axis."""
  for path in sorted(p for table in ("rows", "quality", "samples") for p in (whole / table).rglob("*.npz")):
    name = path.relative_to(whole)
    if not (study / name).exists():
      return f"{name} is missing"
    with np.load(path) as expected, np.load(study / name) as found:
      for key in expected.files:
        a, b = expected[key], found[key]
        if key != "step" and path.stem != "real":
          axis = 0 if name.parts[0] == "samples" else -1
          a, b = np.delete(a, sick, axis), np.delete(b, sick, axis)
        if a.tobytes() != b.tobytes():
          return f"{key} of a healthy member differs in {name}"
  return ""
