"""Downloads against a server on loopback that cuts, lies, and sends more or less than it should."""

import contextlib
import hashlib
import http.server
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from urllib.parse import urlsplit

import numpy as np
import pytest

from experiments import fetch
from gan_jax import data
from gan_jax.core import homes
from gan_jax.core.download import Refused, _check, download
from gan_jax.core.errors import BadInput, Failure
from tests.conftest import ROOT
from tests.data.test_idx import IMAGES, LABELS, write_set

BODY = np.random.default_rng(0).bytes(300_000)
HALF = len(BODY) // 2
SHA = hashlib.sha256(BODY).hexdigest()
Site = namedtuple("Site", "url ranges")  # ranges: of each request, in order


def whole(handler, offset, body=BODY):
  """What a good server does: the rest, if asked for it."""
  handler.send_response(206 if offset else 200)
  if offset:
    handler.send_header("Content-Range", f"bytes {offset}-{len(body) - 1}/{len(body)}")
  handler.send_header("Content-Length", str(len(body) - offset))
  handler.end_headers()
  handler.wfile.write(body[offset:])


def cut(handler, offset):
  handler.send_response(200)
  handler.send_header("Content-Length", str(len(BODY)))
  handler.end_headers()
  handler.wfile.write(BODY[:HALF])


def other(body, length=True):
  """A server with another file, which it sends whole whatever is asked; `length`: whether it says how long it is."""

  def answer(handler, offset):
    handler.send_response(200)
    if length:
      handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    with contextlib.suppress(ConnectionError):  # who has enough may hang up
      handler.wfile.write(body)

  return answer


def says(code, **headers):
  def answer(handler, offset):
    handler.send_response(code)
    for name, value in headers.items():
      handler.send_header(name, value)
    handler.send_header("Content-Length", "0")
    handler.end_headers()

  return answer


def shifted(handler, offset):
  """Answers with another range than was asked for, once; then as it should."""
  whole(handler, offset and offset - 7)


@pytest.fixture
def serve():
  """serve(answer, answer, ...): a site whose first request gets the first answer, and so on; the last one is repeated."""
  with contextlib.ExitStack() as stack:

    def start(*answers):
      ranges = []

      class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
          ranges.append(self.headers.get("Range"))
          asked = re.fullmatch(r"bytes=(\d+)-", ranges[-1] or "")
          answers[min(len(ranges), len(answers)) - 1](self, int(asked[1]) if asked else 0)

        def log_message(self, *_):
          pass

      server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
      thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
      thread.start()
      stack.callback(thread.join)
      stack.callback(server.shutdown)
      return Site(f"http://127.0.0.1:{server.server_address[1]}/a.bin", ranges)

    yield start


def file(*urls):
  return homes.File("a.bin", len(BODY), SHA, urls)


def get(folder, *urls, say=lambda line: None, **options):
  return download(file(*urls), folder, say, local=True, waits=(0.0, 0.0), timeout=5.0, **options)


def names(folder):
  return sorted(path.name for path in folder.iterdir())


def begin(folder, content=BODY[:HALF]):
  (folder / "a.bin.part").write_bytes(content)


def is_whole(folder):
  return names(folder) == ["a.bin"] and (folder / "a.bin").read_bytes() == BODY


def test_complete_and_then_left(tmp_path, serve):
  site, counts = serve(whole), []
  assert get(tmp_path / "new", site.url, advanced=counts.append)
  assert is_whole(tmp_path / "new")
  assert counts == sorted(counts)
  assert counts[-1] == len(BODY)
  assert not get(tmp_path / "new", site.url)
  assert site.ranges == [None]


def test_a_cut_connection_is_resumed(tmp_path, serve):
  site, said = serve(cut, whole), []
  assert get(tmp_path, site.url, say=said.append)
  assert is_whole(tmp_path)
  assert site.ranges == [None, f"bytes={HALF}-"]
  assert re.fullmatch(r"a\.bin: 127\.0\.0\.1:\d+: .* after 150,000 of 300,000 bytes; trying again \(2 of 3\)", said[0])


