"""One file from the web, byte for byte as it is published, or not at all. Standard library only, no jax import.

    NAME.part     what has come so far, locked by the process that writes it; a stopped download goes on from here
    NAME          the whole file; it is verified and on disk before it gets this name
    NAME.wrong    bytes whose checksum is another one, kept for whoever wants to know what was sent; NAME.wrong-2, ...

Only https is asked, and redirects are followed only to https. The published checksum is what makes a file right: a file
that changed between two parts of a download, or that goes on after the published size, is found by it.
"""

import contextlib
import fcntl
import http.client
import os
import re
import shutil
import ssl
import stat
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from gan_jax.core import installation
from gan_jax.core.errors import BadInput, Failure, one_line
from gan_jax.core.files import settle
from gan_jax.core.homes import File, digest_of, there

CHUNK = 2**16  # bytes
TIMEOUT = 30.0  # seconds without an answer
WAITS = (1.0, 5.0)  # seconds before the second and the third try of an address
LATER = frozenset({408, 425, 429})  # answers that, like those from 500, may be others a moment later
RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Lost(Exception):
  """The connection failed, or the server is busy: another try may succeed."""


class Refused(Exception):
  """This address does not give the file, however often it is asked."""


def download(
  file: File,
  folder: Path,
  say: Callable[[str], None] = print,
  advanced: Callable[[int], None] = lambda done: None,
  *,
  local: bool = False,
  timeout: float = TIMEOUT,
  waits: Sequence[float] = WAITS,
) -> bool:
  """Get a file into a folder; returns False if it was there already, verified.

  Of several processes one downloads, and the others wait for it. Never more than `file.size` bytes are written.

  Args:
    file: name, size, checksum and addresses.
    folder: made if it is missing.
    say: gets a line for whatever a person should know.
    advanced: gets the number of bytes that are there, after each chunk.
    local: allow http to 127.0.0.1 as well, for tests.
    timeout: seconds without an answer after which a connection counts as lost.
    waits: seconds before each further try of the same address.

  Raises:
    BadInput: there is another file of that name; it is left as it is.
    Failure: no address gave the file, or the disk has too little space. What has come stays in NAME.part.
    OSError: the folder or the file could not be written.
  """
  folder.mkdir(parents=True, exist_ok=True)
  if there(folder / file.name, file):
    return False
  opener, problems = _opener(local), []
  for url in file.urls:
    host = urllib.parse.urlsplit(url).netloc
    for number, wait in enumerate((0.0, *waits), 1):
      time.sleep(wait)
      try:
        _check(url, local)
        return _attempt(file, folder, say, partial(_ask, opener, url, file, timeout), advanced)
      except (Lost, Refused) as error:
        problem = f"{host}: {one_line(str(error))}"
        final = isinstance(error, Refused) or number == len(waits) + 1
        say(f"{file.name}: {problem}{'' if final else f'; trying again ({number + 1} of {len(waits) + 1})'}")
        if final:
          problems.append(problem)
          break
  raise Failure(
    f"{file.name} could not be downloaded ({'; '.join(problems)}); the same command tries again, and goes on from "
    f"what has come"
  )


def _attempt(
  file: File,
  folder: Path,
  say: Callable[[str], None],
  ask: Callable[[int], tuple[Any, int]],
  advanced: Callable[[int], None],
) -> bool:
  """One try, under the lock: go on with the part, verify it, give it its name. False if another process did."""
  target, part = folder / file.name, folder / f"{file.name}.part"
  with _locked(part, say) as stream:
    try:
      if there(target, file):
        return False
      began = stream.seek(0, os.SEEK_END)
      if (free := shutil.disk_usage(folder).free) < file.size - began:
        raise Failure(f"{folder}: expected {file.size - began:,} bytes of free space for {file.name}, got {free:,}")
      if began < file.size:
        _fill(stream, file, ask(began), advanced)
      os.fsync(stream.fileno())
      digest = digest_of(part)
      if digest != file.sha256:
        kept = _aside(part, target)
        wrong = f"expected sha256 {file.sha256[:12]}..., got {digest[:12]}..., kept as {kept}"
        # Of two parts, the first may be the wrong one.
        raise Lost(f"{wrong}; beginning again") if began else Refused(wrong)
      if there(target, file):  # somebody put it there meanwhile
        return False
      os.rename(part, target)
      settle(folder)
      return True
    finally:
      if part.exists() and not part.stat().st_size:
        part.unlink()


