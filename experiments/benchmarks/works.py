"""What is measured: the rows of the table, the contenders of each, and what each is to reach. No jax import.

A contender is timed in a process that has its library, its number of threads and its number of devices. The targets
are those of the project's issue on speed; they hold for 2 cores and are printed, never asserted.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Contender(NamedTuple):
  """One thing that is timed."""

  name: str  # as printed, unique in its row
  library: str  # 'jax' or 'torch'
  maker: str  # in `ours`, `flax_peer`, `torch_peer` or `planning`: see worker.py
  fields: Mapping[str, Any] = {}  # of the config, where they differ from the work's
  members: int = 1
  threads: int = 0  # of the process; 0: as many as there are cores. Of jax: devices that the members are divided over


class Work(NamedTuple):
  """One row: a game that all contenders train."""

  name: str
  text: str
  kind: str  # how its claims are computed: see table.py
  fields: Mapping[str, Any] = {}  # of a run's config
  image: tuple[int, ...] = ()  # of made images [H, W, C]; (): the points of the ring
  members: int = 1
  windows: int = 1  # of one call of ours, each with a row of diagnostics
  length: int = 50  # steps of a window
  targets: Mapping[str, float] = {}
  peers: tuple[str, ...] = ()  # 'flax', 'torch', 'layouts', 'compile', 'ensemble'


POPULATION = {1: "one ring GAN", 16: "16 ring GANs", 64: "64 ring GANs"}
MLP = {"generator_width": 128, "discriminator_width": 128, "depth": 2}
RING = {"dataset": "ring", "model": "mlp", "latent_size": 2, "model_options": MLP, "batch_size": 256}
IMAGE = (28, 28, 1)
PENALTIES: dict[str, Mapping[str, Any]] = {  # fields that differ from the work's
  "r1": {"penalty": "r1"},
  "r1, every 16": {"penalty": "r1", "penalty_every": 16},
  "r1_finite_difference": {"penalty": "r1_finite_difference"},
  "r1_r2": {"penalty": "r1_r2"},
  "gradient_penalty": {"penalty": "gradient_penalty"},
  "max_gradient": {"penalty": "max_gradient"},
  "lecam": {"penalty": "lecam"},
  "bcr": {"penalty": "bcr", "augmentation": "shift"},
  "orthogonal": {"penalty": "orthogonal"},
  "spectral": {"weight_constraint": "spectral"},
  "clip": {"weight_constraint": "clip", "weight_constraint_options": {"bound": 1.0}},
}
LENS = ("minimax", "non_saturating", "least_squares", "wasserstein", "hinge", "relativistic", "relativistic_average")
ROWS: dict[str, Mapping[str, Any]] = {  # diagnostics of one row
  "default probes": {},
  "lens over all losses": {"lens": "all"},
  "layers": {"probes": "layers"},
  "noise": {"probes": "noise"},
}
PRECISIONS = ("float32", "bfloat16")
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
RUNS = (1_000, 10_000)
WIDTHS = (16, 32, 64)  # of the DCGANs whose batches are divided: below and above the bound in runner/mesh.py
WHOLE, APART = "one device", "divided"
FEW = (8, 16, 32, 64)  # of the DCGANs whose layers at the images take both forms: see `NARROW` in models/bilinear.py
FORMS = ("convolutions", "products")


def dcgan(width: int) -> dict[str, Any]:
  sizes = {"generator_width": width, "discriminator_width": width}
  return {"model": "dcgan", "latent_size": 64, "model_options": sizes, "batch_size": 64}


def published(model: str, width: int) -> dict[str, Any]:
  """SNDCGAN or the residual network: batch norm in the generator, spectral norm in the discriminator, noise of 128."""
  return {**dcgan(width), "model": model, "latent_size": 128, "batch_size": 32}


def _works() -> list[Work]:
  mlp_population = {"torch": 4.0, "flax": 0.97, "ceiling": 60.0}
  of_dcgan = {"torch": 1.2, "flax": 1.2, "ceiling": 40.0}
  several = {"torch": 1.3, "ceiling": 40.0}
  digits = {"penalty_weight": 0.1}
  return [
    Work("ring", "one ring GAN, MLP 2-128-128, batch 256", "race", RING, windows=4, targets={"torch": 2.0, "flax": 1.0},
         peers=("flax", "torch", "compile")),
    *(
      Work(f"ring_{n}", f"{n} ring GANs", "race", RING, members=n, windows=4, targets=mlp_population,
           peers=("population", "torch", "ensemble"))
      for n in (16, 64)
    ),
    *(
      Work(f"dcgan{suffix}", f"one DCGAN 28 x 28, width {width}, batch 64", "race", dcgan(width), IMAGE,
           targets=of_dcgan, peers=("flax", "torch", "layouts", "compile"))
      for suffix, width in (("", 64), ("_128", 128))
    ),
    *(
      Work(f"dcgan_times_{n}", f"{n} DCGANs 28 x 28, width 64", "race", dcgan(64), IMAGE, n, targets=several,
           peers=("torch", "layouts"))
      for n in (4, 16)
    ),
    Work("sndcgan", "one SNDCGAN 32 x 32, width 128, batch 32", "race", published("sndcgan", 128), (32, 32, 3),
         targets={"torch": 1.0}, peers=("torch", "layouts")),
    Work("resnet", "one residual GAN 32 x 32, width 64, batch 32", "race", published("resnet", 64), (32, 32, 3),
         targets={"torch": 1.0}, peers=("torch", "layouts")),
    Work("members", "ring GANs, 1 to 256 in one program", "members", RING, members=COUNTS[-1],
         targets={"time": 1.15, "memory": 1.15}),
    Work("r1", "R1 on the DCGAN of width 64", "penalty", {**dcgan(64), "penalty": "r1"}, IMAGE,
         targets={"none": 2.2, "torch": 1.0}, peers=("torch",)),
    Work("gradient_penalty", "the gradient penalty on the DCGAN of width 64", "penalty",
         {**dcgan(64), "penalty": "gradient_penalty"}, IMAGE, targets={"none": 2.5, "torch": 1.0}, peers=("torch",)),
    Work("penalties", "8 MLP GANs on 8 x 8 images under each penalty", "penalties", digits, (8, 8, 1), 8, length=100),
    Work("precision", "one SNDCGAN 32 x 32, width 128, batch 32, in bfloat16", "precision", published("sndcgan", 128),
         (32, 32, 3)),
    Work("cores", "one DCGAN 28 x 28, batch 64, of several widths: its batch on one core's device and divided", "cores",
         dcgan(64), IMAGE),
    Work("narrow", "one DCGAN 28 x 28, batch 64, of several widths: its layers at the images as convolutions and products",
         "narrow", dcgan(16), IMAGE),
    Work("overhead", "35 MLP GANs on 8 x 8 images under R1: what is done beside the bare step", "overhead",
         {"penalty": "r1", "penalty_weight": 0.5}, (8, 8, 1), 35, length=200,
         targets={"default probes": 5.0, "lens over all losses": 15.0, "average": 2.0, "rows": 1.0, "checkpoint": 2.0}),
    Work("plans", "1,000 and 10,000 runs planned, listed, reported (made directories, no training)", "plans",
         members=RUNS[-1], targets={"seconds": 60.0, "memory": 2.0, "linear": 1.2}),
  ]  # fmt: skip


WORKS: dict[str, Work] = {work.name: work for work in _works()}
QUICK = ("ring", "ring_16", "dcgan")  # `--quick`


def contenders(work: Work, cores: int) -> list[Contender]:
  """Everything that is timed in a row, ours first."""
  if work.kind == "members":
    counts = [n for n in COUNTS if n <= work.members]
    return [Contender(f"{n} member{'s' * (n > 1)}", "jax", "ours", members=n, threads=n) for n in counts]
  if work.kind == "plans":
    return [Contender(f"{n:,} runs", "jax", "plans", members=n) for n in RUNS if n <= work.members]
  ours = Contender("ours", "jax", "ours", members=work.members, threads=work.members)
  if work.kind == "penalties":
    under = {name: ours._replace(name=name, fields=fields) for name, fields in PENALTIES.items()}
    return [ours._replace(name="none"), *under.values()]
  if work.kind == "precision":
    return [ours._replace(name=name, fields={"precision": name}) for name in PRECISIONS]
  if work.kind == "cores":
    most = max(n for n in range(1, cores + 1) if work.fields["batch_size"] % n == 0)
    return [
      ours._replace(name=f"width {width}, {name}", fields={**dcgan(width), "batch_devices": count})
      for width in WIDTHS
      for name, count in ((WHOLE, 1), (APART, most))
    ]
  if work.kind == "narrow":
    return [
      ours._replace(name=f"width {width}, {form}", maker=form, fields={**dcgan(width), "batch_devices": 1})
      for width in FEW
      for form in FORMS
    ]
  if work.kind == "overhead":
    rows = [ours._replace(name=name, maker="row", fields=fields) for name, fields in ROWS.items()]
    rest = ("bare step", "bare step without average", "rows", "checkpoint")
    return [*(ours._replace(name=name, maker=name.replace(" ", "_")) for name in rest), *rows]
  without = [ours._replace(name="ours, no penalty", fields={"penalty": "none"})] if work.kind == "penalty" else []
  return [ours, *without, *(peer for kind in work.peers for peer in peers(kind, work, cores))]


def peers(kind: str, work: Work, cores: int) -> list[Contender]:
  """The contenders of one kind; PyTorch's with one thread and with all cores."""
  flax = lambda name, maker: Contender(name, "jax", maker, members=work.members, threads=work.members)  # noqa: E731
  if kind == "flax":
    # XLA's convolution in a scan takes up to 15 times as long on a CPU: of images, nobody would write that.
    in_scan = [] if work.image else [flax("Flax in scan", "flax_scan")]
    return [flax("Flax, a dispatch a step", "flax_step"), *in_scan]
  if kind == "population":
    return [flax("Flax population, vmap in scan", "flax_population")]
  makers = {"torch": "eager", "layouts": "channels_last", "compile": "compiled", "ensemble": "ensemble"}
  named = {"torch": "eager", "layouts": "channels-last", "compile": "torch.compile", "ensemble": "torch.func ensemble"}
  members = work.members if kind == "ensemble" else 1  # one run after another: one is timed
  return [
    Contender(f"PyTorch {named[kind]}, {n} thread{'s' * (n > 1)}", "torch", makers[kind], members=members, threads=n)
    for n in sorted({1, cores})
  ]
