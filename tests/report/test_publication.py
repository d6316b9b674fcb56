"""Tables and pictures for a paper: the page's numbers in every format, LaTeX that compiles, files of the asked size."""

import csv
import functools
import html.parser
import io
import re
import shutil
import subprocess

import pytest
from PIL import Image

from experiments import export as export_command
from experiments import figures as figures_command
from experiments import tables as tables_command
from gan_jax import losses, runs, settings
from gan_jax.core.errors import BadInput
from gan_jax.losses import table
from gan_jax.report import build, citation, formats, latex, plates, records, sheets
from tests.report.test_report import LENS, write_study
from tests.report.test_tuning import write_tournament

TITLE = "50 % & more_{x} #1 ~^\\ <b>|$ | 中 σ é “q” ß"
NUMBER = r"[−-]?\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
  """Three losses on digits, two seeds, one of them diverged; and the same on points, with a title full of LaTeX's signs."""
  common = {"steps": 3000, "probe_every": 50}
  digits = [
    settings.resolve(common, {"loss": x, "seed": s}) for x in ("minimax", "hinge", "wasserstein") for s in (0, 3)
  ]
  ring = {"panel": TITLE, "dataset": "ring", "lens": "+".join(LENS), "head_start": 100}
  points = [settings.resolve(common, ring, {"loss": x, "seed": s}) for x in ("minimax", "hinge") for s in range(2)]
  path = write_study(tmp_path_factory.mktemp("runs") / "a_b", [digits, points], until=3000)
  manifest = runs.read_manifest(path)
  told = table.facts(["minimax", "hinge", "wasserstein"])
  runs.write_json(path / "manifest.json", {**manifest, "losses": told})
  return path


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
  path = tmp_path_factory.mktemp("runs") / "tuned"
  write_tournament(path)
  return path


class Tables(html.parser.HTMLParser):
  """The cells of the comparison tables of a page, a list of rows of texts."""

  def __init__(self, text):
    super().__init__()
    self.rows, self.on, self.cell = [], False, False
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    if tag == "section" and (dict(attrs).get("id") or "").startswith("panel"):
      self.on = True
    if tag == "table" and dict(attrs).get("class") == "changes":  # of gradients, which compares nothing
      self.on = False
    if self.on and tag == "tr":
      self.rows.append([])
    if self.on and tag in ("td", "th"):
      self.rows[-1].append("")
      self.cell = True
    if self.cell and tag == "small":
      self.rows[-1][-1] += " "

  def handle_endtag(self, tag):
    self.on = self.on and tag != "section"
    self.cell = self.cell and tag not in ("td", "th")

  def handle_data(self, data):
    if self.cell:
      self.rows[-1][-1] += data


def numbers(text):
  return [x.replace(",", "").replace("−", "-") for x in re.findall(NUMBER, text)]


@functools.cache
def page(path):
  return build(path).read_text()


def page_rows(path):
  """(label, numbers of its row) of each row of a table of the page, in order."""
  return [(row[0].strip(), numbers(" ".join(row[1:]))) for row in Tables(page(path)).rows if row]


def latex_rows(text):
  """(first cell, numbers of the others) of each row of a body, commands undone."""
  bodies = re.findall(r"\\midrule\n(.*?) *\\bottomrule", text, re.S)
  lines = [line.strip().removesuffix(r"\\") for body in bodies for line in body.splitlines()]
  plain = [line.replace("$-$", "-").replace(r"$\pm$", "±").replace(r"$^*$", "*").replace(r"\_", "_") for line in lines]
  cells = [re.split(r"(?<!\\)&", line.replace(r"\textless{}", "<")) for line in plain]
  return [(row[0].strip(), numbers(" ".join(row[1:]))) for row in cells]


