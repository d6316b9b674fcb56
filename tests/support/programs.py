"""Programs shared by the studies of a test file, for tests of what becomes of runs: to compile takes longer than small runs.

A program is a pure function of its group's settings. Of the number of steps it depends only where something is scheduled
over the whole run, which no study with these programs does.
"""

import contextlib
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import pytest

from gan_jax.runner import population


def few(game, hypers, state, feed):
  """In the place of all probes, for which a step is compiled once more: a number of each player's weights."""
  of = jax.vmap(lambda params: jnp.stack([jnp.mean(jnp.abs(leaf)) for leaf in jax.tree.leaves(params)]).sum())
  return {"disc/loss": of(state.disc_params), "gen/loss": of(state.gen_params)}


@contextlib.contextmanager
def shared(length: Callable[[int], int] = lambda steps: 10_000) -> Iterator[None]:
  """While it lasts, groups of as many runs with the same settings share a program, with rows of `few`.

  `length`: for how many steps the program of so many is compiled.
  """
  programs, compile_group = {}, population.compile_group

  def remembered(group, *arguments):
    key = group.spec._replace(steps=length(group.spec.steps)), len(group.configs)
    if key not in programs:
      programs[key] = compile_group(group._replace(spec=key[0]), *arguments)
    return programs[key]._replace(hypers=programs[key].layout.place(group.hypers))

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(population, "compile_group", remembered)
    patch.setattr(population, "measured", few)
    yield
