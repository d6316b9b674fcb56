"""A member that diverges beside healthy ones, and input made to run code, to write elsewhere, or to enter a page."""

import json
import os
from pathlib import Path

import numpy as np

from .bench import Bench, Row, contents, copy, done, finish, launch, one_sentence, start, told
from .damage import files, judged

MARK = "<script>alert('selftest')</script>"  # the undisturbed study has it in its description
NAMES = (f"../../{MARK}", "../../outside", "!!python/object/apply:os.mkdir [ran]")


class Code:
  """Unpickled, it makes a directory."""

  def __init__(self, path: Path):
    self._path = path

  def __reduce__(self):
    return os.mkdir, (str(self._path),)


def diverging(bench: Bench, config: Path, healthy: int) -> list[Row]:
  """The study of `config`, whose first `healthy` members are those of the undisturbed one and whose last diverges."""
  study = bench.folder / "diverging" / "study"
  ended = finish(launch(bench, study, config=config))
  reason = "" if ended.code == 0 else f"exit code {ended.code}: {ended.error.strip()[-160:]}"
  if not reason:
    groups = json.loads((study / "status.json").read_text())["groups"]
    reason = "" if any(group.get("diverged") for group in groups.values()) else "no member diverged"
  reason = reason or spread(bench.whole, study, healthy)
  done(bench, study, not reason)
  bench.say(f"a member that diverges: {reason or 'the others are the same bits'}")
  return [Row("a member diverges", 1, int(not reason), reason or f"the other {healthy} are bit-identical")]


def spread(whole: Path, study: Path, healthy: int) -> str:
  """Where the healthy members of two studies differ. Tables have a column for each member, samples a first axis."""
  for path in sorted(p for table in ("rows", "quality", "samples") for p in (whole / table).rglob("*.npz")):
    name = path.relative_to(whole)
    if not (study / name).exists():
      return f"{name} is missing"
    with np.load(path) as expected, np.load(study / name) as found:
      for key in expected.files:
        a, b = expected[key], found[key]
        if name.parts[0] != "samples":
          a, b = a[..., :healthy], b[..., :healthy]
        elif path.stem != "real":
          a, b = a[:healthy], b[:healthy]
        if key != "step" and a.tobytes() != b.tobytes():
          return f"{key} of a healthy member differs in {name}"
  return ""


def code(bench: Bench, count: int) -> list[Row]:
  """A pickle in a table, and objects with code in the status and in the digest of a checkpoint."""
  reasons, ways = [], set()
  for i in range(count):
    study, ran = copy(bench, f"code-{i}"), bench.folder / f"code-{i}" / "ran"
    tables = [bench.random.choice(files(study, kind)) for kind in ("rows", "quality", "samples")]
    for path in tables:
      np.savez(path, step=np.array([Code(ran)], object), samples=np.array([Code(ran)], object))
    texts = [
      study / "status.json",
      bench.random.choice([p for p in files(study, "checkpoints") if p.parent.name == "meta"]),
    ]
    for path in texts:
      path.write_text(f'!!python/object/apply:os.mkdir ["{ran}"]\n{{"py/reduce": [{{"py/function": "os.mkdir"}}]}}')
    harmed = [str(path.relative_to(study)) for path in (*tables, *texts)]
    way, reason = judged(bench, study, contents(study), harmed)
    reason = "code in a file was run" if ran.exists() else reason
    reasons += [reason] if reason else []
    ways.add("went on" if way == "healed" else f"ended with code {way}")
    done(bench, study, not reason)
    bench.say(f"code in files, {i + 1} of {count}: {reason or 'none ran'}")
  return [Row("code in files that are read", count, count - len(reasons), told(reasons, f"0 run; {' or '.join(ways)}"))]


def refused(bench: Bench) -> list[Row]:
  """Names that lead elsewhere as a loss: one sentence, and nothing is written anywhere below the folder."""
  reasons = []
  for i, name in enumerate(NAMES):
    study = bench.folder / f"refused-{i}" / "study"
    ended = finish(launch(bench, study, f"--config.loss={name}"))
    there = [p.name for p in study.parent.iterdir() if not p.name.startswith("launch-")]
    outside = [
      p.name for p in (bench.folder / "outside", bench.folder / "ran", bench.folder.parent / "outside") if p.exists()
    ]
    reason = "" if ended.code == 2 and one_sentence(ended) else f"{name}: exit code {ended.code}"
    reason = f"{name}: {(there + outside)[0]} was written" if there + outside else reason
    reasons += [reason] if reason else []
    done(bench, study, not reason)
    bench.say(f"hostile names, {i + 1} of {len(NAMES)}: {reason or 'refused'}")
  return [Row("hostile names", len(NAMES), len(NAMES) - len(reasons), told(reasons, "code 2, one sentence, 0 files"))]


def escaped(bench: Bench) -> list[Row]:
  """The report of a study with HTML in its description and its directory's name."""
  study = copy(bench, "escaped", bench.whole)
  study = study.rename(study.with_name("<img src=x onerror=alert(1)>"))
  ended = finish(start(bench, [*bench.program.report, str(study)], study))
  page = (study / "report.html").read_text()
  raw = [text for text in (MARK, "<img src=x onerror") if text in page]
  reason = "" if ended.code == 0 else f"exit code {ended.code}: {ended.error.strip()[-160:]}"
  reason = reason or (f"{raw[0]} is in the page as it is" if raw else "")
  if not reason and "alert(" not in page:
    reason = "the page does not show the description"
  done(bench, study, not reason)
  return [Row("HTML in a report", 1, int(not reason), reason or "0 unescaped")]