def test_every_format_has_the_numbers_of_the_page(study):
  found = sheets.sheets(records.read(study))
  shown = [row for row in page_rows(study) if row[1] and row[0] in ("minimax", "hinge", "wasserstein")]
  assert len(shown) == 5
  markdown = [
    line.split("|")[1:-1] for line in formats.markdown(found).splitlines() if re.match(r"\| [a-z_]+ \|", line)
  ]
  assert [(row[0].strip(), numbers(" ".join(row[1:]))) for row in markdown if row[0].strip() != "variant"] == shown
  assert latex_rows(latex.tables(found, "x")) == shown
  found_csv = list(csv.DictReader(io.StringIO(formats.as_csv(found))))
  for row, (label, wanted) in zip(found_csv, shown, strict=True):
    assert row["variant"] == label
    quality = "frechet/distance" if row["frechet/distance"] else "modes/reverse_kl"
    mine = [
      row[quality],
      *([row[f"{quality}.{end}"] for end in ("low", "high")] if row[f"{quality}.low"] else ["1"]),
    ]  # `(1 run)`
    if row["versus"]:
      mine += [row[name] for name in ("versus", "versus.low", "versus.high", "versus.p", "versus.seeds") if row[name]]
    assert [float(x) for x in mine] == [float(x) for x in wanted][: len(mine)]
    assert float(row["decades"]) == float(wanted[-1])
  assert {row["versus.surely"] for row in found_csv} <= {"surely", "not surely", "baseline", ""}
  assert [found_csv[0]["panel"], found_csv[-1]["panel"]] == ["compare losses", TITLE]


def test_the_marks_are_the_statistics(study):
  from gan_jax.report.comparison import compare

  read = records.read(study)
  for panel, sheet in zip(read.panels, sheets.sheets(read), strict=True):
    place = [column.names[0] for column in sheet.columns].index("versus")
    for row, cells in zip(compare(panel).rows, sheet.rows, strict=True):
      certain = row.versus is not None and row.versus.certain
      assert (cells[place].sure, "*" in cells[place].text) == (certain, certain)
  assert any(cell.sure for sheet in sheets.sheets(read) for row in sheet.rows for cell in row)


def test_ties_of_a_tournament_are_marked(tuned):
  (sheet,) = sheets.sheets(records.read(tuned))
  names = [column.names[0] for column in sheet.columns]
  behind = {row[0].text: row[names.index("behind")] for row in sheet.rows}
  assert behind["wasserstein"].sure
  assert behind[sheet.rows[0][0].text].text == "the best"
  assert {cell.values[-1] for cell in behind.values()} <= {"the best", "surely worse", "not told apart"}
  shown = {label: found for label, found in page_rows(tuned)[:6] if found}
  for label, found in latex_rows(latex.table(sheet, "x")):
    assert found == shown[label]


def check_latex(text):
  """A small reader of LaTeX: environments and braces close, every command is known, rows have as many cells as columns."""
  assert text.isascii()
  text = re.sub(r"(?m)^%.*\n", "", text)
  stack, columns = [], 0
  for kind, name in re.findall(r"\\(begin|end)\{(\w+\*?)\}", text):
    if kind == "begin":
      stack.append(name)
    else:
      assert stack.pop() == name
  assert not stack
  depth = 0
  bare = re.sub(r"\\[^A-Za-z]", "", text)  # escaped signs
  for c in bare:
    depth += {"{": 1, "}": -1}.get(c, 0)
    assert depth >= 0
  assert depth == 0
  assert not re.search(r"[#%~_]", bare.replace("tabcolsep", "")), bare
  assert bare.count("$") % 2 == 0
  outside = "".join(bare.split("$")[::2])
  assert "^" not in outside
  assert set(re.findall(r"\\([A-Za-z]+)", text)) <= {
    "begin", "end", "centering", "small", "setlength", "tabcolsep", "caption", "label", "toprule", "midrule", "bottomrule",
    "shortstack", "pm", "textless", "textgreater", "textbar", "textbackslash", "textasciitilde", "textasciicircum", "sigma",
    "ss", "dots",
  }  # fmt: skip
  for body in re.findall(r"\\begin\{tabular\}\{@\{\}(l?r*)@\{\}\}(.*?)\\end\{tabular\}", text, re.S):
    columns = len(body[0])
    rows = [line for line in body[1].splitlines() if line.rstrip().endswith(r"\\")]
    assert len(rows) >= 2
    assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {columns}
  return columns


