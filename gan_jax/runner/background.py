"""A thread that writes while training goes on: what it is given is done one after another, in order. No jax import."""

import collections
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

WAITING = 16  # jobs at most; then training waits, so that a slow disk does not fill the memory


class Background:
  """A context manager, which ends when all jobs have ended. After a job that failed, no further one is begun.

  So what is given first is on disk first, and a job may rely on those before it.
  """

  def __init__(self) -> None:
    self._threads = ThreadPoolExecutor(1, thread_name_prefix="writing")
    self._jobs: collections.deque[Future[None]] = collections.deque()
    self._failed = False

  def __enter__(self) -> "Background":
    return self

  def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
    self._threads.shutdown(wait=True)
    if kind is None:
      self.wait()

  def do(self, job: Callable[..., object], *arguments: Any) -> None:
    """Have `job(*arguments)` done after all jobs before it. Raises what an earlier job raised."""
    while self._jobs and (self._jobs[0].done() or len(self._jobs) >= WAITING):
      self._jobs.popleft().result()
    self._jobs.append(self._threads.submit(self._attempt, job, arguments))

  def wait(self) -> None:
    """Wait until all is done. Raises what a job raised."""
    while self._jobs:
      self._jobs.popleft().result()

  def _attempt(self, job: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    if not self._failed:
      try:
        job(*arguments)
      except BaseException:
        self._failed = True
        raise
