"""Input that is to be refused in one sentence, before anything is written, and files that would run code if they could."""

import html.parser
import json
import pickle
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from . import materials
from .bench import OUTPUT, Bench, Code, Row, clear, contents, copy, finish, start, told
from .damage import files, judged, said, silently

MARK = materials.MARK
FIELDS = ("loss", "dataset", "model", "optimizer")  # a name is tried as each of these in turn
MEMORY = 2**30  # bytes by which refusing may let a process grow


def refusals(bench: Bench, name: str, cases: Sequence[Sequence[str]], because: str = "error: ") -> list[str]:
  """What went wrong where calls of `sweep` are to be refused: code 2, one sentence, no code run, no file anywhere.

  `because` is in each sentence, so that a call is not refused for another reason.
  """
  folder = bench.folder / name
  folder.mkdir(exist_ok=True)
  (folder / "cases.json").write_text(json.dumps([list(map(str, case)) for case in cases]))
  before = everywhere(bench)
  called = [*bench.program.cases, str(folder / "cases.json"), str(folder / "results.jsonl")]
  ended = finish(start(bench, called, folder / "study"))
  new = [path for path in everywhere(bench) - before if path.name not in ("results.jsonl", "lock")]
  results = folder / "results.jsonl"
  found = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
  reasons = []
  for case, result in zip(cases, found, strict=False):
    shown = " ".join(case[1:])[-80:]
    if result["code"] != 2 or not result["error"].startswith("error: ") or result["error"].strip().count("\n"):
      reasons.append(f"{shown}: code {result['code']}: {result['error'].strip()[-120:] or 'without a word'}")
    elif because not in result["error"]:
      reasons.append(f"{shown}: refused for another reason: {result['error'].strip()[-120:]}")
    elif result["ran"] or result["grown"] > MEMORY:
      reasons.append(f"{shown}: {', '.join(result['ran']) or str(result['grown']) + ' bytes of memory'}")
  if len(found) < len(cases):
    reasons.append(
      f"{' '.join(cases[len(found)][1:])[-80:]}: ended with code {ended.code}: {ended.error.strip()[-120:]}"
    )
  return reasons + [f"{path} was written" for path in sorted(new)]


def everywhere(bench: Bench) -> set[Path]:
  """All files below the folder that no launch has there, and those above it that the names would make."""
  above = [parent / name for parent in bench.folder.parents for name in ("outside", "outside.png", "ran")]
  own = {bench.folder / "cache", bench.folder / OUTPUT}
  found = {path for path in bench.folder.rglob("*") if not own & {path, *path.parents}}
  return found | {path for path in above if path.exists()}


def row(
  bench: Bench, fault: str, name: str, cases: Sequence[Sequence[str]], detail: str, because: str = "error: "
) -> list[Row]:
  reasons = refusals(bench, name, cases, because)
  for reason in reasons:
    bench.say(f"{fault}: {reason}")
  clear(bench, bench.folder / name / "study", not reasons)
  return [Row(fault, len(cases), max(0, len(cases) - len(reasons)), told(reasons, detail))]


