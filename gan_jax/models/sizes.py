"""How often a convolutional network halves an image, and which sizes of images it can make.

An image is halved while both of its sides are even and the smaller one stays at least 4, and always twice: 8 -> 4 -> 2,
28 -> 14 -> 7, 32 -> 16 -> 8 -> 4, 48 x 64 -> 24 x 32 -> 12 x 16 -> 6 x 8, 128 -> 64 -> 32 -> 16 -> 8 -> 4. So a side is a
multiple of 4, and at least 8. The generator begins at the smallest size and doubles it as often.
"""

from gan_jax.core.errors import BadInput, shown

SMALLEST = 4  # of the smaller side after the last halving
ALWAYS = 2  # halvings, whatever the sides become
SHORTEST = 8  # of a side


def halvings(image_shape: tuple[int, ...], smallest: int = SMALLEST, always: int = ALWAYS) -> int:
  """How often an image [H, W, ...] is halved: while both sides are even and the smaller one stays at least `smallest`."""
  height, width = image_shape[:2]
  count = 0
  while height % 2 == 0 and width % 2 == 0 and (count < always or min(height, width) >= 2 * smallest):
    height, width, count = height // 2, width // 2, count + 1
  return count


def base(image_shape: tuple[int, ...], stages: int) -> tuple[int, int]:
  """(height, width) of an image after that many halvings."""
  return image_shape[0] >> stages, image_shape[1] >> stages


def check_images(model: str, image_shape: tuple[int, ...], multiple: int = 2**ALWAYS, shortest: int = SHORTEST) -> None:
  """Whether a model can make images of this shape.

  Raises:
    BadInput: examples that are not images [H, W, C], or a side that is not a multiple of `multiple` from `shortest` on;
      the message names the nearest sizes.
  """
  if len(image_shape) != 3:
    raise BadInput(f"model {model!r} expected images [H, W, C], got examples of shape {shown(tuple(image_shape))}")
  sides = image_shape[:2]
  if all(side % multiple == 0 and side >= shortest for side in sides):
    return
  below, above = ([nearest(side, multiple, shortest, up) for side in sides] for up in (False, True))
  choices = dict.fromkeys("x".join(map(str, sides)) for sides in (below, above))
  raise BadInput(
    f"model {model!r} expected images whose sides are multiples of {multiple} and at least {shortest}, got "
    f"{'x'.join(map(str, sides))}; the nearest sizes are {' and '.join(choices)}"
  )


def nearest(side: int, multiple: int, shortest: int, up: bool) -> int:
  """The nearest possible side that is not larger (`up`: not smaller) than `side`, or the shortest one."""
  return max(shortest, (side + (multiple - 1) * up) // multiple * multiple)