def test_latex_is_well_formed_whatever_the_names(study):
  found = sheets.sheets(records.read(study))
  strange = [sheet._replace(rows=tuple((row[0]._replace(text=text), *row[1:]) for text in (TITLE, "[a]", "*b", "a_b")))
             for sheet in found for row in sheet.rows[:1]]  # fmt: skip
  text = latex.tables([*found, *strange], "a_b c", citation.bibtex(records.read(study)))
  assert check_latex(text) > 5
  assert r"50 \% \& more\_\{x\} \#1 \textasciitilde{}\textasciicircum{}\textbackslash{}" in text
  assert r"[U+4E2D] $\sigma$ \'{e} [U+201C]q[U+201D] \ss{}" in text
  assert r"\label{tab:a-b-c-1}" in text
  assert re.search(r"\n    \{\}\[a\] &", text)  # behind a row's end, [ would begin an argument


@pytest.mark.parametrize("name", ["pdflatex", "tectonic"])
def test_latex_compiles(name, study, tmp_path):
  engine = shutil.which(name)
  if engine is None:
    pytest.skip(f"{name} is not installed: the tables are held by a small reader only")
  found = shutil.which("kpsewhich")
  if found and not subprocess.run([found, "booktabs.sty"], capture_output=True, check=False).stdout:
    pytest.skip("booktabs is not installed: the tables are held by a small reader only")
  tables = latex.tables(sheets.sheets(records.read(study)), "x", citation.bibtex(records.read(study)))
  (tmp_path / "a.tex").write_text(
    f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}{tables}\\end{{document}}"
  )
  options = [] if name == "tectonic" else ["-interaction=nonstopmode", "-halt-on-error"]
  done = subprocess.run([engine, *options, "a.tex"], cwd=tmp_path, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stdout[-2000:]
  assert (tmp_path / "a.pdf").exists()


def entries(text):
  """{key: {field: value}} of BibTeX."""
  found = {}
  for _, key, body in re.findall(r"@(\w+)\{([\w:.]+),\n(.*?)\n\}\n", text, re.S):
    assert key not in found
    found[key] = dict(re.findall(r"^  (\w+) = \{(.*)\},$", body, re.M))
    assert all(value.count("{") == value.count("}") for value in found[key].values())
  return found


def test_what_is_cited(study):
  found = entries(citation.bibtex(records.read(study)))
  assert found["gan_jax"]["version"] == "0.1.0"
  assert found["gan_jax"]["year"] == "2026"
  assert "commit 0123456789ab" in found["gan_jax"]["note"]
  assert found["goodfellow2014"]["eprint"] == "1406.2661"
  assert found["goodfellow2014"]["author"] == "Goodfellow and others"
  assert {found[key]["eprint"] for key in ("lim2017", "miyato2018", "arjovsky2017")} == {
    "1705.02894", "1802.05957", "1701.07875",
  }  # fmt: skip
  assert found["lim2017"]["author"] == "Lim and Ye"
  text = citation.bibtex(records.read(study)._replace(manifest={"losses": table.facts(["minimax"])}))
  assert "hinge, wasserstein" in text.splitlines()[-1]
  assert set(entries(text)) == {"gan_jax", "goodfellow2014"}


def test_a_paper_of_two_losses_is_one_entry_and_each_study_of_several_is_named(study):
  read = records.read(study)
  runs_ = [read.runs[0]._replace(config={**read.runs[0].config, "loss": x}) for x in ("minimax", "non_saturating")]
  manifest = {
    "losses": table.facts(["minimax", "non_saturating"]), "source": "5" * 12,
    "created": "one: 2025-12-31T14:25:56+00:00; two: 2026-01-02T14:29:39+00:00",
    "commit": f"one: {'5e7c0f55cd' * 4}; two: {'67b9194868' * 4}",
  }  # fmt: skip
  found = entries(citation.bibtex(read._replace(runs=tuple(runs_), manifest=manifest)))
  assert set(found) == {"gan_jax", "goodfellow2014"}
  assert "eq. 1 (minimax); " in found["goodfellow2014"]["note"]
  assert "section 3 (non" in found["goodfellow2014"]["note"]
  assert "commit one: 5e7c0f55cd5e; two: 67b919486867, source 555555555555" in found["gan_jax"]["note"]
  assert found["gan_jax"]["year"] == "2026"


def test_every_card_and_a_transformed_loss_can_be_cited(study):
  read = records.read(study)
  names = [*losses.CARDS, "matched_gain(hinge)", "my_losses.py:hinge"]
  every = [read.runs[0]._replace(config={**read.runs[0].config, "loss": name}) for name in names]
  text = citation.bibtex(read._replace(runs=tuple(every), manifest={"losses": table.facts(losses.CARDS)}))
  numbers = {n for card in losses.CARDS.values() for n in re.findall(r"arXiv:(\d{4}\.\d{4,5})", card.reference)}
  assert {entry["eprint"] for entry in entries(text).values() if "eprint" in entry} == numbers
  assert text.splitlines()[-1].startswith("% not known here: the source of my_losses.py:hinge;")


@pytest.fixture(scope="module")
def drawn(study, tuned, tmp_path_factory):
  """The pictures of the second panel of the study, and of the tournament."""
  folder, read = tmp_path_factory.mktemp("figures"), records.read(study)
  points = read._replace(panels=read.panels[1:])
  return plates.write(points, "svg", folder / "points"), plates.write(records.read(tuned), "pdf", folder / "tuned")


def test_an_axis_says_what_it_shows(study, tmp_path, monkeypatch):
  """In the files letters are drawn, so the figures are read before they are written."""
  figures = []
  monkeypatch.setattr(plates, "saved", lambda figure, format, width: figures.append(figure) or b"")
  names = [path.stem for path in plates.write(records.read(study), "svg", tmp_path)]
  shown = {}
  for name, figure in zip(names, figures, strict=True):
    shown[name] = [text for axes in figure.axes if (text := axes.get_ylabel().replace("\n", " "))]
  wanted = {
    "panel-1-frechet-distance": "Fréchet distance",
    "panel-2-disc-auc": "AUC of real against fake logits",
    "panel-1-gen-grad_norm": "the generator's gradient norm",
    "panel-1-factor-loss": "the loss's factor",
    "panel-2-decades": "change in decades",
  }
  assert {name: shown[name] for name in wanted} == {name: [text] for name, text in wanted.items()}


def test_every_picture_of_the_page_has_a_file(study, tuned, drawn):
  second = page(study).partition('<section id="panel-2"')[2].replace('"panel 2: ', '"panel 1: ')
  for text, files in zip((second, page(tuned)), drawn, strict=True):
    there = {file.stem for file in files}
    named = {
      re.sub(r"(?<=verdicts) \d+$|(?<=, each), .*", "", name)
      for name in re.findall(r'<svg[^>]* role="img" aria-label="(panel [^"]*)"', text)
    }
    assert named
    assert {plates.slug(name) for name in named} <= there
    samples = len(re.findall(r"<img src=\"data:image/png", text)) + len(
      re.findall(r"<svg viewBox=\"0 0 200 200\"", text)
    )
    assert samples == len([name for name in there if "-samples-" in name])
    assert len(there) == len(files)
    told = (files[0].parent / "captions.txt").read_text().splitlines()
    assert {line.split(": ")[0] for line in told} == {file.name for file in files}


def test_pdf_has_embedded_truetype_and_the_asked_width(drawn):
  for file in drawn[1]:
    content = file.read_bytes()
    assert b"/Type3" not in content, file
    assert b"/FontFile2" in content
    width, height = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content).groups()
    assert float(width) == pytest.approx(3.3 * 72, abs=0.01)
    assert 20 < float(height) < 1000
    assert b"/CIDFontType2" in content or b"/TrueType" in content
  for file in drawn[0]:
    assert float(re.search(r'width="([\d.]+)pt"', file.read_text())[1]) == pytest.approx(3.3 * 72)


