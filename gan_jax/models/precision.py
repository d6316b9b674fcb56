"""Mixed precision: layers compute in bfloat16, everything else stays float32.

bfloat16 has the range of float32 and 8 bits of its precision: a gradient does not underflow sooner, but sums and small
updates lose their digits. So parameters, optimizer, logits, losses, penalties and norms stay in float32. The last layer
of gan_jax's discriminators adds up in float32 too; what the rounding of its inputs does to a vanishing gradient is
measured by `launch.sh precision`.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.core.types import Memory, Params, Player


def cast(tree: Any, source: Any, target: Any) -> Any:
  """The tree with arrays of dtype `source` in dtype `target`; all others are left."""
  return jax.tree.map(lambda x: x.astype(target) if x.dtype == source else x, tree)


def in_bfloat16(player: Player) -> Player:
  """The player with parameters and inputs rounded to bfloat16 at its entry, and outputs in float32 again.

  Gradients are those of the rounded parameters, added up in float32. The memory is used and returned in its own dtypes.
  """

  def apply(params: Params, memory: Memory, inputs: Array, labels: Array, train: bool) -> tuple[Any, Memory]:
    low, x = cast((params, inputs), jnp.float32, jnp.bfloat16)
    outputs, moved = player.apply(low, memory, x, labels, train)
    kept = jax.tree.map(lambda new, old: new.astype(old.dtype), moved, memory)
    return cast(outputs, jnp.bfloat16, jnp.float32), kept

  return player._replace(apply=apply)