def some(things: Sequence[str], count: int) -> list[str]:
  """At most `count` of them, evenly spread."""
  return (
    [things[i * len(things) // count] for i in range(min(count, len(things)))] if count < len(things) else list(things)
  )


def configs(bench: Bench, count: int) -> list[Row]:
  """A started study that is asked for other runs than its own."""
  study = copy(bench, "configs")
  before = {name: digest for name, digest in contents(study).items() if not name.startswith("lock")}
  cases = [[str(bench.config), "--out", str(study), f"--config.{change}"] for change in some(materials.CHANGES, count)]
  reasons = refusals(bench, "configs", cases, f"{study} holds another study")
  after = {name: digest for name, digest in contents(study).items() if not name.startswith("lock")}
  reasons += ["the study was changed"] if after != before else []
  for reason in reasons:
    bench.say(f"changed configs: {reason}")
  clear(bench, study, not reasons)
  detail = "code 2, one sentence; not a byte of the study changed"
  return [Row("changed configs", len(cases), max(0, len(cases) - len(reasons)), told(reasons, detail))]


def names(bench: Bench, count: int) -> list[Row]:
  """Names that lead elsewhere, that a shell or a page would run, or that no file can have."""
  cases = [
    [str(bench.config), "--out", str(bench.folder / "names" / "new"), f"--config.{FIELDS[i % len(FIELDS)]}={name}"]
    for i, name in enumerate(some(materials.NAMES, count))
  ]
  return row(bench, "hostile names", "names", cases, "code 2, one sentence; 0 files")


def data(bench: Bench, count: int) -> list[Row]:
  """Bad data files, and small ones that would be huge when unpacked."""
  rows = []
  for fault, make in (("bad data files", materials.data), ("zip, gzip and image bombs", materials.bombs)):
    name = fault.split()[0].strip(",")
    (bench.folder / name).mkdir()
    out = str(bench.folder / name / "new")
    cases = [[str(bench.config), "--out", out, *case] for case in make(bench.folder / name / "data")]
    chosen = cases[:: max(1, len(cases) // count)][:count]
    detail = f"code 2, one sentence before step 0; 0 code run, less than {MEMORY // 2**20:,} MB of memory"
    rows += row(bench, fault, name, chosen, detail, str(bench.folder / name / "data"))
  return rows


def code(bench: Bench, count: int) -> list[Row]:
  """A pickle, an array of objects, and YAML and JSON with objects in every file that is read; then launched."""
  marker = bench.folder / "code-ran"

  def pickled(path: Path, source: random.Random) -> None:
    path.write_bytes(pickle.dumps(Code(marker)))

  def objects(path: Path, source: random.Random) -> None:
    with path.open("wb") as file:
      np.savez(file, step=np.array([Code(marker)], object), samples=np.array([Code(marker)], object))

  def text(path: Path, source: random.Random) -> None:
    path.write_text(f'!!python/object/apply:os.mkdir ["{marker}"]\n{{"py/reduce": [{{"py/function": "os.mkdir"}}]}}')

  every = [path.relative_to(bench.started) for path in files(bench.started)]
  changes = {"a pickle": pickled, "objects": objects, "text": text}
  damages = [(n, lambda study, path=path: study / path, change) for path in every for n, change in changes.items()]
  reasons, noticed = silently(bench, damages)
  ways: dict[str, int] = {}
  for i in range(count):
    study = copy(bench, f"code-{i}")
    paths = [
      bench.random.choice(files(study, kind)) for kind in ("rows", "quality", "samples", "checkpoints", "status.json")
    ]
    for path in paths:
      (text if path.suffix != ".npz" else objects)(path, bench.random)
    way, reason = judged(bench, study, contents(study), [str(path.relative_to(study)) for path in paths])
    ways[way] = ways.get(way, 0) + 1
    reasons += [reason] if reason else []
    clear(bench, study, not reason)
    bench.done(i + 1, count, reason or "none ran")
  reasons = ["code in a file was run"] * marker.exists() + reasons
  detail = f"{len(damages)} read here, {noticed} noticed; {count} launched: {said(ways)}; 0 code run"
  tried = len(damages) + count
  return [Row("code in every file that is read", tried, max(0, tried - len(reasons)), told(reasons, detail))]


class Tags(html.parser.HTMLParser):
  """What a page would run that came from a name or a description."""

  def __init__(self) -> None:
    super().__init__()
    self.found: list[str] = []

  def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
    for name, value in attrs:
      if name.startswith("on") or "javascript:" in (value or ""):
        self.found.append(f"<{tag} {name}>")


def escaped(bench: Bench) -> list[Row]:
  """The report of a study with HTML in its description, its panel and its directory's name."""
  study = copy(bench, "escaped", bench.whole)
  study = study.rename(study.with_name("<img src=x onerror=alert(1)>"))
  ended = finish(start(bench, [*bench.program.report, str(study)], study))
  page = (study / "report.html").read_text()
  raw = [text for text in (MARK, "<img src=x onerror") if text in page]
  tags = Tags()
  tags.feed(page)
  reason = "" if ended.code == 0 else f"exit code {ended.code}: {ended.error.strip()[-160:]}"
  reason = reason or (f"{(raw + tags.found)[0]} is in the page as it is" if raw + tags.found else "")
  if not reason and "alert(" not in page:
    reason = "the page does not show the description"
  clear(bench, study, not reason)
  return [Row("HTML in a report", 1, int(not reason), reason or "0 unescaped")]
