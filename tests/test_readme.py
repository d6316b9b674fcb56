"""Every command that the README names is run here as it stands there, on the README's own study, made short."""

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from gan_jax import commands
from tests.conftest import ROOT

TEXT = (ROOT / "README.md").read_text()
SHORT = ["--config.steps=4", "--config.evaluation_samples=100", "--config.seed=0", "--config.n_critic=1"]
CALL = [sys.executable, "-c", "from gan_jax import commands; commands.main()"]
# What a command of the README gets where this differs from what stands there; DIR is the trained study. A dry run
# reads the config, plans the study and ends, and `fetch` alone lists what there is.
GIVEN = {
  "train": [["my_study.py", "--dry-run"]],
  "status": [["DIR"]],
  "report": [["DIR"], ["DIR", "--filter", "loss=hinge,seed<3", "--out", "page.html"]],
  "sample": [["DIR", "--loss", "hinge", "--out", "samples.npz"]],
  "tables": [["DIR", "--format=latex"]],
  "figures": [["DIR", "--format=svg", "--out", "figures"]],
  "export": [["DIR", "--format=csv"]],
  "fetch": [[]],
  "losses": [["hinge"]],
  "help": [[]],
}
# What takes long, or does not end by itself, has a test of its own; `sweep` made the study.
ELSEWHERE = {
  "sweep": "test_readme.py",
  "watch": "test_readme.py",
  "lesson": "experiments/test_lesson.py",
  "tournament": "experiments/test_tournament.py",
  "dominance": "experiments/test_dominance_study.py",
  "selftest": "experiments/test_selftest.py",
  "test": "../.ci/run",
}


def named() -> list[str]:
  """The commands that the README names, each once: after `./launch.sh`, or listed by their names alone."""
  found = re.findall(r"\./launch\.sh ([a-z_]+)", TEXT)
  return list(dict.fromkeys(found))


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
  environment = {**os.environ, "PYTHONPATH": str(ROOT)}
  done = subprocess.run([*CALL, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  return done


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
  """The README's study, saved under the name that it says and trained by the command that it says."""
  folder = tmp_path_factory.mktemp("newcomer")
  name, typed = re.search(r"Save this as `([\w.]+)` and run `\./launch\.sh ([^`]+)`", TEXT).groups()
  block = next(b for b in re.findall(r"```python\n(.*?)```", TEXT, re.S) if "def sweep(s)" in b)
  (folder / name).write_text(block)
  said = call(folder, *typed.split(), *SHORT)
  (found,) = re.findall(r"report: (.*)/report\.html", said.stdout + said.stderr)
  return folder / found


def test_every_command_that_is_named_is_run():
  assert set(named()) == GIVEN.keys() | ELSEWHERE.keys()
  assert all((ROOT / "tests" / path).exists() for path in ELSEWHERE.values())
  assert set(named()) - {"help", "test"} <= commands.commands().keys()


@pytest.mark.parametrize("name", GIVEN)
def test_a_command_of_the_readme_runs(name, study):
  for given in GIVEN[name]:
    done = call(study.parents[1], name, *(str(study) if word == "DIR" else word for word in given))
    assert done.stdout


def test_the_page_that_follows_a_study_answers(study):
  environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
  with subprocess.Popen(
    [*CALL, "watch", str(study)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
  ) as watching:
    try:
      address = next(re.search(r"http://\S+", line)[0] for line in watching.stdout if "http://" in line)
      page = urllib.request.urlopen(address, timeout=20).read().decode()
    finally:
      watching.terminate()
  assert "hinge" in page
