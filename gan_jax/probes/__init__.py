"""Probes: measurements of a step, as pure functions of its trace. XLA removes the computation of what no probe reads.

To add one, decorate a function `Trace -> {name: scalar}` in the file of its subject with `@probe({name: what it
means})`.
"""

from collections.abc import Iterable

from gan_jax.core.norms import global_norm, ratio
from gan_jax.core.registry import import_modules

# isort: off
# The registry first: a file that registers may import it from this package while it is being imported itself.
from gan_jax.probes.registry import ALWAYS, EXPLANATIONS, GROUPS, check_declared, inspection, measure, probe, requested

# isort: on
from gan_jax.probes.factors import by_layer, gradient_factors, signal
from gan_jax.probes.lens import LENS, through_lens
from gan_jax.probes.players import CLASSES, CONTROLLED, SPECTRAL
from gan_jax.probes.winning import HELD_OUT, area_under_curve, dominance, held_out

__all__ = [
  "ALWAYS",
  "EXPLANATIONS",
  "GROUPS",
  "area_under_curve",
  "by_layer",
  "check_declared",
  "dominance",
  "explanations",
  "global_norm",
  "gradient_factors",
  "held_out",
  "inspection",
  "measure",
  "probe",
  "ratio",
  "requested",
  "signal",
  "through_lens",
]

import_modules(__name__, __path__)  # every file registers its probes


def explanations(
  lens: Iterable[str] = (),
  hold_out: bool = False,
  groups: Iterable[str] = (),
  layers: Iterable[str] = (),
  spectral: bool = False,
  classes: bool = False,
  controlled: bool = False,
) -> dict[str, str]:
  """The meaning of every column of a row.

  Args:
    lens: losses whose gradients the loss lens measures.
    hold_out: whether examples are held out.
    groups: groups of probes that were asked for.
    layers: `gen/<layer>` and `disc/<layer>`, for the probes with one column per layer.
    classes: whether there is a class loss.
    controlled: whether an option of a loss has a controller.
    spectral: whether the discriminator's weights are spectrally normalised.
  """
  found = dict(EXPLANATIONS[""])
  found |= {f"lens/{what}/{name}": text.format(name) for name in lens for what, text in LENS.items()}
  found |= HELD_OUT if hold_out else {}
  found |= SPECTRAL if spectral else {}
  found |= CLASSES if classes else {}
  found |= CONTROLLED if controlled else {}
  for group in groups:
    for name, text in EXPLANATIONS[group].items():
      if not name.endswith("/<layer>"):
        found[name] = text
        continue
      stem = name.removesuffix("<layer>")
      player = stem.split("/")[0] + "/"
      found |= {stem + layer.removeprefix(player): text for layer in layers if layer.startswith(player)}
  return found