@pytest.mark.parametrize(
  ("answers", "ranges"),
  [
    ((other(BODY),), 1),  # ignores the range: begins again
    ((shifted, whole), 2),
    ((says(416), whole), 2),
  ],
)
def test_servers_without_ranges(tmp_path, serve, answers, ranges):
  begin(tmp_path)
  site = serve(*answers)
  assert get(tmp_path, site.url)
  assert is_whole(tmp_path)
  assert site.ranges == [f"bytes={HALF}-", None][:ranges]


def test_nothing_old_stays_behind_what_came_anew(tmp_path, serve):
  begin(tmp_path, bytes(HALF + 1000))
  site = serve(cut, whole)  # the first ignores the range, and breaks off before the part's old end
  assert get(tmp_path, site.url)
  assert is_whole(tmp_path)
  assert site.ranges == [f"bytes={HALF + 1000}-", f"bytes={HALF}-"]


@pytest.mark.parametrize("content", [bytes(HALF), bytes(len(BODY)), bytes(len(BODY) + 1)])
def test_a_part_of_another_file_is_kept_aside(tmp_path, serve, content):
  begin(tmp_path, content)
  site = serve(whole)
  assert get(tmp_path, site.url)
  assert names(tmp_path) == ["a.bin", "a.bin.wrong"]
  assert (tmp_path / "a.bin").read_bytes() == BODY
  assert (tmp_path / "a.bin.wrong").read_bytes()[:HALF] == bytes(HALF)


