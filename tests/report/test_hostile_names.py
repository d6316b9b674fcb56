"""Forty names that lead elsewhere, that a spreadsheet computes or a page would run: each is text wherever it is shown."""

import csv
import html.parser
import io
import re

import pytest

from experiments import watch
from experiments.faults.names import NAMES
from gan_jax import settings
from gan_jax.core.errors import BadInput
from gan_jax.game import outside
from gan_jax.report import build, formats, latex, live, records, sheets
from gan_jax.report.export import export
from gan_jax.runner import grouping
from gan_jax.runs import schema
from gan_jax.runs.directory import read_json, write_json
from tests.report.test_report import write_study

FIELDS = (
  "loss",
  "penalty",
  "dataset",
  "model",
  "optimizer",
  "class_loss",
  "metrics",
  "weight_constraint",
  "augmentation",
)
SWITCHES = ("checkbox",)  # of our own
TAGS = {"iframe", "object", "embed", "form", "input", "base", "link", "frame", "video", "audio", "portal"}
HELD = [name for name in NAMES if "\0" not in name]  # a config refuses the other
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
  """A run for each name, as the label of its variant; all of them in the name and description of the study."""
  group = [settings.resolve({"steps": 50, "dataset_options.data_dir": name, "seed": i}) for i, name in enumerate(HELD)]
  panels = [settings.resolve({"steps": 50, "panel": name, "seed": i}) for i, name in enumerate(HELD[::9])]
  path = write_study(tmp_path_factory.mktemp("names") / "s", [group, panels], until=50, name=" ".join(NAMES))
  manifest = read_json(path / "manifest.json")
  manifest |= {"description": "\n".join(NAMES), "commit": NAMES[-1], "metrics": dict.fromkeys(NAMES, NAMES[31])}
  write_json(path / "manifest.json", manifest)
  return path


class Page(html.parser.HTMLParser):
  """What a browser would make of a page: tags and their attributes, and its text."""

  def __init__(self, text):
    super().__init__()
    self.tags, self.words = [], []
    self.feed(text)
    self.close()

  def handle_starttag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))

  def handle_data(self, data):
    self.words.append(data)


def harmless(text):
  """The page's text, when it has no tag, attribute or address that a name could have made."""
  page = Page(text)
  assert sum(tag == "script" for tag, _ in page.tags) == 1
  assert not [(tag, a) for tag, a in page.tags if tag in TAGS and a.get("type") not in SWITCHES]
  assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
  links = [
    value
    for _, attributes in page.tags
    for name, value in attributes.items()
    if name in ("src", "href", "xlink:href", "action", "formaction", "srcdoc", "data", "poster")
  ]
  assert all(re.match(r"#|data:image/(png|webp);base64,", value) for value in links)
  policy = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a and "content" in a]
  assert policy[0].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
  assert re.search(r"script-src 'sha256-[\w+/=]{44}'", policy[0])
  assert "unsafe" not in policy[0].replace("style-src 'unsafe-inline'", "")
  return " ".join("".join(page.words).split())


def test_the_report_shows_them_as_text(study):
  text = harmless(build(study).read_text())
  for name in NAMES:
    if name.isprintable() and name.strip():
      assert " ".join(name.split()) in text, name


def test_the_page_that_follows_a_study_shows_them_as_text(study):
  assert NAMES[31] in harmless(live.page(study, 5, watch.SCRIPT))


@pytest.mark.parametrize("format", ["csv", "jsonl", "tensorboard"])
def test_exports_stay_in_their_place_and_no_cell_is_a_formula(study, format):
  before = {path for path in study.parent.rglob("*") if study not in path.parents}
  out = export(study, format)
  assert {path for path in study.parent.rglob("*") if study not in path.parents} == before
  assert out.parent == study
  if format == "csv":
    rows = list(csv.reader(io.StringIO(out.read_text(), newline="")))
    numbers = re.compile(r"-?\d+(\.\d+)?(e[-+]?\d+)?")
    wrong = [cell for row in rows for cell in row if cell.startswith(FORMULA) and not numbers.fullmatch(cell)]
    assert not wrong
    assert len({row[rows[0].index("id")] for row in rows[1:]}) == len(HELD) + len(HELD[::9])
  if format == "tensorboard":
    assert len(list(out.iterdir())) == len(HELD) + len(HELD[::9])


def bare(text):
  """LaTeX without the commands and the mathematics that `latex` makes: what is left is text, of which nothing is special."""
  for made in sorted({*latex.SIGNS.values(), *(rf"$\{name}$" for name in latex.GREEK.values())}, key=len, reverse=True):
    text = text.replace(made, "") if len(made) > 1 else text
  return re.sub(r"""\\[`'^~=u."rHvck]\{[A-Za-z]\}""", "", text)


def test_tables_are_latex_and_csv_and_markdown_of_text(study):
  for name in NAMES:
    assert not set(bare(latex.escaped(name))) & set("\\{}$&#%_~^\n\r\0"), name
  found = sheets.sheets(records.read(study))
  rows = list(csv.reader(io.StringIO(formats.as_csv(found), newline="")))
  assert not [
    c for row in rows for c in row if c.startswith(FORMULA) and not re.fullmatch(r"-?\d+(\.\d+)?(e[-+]\d+)?", c)
  ]
  text = formats.markdown(found)
  assert "<script" not in text
  assert "<img" not in text
  body = latex.tables(found, "../../x}\\input{y", "\n".join(NAMES))
  assert "\\input" not in "".join(line for line in body.splitlines(keepends=True) if not line.startswith("%"))
  assert r"\label{tab:..-..-x-input-y-1}" in body


@pytest.mark.parametrize("field", FIELDS)
def test_none_is_the_name_of_anything(field, tmp_path):
  """Refused in one sentence, before a run has an id."""
  for name in NAMES:
    with pytest.raises(BadInput) as caught:
      grouping.completed(outside.enter([settings.resolve({field: name})], tmp_path))
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2000
  assert not list(tmp_path.iterdir())


def test_no_folder_is_named_by_them():
  """A group's name, in a manifest that somebody has written, names folders."""
  assert [name for name in NAMES if schema.GROUP_NAME.fullmatch(name)] == ["CON"]
