"""`gan_jax.run_study`: a study from a notebook or a program. No jax at import."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_jax.core import installation, paths
from gan_jax.core.errors import BadInput
from gan_jax.runner import standing, study
from gan_jax.runner.loading import LoadedStudy, load_study
from gan_jax.settings import config_file, sweeps


def run_study(
  config: str | os.PathLike[str] | Mapping[str, Any],
  out: str | os.PathLike[str] | None = None,
  *,
  sweep: Iterable[Mapping[str, Any]] | None = None,
  overrides: Mapping[str, Any] | None = None,
  single: bool = False,
  say: Callable[[str], None] = print,
  log: Sequence[str] = (),
) -> LoadedStudy:
  """Train or resume a study and return its measurements; its report is `report.html` in its directory.

      study = gan_jax.run_study("compare_losses", "runs/short", overrides={"steps": 500})
      study = gan_jax.run_study({"dataset": "ring", "latent_size": 2, "steps": 500}, "runs/ring")
      losses = [{"loss": name} for name in ("minimax", "hinge")]
      study = gan_jax.run_study({"dataset": "ring", "latent_size": 2, "steps": 500}, "runs/two", sweep=losses)

  Runs and files are those of `gan-jax sweep` with the same fields. The same call resumes a study that was stopped, and
  returns at once if everything is trained.

  If jax was used before, its devices are kept. Its debugging settings (`jax_debug_nans`, ...) are off during the study
  and restored afterwards. In the main thread Ctrl-C raises KeyboardInterrupt as usual, and SIGTERM, SIGHUP, SIGUSR1 and
  SIGUSR2 save and stop the study, unless the program handles them itself. In another thread no signal is handled.

  Args:
    config: the path of a config file, the name of one that comes with the package, or a dict of the fields that differ
      from the defaults in `gan_jax/settings/fields.py`. A file of code that it names (`my_models.py:small_resnet`) is
      looked for beside the config file, for a dict in the current directory.
    out: the study's directory; required with a dict. For a file the default is `runs/<config>`, as for `gan-jax sweep`.
    sweep: with a dict, the overrides of every run; `gan_jax.settings.sweeps` has functions that compose such lists.
      Without one there is one run.
    overrides: fields that win over those of the config and its sweep, as `--config.field=value` does.
    single: with a file, train only the run of `get_config()`, as `gan-jax train` does.
    say: prints one line of progress; it is also called from a helper thread, never twice at once.
    log: "tensorboard" and "wandb": where rows, measurements and samples are sent too, as `--log` does.

  Raises:
    BadInput: input that cannot be used; nothing on disk has been changed.
    Stopped: a signal asked to stop; the same call continues.
    Failure: the machine failed (too little memory), or files of a trained study are missing.
    OSError: a file could not be written or read; the same call continues from what is saved.
  """
  pinned = config_file.fields({} if overrides is None else overrides, "overrides")
  if not isinstance(config, (str, os.PathLike)):
    directory = _of_fields(config, out, sweep, pinned, say, log)
  elif sweep is not None:
    raise BadInput(f"run_study expected a sweep only beside a dict of fields, got one beside the file {config}")
  else:
    path = installation.config(os.fspath(config))
    place = None if out is None else paths.usable(out, "output directory")
    directory = study.run(path, pinned, place, single, say, log=log)
  standing.confirm(directory)
  return load_study(directory)


def _of_fields(
  config: Any,
  out: str | os.PathLike[str] | None,
  sweep: Iterable[Mapping[str, Any]] | None,
  pinned: Mapping[str, Any],
  say: Callable[[str], None],
  log: Sequence[str],
) -> Path:
  base = config_file.fields(config, "run_study")
  if out is None:
    raise BadInput("run_study expected `out`, the study's directory, beside a dict of fields, got none")
  runs = [{}] if sweep is None else config_file.runs(sweep, "run_study's sweep")
  _, configs = sweeps.planned(base, runs, pinned, single=False)
  asked = study.Asked(configs, "a dict of fields", "", log=log)
  return study.conduct(asked, paths.usable(out, "output directory"), say)
