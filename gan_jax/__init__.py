"""gan_jax: which GAN loss, and why did this one stop learning?

    import gan_jax

    study = gan_jax.run_study({"dataset": "ring", "latent_size": 2, "steps": 500}, "runs/ring")
    print(study.runs[0].quality.columns["points/frechet"], study.runs[0].verdict.evidence)

    study = gan_jax.load_study("runs/compare_losses")  # any study's directory; needs no jax
    generator = study.run(loss="hinge", seed=0).generator()  # a jitted function and its parameters

The parts are subpackages: `from gan_jax import losses, penalties`. Importing this package imports no other module; a
name of `__all__` is imported at its first use, so `gan-jax help` and reports start without jax.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from gan_jax.core.errors import BadInput, Failure, Stopped
  from gan_jax.core.installation import __version__ as __version__
  from gan_jax.runner.entry import run_study
  from gan_jax.runner.loading import LoadedRun, LoadedStudy, load_study

__all__ = ["BadInput", "Failure", "LoadedRun", "LoadedStudy", "Stopped", "load_study", "run_study"]

_HOMES = {  # where each name is defined
  "__version__": "gan_jax.core.installation",
  "BadInput": "gan_jax.core.errors",
  "Failure": "gan_jax.core.errors",
  "LoadedRun": "gan_jax.runner.loading",
  "LoadedStudy": "gan_jax.runner.loading",
  "Stopped": "gan_jax.core.errors",
  "load_study": "gan_jax.runner.loading",
  "run_study": "gan_jax.runner.entry",
}


def __getattr__(name: str) -> Any:
  if name not in _HOMES:
    raise AttributeError(f"module 'gan_jax' has no attribute {name!r}")
  return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
  return sorted([*globals(), *__all__])
