"""Many calls of `sweep` in one process, to see each refused without starting jax every time: CASES.json RESULTS.jsonl.

CASES.json is a list of lists of arguments. RESULTS.jsonl gets a line for each: its exit code, output and error, what was
about to run code from data (an object of a pickle that is looked up, a shell, a process), and the bytes by which the
process grew.
"""

import contextlib
import io
import json
import resource
import sys
from pathlib import Path
from typing import Any

RUNS = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen")


def peak() -> int:
  """Bytes of memory that this process had at most."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def ended(arguments: list[str], called: list[str]) -> dict[str, Any]:
  """How `sweep ARGUMENTS` ends; `called` is what an audit hook notes."""
  from .. import command, sweep

  out, error, before, grown = io.StringIO(), io.StringIO(), len(called), peak()
  sys.argv = ["sweep", *arguments]
  code: Any = 0
  with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
    try:
      command.run(sweep.main)
    except SystemExit as exit:
      code = exit.code
  return {
    "code": code or 0,
    "said": out.getvalue(),
    "error": error.getvalue(),
    "ran": called[before:],
    "grown": peak() - grown,
  }


def main(arguments: list[str]) -> None:
  from .. import command

  def leave(code: int) -> None:
    raise SystemExit(code)

  command.leave = leave  # after a failure a command leaves without Python's teardown, which would end all cases
  called: list[str] = []
  sys.addaudithook(lambda event, values: called.append(event) if event in RUNS else None)
  cases = json.loads(Path(arguments[0]).read_text())
  for number, case in enumerate(cases):
    with Path(arguments[1]).open("a") as file:
      file.write(json.dumps(ended(case, called)) + "\n")
    print(f"{number + 1} of {len(cases)}", flush=True)
