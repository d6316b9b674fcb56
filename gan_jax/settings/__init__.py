"""The fields of a run's config and the reading of configs and sweeps. No jax import."""

from gan_jax.settings.fields import (
  FAKES,
  FIELDS,
  LARGEST,
  LARGEST_INT,
  MOVED,
  ORDERS,
  WIDEST,
  Field,
  defaults,
  identity,
  no_field,
)
from gan_jax.settings.values import coerce, merged, nested, plain, resolve, split

__all__ = [
  "FAKES",
  "FIELDS",
  "LARGEST",
  "LARGEST_INT",
  "MOVED",
  "ORDERS",
  "WIDEST",
  "Field",
  "coerce",
  "defaults",
  "identity",
  "merged",
  "nested",
  "no_field",
  "plain",
  "resolve",
  "split",
]