WRONG = {
  "another size is not even read": (other(BODY + b"x"), "expected 300,000 bytes, got the answer 200 with 300001", []),
  "too short": (other(BODY[:HALF]), "with 150000 bytes", []),
  "another checksum": (other(bytes(len(BODY))), "expected sha256 .*kept as", ["a.bin.wrong"]),
  "too long, unannounced": (other(b"x" + BODY * 2, False), "expected sha256 .*kept as", ["a.bin.wrong"]),
  "missing": (says(404), "answered 404", []),
  "an empty answer": (says(204), "answer 204", []),
  "http on another machine": (
    says(302, Location="http://example.org/a.bin"),
    "expected an https address, got http:",
    [],
  ),
  "a local file": (says(302, Location="file:///etc/passwd"), "302", []),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused_is_asked_once_and_the_next_address_helps(tmp_path, serve, case):
  answer, message, left = WRONG[case]
  bad = serve(answer)
  with pytest.raises(Failure, match=message):
    get(tmp_path, bad.url)
  assert names(tmp_path) == left
  assert len(bad.ranges) == 1
  assert all((tmp_path / name).stat().st_size <= len(BODY) for name in left)
  assert get(tmp_path, bad.url, serve(whole).url)
  assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_busy_server_is_asked_three_times(tmp_path, serve):
  site = serve(says(503))
  with pytest.raises(Failure, match=r"could not be downloaded \(127.*answered 503"):
    get(tmp_path, site.url)
  assert (len(site.ranges), names(tmp_path)) == (3, [])
  begin(tmp_path)
  short = serve(other(BODY[:HALF], False))  # ends early, three times
  with pytest.raises(Failure, match="ended after 150,000 of 300,000"):
    get(tmp_path, short.url)
  assert (len(short.ranges), names(tmp_path)) == (3, ["a.bin.part"])


def test_a_server_that_falls_silent(tmp_path, serve):
  def silent(handler, offset):
    cut(handler, offset)
    time.sleep(0.5)

  with pytest.raises(Failure, match="timed out after 150,000"):
    download(file(serve(silent).url), tmp_path, lambda line: None, local=True, waits=(), timeout=0.1)
  assert (tmp_path / "a.bin.part").read_bytes() == BODY[:HALF]


def test_only_https(tmp_path, serve):
  site = serve(whole)
  with pytest.raises(Failure, match="expected an https address"):
    download(file(site.url), tmp_path, lambda line: None, waits=())
  assert site.ranges == []
  for url in ("http://127.0.0.1.example.org/a", "http://localhost/a", "ftp://127.0.0.1/a", "file:///etc/passwd"):
    with pytest.raises(Refused):
      _check(url, local=True)


@pytest.mark.parametrize("content", [b"mine", bytes(len(BODY))])
def test_another_file_of_that_name_is_never_touched(tmp_path, serve, content):
  (tmp_path / "a.bin").write_bytes(content)
  site = serve(whole)
  with pytest.raises(BadInput, match=r"a\.bin: expected the published file .* left as it is"):
    get(tmp_path, site.url)
  assert (site.ranges, names(tmp_path), (tmp_path / "a.bin").read_bytes()) == ([], ["a.bin"], content)


def test_one_downloads_and_the_other_waits(tmp_path, serve):
  asked, go = threading.Event(), threading.Event()

  def slow(handler, offset):
    asked.set()
    go.wait(10)
    whole(handler, offset)

  site, results, said = serve(slow), [], []

  def second_says(line):
    said.append(line)
    go.set()

  first = threading.Thread(target=lambda: results.append(get(tmp_path, site.url)))
  first.start()
  assert asked.wait(10)
  results.append(get(tmp_path, site.url, say=second_says))
  first.join()
  assert sorted(results) == [False, True]
  assert len(site.ranges) == 1
  assert is_whole(tmp_path)
  assert re.search(r"a\.bin\.part is being downloaded by another process; waiting", said[0])


def test_who_waited_begins_anew_where_the_other_failed(tmp_path, serve):
  asked, go, failures = threading.Event(), threading.Event(), []

  def wrong(handler, offset):
    asked.set()
    go.wait(10)
    other(bytes(len(BODY)))(handler, offset)

  def fail():
    with pytest.raises(Failure) as failed:
      get(tmp_path, serve(wrong).url)
    failures.append(failed)

  first = threading.Thread(target=fail)
  first.start()
  assert asked.wait(10)
  assert get(tmp_path, serve(whole).url, say=lambda line: go.set())
  first.join()
  assert len(failures) == 1
  assert names(tmp_path) == ["a.bin", "a.bin.wrong"]
  assert (tmp_path / "a.bin").read_bytes() == BODY


def test_killed_and_run_again(tmp_path, serve):
  go = threading.Event()

  def stuck(handler, offset):
    cut(handler, offset)
    go.wait(30)

  site, part = serve(stuck, whole), tmp_path / "a.bin.part"
  code = (
    "import pathlib, sys\nfrom gan_jax.core import download, homes\nassert 'jax' not in sys.modules\n"
    f"file = homes.File('a.bin', {len(BODY)}, {SHA!r}, ({site.url!r},))\n"
    f"download.download(file, pathlib.Path({str(tmp_path)!r}), local=True)"
  )
  child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
  end = time.monotonic() + 60
  while not (part.exists() and part.stat().st_size == HALF) and time.monotonic() < end:
    time.sleep(0.02)
  child.send_signal(signal.SIGKILL)
  assert child.wait() == -signal.SIGKILL
  go.set()
  assert names(tmp_path) == ["a.bin.part"]
  assert get(tmp_path, site.url)
  assert is_whole(tmp_path)
  assert site.ranges == [None, f"bytes={HALF}-"]


def test_a_full_disk(tmp_path, serve, monkeypatch):
  site, limits = serve(whole), resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, limits[1]))  # writing fails there, as on a full disk
  try:
    with pytest.raises(OSError, match="File too large"):
      get(tmp_path, site.url)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert names(tmp_path) == ["a.bin.part"]
  assert get(tmp_path, site.url)
  assert is_whole(tmp_path)
  assert len(site.ranges) == 2
  monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(299_999))
  with pytest.raises(Failure, match=r"expected 300,000 bytes of free space for a\.bin, got 299,999"):
    get(tmp_path / "else", site.url)


def test_a_folder_that_cannot_be_written(tmp_path, serve):
  (tmp_path / "taken").write_text("")
  with pytest.raises(OSError, match="taken"):
    get(tmp_path / "taken", serve(whole).url)
  closed = tmp_path / "closed"
  closed.mkdir(0o500)
  if os.access(closed, os.W_OK):
    pytest.skip("this user may write everywhere")
  with pytest.raises(PermissionError, match="closed"):
    get(closed, serve(whole).url)


