"""The page of a study in training: what it shows, that it shows it to this machine alone, and that it changes nothing."""

import html
import http.client
import os
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from experiments import watch
from gan_jax import runs, settings
from gan_jax.core.errors import BadInput
from gan_jax.report import canvas, figures, live
from tests.conftest import ROOT
from tests.experiments.test_status import everything
from tests.report.test_browser import BROWSER, needs_browser
from tests.report.test_report import configs, write_study

HOSTILE = '</script><img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def study(tmp_path_factory):
  """Four runs at step 3,000 of 6,000, one of which diverged; names that would be markup. The qualities are known."""
  group = [
    config for config in next(iter(configs())) if config["loss"] in ("hinge", "wasserstein") and config["seed"] > 2
  ]
  path = write_study(tmp_path_factory.mktemp("runs") / "study", [group], until=3000, name=HOSTILE)
  for step in (0, 2000):
    known = {"frechet/distance": np.array([[9.0, 8.0, 2.0, 7.0]], np.float32)}  # wasserstein 3 and 4, hinge 3 and 4
    for _, _, old in [one for one in runs.parts(path, "quality", "group-0") if one[0] == step]:
      old.unlink()
    runs.append(path, "quality", "group-0", step, step + 1, runs.Table(np.array([step]), known))
  for *_, old in [one for one in runs.parts(path, "quality", "group-0") if one[0] not in (0, 2000)]:
    old.unlink()
  samples = np.arange(4, dtype=np.uint8)[:, None, None, None] + np.zeros((4, 64, 8, 8), np.uint8)
  runs.write_arrays(path / "samples" / "group-0" / "000002000.npz", samples=samples)
  return path


@pytest.fixture
def serving(study):
  with watch.server(study, 0, 5) as server:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()


def ask(server, path="/", method="GET", **headers):
  """(status, headers, text) of an answer."""
  connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
  connection.putrequest(method, path, skip_host="Host" in headers)
  for name, value in headers.items():
    connection.putheader(name, value)
  connection.endheaders()
  answer = connection.getresponse()
  text = answer.read().decode()
  connection.close()
  return answer.status, answer.headers, text


def test_it_shows_the_runs_and_changes_nothing(study, serving):
  before = everything(study)
  status, _, text = ask(serving)
  assert status == 200
  assert everything(study) == before
  rows = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r"<tr>(<th scope=\"row\".*?)</tr>", text)]
  assert [row[:5] for row in rows] == [
    ["hinge", "3", "training", "3,000", "2"],
    ["hinge", "4", "training", "3,000", "7"],
    ["wasserstein", "4", "training", "3,000", "8"],
    ["wasserstein", "3", "diverged", "2,350", "9"],
  ]
  assert rows[3][-1] == "diverged"
  assert "<h2>best: hinge, seed 3; worst: wasserstein, seed 4 by Fréchet distance at the last measurement</h2>" in text
  assert text.count("<figure>") == 4 + 3  # curves; samples of the two and of the data
  assert "seed 3 (" in text
  plots = re.findall(r'<svg class="plot".*?</svg>', text)
  assert [re.findall(r">(best|worst)</text>", plot) for plot in plots] == [["best", "worst"]] * 4
  assert ".plot path {" in text  # the style that draws them
  assert "diverged: an update was not finite at step 2,350" in text
  assert '<progress max="1" value="0.5">' in text


def test_names_are_text_and_only_our_script_runs(serving):
  _, headers, text = ask(serving)
  assert html.escape(HOSTILE, quote=False) in text.replace("&#34;", '"')
  assert "<img src=x" not in text
  assert re.findall(r"<script>(.*?)</script>", text, re.S) == [watch.SCRIPT]
  policy = headers["Content-Security-Policy"]
  assert policy.startswith("default-src 'none';")
  assert "script-src 'sha256-" in policy
  assert "unsafe" not in policy.split("script-src")[1]
  assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")