def test_widths_letters_and_repeats(study, tmp_path):
  from matplotlib.figure import Figure

  def figure(label):
    made = Figure(figsize=(5.2, 2.9))
    axes = made.add_axes((0.1, 0.15, 0.62, 0.82))
    axes.plot([0, 1], [0, 1])
    axes.text(1.05, 0.5, label, fontsize=9.5, transform=axes.transAxes)
    return made

  for width in (2.5, 6.75):
    png, svg = (plates.saved(figure("a long name of a loss"), form, width) for form in ("png", "svg"))
    assert Image.open(io.BytesIO(png)).size[0] == round(width * plates.DPI)
    assert float(re.search(rb'width="([\d.]+)pt"', svg)[1]) == pytest.approx(72 * width)
    assert svg == plates.saved(figure("a long name of a loss"), "svg", width)
    assert b"<text" not in svg  # letters are paths
    made = figure("a long name of a loss")
    plates.fit(made, width)
    assert made.axes[0].texts[0].get_fontsize() == pytest.approx(8)
    box = made.get_tightbbox()
    assert box.x0 >= 0
    assert box.x1 <= width
    pixels = Image.open(io.BytesIO(png)).convert("L")
    assert pixels.crop((pixels.width - 3, 0, pixels.width, pixels.height)).getextrema()[0] > 250  # nothing is cut


