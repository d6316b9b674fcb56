"""The order of the data: a pure function of (seed, position), so no iterator has to be saved or restored.

Position p of an endless stream of epochs is example `pi(p mod size)` of epoch `p div size`, where `pi` is a permutation
of range(size) chosen by (seed, epoch): a Feistel network (Luby and Rackoff 1988) over the smallest power of two that
holds the range, applied again until the result is in the range (cycle walking: Black and Rogaway 2002, "Ciphers with
arbitrary finite domains"). The result is a bijection: every epoch shows every example once. A batch costs a few integer
operations per example, where shuffling at each step would cost operations on the whole range.

The first few places of an epoch are distributed as under a uniform permutation. Whole orders of more than 8 examples
are not: even and odd permutations are not equally frequent (if the size is a power of two, all are even). That can only
be seen by someone who knows the order of all but two examples.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

# Each round mixes the key into one half of an index's bits; halves of one or two bits need many rounds. With 12 rounds
# the frequencies of the 120 orders of 5 examples differ by up to a fifth; from 17 examples on, the first three places
# are uniform as far as 2 million seeds show. With 48 rounds, 5 to 8 examples are uniform as far as 4 million seeds
# show.
ROUNDS, ROUNDS_OF_FEW, FEW = 12, 48, 16
SCATTER = 0x5CA77E2D  # the seed of `scattered`


def example_indices(seed: Array | int, first: Array | int, batch_size: int, size: int) -> Array:
  """The examples at positions first, first + 1, ..., first + batch_size - 1; a batch may straddle two epochs.

  Args:
    seed: uint32, may be traced.
    first: uint32, may be traced; positions are counted modulo 2**32, where the stream starts again.
    batch_size: examples wanted, at least 1.
    size: number of examples, from 1 to 2**31 - 1.

  Returns:
    int32 [batch_size], each in [0, size).

  Raises:
    ValueError: `batch_size` or `size` out of its range.
  """
  if batch_size < 1:
    raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
  if not 1 <= size < 2**31:
    raise ValueError(f"size: expected from 1 to 2**31 - 1 examples, got {size}")
  positions = jnp.asarray(first, jnp.uint32) + jnp.arange(batch_size, dtype=jnp.uint32)
  epochs, offsets = positions // jnp.uint32(size), positions % jnp.uint32(size)
  return _permute(offsets, jnp.asarray(seed, jnp.uint32), epochs, size)


@functools.partial(jax.jit, static_argnums=1, inline=True)  # one program, not thirty, where it is called by itself
def scattered(j: Array | np.ndarray, size: int) -> Array:
  """The j-th example [B] of `size` in one fixed random permutation.

  Data may be stored sorted by class, or with classes in turn, so neither the first n nor every n-th are a random
  sample. The first n in this order are.
  """
  return _permute(jnp.asarray(j, jnp.uint32), jnp.uint32(SCATTER), jnp.zeros(j.shape, jnp.uint32), size)


def split_sizes(size: int, hold_out: int) -> tuple[int, int]:
  """(trained on, held out) of `size` examples, one in `hold_out` of which is held out; 0: none."""
  held = size // hold_out if hold_out else 0
  return size - held, held


def training_index(j: Array, hold_out: int, size: int) -> Array:
  """The j-th example that is trained on: all but those of `held_out_index`."""
  return scattered(j + j // (hold_out - 1), size) if hold_out else j


def held_out_index(j: Array, hold_out: int, size: int) -> Array:
  """The j-th example that is held out: every `hold_out`-th in the scattered order, which is a random sample."""
  return scattered(j * hold_out + hold_out - 1, size)


def _permute(offsets: Array, seed: Array, epochs: Array, size: int) -> Array:
  """The permutation of range(size) of (seed, epochs [B]) at offsets [B]."""
  return _walked(offsets, seed, epochs, size, ROUNDS_OF_FEW if size <= FEW else ROUNDS)


@functools.partial(jax.jit, static_argnums=(3, 4), inline=True)  # a loop by itself is compiled at each call
def _walked(offsets: Array, seed: Array, epochs: Array, size: int, rounds: int) -> Array:
  """Each offset, permuted among the next power of two until it is below `size`."""
  keys = _round_keys(seed, epochs, rounds)
  bits = (size - 1).bit_length()

  def walk(state: tuple[Array, Array]) -> tuple[Array, Array]:
    indices, outside = state
    indices = jnp.where(outside, _feistel(indices, keys, bits), indices)
    return indices, indices >= jnp.uint32(size)

  # All start marked as outside, so that every index takes at least one step.
  start = offsets, jnp.ones(offsets.shape, bool)
  indices, _ = lax.while_loop(lambda state: state[1].any(), walk, start)
  return indices.astype(jnp.int32)


def _round_keys(seed: Array, epochs: Array, rounds: int) -> Array:
  """uint32 [rounds, batch]."""
  # The seed is hashed separately for each round before the epoch is added. Hashed only once, the epochs of one seed
  # would be those of another seed, shifted.
  golden = 0x9E3779B9
  starts = jnp.array([(1 + r) * golden % 2**32 for r in range(rounds)], jnp.uint32)
  return _hash(_hash(seed ^ starts)[:, None] ^ epochs[None, :])


def _feistel(x: Array, keys: Array, bits: int) -> Array:
  """A bijection of [0, 2**bits). Each round adds to one half a function of the other, and is its own inverse."""
  low_bits = bits // 2
  low_mask, high_mask = jnp.uint32(2**low_bits - 1), jnp.uint32(2 ** (bits - low_bits) - 1)

  def two_rounds(i: Array, halves: tuple[Array, Array]) -> tuple[Array, Array]:
    high, low = halves
    high = high ^ (_hash(low ^ keys[2 * i]) & high_mask)
    return high, low ^ (_hash(high ^ keys[2 * i + 1]) & low_mask)

  # A few rounds are unrolled, which runs faster; many are a loop, which compiles faster.
  high, low = lax.fori_loop(0, len(keys) // 2, two_rounds, (x >> low_bits, x & low_mask), unroll=len(keys) == ROUNDS)
  return (high << low_bits) | low


def _hash(x: Array) -> Array:
  """A bijection of uint32 in which every input bit reaches every output bit (multiply and xor-shift, as in Murmur3's
  finaliser; the constants are Wellons's lowbias32, found by search for the least avalanche bias)."""
  x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
  x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
  return x ^ (x >> 16)
