"""The page in a real browser: it fits a screen and a phone, its tables sort and filter, what is switched off is gone."""

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gan_jax import runs
from gan_jax.report import build, film, records
from tests.report.test_report import LOSSES, configs, write_study

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(NAMES)} is in the PATH")
# Before anything else of the page: what it complains of.
FIRST = """window.seenErrors = [];
addEventListener("error", (event) => seenErrors.push(String(event.message)));
addEventListener("unhandledrejection", (event) => seenErrors.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => seenErrors.push(event.violatedDirective + " " + event.blockedURI));
for (const name of ["error", "warn"]) console[name] = (...words) => seenErrors.push(words.join(" "));
"""
# No window is narrower than 500 pixels, so the page is seen in a frame. It is as high as the page: where nothing is painted,
# nothing follows what is scrolled.
FRAME = """<!DOCTYPE html>
<style>:root {{ color-scheme: light dark }} iframe {{ border: 0; width: {}px; height: {}px }}</style>
<iframe src="page.html"></iframe><pre id="found"></pre>
<script>addEventListener("message", (event) => (found.textContent = event.data));</script>"""
SIZES = {"screen": (1400, 20_000, "light"), "laptop": (1280, 20_000, "dark"), "phone": (400, 40_000, "dark")}


def allowed(script):
  return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
  path = write_study(tmp_path_factory.mktemp("runs") / "compare", list(configs())[:2])
  rng = np.random.default_rng(1)
  for group, members in (("group-0", 35), ("group-1", 10)):
    for step in (0, 2000, 4000):
      samples = rng.integers(0, 256, (members, 64, 8, 8)).astype(np.uint8)
      runs.write_arrays(path / "samples" / group / f"{step:09d}.npz", samples=samples)
  return path


def widened(run):
  """With the columns of the main job, and with what is said of runs that failed."""
  quality, rows = dict(run.quality.columns), dict(run.rows.columns)
  last = {("wasserstein", 2): quality["frechet/distance"][0], ("hinge", 0): np.nan}.get((run.config["loss"], run.seed))
  if last is not None:
    quality["frechet/distance"] = np.append(quality["frechet/distance"][:-1], last)
  quality["raw/frechet/distance"] = 1.3 * quality["frechet/distance"]
  rows["disc/accuracy"] = (rows["disc/accuracy_real"] + rows["disc/accuracy_fake"]) / 2
  tables = {"quality": runs.Table(run.quality.steps, quality), "rows": runs.Table(run.rows.steps, rows)}
  return run._replace(**tables)


@pytest.fixture(scope="module")
def page(study):
  found = records.read(study)
  members = tuple(map(widened, found.runs))
  panels = records.panels(members, "compare losses", {}, {})
  return build(found._replace(runs=members, panels=panels), study / "report.html").read_text()


