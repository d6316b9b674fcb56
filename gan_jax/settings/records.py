"""`Spec` and `Hypers`, the two halves of a config, derived from the table of fields. No jax import.

A `Spec` is the same for all members of one compiled program: the values of the `static` fields, and `losses`, from
which `Hypers.loss_index` selects. `Hypers` may differ between members: the `traced` fields as scalars (stacked to [P]
in a population), a weight for each penalty on the discriminator, and `loss_index`. The `options` fields are in both:
static options in `Spec`, as pairs (see `frozen`), traced options in `Hypers`, as a dict; `Hypers.loss_options` is a
tuple with a dict for each of `losses`. The `schedules` field is in both too: its end values are traced.
"""

import collections
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gan_jax.settings.fields import FIELDS

# `Hypers` has `loss_index` for `loss`, and `penalty_weights`, in the order of `penalty`, for `penalty_weight`.
RESOLVED = ("loss", "penalty_weight")

if TYPE_CHECKING:

  class _Record(tuple[Any, ...]):
    """A named tuple whose fields a type checker does not know."""

    _fields: tuple[str, ...]

    def __init__(self, **fields: Any): ...

    def __getattr__(self, name: str) -> Any: ...

    def _replace(self, **fields: Any) -> Any: ...

    def _asdict(self) -> dict[str, Any]: ...

  class Spec(_Record):
    """What is the same for all members of one compiled program; hashable."""

  class Hypers(_Record):
    """What may differ between members of one compiled program; a pytree."""

else:
  # All options of a loss are traced.
  _named = {
    kind: [name for name, field in FIELDS.items() if field.kind in (kind, "options", "schedules")]
    for kind in ("static", "traced")
  }
  Spec = collections.namedtuple("Spec", ["losses", *(n for n in _named["static"] if n != "loss_options")])
  Hypers = collections.namedtuple("Hypers", ["loss_index", *(n for n in _named["traced"] if n not in RESOLVED)])


def frozen(options: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
  """A dict of options as sorted pairs, which are hashable; nested dicts likewise."""
  return tuple((name, frozen(v) if isinstance(v, Mapping) else v) for name, v in sorted(options.items()))


def thawed(pairs: Any) -> dict[str, Any]:
  """The inverse of `frozen`: `thawed(spec.model_options)["depth"]`."""
  return {name: thawed(value) if isinstance(value, tuple) else value for name, value in pairs}