def test_a_latex_table_has_the_columns_that_fit_and_names_the_others(study, capsys):
  tables_command.main([str(study), "--format=latex"])
  text = capsys.readouterr().out
  left = re.search(r"^% left out, .*--columns\): (.+)$", text, re.M)[1].split(", ")
  assert {"disc/accuracy_real", "decades"} & set(left)
  assert not {"frechet/distance", "versus"} & set(left)
  for body in re.findall(r"\\toprule\n(.*?)\\bottomrule", text, re.S):
    rows = [re.split(r"(?<!\\)&", line) for line in body.splitlines() if "&" in line and "shortstack" not in line]
    longest = [max(len(row[i].strip().removesuffix("\\\\").strip()) for row in rows) for i in range(len(rows[0]))]
    assert sum(4.3 * letters + 8 for letters in longest) < 530, longest  # with the signs of LaTeX, which take no room
  tables_command.main([str(study), "--format=latex", f"--columns={','.join(left)}"])
  assert "left out" not in capsys.readouterr().out


def test_commands_print_write_and_refuse(study, tmp_path, capsys):
  tables_command.main([str(study), "--format=csv"])
  assert next(csv.reader(io.StringIO(capsys.readouterr().out)))[:2] == ["panel", "variant"]
  tables_command.main([str(study), "--format=latex", "--columns=versus, verdict", "--out", str(tmp_path / "t.tex")])
  assert check_latex((tmp_path / "t.tex").read_text()) == 3
  tables_command.main([str(study), "--cite"])
  assert "goodfellow2014" in entries(capsys.readouterr().out.partition("\n")[2])
  for command, arguments, words in (
    (tables_command, ["--format=latx"], "did you mean 'latex'"),
    (tables_command, ["--columns=versos"], "did you mean 'versus'"),
    (tables_command, ["--out", str(study / "manifest.json")], "of the study"),
    (tables_command, ["--out", str(study)], "expected a file"),
    (figures_command, ["--format=eps"], "unknown format of figures"),
    (figures_command, ["--width=0.3"], "2 to 20 inches"),
    (figures_command, ["--out", str(study / "rows")], "of the study"),
    (figures_command, ["--out", str(tmp_path / "t.tex")], "expected a folder"),
    (figures_command, ["--out", str(tmp_path)], "with its own files only, got"),
    (export_command, ["--format=tensorboard", "--out", str(tmp_path)], "in which there is t.tex"),
  ):
    with pytest.raises(BadInput, match=re.escape(words)):
      command.main([str(study), *arguments])
