"""`launch.sh watch DIR [--port N] [--every SECONDS]`: a page that shows a study while it is trained, in your browser.

The page is made anew from the study's files every few seconds: how far it is, a table of the runs with their verdicts
so far, curves and samples of the best and the worst run. It may be started before the study and looked at after its end.
Only this machine can open it (from another one: `ssh -L PORT:127.0.0.1:PORT`). Nothing of the study is changed.
Ctrl-C ends it, with exit code 130.
"""

import argparse
import base64
import contextlib
import hashlib
import http.server
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from . import command
from .sweep import Parser, place

ADDRESS = "127.0.0.1"
# Names that a browser on this machine uses. Another one means that a foreign page had its name point here.
NAMES = ("127.0.0.1", "localhost", "[::1]")
# A page that takes t seconds is made every SHARE * t seconds at the most, so that training is not slowed down.
SHARE = 4
SCRIPT = """
const said = document.getElementById("silence"), wait = 1000 * document.body.dataset.every;
async function renew() {
  try {
    if (document.hidden) return;
    const answer = await fetch("/", {cache: "no-store"});
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const across = [...document.querySelectorAll(".scroll")].map(box => box.scrollLeft);
    document.querySelector("main").replaceWith(page.querySelector("main"));
    document.querySelectorAll(".scroll").forEach((box, i) => { box.scrollLeft = across[i] || 0; });
    document.title = page.title;
    said.textContent = "";
  } catch {
    said.textContent = "No answer: the command 'watch' has ended. What is shown is no longer renewed.";
  } finally {
    setTimeout(renew, wait);
  }
}
setTimeout(renew, wait);
"""
POLICY = (
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
  f"frame-ancestors 'none'; script-src 'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'"
)


class Handler(http.server.BaseHTTPRequestHandler):
  """Answers `GET /` with the page, and nothing else."""

  server: "Server"
  server_version, sys_version = "gan_jax", ""
  timeout = 10  # seconds for a request

  def do_GET(self) -> None:
    if not _of_this_machine(self.headers.get_all("Host") or []):
      self.send_error(HTTPStatus.FORBIDDEN, f"expected the host {' or '.join(NAMES[:2])}")
    elif self.path != "/":
      self.send_error(HTTPStatus.NOT_FOUND, "there is only /")
    else:
      self._answer(HTTPStatus.OK, "text/html", self.server.page())

  def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
    """In plain text. It is also what other methods and malformed requests get."""
    self._answer(code, "text/plain", f"{message or HTTPStatus(code).phrase}\n")

  def _answer(self, code: int, kind: str, text: str) -> None:
    body = text.encode("utf-8", "backslashreplace")
    self.send_response(code)
    for name, value in (
      ("Content-Type", f"{kind}; charset=utf-8"),
      ("Content-Length", str(len(body))),
      ("Content-Security-Policy", POLICY),
      ("X-Content-Type-Options", "nosniff"),
      ("Cross-Origin-Resource-Policy", "same-origin"),
      ("Referrer-Policy", "no-referrer"),
      ("Cache-Control", "no-store"),
    ):
      self.send_header(name, value)
    with contextlib.suppress(ConnectionError, TimeoutError):  # the browser is gone
      self.end_headers()
      if self.command != "HEAD":
        self.wfile.write(body)

  def log_message(self, format: str, *args: object) -> None:
    pass


def _of_this_machine(hosts: list[str]) -> bool:
  """Whether the one Host header names this machine, whatever the port: it may be forwarded by ssh."""
  if len(hosts) != 1:
    return False
  name, colon, port = hosts[0].strip().lower().rpartition(":")
  if not colon or hosts[0].strip().endswith("]"):
    return hosts[0].strip().lower() in NAMES
  return name in NAMES and port.isdecimal()


class Server(http.server.ThreadingHTTPServer):
  """Serves the page of `make`, made at most every `every` seconds however many browsers ask."""

  daemon_threads = True

  def __init__(self, port: int, every: int, make: Callable[[], str]):
    super().__init__((ADDRESS, port), Handler)
    self._every, self._make = every, make
    self._made, self._due = "", 0.0
    self._lock = threading.Lock()

  def page(self) -> str:
    with self._lock:
      if time.monotonic() >= self._due:
        began = time.monotonic()
        self._made = self._make()
        took = time.monotonic() - began
        self._due = began + max(0.8 * self._every, SHARE * took)  # a browser that asks again is never just too early
      return self._made


def number(low: int, high: int) -> Callable[[str], int]:
  def parse(text: str) -> int:
    if not (text.isdecimal() and low <= int(text) <= high):
      raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, got {text[:20]!r}")
    return int(text)

  return parse


def server(study: Path, port: int, every: int) -> Server:
  """The server of a study's page, which listens already.

  Raises:
    BadInput: `study` is no directory, or the port cannot be used.
  """
  from gan_jax.core.errors import BadInput
  from gan_jax.report import live

  if study.exists() and not study.is_dir():
    raise BadInput(f"watch expected a study's directory, which need not exist yet, got the file {study}")
  try:
    return Server(port, every, lambda: live.page(study, every, SCRIPT))
  except OSError as error:
    raise BadInput(f"watch cannot listen on port {port} of {ADDRESS}: {error.strerror}; try another --port") from error


def main(arguments: list[str]) -> None:
  parser = Parser("watch")
  parser.add_argument(
    "directory", type=place, help="a study's directory, such as runs/compare_losses; it may come later"
  )
  parser.add_argument("--port", type=number(0, 65535), default=0, help="of the page (default: a free one)")
  parser.add_argument("--every", type=number(1, 3600), default=5, help="seconds between two pages (default: 5)")
  known = parser.parse_args(arguments)
  with server(known.directory, known.port, known.every) as serving:
    there = "" if known.directory.is_dir() else f"; {known.directory} is not there yet"
    print(f"http://{ADDRESS}:{serving.server_port}/ shows {known.directory}; Ctrl-C ends it{there}")
    command.stop().outcome = f"{known.directory} was only looked at"
    serving.serve_forever()


if __name__ == "__main__":
  command.run(main)
