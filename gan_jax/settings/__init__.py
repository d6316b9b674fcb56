"""The schema of a run, and the list of dicts that a sweep is. No jax import."""

from gan_jax.settings.fields import (
  FAKES,
  FIELDS,
  LARGEST,
  LARGEST_INT,
  METHODS,
  ORDERS,
  WIDEST,
  Field,
  coerce,
  defaults,
  identity,
  is_text,
  plain,
  resolve,
)

__all__ = [
  "FAKES",
  "FIELDS",
  "LARGEST",
  "LARGEST_INT",
  "METHODS",
  "ORDERS",
  "WIDEST",
  "Field",
  "coerce",
  "defaults",
  "identity",
  "is_text",
  "plain",
  "resolve",
]
