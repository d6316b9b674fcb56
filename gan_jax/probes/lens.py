"""The loss lens in rows: see `gan_jax/lens.py`, which makes what is read here."""

from jax import Array

from gan_jax.probes.registry import probe
from gan_jax.types import Trace

LENS = {
  "norm": "norm of the generator gradient that {} would have given at this step",
  "cosine_in_use": "cosine of that gradient with the one in use",
  "cosine_non_saturating": "cosine of that gradient with non_saturating's",
  "effective_samples": "(sum |w|)^2 / sum w^2 of {}'s logit weights: how many fakes carry its gradient",
}


@probe({})
def through_lens(trace: Trace) -> dict[str, Array]:
  return {f"lens/{what}/{name}": getattr(view, what) for name, view in trace.lens.items() for what in LENS}
