"""Files of a study that are damaged while nobody writes it: nothing wrong is loaded, and nothing is deleted."""

import hashlib
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from .bench import TABLES, Bench, Ended, Row, contents, copy, done, finish, launch, one_sentence, told, wrong

KINDS = ("checkpoints", "rows", "manifest.json", "status.json")
REPLACED = ("status.json", "status.copy.json", "report.html", "lock")  # intact ones are written again by every launch


def flip(path: Path, source: random.Random) -> None:
  """One bit, at a random place."""
  content = bytearray(path.read_bytes())
  content[source.randrange(len(content))] ^= 1 << source.randrange(8)
  path.write_bytes(content)


def truncate(path: Path, source: random.Random) -> None:
  path.write_bytes(path.read_bytes()[: source.randrange(path.stat().st_size)])


def zero(path: Path, source: random.Random) -> None:
  path.write_bytes(bytes(path.stat().st_size))


def delete(path: Path, source: random.Random) -> None:
  path.unlink()


def files(study: Path, kind: str = "") -> list[Path]:
  """All files with contents, or those of one kind, in a fixed order."""
  found = [path for path in sorted(study.rglob("*")) if path.is_file() and path.stat().st_size]
  return [path for path in found if path.relative_to(study).parts[0] == kind or not kind]


def judged(bench: Bench, study: Path, before: dict[str, str], damaged: Sequence[str]) -> tuple[str, str]:
  """Launch a damaged study: ('healed', '1' or '2' for how it went on or refused, what was wrong with that)."""
  ended = finish(launch(bench, study))
  after = contents(study)
  lost = gone(before, after, damaged)
  if lost:
    return str(ended.code), f"{lost[0]} was deleted"
  if ended.code == 0:
    return "healed", wrong(bench, study, ended, exact=False)
  return str(ended.code), unequal(bench, before, after, ended)


def gone(before: dict[str, str], after: dict[str, str], damaged: Sequence[str]) -> list[str]:
  """The files whose contents are nowhere any more: neither in their place nor set aside.

  Not asked of what a launch rightly replaces while it is intact: the status, the page, the best generators.
  """
  kept = set(after.values())
  replaced = [name for name in before if name in REPLACED or name.startswith((".", "best")) or "tmp" in name]
  mine = [name for name in before if name in damaged or name not in replaced]
  return [name for name in mine if before[name] not in kept and before[name] != hashlib.sha256(b"").hexdigest()]


def unequal(bench: Bench, before: dict[str, str], after: dict[str, str], ended: Ended) -> str:
  """What is wrong with a study that was refused, or that is not whole: each of its tables is right or untouched."""
  if not one_sentence(ended):
    return f"exit code {ended.code}, and not one sentence: {ended.error.strip()[-160:]}"
  expected = contents(bench.whole)
  tables = [name for name in after if name.split("/")[0] in TABLES]
  differ = [name for name in tables if after[name] not in (expected.get(name), before.get(name))]
  return f"{differ[0]} was written and is wrong" if differ else ""


def row(bench: Bench, fault: str, count: int, harm: Callable[[Path], list[Path]]) -> Row:
  """`harm` done to `count` copies; it returns the files that it damaged."""
  ways: dict[str, int] = {}
  reasons = []
  for i in range(count):
    study = copy(bench, f"{fault.replace(' ', '-')}-{i}")
    harmed = [str(path.relative_to(study)) for path in harm(study)]
    way, reason = judged(bench, study, contents(study), harmed)
    ways[way] = ways.get(way, 0) + 1
    reasons += [f"{harmed[0]}: {reason}"] if reason else []
    done(bench, study, not reason)
    bench.say(f"{fault}, {i + 1} of {count} ({', '.join(harmed)}): {reason or way}")
  said = [f"{ways[way]} {'went on' if way == 'healed' else f'ended with code {way}'}" for way in sorted(ways)]
  return Row(fault, count, count - len(reasons), told(reasons, f"{', '.join(said)}; 0 wrong, 0 deleted"))


def damages(bench: Bench, flips: int, rounds: int) -> list[Row]:
  """`flips` bits weighted by file size, then files of every kind truncated, zeroed and deleted, `rounds` times each."""

  def flipped(study: Path) -> list[Path]:
    every = [path for path in files(study) if path.name not in ("lock", "report.html")]
    (path,) = bench.random.choices(every, [path.stat().st_size for path in every])
    flip(path, bench.random)
    return [path]

  def one_of_each(change: Callable[[Path, random.Random], None]) -> Callable[[Path], list[Path]]:
    def harm(study: Path) -> list[Path]:
      paths = [bench.random.choice(files(study, kind)) for kind in KINDS]
      for path in paths:
        change(path, bench.random)
      return paths

    return harm

  rows = [row(bench, "a flipped bit", flips, flipped)]
  named = {"files truncated": truncate, "files zeroed": zero, "files deleted": delete}
  return rows + [row(bench, fault, rounds, one_of_each(change)) for fault, change in named.items()]