@pytest.mark.parametrize("path", ["/manifest.json", "/../../../../etc/passwd", "//etc/passwd", "/%2e%2e/", "/?x"])
def test_nothing_else_can_be_opened(serving, path):
  status, _, text = ask(serving, path)
  assert (status, text) == (404, "there is only /\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "<b>"])
def test_nothing_can_be_sent(serving, method):
  status, headers, text = ask(serving, method=method)
  assert status in (400, 501)
  assert headers.get_content_type() == "text/plain"
  assert "<h1>" not in text


@pytest.mark.parametrize(
  "host", ["evil.example", "127.0.0.1.evil.example:80", "evil.example:8000", "", "localhost:x", "[::2]"]
)
def test_a_page_of_another_name_gets_nothing(serving, host):
  """A foreign page may have its own name point to 127.0.0.1, and would be of one origin with this page."""
  status, _, text = ask(serving, Host=host)
  assert status == 403
  assert "hinge" not in text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:1", "[::1]:80", "[::1]"])
def test_this_machine_has_these_names(host):
  assert watch._of_this_machine([host])
  assert not watch._of_this_machine([host, host])


def test_a_name_is_at_the_end_of_its_line():
  """On a scale that is the plot's own: 5 is the middle of 0 to 10, and 10 is its margin of 5 % below the top."""
  _, axes = canvas.blank(0.28)
  for end in (10, 5):
    axes.plot([0, 1], [0, end])
  figures.write_ends(axes, [(10, "high", "black"), (5, "middle", "black")])
  found = {text.get_text(): text.get_position()[1] for text in axes.texts}
  assert found == pytest.approx({"high": 10.5 / 11, "middle": 5.5 / 11})


def test_a_study_may_come_later(tmp_path):
  there = tmp_path / "later"
  assert "Nothing can be shown yet: " in live.page(there, 5)
  with runs.writer_lock(there):
    assert "reading the data and making its plan" in live.page(there, 5)
  write_study(there, [next(iter(configs()))[:2]], until=0)
  text = live.page(there, 5)
  assert text.count("<td>waiting</td>") == 2
  (there / "manifest.json").write_text("{")
  assert "is damaged" in live.page(there, 5)
  with pytest.raises(BadInput, match=r"got the file .*manifest\.json"):
    watch.server(there / "manifest.json", 0, 5)


def test_of_a_large_program_only_the_last_part_is_read(study, monkeypatch):
  monkeypatch.setattr(live, "READING", 0)
  (table,) = live.view(study).tables
  assert [line.quality for line in table.lines] == [2, 7, 8, 9]
  assert [line.verdict for line in table.lines] == ["", "", "", "diverged"]


def test_only_the_last_programs_are_listed(tmp_path, monkeypatch):
  monkeypatch.setattr(live, "PROGRAMS", 2)
  groups = [[settings.resolve({"steps": 100, "batch_size": size})] for size in (32, 64, 128, 256)]
  path = write_study(tmp_path / "many", groups, until=0)
  status = {f"group-{i}": {"step": step, "complete": step == 100} for i, step in enumerate((100, 100, 50))}
  runs.write_json(path / "status.json", {"groups": status})
  shown = live.view(path)
  assert [table.title for table in shown.tables] == ["program 3 of 4, 1 runs", "program 2 of 4, 1 runs"]
  assert shown.message == "The runs of programs 1 to 1 are not listed here."


def test_a_page_is_made_once_for_all_who_ask(monkeypatch):
  made, now = [], [100.0]
  monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])

  def make():
    made.append(now[0])
    now[0] += 3.0  # seconds that it takes
    return f"page {len(made)}"

  with watch.Server(0, 5, make) as server:
    assert [server.page(), server.page()] == ["page 1", "page 1"]
    now[0] = 100.0 + watch.SHARE * 3 - 0.1
    assert server.page() == "page 1"
    now[0] = 100.0 + watch.SHARE * 3
    assert server.page() == "page 2"


def test_ctrl_c_ends_it(study):
  """The process as a user starts it. Its first line says where the page is."""
  before = everything(study)
  call = [sys.executable, "-m", "experiments.watch", str(study), "--every", "1"]
  with subprocess.Popen(call, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
    line = process.stdout.readline()
    process.server_port = int(re.match(r"http://127\.0\.0\.1:(\d+)/ shows ", line)[1])
    assert ask(process)[0] == 200
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
  assert process.returncode == 130
  assert said.strip() == f"stopped by Ctrl-C: {study} was only looked at"
  assert everything(study) == before


@needs_browser
def test_the_page_renews_itself_in_a_browser(study, tmp_path):
  first = live.page(study, 1, watch.SCRIPT)
  pages = iter([first.replace("<h1>", "<h1>first ")])
  with watch.Server(0, 0, lambda: next(pages, first.replace("<h1>", "<h1>renewed "))) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    call = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom"]
    call += ["--virtual-time-budget=5000", f"http://127.0.0.1:{server.server_port}/"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, check=False, env={**os.environ})
    server.shutdown()
  assert done.returncode == 0, done.stderr[-2000:]
  assert "<h1>renewed " in done.stdout
  assert "<h1>first " not in done.stdout
