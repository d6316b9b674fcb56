"""`gan_jax.load_study`: a study as records and NumPy arrays. It reads files only; `LoadedRun.generator` imports jax."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gan_jax.core import paths
from gan_jax.report import records, verdicts
from gan_jax.runs import Table, choice
from gan_jax.verdict import Verdict

if TYPE_CHECKING:
  from gan_jax.runner.generator import Generator


class LoadedRun(NamedTuple):
  """One run of a study."""

  id: str  # ten hexadecimal digits that name its full config
  panel: str  # the title of the section of the report that shows it
  label: str  # the fields in which it differs from its panel, without the seed: 'hinge, n_critic=5'
  config: dict[str, Any]  # every field
  status: str  # 'diverged', 'done', 'unfinished' or 'waiting'
  last_step: int
  rows: Table  # diagnostics: `steps` [R], and `columns`, a float32 array [R] by metric; NaN is missing
  quality: Table  # sample quality, likewise, at other steps
  verdict: Verdict  # its `final` state, the `factor` that vanished, the `evidence` in a sentence, a state per row
  bit_exact: bool  # False: parts were computed by different versions or machines
  study: Path  # its directory

  def generator(
    self, step: str | int | None = None, *, average: bool = True, folder: str | os.PathLike[str] | None = None
  ) -> "Generator":
    """The trained generator, as a jitted function and its parameters.

        generator = gan_jax.load_study("runs/compare_losses").run(loss="hinge", seed=0).generator()
        images = generator.generate(generator.parameters, jax.random.key(0))  # [64, H, W, C] in [-1, 1]

    Args:
      step: 'best', where it measured best by the metric that the report ranks by; 'last'; or the step of a checkpoint on
        disk. The best of many noisy measurements is flattered: judge it by new samples. None: the best, and without
        averages, or where no best one was kept, the last. The generator's `step` says which it is.
      average: the moving average of its weights, which is what is measured; False: the weights themselves.
      folder: that of the config, where user code is that it names (`my_models.py:small_resnet`). That code is run;
        without a folder none is, and such a study is refused.

    Raises:
      BadInput: no such step, and which there are; a damaged file; user code that has changed.
      OSError: the machine could not read it.
    """
    from gan_jax.runner import generator

    chosen = choice.choose(self.study, self.id)
    place = None if folder is None else paths.usable(folder, "the folder of code")
    return generator.load(self.study, chosen, step, average, place)


class LoadedStudy(NamedTuple):
  """A study, as read from its files."""

  path: Path
  name: str
  description: str
  metrics: dict[str, str]  # explanation of each column
  runs: tuple[LoadedRun, ...]
  remarks: tuple[str, ...]  # what is missing, damaged, or not bit exact

  def run(self, id: str | None = None, **fields: Any) -> LoadedRun:
    """The one run with this id, or with these values of its config: `run(loss="hinge", seed=0)`.

    An option is given in a dict, `run(optimizer_options={"beta1": 0.5})`. A study of one run needs neither.

    Raises:
      BadInput: an unknown field; or no run, or several: the message lists the choices.
    """
    chosen = choice.choose(self.path, id, fields).id
    return next(run for run in self.runs if run.id == chosen)


def load_study(path: str | os.PathLike[str]) -> LoadedStudy:
  """Read a study's directory; the study may still be running.

      study = gan_jax.load_study("runs/compare_losses")
      for run in study.runs:
        print(run.label, run.config["seed"], run.quality.columns["frechet/distance"][-1], run.verdict.final)

  A damaged part is left out and named in `remarks`.

  Args:
    path: the directory that `run_study` or a command has written.

  Raises:
    BadInput: there is no study, or its manifest and the copy are damaged.
    OSError: the machine could not read a file.
  """
  study = records.read(paths.usable(path, "a study's directory"))
  place = {
    run.id: (panel.title, variant.label) for panel in study.panels for variant in panel.variants for run in variant.runs
  }
  return LoadedStudy(
    path=study.path,
    name=str(study.manifest["study"]),
    description=str(study.manifest.get("description", "")),
    metrics=dict(study.manifest.get("metrics", {})),
    runs=tuple(_loaded(run, *place[run.id], study.path) for run in study.runs),
    remarks=study.remarks,
  )


def _loaded(run: records.Run, panel: str, label: str, study: Path) -> LoadedRun:
  return LoadedRun(
    id=run.id,
    panel=panel,
    label=label,
    config=run.config,
    status=run.status,
    last_step=run.last_step,
    rows=run.rows,
    quality=run.quality,
    verdict=verdicts.of(run),
    bit_exact=run.bit_exact,
    study=study,
  )
