"""Replaces the convolutions in a function's jaxpr by those of `layers`, whichever library the function uses.

Inside `scan` or `vmap` on a CPU, the derivatives of XLA's own convolution take many times as long (see `layers`). Flax
has an argument for another implementation, Equinox has none, and neither has one for transposed convolutions. So they
are replaced in the jaxpr, before differentiation and `vmap`; derivatives of any order and populations then use them too.

Measured on 2 cores when all were matrix products, gradient steps in `scan` on 64 images of 28x28, kernels 4 of stride 2,
ms per member and step, ours against XLA's: a discriminator of 32 and 64 channels 18 against 268, its transpose as a
generator 31 against 350; four of them under `vmap` 38 against 335 and 62 against 701 (trust the ratios).
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend import core

from gan_jax.core.errors import plural
from gan_jax.models.layers import CONVOLUTIONS, MATMUL, matmul_conv_general_dilated
from gan_jax.models.products import unfold

NAME = "conv_general_dilated"
INLINED = ("jit", "pjit", "closed_call", "core_call")  # calls that are equivalent to their body
CHECKPOINTS = ("remat2", "remat", "checkpoint")  # of `jax.checkpoint`: derivatives compute the body again
ENTERED = (*INLINED, *CHECKPOINTS, "scan")


def as_products(function: Callable[..., Any], convolution: str = "auto") -> Callable[..., Any]:
  """The function of arrays with its two-dimensional convolutions replaced by ours, transposed ones included.

  Not replaced, and counted by `remaining`: transposed convolutions in groups or of dilated kernels, one or three
  dimensions, and convolutions inside branches, `while` loops or functions with custom derivatives.

  Args:
    function: a traceable function from pytrees of arrays to a pytree of arrays.
    convolution: a name in `layers.CONVOLUTIONS`; 'lax' leaves the function as it is.
  """
  if CONVOLUTIONS[convolution] is not MATMUL:
    return function

  def replaced(*arguments: Any) -> Any:
    program, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
    outputs = evaluate(program.jaxpr, program.consts, jax.tree.leaves(arguments))
    return jax.tree.unflatten(jax.tree.structure(shape), outputs)

  return replaced


def evaluate(jaxpr: Any, constants: list[Any], arguments: list[Any]) -> list[Any]:
  """The outputs of a jaxpr, equation by equation, with every convolution that `replaceable` allows as products."""
  values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))

  def read(atom: Any) -> Any:
    return atom.val if isinstance(atom, core.Literal) else values[atom]

  for equation in jaxpr.eqns:
    inputs = [read(atom) for atom in equation.invars]
    with equation.ctx.manager:
      outputs = perform(equation, inputs)
    values.update(zip(equation.outvars, outputs, strict=True))
  return [read(atom) for atom in jaxpr.outvars]


def perform(equation: Any, inputs: list[Any]) -> list[Any]:
  """The outputs of one equation."""
  if equation.primitive.name == NAME and replaceable(equation):
    lhs, rhs = inputs
    return [products(lhs, rhs, equation.params)]
  if equation.primitive.name in ENTERED and any(replaceable(e) for e in reached(body(equation))):
    return entered(equation, inputs)
  outputs = equation.primitive.bind(*inputs, **equation.primitive.get_bind_params(equation.params))
  return outputs if equation.primitive.multiple_results else [outputs]


def entered(equation: Any, inputs: list[Any]) -> list[Any]:
  """The outputs of a call, a checkpoint or a loop over layers, with the convolutions of its body replaced."""
  inner, p = body(equation), equation.params
  run = lambda *values: evaluate(inner.jaxpr, inner.consts, list(values))  # noqa: E731
  if equation.primitive.name in CHECKPOINTS:
    again: Any = jax.checkpoint(run, prevent_cse=p["prevent_cse"], policy=p["policy"])
    return list(again(*inputs))
  if equation.primitive.name == "scan":
    first, last = p["num_consts"], p["num_consts"] + p["num_carry"]

    def one(carry: list[Any], slices: list[Any]) -> tuple[list[Any], list[Any]]:
      found = run(*inputs[:first], *carry, *slices)
      return found[: len(carry)], found[len(carry) :]

    carry, stacked = lax.scan(one, inputs[first:last], inputs[last:], p["length"], p["reverse"], p["unroll"])
    return [*carry, *stacked]
  return run(*inputs)


def body(equation: Any) -> Any:
  """The closed jaxpr of a call, a checkpoint or a loop."""
  found = equation.params["jaxpr"] if "jaxpr" in equation.params else equation.params["call_jaxpr"]
  return found if hasattr(found, "consts") else core.ClosedJaxpr(found, ())


def reached(program: Any) -> Iterator[Any]:
  """The convolutions of a closed jaxpr that `evaluate` reaches."""
  for equation in program.jaxpr.eqns:
    if equation.primitive.name == NAME:
      yield equation
    elif equation.primitive.name in ENTERED:
      yield from reached(body(equation))


def remaining(program: Any) -> int:
  """The number of convolutions of a closed jaxpr, at any depth, that are not replaced."""

  def count(jaxpr: Any) -> int:
    own = sum(equation.primitive.name == NAME for equation in jaxpr.eqns)
    return own + sum(count(inner) for equation in jaxpr.eqns for inner in core.jaxprs_in_params(equation.params))

  return count(program.jaxpr) - sum(replaceable(equation) for equation in reached(program))


def remark(count: int, what: str) -> str:
  """The message about convolutions that are not replaced."""
  return (
    f"note: {plural(count, 'convolution')} of {what} (transposed and in groups or dilated, not two-dimensional, or "
    f"inside a branch) run{'s' * (count == 1)} as XLA's own: in training on a CPU "
    "that took 9 to 15 times as long as the forms that replace all others"
  )


def replaceable(equation: Any) -> bool:
  """Whether a convolution can be replaced by `products`."""
  p = equation.params
  (lhs, rhs), layout = (atom.aval for atom in equation.invars), p["dimension_numbers"]
  if lhs.ndim != 4 or p["batch_group_count"] != 1:
    return False
  if p["preferred_element_type"] not in (None, lhs.dtype) or not jnp.issubdtype(lhs.dtype, jnp.floating):
    return False
  if set(p["lhs_dilation"]) != {1}:
    return set(p["window_strides"]) == set(p["rhs_dilation"]) == {1} and p["feature_group_count"] == 1
  sizes = zip(layout.lhs_spec[2:], layout.rhs_spec[2:], p["rhs_dilation"], p["padding"], strict=True)
  return all(lhs.shape[i] + sum(pads) > d * (rhs.shape[k] - 1) for i, k, d, pads in sizes)


def products(lhs: Array, rhs: Array, p: dict[str, Any]) -> Array:
  """The convolution with these parameters of `lax.conv_general_dilated_p`, in any layout."""
  layout = p["dimension_numbers"]
  batch, channel, *space = layout.lhs_spec
  features, inputs, *taps = layout.rhs_spec
  x, kernel = lhs.transpose(batch, *space, channel), rhs.transpose(*taps, inputs, features)
  if set(p["lhs_dilation"]) == {1}:
    convolve = functools.partial(
      matmul_conv_general_dilated, feature_group_count=p["feature_group_count"], precision=p["precision"]
    )
    if set(p["rhs_dilation"]) == {1}:
      y = convolve(x, kernel, p["window_strides"], p["padding"])
    else:
      y = dilated(x, kernel, p["window_strides"], p["rhs_dilation"], p["padding"], convolve)
  else:
    y = transposed(x, kernel, p["lhs_dilation"], p["padding"], p["precision"])
  batch, channel, *space = layout.out_spec
  places = (batch, *space, channel)
  return y.transpose([places.index(axis) for axis in range(4)])


def dilated(
  x: Array,
  kernel: Array,
  strides: Sequence[int],
  dilation: Sequence[int],
  padding: Sequence[tuple[int, int]],
  convolve: Callable[..., Array],
) -> Array:
  """The convolution whose taps are d pixels apart, as one without gaps of d x d as many smaller images.

  `y[p] = sum_i x[s p + d i - lo] k[i]` along each axis. With p = d q + r that is `sum_i z[s q + i] k[i]`, where
  `z[m] = x[d m + s r - lo]` is every d-th pixel from one that belongs to r on. So each r is an image of its own.

  Args:
    x: [B, H, W, C].
    kernel: [h, w, C / groups, O].
    strides, dilation: s and d of each axis.
    padding: (low, high) of each axis; negative crops.
    convolve: (images, kernel, strides, padding) -> images: the convolution without gaps.

  Returns:
    [B, P, Q, O].
  """
  sizes, lengths, pads = [], [], []
  for n, k, s, d, (low, high) in zip(x.shape[1:3], kernel.shape[:2], strides, dilation, padding, strict=True):
    sizes.append((n + low + high - d * (k - 1) - 1) // s + 1)
    lengths.append(s * (-(-sizes[-1] // d) - 1) + k)  # pixels of z
    pads.append((low, d * (lengths[-1] - 1) + s * (d - 1) + 1 - n - low, 0))
  x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *pads, (0, 0, 0)])
  (s, t), (d, e), (rows, columns) = strides, dilation, lengths
  batch, channels = x.shape[0], x.shape[3]
  if (s, t) == (1, 1):
    parts = x.reshape(batch, rows, d, columns, e, channels).transpose(0, 2, 4, 1, 3, 5)
  else:
    ends = (d * (rows - 1) + 1, e * (columns - 1) + 1)
    part = lambda i, j: x[:, s * i : s * i + ends[0] : d, t * j : t * j + ends[1] : e]  # noqa: E731
    parts = jnp.stack([part(i, j) for i in range(d) for j in range(e)], 1)
  # The examples stay the first axis, which may be divided over devices.
  y = convolve(parts.reshape(batch * d * e, rows, columns, channels), kernel, strides, ((0, 0), (0, 0)))
  _, high, wide, features = y.shape
  y = y.reshape(batch, d, e, high, wide, features).transpose(0, 3, 1, 4, 2, 5)
  return y.reshape(batch, d * high, e * wide, features)[:, : sizes[0], : sizes[1]]


def transposed(
  x: Array,
  kernel: Array,
  dilation: tuple[int, ...],
  padding: tuple[tuple[int, int], ...],
  precision: Any = None,
) -> Array:
  """The convolution of stride 1 of images with d - 1 zeros between their pixels, without multiplying by those zeros.

  `y[p] = sum_i z[p + i - lo] k[i]` along each axis, with `z[d m] = x[m]` and zero elsewhere: a transposed convolution
  of stride d. With p = d u + r only the taps i = d j + lo - r multiply a pixel, x[u + j]. So all blocks of d pixels
  together are one convolution of stride 1 over ceil(k / d) taps, whose channels are the pixels of a block. Blocks begin
  where all pixels of a block need the same x.

  Args:
    x: [B, H, W, C].
    kernel: [h, w, C, O].
    dilation: d of each axis.
    padding: (low, high) of each axis, of the image with its zeros; negative crops.

  Returns:
    [B, P, Q, O] with P = d (H - 1) + 1 + low + high - h + 1.
  """
  sizes, shifts, pads = [], [], []
  for n, k, d, (low, high) in zip(x.shape[1:3], kernel.shape[:2], dilation, padding, strict=True):
    shift = (d - 1 - low) % d  # outputs before the first one that complete its block
    size = d * (n - 1) + 1 + low + high - k + 1
    before, blocks, taps = (low + shift - d + 1) // d, -(-(size + shift) // d), -(-k // d)
    sizes.append(size)
    shifts.append(shift)
    pads.append((before, blocks + taps - 1 - n - before))
  (h, w, channels, features), (s, t) = kernel.shape, dilation
  kernel = jnp.pad(kernel, [(0, -h % s), (0, -w % t), (0, 0), (0, 0)])
  kernel = kernel.reshape(-(-h // s), s, -(-w // t), t, channels, features)[:, ::-1, :, ::-1]
  kernel = kernel.transpose(0, 2, 4, 1, 3, 5).reshape(-(-h // s), -(-w // t), channels, s * t * features)
  y = unfold(matmul_conv_general_dilated(x, kernel, (1, 1), pads, precision=precision), s, t)
  return y[:, shifts[0] : shifts[0] + sizes[0], shifts[1] : shifts[1] + sizes[1]]
