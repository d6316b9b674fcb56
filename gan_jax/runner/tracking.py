"""Weights & Biases, online or offline (WANDB_MODE): a run for each run of the study. No jax import.

A run has the same id in every attempt, so that W&B goes on with it. How far each group is logged is kept in
DIR/wandb/logged.json, and no step is sent twice.
"""

import hashlib
import importlib
import io
import netrc
import os
import re
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax import runs
from gan_jax.core.errors import BadInput
from gan_jax.runner import followers
from gan_jax.runner.tensorboard import area, drawn

FOLDER, LOGGED = "wandb", "logged.json"
MOST = 32  # runs: each is a run of W&B, begun one after another


class Tracking:
  """A follower that logs to W&B."""

  name = FOLDER

  def __init__(self, study: Path, say: Callable[[str], None]):
    self._study, self._say, self._told = study, say, False
    self._runs: dict[int, Any] = {}  # by place in the group
    self._group = ""  # its name, and the id of its first run
    self._until: dict[str, dict[str, int]] = {}  # by group, the first step whose rows, or quality, are not logged
    self._area: np.ndarray | None = None
    self._wandb: Any = None

  def begin(self, group: Any, first: int) -> None:
    self.end()
    self._wandb = importlib.import_module("wandb")
    mode = self._mode()
    # A group whose runs were extended has other runs, of which nothing is logged yet.
    self._group = f"{group.name} {group.ids[0]}"
    self._until, self._area = self._read(), area(self._study, group.name)
    manifest = runs.read_manifest(self._study)
    for place, name in followers.logged(self._study, group, MOST).items():
      self._runs[place] = self._wandb.init(
        project=os.environ.get("WANDB_PROJECT") or project(str(manifest["study"])),
        id=identity(manifest, group.ids[place]),
        name=name,
        config=dict(group.configs[place]),
        dir=str(self._study),
        mode=mode,
        resume="allow",
        reinit="create_new",
        settings=self._wandb.Settings(console="off", silent=True),
      )
    if first:
      self._catch_up(group, first)

  def rows(self, table: runs.Table) -> None:
    for row, step in enumerate(table.steps):
      if step >= self._since("rows"):
        self._log(int(step), {name: x[row] for name, x in table.columns.items()})
    self._note(rows=int(table.steps[-1]) + 1)

  def measured(self, step: int, quality: Mapping[str, np.ndarray], samples: np.ndarray) -> None:
    if step >= self._since("quality"):
      self._log(step, quality, samples)
      self._note(quality=step + 1)

  def end(self) -> None:
    ended, self._runs = self._runs, {}
    for run in ended.values():
      run.finish()

  def _mode(self) -> str | None:
    """WANDB_MODE decides; without it, offline where no key is known: asking for one would stop the study."""
    asked = os.environ.get("WANDB_MODE")
    mode = None if asked else "online" if key_known() else "offline"
    if not self._told:
      which = followers.some(self._study, MOST)
      offline = "offline" in (mode, asked)
      how = f" offline; later: wandb sync {self._study / FOLDER}/offline-run-*" if offline else ""
      self._say(f"logging to W&B{how}{which and f'; {which}'}")
    self._told = True
    return mode

  def _log(self, step: int, columns: Mapping[str, np.ndarray], samples: np.ndarray | None = None) -> None:
    for place, run in self._runs.items():
      values = {name: x[place].item() for name, x in columns.items() if not np.isnan(x[place])}
      if samples is not None:
        values["samples"] = self._image(samples[place])
      if values:
        run.log(values, step=step)

  def _image(self, samples: np.ndarray) -> Any:
    from PIL import Image

    return self._wandb.Image(Image.open(io.BytesIO(drawn(samples, self._area)[0])))

  def _catch_up(self, group: Any, first: int) -> None:
    """Log what the study's files have of the steps before `first`, in their order: W&B's steps only rise."""
    found = followers.past(self._study, group, min(self._since("rows"), self._since("quality")), first)
    samples = dict(found.samples)
    rows, quality = ({int(s): i for i, s in enumerate(t.steps)} for t in (found.rows, found.quality))
    for step in sorted({*rows, *quality}):
      if step in quality and step >= self._since("quality"):
        own = {name: x[quality[step]] for name, x in found.quality.columns.items()}
        try:
          grids = runs.read_samples(samples[step], len(group.ids)) if step in samples else None
        except runs.Damaged:  # the study names it
          grids = None
        self._log(step, own, grids)
      if step in rows and step >= self._since("rows"):
        self._log(step, {name: x[rows[step]] for name, x in found.rows.columns.items()})
    self._note(rows=max([*rows, self._since("rows") - 1]) + 1, quality=max([*quality, self._since("quality") - 1]) + 1)

  def _since(self, table: str) -> int:
    return self._until.get(self._group, {}).get(table, 0)

  def _note(self, **until: int) -> None:
    mine = self._until.setdefault(self._group, {})
    mine |= {table: max(step, mine.get(table, 0)) for table, step in until.items()}
    runs.write_json(self._study / FOLDER / LOGGED, self._until)

  def _read(self) -> dict[str, dict[str, int]]:
    try:
      found = runs.read_json(self._study / FOLDER / LOGGED)
    except BadInput:  # none yet, or damaged: everything is sent again, and W&B drops steps that do not rise
      return {}
    return {str(g): {str(t): int(s) for t, s in own.items()} for g, own in found.items()}


def key_known() -> bool:
  """Whether W&B's client finds a key: in the environment, or where `wandb login` writes it."""
  if os.environ.get("WANDB_API_KEY"):
    return True
  host = urllib.parse.urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
  try:
    return host in netrc.netrc(os.environ.get("NETRC") or str(Path.home() / ".netrc")).hosts
  except (OSError, netrc.NetrcParseError):
    return False


def identity(manifest: Mapping[str, Any], run_id: str) -> str:
  """The id of a run in W&B: that of its config, and of the study that was begun then."""
  begun = hashlib.sha256(f"{manifest['study']} {manifest.get('created', '')}".encode()).hexdigest()
  return f"{run_id}-{begun[:8]}"


def project(study: str) -> str:
  """A name that W&B takes.

  >>> project("runs/my study: 3")
  'runs_my_study_3'
  """
  return re.sub(r"[^A-Za-z0-9_.-]+", "_", study).strip("_")[:100] or "gan_jax"
