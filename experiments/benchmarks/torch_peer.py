"""The peer in PyTorch: a tutorial's training loop, eager, compiled, channels-last, or a stacked ensemble.

It trains the same game as ours: the same networks with as many parameters, the non-saturating loss, Adam, one update of
each player per step. On a GPU it has TF32 and Adam's fused kernel. R1 and the gradient penalty are those of ours.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .examples import stored
from .worker import Absent, Prepared
from .works import Contender, Work

RATE, BETAS = 5e-4, (0.5, 0.999)
PENALTIES = ("none", "r1", "gradient_penalty")
WEIGHT = 10.0  # of either penalty, as in its paper


def device(torch: Any) -> Any:
  return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def players(torch: Any, work: Work, fields: Mapping[str, Any]) -> tuple[Any, Any]:
  """(generator, discriminator) of a work, on the device."""
  from . import torch_networks

  torch.manual_seed(0)
  made = torch_networks.players(fields, work.image)
  return tuple(network.to(device(torch)) for network in made)


def adam(torch: Any, parameters: Any) -> Any:
  return torch.optim.Adam(parameters, lr=RATE, betas=BETAS, fused=torch.cuda.is_available() or None)


def discriminator_loss(torch: Any, judge: Callable[[Any], Any], real: Any, fake: Any, penalty: str) -> Any:
  """Mean over the batch, with the penalty."""
  softplus = torch.nn.functional.softplus
  loss = softplus(-judge(real)).mean() + softplus(judge(fake)).mean()
  if penalty == "none":
    return loss
  at = real
  if penalty == "gradient_penalty":
    at = real + torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device) * (fake - real)
  at = at.detach().requires_grad_()
  (slope,) = torch.autograd.grad(judge(at).sum(), at, create_graph=True)
  squared = slope.flatten(1).square().sum(1)
  value = 0.5 * squared if penalty == "r1" else (squared.sqrt() - 1).square()
  return loss + WEIGHT * value.mean()


class Loop:
  """One run: the two players, their optimizers and the data."""

  def __init__(self, torch: Any, work: Work, fields: Mapping[str, Any], layout: str = "", compiled: bool = False):
    if fields.get("penalty", "none") not in PENALTIES:
      raise Absent(f"no {fields['penalty']} was written in PyTorch")
    self.torch, self.fields, self.device = torch, fields, device(torch)
    self.generator, self.discriminator = players(torch, work, fields)
    examples = torch.tensor(stored(work.image), device=self.device)
    self.examples = examples.permute(0, 3, 1, 2).contiguous() if work.image else examples
    self.layout = {"memory_format": torch.channels_last} if layout else {}
    if layout:
      self.generator, self.discriminator = (x.to(**self.layout) for x in (self.generator, self.discriminator))
    self.moments = [adam(torch, player.parameters()) for player in (self.generator, self.discriminator)]
    wrapped = torch.compile if compiled else lambda function: function
    self.of_discriminator, self.of_generator = wrapped(self._of_discriminator), wrapped(self._of_generator)
    self.updates = 0

  def noise(self) -> Any:
    return self.torch.randn(self.fields["batch_size"], self.fields["latent_size"], device=self.device)

  def real(self) -> Any:
    batch = self.examples[self.torch.randint(len(self.examples), (self.fields["batch_size"],), device=self.device)]
    if batch.dtype != self.torch.uint8:
      return batch
    return (batch.float() / 127.5 - 1).contiguous(**self.layout)

  def _of_discriminator(self, real: Any, noise: Any) -> Any:
    with self.torch.no_grad():
      fake = self.generator(noise)
    penalty = self.fields.get("penalty", "none")
    return discriminator_loss(self.torch, lambda x: self.discriminator(x)[:, 0], real, fake, penalty)

  def _of_generator(self, noise: Any) -> Any:
    return self.torch.nn.functional.softplus(-self.discriminator(self.generator(noise))).mean()

  def step(self) -> None:
    of_generator, of_discriminator = self.moments
    loss = self.of_discriminator(self.real(), self.noise())
    of_discriminator.zero_grad()
    loss.backward()
    of_discriminator.step()
    loss = self.of_generator(self.noise())
    of_generator.zero_grad()
    loss.backward()
    of_generator.step()
    self.updates += 1


class Ensemble(Loop):
  """Several runs as one: `torch.func` stacks their parameters, and `vmap` calls all networks at once."""

  def __init__(self, torch: Any, work: Work, fields: Mapping[str, Any], members: int):
    super().__init__(torch, work, fields)
    self.members, self.stacks = members, []
    for number, bare in enumerate((self.generator, self.discriminator)):
      made = [players(torch, work, fields)[number] for _ in range(members)]
      held, buffers = torch.func.stack_module_state(made)
      self.stacks.append((bare, held, buffers))
    self.moments = [adam(torch, held.values()) for _, held, _ in self.stacks]

  def noise(self) -> Any:
    return self.torch.stack([super(Ensemble, self).noise() for _ in range(self.members)])

  def real(self) -> Any:
    return self.torch.stack([super(Ensemble, self).real() for _ in range(self.members)])

  def call(self, number: int, x: Any) -> Any:
    bare, held, buffers = self.stacks[number]
    one = lambda p, b, x: self.torch.func.functional_call(bare, (p, b), (x,))  # noqa: E731
    return self.torch.vmap(one, randomness="different")(held, buffers, x)

  def _of_discriminator(self, real: Any, noise: Any) -> Any:
    softplus = self.torch.nn.functional.softplus
    with self.torch.no_grad():
      fake = self.call(0, noise)
    # The sum over members of each one's mean: their gradients do not mix.
    return (softplus(-self.call(1, real)).mean((1, 2)) + softplus(self.call(1, fake)).mean((1, 2))).sum()

  def _of_generator(self, noise: Any) -> Any:
    return self.torch.nn.functional.softplus(-self.call(1, self.call(0, noise))).mean((1, 2)).sum()


def timed(torch: Any, loop: Loop, steps: int, members: int) -> Prepared:
  def clock(calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls * steps):
      loop.step()
    if loop.device.type == "cuda":
      torch.cuda.synchronize()
    return time.perf_counter() - began

  parameters = sum(
    int(np.prod(p.shape)) for player in (loop.generator, loop.discriminator) for p in player.parameters()
  )
  return Prepared(clock, steps, members, {"parameters": parameters, "device": str(loop.device)})


def prepared(kind: str) -> Callable[[Contender, Work], Prepared]:
  def prepare(contender: Contender, work: Work) -> Prepared:
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    fields = {**work.fields, **contender.fields}
    # A few steps a call: the number of calls is found by timing.
    if kind == "ensemble":
      return timed(torch, Ensemble(torch, work, fields, contender.members), 5, contender.members)
    return timed(
      torch, Loop(torch, work, fields, "channels_last" * (kind == "channels_last"), kind == "compiled"), 5, 1
    )

  return prepare


MAKERS = {kind: prepared(kind) for kind in ("eager", "channels_last", "compiled", "ensemble")}
