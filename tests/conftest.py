"""Strict modes for the whole suite, set before any test imports jax."""

import atexit
import contextlib
import gc
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gan_jax.core.compilation import quick_compilation

# Before jax: four virtual CPU devices, so that the code for many devices runs everywhere, and no accelerator is needed.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_NUM_CPU_DEVICES"] = "4"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"  # of every operation of every program, for profilers only
# The suite compiles a thousand small programs and runs each once.
flags = " ".join(f"--{name}={str(value).lower()}" for name, value in quick_compilation().items())
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}"

# What one test has compiled, every later one reads from disk, and so do the processes that tests start: most of their
# programs are the same. So are the classifiers of the data. One folder for each worker: jax writes there without a lock.
if "GAN_JAX_TEST_CACHE" not in os.environ:
  os.environ["GAN_JAX_TEST_CACHE"] = tempfile.mkdtemp(prefix="gan_jax_tests_")
  atexit.register(shutil.rmtree, os.environ["GAN_JAX_TEST_CACHE"], ignore_errors=True)
cache = Path(os.environ["GAN_JAX_TEST_CACHE"], os.environ.get("PYTEST_XDIST_WORKER", "alone"))
os.environ["XDG_CACHE_HOME"] = str(cache)  # none of the user's
os.environ["GAN_JAX_DATA"] = str(cache / "data")
os.environ["MPLCONFIGDIR"] = str(cache / "matplotlib")
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(cache / "xla")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

# A script that starts the suite in the background ignores Ctrl-C for it, and so would all processes that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
  signal.signal(signal.SIGINT, signal.default_int_handler)

# Tracing makes millions of small objects that live on: looking through them for cycles is a tenth of the suite's time.
gc.set_threshold(100_000, 20, 100)

import jax  # noqa: E402
import pytest  # noqa: E402


def shared_contexts(make: Callable[[], Any], programs: int = 200) -> Callable[[], Any]:
  """`make`, called once for so many programs."""
  made: list[Any] = []
  number = itertools.count()

  def context() -> Any:
    if next(number) % programs == 0:
      made[:] = [make()]
    return made[0]

  return context


# jax makes an MLIR context for every program that it lowers, and loads all of MLIR's dialects into it: 4 ms and a megabyte
# for each of ten thousand. Here a context holds many programs, and goes with them. It is no public part of jax: without
# it the suite is only slower.
with contextlib.suppress(ImportError, AttributeError):
  from jax._src.interpreters import mlir

  mlir.make_ir_context = shared_contexts(mlir.make_ir_context)

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
# Whoever runs a notebook there leaves Python files and studies, which git ignores.
NOTEBOOKS = ROOT / "experiments" / "notebooks"


@pytest.fixture
def x64():
  """Double precision for the duration of one test: the mathematics is held to 1e-6 and better."""
  with jax.enable_x64(True):
    yield
