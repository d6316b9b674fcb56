"""Which of many variants a page shows: the best, the middle and the worst ones, so that its size is bounded."""

from collections.abc import Sequence
from typing import TypeVar

MOST, EACH = 12, 4  # so many variants are all drawn; of more, the first, middle and last EACH
LINES = 120  # of a table, at most; of more, the first and the last ones are shown

T = TypeVar("T")


def shown(ranked: Sequence[T], most: int = MOST, each: int = EACH) -> list[T]:
  """All, if at most `most`; else `each` from the beginning, the middle and the end."""
  if len(ranked) <= most:
    return list(ranked)
  middle = (len(ranked) - each) // 2
  return [*ranked[:each], *ranked[middle : middle + each], *ranked[-each:]]


def ends(ranked: Sequence[T], most: int = LINES) -> tuple[list[T], list[T]]:
  """(first ones, last ones) for a table of at most `most` lines, of which five sixths are first ones."""
  if len(ranked) <= most:
    return list(ranked), []
  last = most // 6
  return list(ranked[: most - last]), list(ranked[-last:])


def named(names: Sequence[str], most: int = MOST) -> str:
  """`a, b, c`, or of more than `most` names `a, b and 1,998 others`."""
  if len(names) <= most:
    return ", ".join(names)
  return f"{', '.join(names[: most - 2])} and {len(names) - most + 2:,} others"
