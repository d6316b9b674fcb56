"""What a paper cites: BibTeX of this software and of the losses that a study compares. No jax import.

A manifest holds the source of each of its losses, as the loss's card gives it: authors, year, and an arXiv number where
there is one. Titles are not in the cards: BibTeX gets the source as a note.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from gan_jax.core import installation
from gan_jax.report.latex import escaped
from gan_jax.report.records import Study

SOURCE = re.compile(r"(?P<who>[A-Z][^\d;(]*?),? (?P<year>(?:19|20)\d\d)\b")
HASH = re.compile(r"\b[0-9a-f]{13,}\b")
ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def bibtex(study: Study) -> str:
  """The entry of this software, and one for each source of a loss in the study; ends with a newline."""
  manifest = study.manifest
  losses = dict.fromkeys(run.config["loss"] for run in study.runs)
  known = {loss: _sources(loss, manifest.get("losses", {})) for loss in losses}
  used: dict[str, list[tuple[str, list[str]]]] = {}  # by paper: (source, losses)
  for loss in losses:
    for source in known[loss]:
      if number := ARXIV.search(source):
        _add(used.setdefault(number[1], []), source, loss)
      elif SOURCE.search(source):
        _add(used.setdefault(source, []), source, loss)
  entries, keys = [_software(manifest)], {"gan_jax"}
  for of in used.values():
    entries.append(_entry(of, keys))
  unknown = [loss for loss in losses if not known[loss]]
  if unknown:
    entries.append(f"% not known here: the source of {', '.join(unknown)}; see {installation.typed()} losses NAME\n")
  return "\n".join(entries)


def _add(paper: list[tuple[str, list[str]]], source: str, loss: str) -> None:
  """Another loss of a paper, whose places (equations, sections) are sources of their own."""
  found = next((of for place, of in paper if place == source), None)
  if found is None:
    paper.append((source, [loss]))
  else:
    found.append(loss)


def _sources(loss: str, cards: Mapping[str, Mapping[str, str]]) -> list[str]:
  """The sources of a loss, of a transformed one those of all losses that it names; none for a user's own file."""
  parts = re.findall(r"\w+", loss) if re.fullmatch(r"[\w(), ]+", loss) else []
  texts = [cards.get(part, {}).get("reference", "") for part in dict.fromkeys(parts)]
  return [source for text in texts for part in text.split(";") if (source := part.strip())]


def _software(manifest: Mapping[str, Any]) -> str:
  # Of several studies `created`, `commit` and `source` are 'NAME: value; NAME: value' (union.py) where they differ.
  years = re.findall(r"(?:\A|: )((?:19|20)\d\d)-\d\d-\d\d", str(manifest.get("created") or ""))
  made = ", ".join(
    f"{name} {HASH.sub(lambda found: found[0][:12], str(manifest[name]))}"
    for name in ("commit", "source")
    if isinstance(manifest.get(name), str)
  )
  fields = {
    "title": "{gan\\_jax}: which {GAN} loss, and why did this one stop learning?",
    "version": installation.__version__,
    "year": max(years, default=""),
    "note": escaped(f"version {installation.__version__}" + (f"; the study was computed by {made}" if made else "")),
  }
  return _written("software", "gan_jax", fields)


def _entry(paper: list[tuple[str, list[str]]], keys: set[str]) -> str:
  source = paper[0][0]
  found, number = SOURCE.search(source), ARXIV.search(source)
  who, year = (found["who"].strip(), found["year"]) if found else ("", "")
  key = (_plain(who.split()[0]) + year) if who else f"arXiv{number[1]}" if number else "source"
  key = next(
    k for k in (key, *(f"{key}{c}" for c in "bcdefghijklmnopqrstuvwxyz"), f"{key}{len(keys)}") if k not in keys
  )
  keys.add(key)
  authors = re.sub(r" et al\.?$", " and others", who).replace(", ", " and ")
  fields = {
    "author": escaped(authors),
    "year": year,
    "eprint": number[1] if number else "",
    "archivePrefix": "arXiv" if number else "",
    "note": escaped("; ".join(f"{place} ({', '.join(losses)})" for place, losses in paper)),
  }
  return _written("misc", key, fields)


def _written(kind: str, key: str, fields: Mapping[str, str]) -> str:
  lines = [f"  {name} = {{{value}}},\n" for name, value in fields.items() if value]
  return f"@{kind}{{{key},\n{''.join(lines)}}}\n"


def _plain(name: str) -> str:
  return re.sub(r"\W", "", unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()).lower()