def test_the_table():
  """All https, digests and sizes that can be; and the test set of MNIST that other people handed on is the pinned one."""
  assert list(homes.HOMES) == ["mnist", "fashion_mnist", "kmnist", "cifar10", "cifar100"]
  files = [f for home in homes.HOMES.values() for f in home.files]
  assert len({f.sha256 for f in files}) == len(files) == 14
  for f in files:
    assert re.fullmatch(r"[0-9a-f]{64}", f.sha256)
    assert all(urlsplit(url).scheme == "https" and url.endswith(f"/{f.name}") for url in f.urls)
  for name, home in homes.HOMES.items():
    assert home.option in data.DATASETS[name].options
  from tests.data.test_idx import MNIST

  images, labels = homes.HOMES["mnist"].files[2:]
  if not MNIST.is_dir():
    pytest.skip(f"no MNIST in {MNIST}")
  for f in (images, labels):
    found = (MNIST / f.name).read_bytes()
    assert (len(found), hashlib.sha256(found).hexdigest()) == (f.size, f.sha256)


@pytest.fixture
def small(tmp_path, serve, monkeypatch):
  """A table whose MNIST is a handful of images on loopback; returns the folder where data sets go."""
  origin = tmp_path / "origin"
  origin.mkdir()
  write_set(origin, compress=True)
  rows = []
  for path in sorted(origin.iterdir()):
    body = path.read_bytes()
    url = serve(lambda handler, offset, body=body: whole(handler, offset, body)).url
    rows.append(homes.File(path.name, len(body), hashlib.sha256(body).hexdigest(), (url,)))
  monkeypatch.setitem(homes.HOMES, "mnist", homes.HOMES["mnist"]._replace(files=tuple(rows)))
  monkeypatch.setattr(fetch, "download", lambda f, folder, *more: download(f, folder, *more, local=True))
  monkeypatch.setenv("GAN_JAX_DATA", str(tmp_path / "data"))
  return tmp_path / "data"


def test_what_was_fetched_is_found_without_a_folder(small, capsys):
  with pytest.raises(BadInput, match=r"dataset 'mnist' expected .* got none; `\S+ fetch mnist` downloads it"):
    data.load("mnist")
  with pytest.raises(BadInput, match=r"got no such folder; `\S+ fetch mnist` downloads it"):
    data.load("mnist", data_dir=str(small))
  fetch.main(["mnist"])
  assert f"mnist: 2 of 2 files downloaded, all verified: {small / 'mnist'}; found" in capsys.readouterr().out
  np.testing.assert_array_equal(data.load("mnist").data.images[..., 0], IMAGES)
  np.testing.assert_array_equal(data.load("mnist").data.labels, LABELS)
  fetch.main(["mnist", "mnist"])
  assert capsys.readouterr().out.count("mnist: there already, verified") == 1
  fetch.main([])
  assert re.search(r"^mnist +\S+ MB +CC BY-SA 3.0 +there ", capsys.readouterr().out, re.M)
  (small / "mnist" / homes.HOMES["mnist"].files[1].name).unlink()  # images without labels are no data set
  with pytest.raises(BadInput, match="got none"):
    data.load("mnist")


def test_another_folder_and_what_to_type_then(small, tmp_path, capsys):
  fetch.main(["mnist", "--out", str(tmp_path / "mine")])
  option = f"--config.dataset_options.data_dir={tmp_path / 'mine' / 'mnist'}"
  assert capsys.readouterr().out.rstrip().endswith(option)
  assert not small.exists()
  np.testing.assert_array_equal(data.load("mnist", data_dir=option.partition("=")[2]).data.images[..., 0], IMAGES)


def test_the_other_data_sets_name_the_command_too():
  for name, asked in (("fashion_mnist", "fashion_mnist"), ("stacked_mnist", "mnist"), ("cifar100", "cifar100")):
    with pytest.raises(BadInput, match=rf"got none; `\S+ fetch {asked}` downloads it"):
      data.load(name)
  with pytest.raises(BadInput, match=r"gone: expected .*; `\S+ fetch cifar10` downloads it"):
    data.load("cifar10", path="gone")


@pytest.mark.parametrize("name", ["emnist", "imagenet", "../mnist"])
def test_a_data_set_that_is_not_fetched(name):
  with pytest.raises(BadInput, match="expected a data set of mnist, fashion_mnist, kmnist, cifar10, cifar100, got"):
    fetch.main([name])
