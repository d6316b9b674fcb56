"""Strict modes for the whole suite, set before any test imports jax."""

import gc
import os
from pathlib import Path

from gan_jax.core.compilation import quick_compilation

# Before jax: four virtual CPU devices, so that the code for many devices runs everywhere, and no accelerator is needed.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_NUM_CPU_DEVICES"] = "4"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"  # of every operation of every program, for profilers only
# The suite compiles a thousand small programs and runs each once.
flags = " ".join(f"--{name}={str(value).lower()}" for name, value in quick_compilation().items())
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}"

# Tracing makes millions of small objects that live on: looking through them for cycles is a tenth of the suite's time.
gc.set_threshold(100_000, 20, 100)

import jax  # noqa: E402
import pytest  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture
def x64():
  """Double precision for the duration of one test: the mathematics is held to 1e-6 and better."""
  with jax.enable_x64(True):
    yield
