"""Executes the lesson in its short form and the code cells of notebooks, with no more than the standard library.

A Jupyter kernel would be 31 packages more (nbclient and ipykernel with what they need). The notebooks use one magic
command, `%%writefile`, and no other feature of IPython.

    python -m tests.support.notebooks NOTEBOOK ...    # in the current directory, each with names of its own

The study of the lesson goes to `runs/lesson/study`, and a copy to where two of the notebooks train the same.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

WRITE = "%%writefile "


def cells(path: Path, kind: str = "code") -> list[dict[str, Any]]:
  """The cells of one kind; their `source` is joined."""
  found = json.loads(path.read_text(encoding="utf-8"))["cells"]
  return [{**cell, "source": "".join(cell["source"])} for cell in found if cell["cell_type"] == kind]


def execute(path: Path) -> None:
  """Runs the code cells in order. A cell that raises ends it, and the trace names the cell."""
  names: dict[str, Any] = {"__name__": "__main__"}
  for number, cell in enumerate(cells(path), 1):
    source = cell["source"]
    if source.startswith(WRITE):
      file, _, text = source.removeprefix(WRITE).partition("\n")
      Path(file.strip()).write_text(text, encoding="utf-8")
    else:
      exec(compile(source, f"{path.name}, code cell {number}", "exec"), names)


if __name__ == "__main__":
  sys.path.insert(0, "")  # a kernel finds modules beside its notebook
  from experiments.studies.lesson import study
  from tests.support.pages import undrawn

  with undrawn():  # reports have tests of their own
    print("=== lesson")
    study.main(["--short"])
    shutil.copytree("runs/lesson/study", "runs/first_gan")
    for argument in sys.argv[1:]:
      print(f"=== {Path(argument).stem}", flush=True)
      execute(Path(argument))
