"""`launch.sh benchmark_population [--members=16] [--rounds=3]`: throughput next to PyTorch (GAN_JAX_EXTRA=benchmark).

Times a population of ring GANs and a plain PyTorch loop on the same machine in the same run. Both train the same game:
MLPs 2-128-128, batch 256, non-saturating loss, Adam, one discriminator and one generator update per step. Ours is the
production program, with data order, generator average, the check for diverged members and a probe every 50 steps. The
PyTorch side is a tutorial's training loop, one run after another. Rounds alternate, because a shared machine's speed
drifts; the ratio is of the best round of each side. PyTorch runs with one thread and with all cores.
"""

import time

from gan_jax import settings
from gan_jax.runner import devices

from .. import command
from ..sweep import Parser

FIELDS = {
  "dataset": "ring",
  "model": "mlp",
  "latent_size": 2,
  "model_options": {"generator_width": 128, "discriminator_width": 128, "depth": 2},
  "batch_size": 256,
  "steps": 100_000,
}
RATE, BETAS = 5e-4, (0.5, 0.999)


def population_clock(members: int):
  """A function (steps) -> seconds for `members` GANs in one compiled program."""
  import jax

  from gan_jax import data, game
  from gan_jax.metrics import points
  from gan_jax.runner import grouping, population

  configs = [settings.resolve(FIELDS, {"seed": seed}) for seed in range(members)]
  (group,) = grouping.group(configs)
  dataset = data.load("ring")
  program = population.compile_group(group, game.build(group.spec, dataset), dataset, points.mixture_quality(dataset))
  state = [program.init(program.hypers)]

  def clock(steps: int) -> float:
    begin = time.perf_counter()
    state[0], rows = program.advance(program.hypers, state[0], program.data, steps // 50, 50)
    jax.block_until_ready((state[0], rows))
    return time.perf_counter() - begin

  return clock


def torch_clock(threads: int):
  """A function (steps) -> seconds for one GAN."""
  import torch
  from torch import nn

  from gan_jax import data

  points = torch.tensor(data.load("ring").data.images)
  torch.manual_seed(0)

  def network(activation: nn.Module, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(2, 128), activation, nn.Linear(128, 128), activation, nn.Linear(128, outputs))

  generator, discriminator = network(nn.ReLU(), 2), network(nn.LeakyReLU(0.2), 1)
  gen_adam = torch.optim.Adam(generator.parameters(), lr=RATE, betas=BETAS)
  disc_adam = torch.optim.Adam(discriminator.parameters(), lr=RATE, betas=BETAS)
  softplus = nn.functional.softplus

  def step() -> None:
    real = points[torch.randint(len(points), (256,))]
    fake = generator(torch.randn(256, 2)).detach()
    disc_loss = softplus(-discriminator(real)).mean() + softplus(discriminator(fake)).mean()
    disc_adam.zero_grad()
    disc_loss.backward()
    disc_adam.step()
    gen_loss = softplus(-discriminator(generator(torch.randn(256, 2)))).mean()
    gen_adam.zero_grad()
    gen_loss.backward()
    gen_adam.step()

  def clock(steps: int) -> float:
    torch.set_num_threads(threads)
    begin = time.perf_counter()
    for _ in range(steps):
      step()
    return time.perf_counter() - begin

  return clock


def main(arguments: list[str]) -> None:
  parser = Parser("benchmark_population")
  parser.add_argument("--members", type=int, default=16)
  parser.add_argument("--rounds", type=int, default=5)
  known = parser.parse_args(arguments)
  devices.configure(known.members, None)
  ours = population_clock(known.members)
  cores = devices.cores()
  clocks = {"population": (ours, 200, known.members)}
  clocks |= {f"PyTorch, {n} threads": (torch_clock(n), 200, 1) for n in sorted({1, cores})}
  best = dict.fromkeys(clocks, float("inf"))
  with command.phase("compiling and timing"):
    for clock, steps, _ in clocks.values():
      clock(steps)  # compile, warm up
    for _ in range(known.rounds):
      for name, (clock, steps, runs) in clocks.items():
        best[name] = min(best[name], clock(steps) / steps / runs * 1e3)
  print(f"{known.members} ring GANs on {devices.layout()}; ms per step and member, best of {known.rounds} rounds")
  for name, value in best.items():
    print(f"  {name:22s} {value:7.3f}")
  torch_best = min(value for name, value in best.items() if name.startswith("PyTorch"))
  print(f"  {known.members} runs one after another in PyTorch take {torch_best / best['population']:.2f} times as long")


if __name__ == "__main__":
  command.run(main)