@contextlib.contextmanager
def _locked(part: Path, say: Callable[[str], None]) -> Iterator[BinaryIO]:
  """The part, open for reading and writing, for this process alone. The kernel releases the lock of a killed process."""
  while True:
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    with os.fdopen(descriptor, "r+b") as stream:
      if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise BadInput(f"{part}: expected a regular file, got a pipe or a device; remove it")
      try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
      except BlockingIOError:
        say(f"{part} is being downloaded by another process; waiting for it")
        fcntl.flock(stream, fcntl.LOCK_EX)
      # Whoever had the lock may have renamed the file.
      if os.path.lexists(part) and os.path.samestat(os.lstat(part), os.fstat(descriptor)):
        yield stream
        return


def _fill(stream: BinaryIO, file: File, answer: tuple[Any, int], advanced: Callable[[int], None]) -> None:
  """Write what the server sends, up to the published size."""
  response, done = answer
  with response:
    stream.truncate(done)
    stream.seek(done)
    while done < file.size:
      try:
        chunk = response.read1(min(CHUNK, file.size - done))
      except (OSError, http.client.HTTPException) as error:
        raise Lost(f"{error or type(error).__name__} after {done:,} of {file.size:,} bytes") from error
      if not chunk:
        raise Lost(f"the connection ended after {done:,} of {file.size:,} bytes")
      stream.write(chunk)
      stream.flush()
      done += len(chunk)
      advanced(done)


def _aside(part: Path, target: Path) -> Path:
  """Give the wrong bytes a name of their own."""
  names = (target.with_name(f"{target.name}.wrong" + f"-{n}" * (n > 1)) for n in range(1, 10**6))
  free = next(path for path in names if not os.path.lexists(path))
  os.rename(part, free)
  return free


def _ask(opener: Any, url: str, file: File, timeout: float, offset: int) -> tuple[Any, int]:
  """(the response, from which byte on it sends): `offset`, or 0 where the server sends only whole files."""
  headers = {"User-Agent": f"gan_jax/{installation.__version__}", "Accept-Encoding": "identity"}
  if offset:
    headers["Range"] = f"bytes={offset}-"
  try:
    response = opener.open(urllib.request.Request(url, headers=headers), timeout=timeout)
  except urllib.error.HTTPError as error:
    error.close()
    if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
      return _ask(opener, url, file, timeout, 0)
    kind = Lost if error.code in LATER or error.code >= 500 else Refused
    raise kind(f"the server answered {error.code} {error.reason}") from error
  except (OSError, http.client.HTTPException) as error:
    reason = getattr(error, "reason", error)
    kind = Refused if isinstance(reason, ssl.SSLCertVerificationError) else Lost
    raise kind(str(reason) or type(reason).__name__) from error
  said = RANGE.fullmatch(response.headers.get("Content-Range") or "")
  if response.status == http.client.PARTIAL_CONTENT and offset and (said is None or int(said[1]) != offset):
    response.close()
    return _ask(opener, url, file, timeout, 0)
  whole = said[2] if said else response.headers.get("Content-Length") or "*"
  if response.status not in (http.client.OK, http.client.PARTIAL_CONTENT) or whole not in (str(file.size), "*"):
    response.close()
    raise Refused(f"expected {file.size:,} bytes, got the answer {response.status} with {whole} bytes")
  return response, offset if response.status == http.client.PARTIAL_CONTENT else 0


def _check(url: str, local: bool) -> None:
  """Raises `Refused` for an address that is not asked."""
  parts = urllib.parse.urlsplit(url)
  if parts.scheme != "https" and not (local and parts.scheme == "http" and parts.hostname == "127.0.0.1"):
    raise Refused(f"expected an https address, got {url}")


def _opener(local: bool) -> urllib.request.OpenerDirector:
  class Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
      _check(newurl, local)
      return super().redirect_request(req, fp, code, msg, headers, newurl)

  # A proxy of the environment is used, but not for this machine itself.
  return urllib.request.build_opener(Redirects, *([urllib.request.ProxyHandler({})] if local else []))