def dump(text, folder, size):
  """The page as the browser leaves it."""
  width, height, theme = SIZES[size]
  (folder / "page.html").write_text(text)
  (folder / "frame.html").write_text(FRAME.format(width, height))
  done = subprocess.run(
    [
      BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-extensions", "--disable-background-networking",
      "--disable-dev-shm-usage", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND",
      f"--user-data-dir={folder / 'profile'}",
      f"--window-size={width + 100},1000", f"--blink-settings=preferredColorScheme={int(theme == 'light')}",
      "--virtual-time-budget=2000", "--dump-dom", (folder / "frame.html").as_uri(),
    ],
    capture_output=True, text=True, timeout=120, check=False,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr[-2000:]
  return done.stdout


@pytest.fixture(scope="module", params=SIZES)
def seen(request, page, tmp_path_factory):
  """(size, what the script `browser.js` found)."""
  script = (Path(__file__).parent / "browser.js").read_text()
  text = page.replace("script-src ", f"script-src {allowed(FIRST)} {allowed(script)} ", 1)
  text = text.replace("<style>", f"<script>{FIRST}</script>\n<style>", 1)
  text = text.replace("</body>", f"<script>{script}</script>\n</body>")
  out = dump(text, tmp_path_factory.mktemp(request.param), request.param)
  found = re.search(r'<pre id="found">(.+?)</pre>', out, re.S)
  assert found, out[-3000:]
  return request.param, json.loads(html.unescape(found[1]))


@needs_browser
def test_nothing_fails_and_no_request_leaves(seen):
  _, found = seen
  assert "failed" not in found, found["failed"]
  assert found["errors"] == []
  assert found["requests"] == []


@needs_browser
def test_it_fits_and_the_result_comes_first(seen):
  size, found = seen
  width, _, theme = SIZES[size]
  assert found["width"] == width
  assert found["page"] <= width
  assert found["beyond"] == []
  first = [label for label, _ in found["results"]]
  assert first[:3] == ["final Fréchet distance", "ratio to minimax", "verdict"]
  assert all(inside for _, inside in found["results"][:3])
  assert (len(first) == 3) == (size == "phone")  # the rest on demand
  assert found["lines"] == 1  # the longest name
  assert found["columns"] >= film.FRAMES  # a film is one line
  assert (sum(map(int, re.findall(r"\d+", found["dark"])[:3])) < 150) == (theme == "dark")


@needs_browser
def test_no_column_of_the_results_is_cut(seen):
  """Seven losses have twelve columns beside their names, as in the main job; on a phone most of them on demand."""
  _, found = seen
  assert found["all"] == [9 * 12, 12]
  assert found["cut"] == []
  assert found["lost"] == []


@needs_browser
def test_every_word_explains_itself_on_focus_within_the_window(seen):
  _, found = seen
  assert found["words"] > 30
  assert found["unexplained"] == []
  assert found["closed"]


@needs_browser
def test_tables_sort_and_filter(seen):
  _, found = seen
  assert sorted(found["original"]) == sorted(LOSSES)
  assert found["byName"] == sorted(LOSSES)
  assert found["auc"] == sorted(found["auc"])
  assert found["falling"] == found["auc"][::-1]
  assert found["state"] == "descending"
  assert found["back"] == found["original"]
  rows, hinges, count = found["filtered"]
  assert rows == ["non_saturating"]
  assert hinges == 0
  assert count == "1 of 7"
  assert found["unfiltered"] == found["original"]


@needs_browser
def test_what_is_switched_off_is_gone_from_all_pictures(seen):
  _, found = seen
  everywhere, visible, others = found["before"]
  assert visible > 15  # sample, films, strip, and a plot of each metric
  assert everywhere > visible  # in folded pictures too
  assert found["off"] == [0, 0, others, "false"]
  assert found["on"] == [everywhere, visible]
  (names, lines), gone = found["left"]
  assert names >= 5
  assert lines > 15
  assert gone == [0, 0]


@needs_browser
def test_one_cursor_crosses_all_plots_and_the_film(seen, study):
  _, found = seen
  plots, crossed = found["cursors"]
  assert plots == crossed > 40
  assert found["frames"] == [["2000"]] * 14  # 2975 is nearer to 2000 than to 4000
  hidden, said, inside = found["readout"]
  assert not hidden
  assert inside
  name, value = re.fullmatch(
    r"step 3,000\s+(\S+) ([\d.]+)", said
  ).groups()  # of the first plot: quality is measured there
  variant = next(v for v in records.read(study).panels[0].variants if v.label == name)
  at = [run.quality.columns["frechet/distance"][list(run.quality.steps).index(3000)] for run in variant.counted]
  assert float(value) == pytest.approx(float(np.exp(np.log(at).mean())), rel=0.02)
  assert found["value"] == pytest.approx(3000, abs=1)
  assert not found["still"]
  assert found["moving"] == [True, "film"]


def test_without_scripts_everything_is_there(page):
  """No control that does nothing: those that need the script are made by it. Nothing is hidden until it runs."""
  bare = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
  body = bare[bare.index("<body>") :]
  assert "<button" not in body
  assert "<select" not in body
  assert " onclick" not in body
  assert "display: none" not in body
  assert " hidden" not in re.sub(r">[^<]*<", "><", body)
  for name in LOSSES:
    assert name in body.replace("<wbr>", "")


def test_the_policy_lets_in_this_script_alone(page):
  policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
  (script,) = re.findall(r"<script>(.*?)</script>", page, re.S)
  rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
  assert rules["script-src"] == html.unescape(allowed(script))
  assert rules["default-src"] == "'none'"
  assert rules["img-src"] == "data:"
  assert not re.search(r"\b(fetch|XMLHttpRequest|eval|innerHTML|import)\b", script)
