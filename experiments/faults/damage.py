"""Files of a study that are damaged while nobody writes it: nothing wrong is loaded, and nothing is deleted.

Most damages are judged by reading the file here as a resuming process does, which is quick: it must be noticed, or must
not have changed what is read. A sample of the damaged studies is launched, and must go on to the same arrays.
"""

import hashlib
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from gan_jax.core.errors import BadInput

from .bench import TABLES, Bench, Ended, Row, clear, contents, copy, finish, launch, one_sentence, told, wrong

Change = Callable[[Path, random.Random], None]
KINDS = ("checkpoints", "rows", "manifest.json", "status.json")
REPLACED = ("status.json", "status.copy.json", "report.html", "lock")  # intact ones are written again by every launch
UNREAD = ("report.html", "lock")
ALONE = 0.99  # of single damages, after which a study must go on by itself


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
  """All files with contents that are read, or those of one kind, in a fixed order."""
  found = [path for path in sorted(study.rglob("*")) if path.is_file() and path.stat().st_size]
  found = [path for path in found if path.name not in UNREAD and path.relative_to(study).parts[0] != "locks"]
  return [path for path in found if path.relative_to(study).parts[0] == kind or not kind]


def weighted(study: Path, source: random.Random) -> Path:
  """A file, likelier the larger it is."""
  found = files(study)
  return source.choices(found, [path.stat().st_size for path in found])[0]


# Read here


def silently(bench: Bench, damages: Sequence[tuple[str, Callable[[Path], Path], Change]]) -> tuple[list[str], int]:
  """(what was read wrong without being noticed, how many damages were noticed), of (name, which file, change)."""
  study = copy(bench, f"read-{damages[0][0].replace(' ', '-')}")
  read, reasons, noticed = bench.program.reader(study), [], 0
  expected = {path: read(path) for path in files(study)}
  for i, (name, which, change) in enumerate(damages):
    path = which(study)
    before = path.read_bytes()
    change(path, bench.random)
    try:
      if read(path) != expected[path]:
        reasons.append(f"{name}: {path.relative_to(study)} is read, and wrong")
    except BadInput:
      noticed += 1
    except Exception as error:  # a stack trace at the user
      reasons.append(f"{name}: {path.relative_to(study)}: {type(error).__name__}: {str(error)[:100]}")
    path.write_bytes(before)
    if (i + 1) % 50 == 0:
      bench.done(i + 1, len(damages), f"read here, {len(reasons)} wrong")
  clear(bench, study, not reasons)
  return reasons, noticed


# Launched


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
  replaced = [n for n in before if n in REPLACED or n.startswith((".", "best", "locks")) or "tmp" in n]
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


def launched(
  bench: Bench, fault: str, count: int, harm: Callable[[Path], list[Path]]
) -> tuple[list[str], dict[str, int]]:
  """`harm` done to `count` copies that are then launched: what went wrong, and how many went on ('healed') or refused."""
  ways: dict[str, int] = {}
  reasons = []
  for i in range(count):
    study = copy(bench, f"{fault.replace(' ', '-')}-{i}")
    harmed = [str(path.relative_to(study)) for path in harm(study)]
    way, reason = judged(bench, study, contents(study), harmed)
    ways[way] = ways.get(way, 0) + 1
    reasons += [f"{harmed[0]}: {reason}"] if reason else []
    clear(bench, study, not reason)
    bench.done(i + 1, count, f"{', '.join(harmed)}: {reason or way}")
  return reasons, ways


def said(ways: dict[str, int]) -> str:
  return ", ".join(f"{ways[way]} {'went on' if way == 'healed' else f'ended with code {way}'}" for way in sorted(ways))


def bits(bench: Bench, count: int) -> list[Row]:
  """`count` flipped bits, weighted by file size: a tenth of the studies is launched, all others are read here."""
  whole = max(1, count // 10)
  read = [("a flipped bit", lambda study: weighted(study, bench.random), flip)] * (count - whole)
  wrong_here, noticed = silently(bench, read) if read else ([], 0)

  def harm(study: Path) -> list[Path]:
    path = weighted(study, bench.random)
    flip(path, bench.random)
    return [path]

  reasons, ways = launched(bench, "a flipped bit", whole, harm)
  reasons = wrong_here + reasons
  if ways.get("healed", 0) < ALONE * whole:
    reasons.append(f"launched: {said(ways)}, where {ALONE:.0%} are to go on by themselves")
  detail = f"{noticed} noticed, {len(read) - noticed} changed nothing of {len(read)} read here; {whole} launched: "
  return [Row("flipped bits", count, count - len(reasons), told(reasons, f"{detail}{said(ways)}; 0 wrong, 0 deleted"))]


def lost(bench: Bench, rounds: int) -> list[Row]:
  """Every file truncated, zeroed and deleted, read here; then four files of a study at once, launched, `rounds` times."""
  rows = []
  for name, change in {"truncated": truncate, "zeroed": zero, "deleted": delete}.items():
    every = [path.relative_to(bench.started) for path in files(bench.started)]
    damages = [(f"{name}", lambda study, path=path: study / path, change) for path in every]
    wrong_here, noticed = silently(bench, damages)

    def harm(study: Path, change: Change = change) -> list[Path]:
      paths = [bench.random.choice(files(study, kind)) for kind in KINDS]
      for path in paths:
        change(path, bench.random)
      return paths

    reasons, ways = launched(bench, f"files {name}", rounds, harm)
    detail = f"{noticed} noticed, {len(every) - noticed} changed nothing of {len(every)} read here; {rounds} times "
    detail += f"{len(KINDS)} at once, launched: {said(ways)}; 0 wrong, 0 deleted"
    tried, failed = len(every) + rounds, len(wrong_here) + len(reasons)
    rows.append(Row(f"every file {name}", tried, tried - failed, told(wrong_here + reasons, detail)))
  return rows
