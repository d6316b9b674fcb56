"""How a study ends before its end: real processes, real signals, closed pipes, and a directory that is removed."""

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments import command
from gan_jax import runs
from gan_jax.core.errors import Failure, Interrupted, Stopped
from gan_jax.report import overview
from gan_jax.runner import population, signals, study, watchdog
from tests.conftest import ROOT
from tests.support.pages import undrawn

# Three chunks of 100 steps, and no checkpoint planned before the end.
CONFIG = """
def get_config():
  return {"model_options": {"generator_width": 8, "discriminator_width": 8, "depth": 1},
          "dataset": "ring", "latent_size": 2, "batch_size": 16, "steps": 300,
          "probe_every": 10, "evaluation_samples": 100, "evaluate_every": 300, "checkpoint_every": 300}

def sweep(s):
  return s.param("seed", [0, 1])
"""
# The command line, with something that happens once the first chunk is written, while the devices work on the second.
DRIVER = """
import os, shutil, signal, sys, time
from pathlib import Path
from experiments import command, sweep
from gan_jax import runs
from gan_jax.runner import population
from gan_jax.runs import status

compile_group, study = population.compile_group, Path(sys.argv[-1])

def asked():
  while command.stop().asked is None:
    time.sleep(0.001)

def written():
  while runs.read_json(study / "status.copy.json")["groups"]["group-0"].get("step") != 100:
    time.sleep(0.001)
  with status.changed_status(study):  # whoever wrote it has let it go
    pass

def then(*group):
  program, calls = compile_group(*group), []
  def advance(*arguments):
    found = program.advance(*arguments)
    calls.append(1)
    if len(calls) == 2:
      written()
      {what}
    return found
  return program._replace(advance=advance)

population.compile_group = then
{first}
command.run(sweep.main)
"""
WAIT = "Ctrl-C: what is being trained is finished to the end of its chunk and saved; a second one leaves at once\n"
KILL = "os.kill(os.getpid(), signal.{}); "
SWALLOWED = """
      try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
      except BaseException:
        pass
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
  path = tmp_path_factory.mktemp("config") / "three_chunks.py"
  path.write_text(CONFIG)
  return path


def started(
  config: Path, directory: Path, what: str | None = None, first: str = "", page: bool = True, **streams: object
) -> subprocess.Popen:
  """The command in a process of its own; `what` happens in its second chunk."""
  env = {k: v for k, v in os.environ.items() if k != "JAX_NUMPY_RANK_PROMOTION"}
  env |= {"PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "2"}
  code = (
    ["-m", "experiments.sweep" if page else "tests.support.pages"]
    if what is None
    else ["-c", DRIVER.format(what=what, first=first)]
  )
  pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
  return subprocess.Popen(
    [sys.executable, *code, str(config), "--out", str(directory)], env=env, text=True, cwd=ROOT, **pipes
  )


@pytest.fixture
def call(config):
  def call(directory: Path, *arguments: object, **options: object) -> subprocess.CompletedProcess:
    with started(config, directory, *arguments, **options) as process:
      try:
        said = process.communicate(timeout=600)
      except BaseException:
        process.kill()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, *said)

  return call


def contents(directory: Path) -> dict[str, object]:
  """Everything that must be the same bits: rows, quality, samples, and the digests of the last checkpoint."""
  tables = [p for table in ("rows", "quality", "samples") for p in sorted((directory / table).rglob("*.npz"))]
  meta = json.loads((directory / "checkpoints" / "group-0" / "300" / "meta" / "metadata").read_text())
  return {str(p.relative_to(directory)): p.read_bytes() for p in tables} | meta["leaves"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, config):
  """A study that nobody listened to: both of its pipes were closed before it said its first line."""
  directory = tmp_path_factory.mktemp("whole") / "study"
  reader, writer = os.pipe()
  os.close(reader)
  try:
    done = call.__wrapped__(config)(directory, stdout=writer, stderr=writer)
  finally:
    os.close(writer)
  assert done.returncode == 0
  return directory


def test_closed_pipes_do_not_stop_a_study(whole):
  assert runs.read_status(whole)["groups"]["group-0"]["complete"]
  assert runs.read_table(whole, "rows", "group-0").steps.tolist() == list(range(0, 300, 10))
  assert (whole / "report.html").exists()


def test_a_signal_saves_at_the_chunk_end_and_the_same_command_ends_with_the_same_bits(whole, call, tmp_path):
  """At step 200 no checkpoint was planned, so that the resumed study has one more in its past."""
  stopped = call(tmp_path / "study", KILL.format("SIGTERM") + "asked()")
  assert stopped.returncode == 75
  assert stopped.stderr == (
    "stopped by SIGTERM: step 200 of 300 of group-0 is saved, and the same command goes on from there\n"
  )
  assert [p.name for p in (tmp_path / "study" / "checkpoints" / "group-0").iterdir()] == ["200"]
  done = call(tmp_path / "study", page=False)
  assert done.returncode == 0, done.stderr
  assert "resuming at step 200" in done.stdout
  assert contents(tmp_path / "study") == contents(whole)


def test_a_writer_that_was_stopped_while_another_took_over_writes_nothing_more(whole, config, call, tmp_path):
  """Its lock's file is deleted, so the kernel lets a second process in, which trains the study to its end."""
  directory = tmp_path / "study"
  with started(config, directory, KILL.format("SIGSTOP")) as first, contextlib.ExitStack() as after:
    after.callback(first.kill)  # a stopped process would be waited for
    os.waitid(os.P_PID, first.pid, os.WSTOPPED)
    (directory / "lock").unlink()
    done = call(directory, page=False)
    assert done.returncode == 0, done.stderr
    assert "samples of step 0, quality of step 0, rows of steps 0 to 99 computed again: the same bits" in done.stdout
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in directory.rglob("*") if path.is_file()}
    first.send_signal(signal.SIGCONT)
    _, said = first.communicate(timeout=60)
  assert first.returncode == 1
  assert re.fullmatch(
    rf"error: {directory}: another process has taken its place \(host .*, attempt 2\) while .*\n", said
  )
  now = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in directory.rglob("*") if path.is_file()}
  assert now == before
  assert contents(directory) == contents(whole)


@pytest.fixture
def heeded() -> Iterator[None]:
  """Signals with their default effect, also where the tests run under `nohup`, which has SIGHUP ignored."""
  before = {number: signal.signal(number, signal.SIG_DFL) for number in signals.ASKING}
  yield
  for number, handler in before.items():
    signal.signal(number, handler)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("number", signals.ASKING)
def test_what_a_signal_does(number):
  """Nothing to save: leave at once. Something to save: take note, and leave at once at the next one of any kind."""
  left, told = [], []
  name = signal.Signals(number).name
  hours = itertools.count(step=3600.0)
  stop = signals.Stop(lambda code, sentence: left.append((code, sentence)), told.append, lambda: next(hours))
  stop.outcome = "so be it"
  with signals.attended(stop):
    stop.unsaved = True
    signal.raise_signal(number)
    assert left == []
    with pytest.raises(Stopped, match=f"stopped by {name}: so be it"):
      stop.check()
    signal.raise_signal(number)
    assert left == [(75, f"stopped by {name}: so be it")]
    signal.raise_signal(signal.SIGINT)
    assert left[1:] == [(130, "stopped by Ctrl-C: so be it")]
    stop.asked, stop.unsaved = None, False
    signal.raise_signal(number)
    signal.raise_signal(signal.SIGINT)
    assert left[2:] == [(75, f"stopped by {name}: so be it"), (130, "stopped by Ctrl-C: so be it")]
    stop.asked, stop.unsaved = None, True
    told.clear()
    signal.raise_signal(signal.SIGINT)
    assert (len(left), len(told)) == (4, 1)
    with pytest.raises(Interrupted, match="stopped by Ctrl-C: so be it"):
      stop.check()
    signal.raise_signal(number)
    assert left[4:] == [(75, f"stopped by {name}: so be it")]


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("handled", [signals.attended, signals.noticed])
def test_a_signal_that_is_sent_twice_at_once_is_one_request(handled):
  """As `scontrol requeue` and a pre-emption do: Slurm sends it, and srun passes it on."""
  left, now = [], [0.0]
  stop = signals.Stop(lambda code, sentence: left.append(code), clock=lambda: now[0])
  stop.unsaved = True
  with handled(stop):
    signal.raise_signal(signal.SIGTERM)
    now[0] = 1.9
    signal.raise_signal(signal.SIGTERM)
    assert (stop.asked, left) == (signal.SIGTERM, [])
    if handled is signals.attended:  # of `noticed` it would end this process
      now[0] = 2.1
      signal.raise_signal(signal.SIGTERM)
      assert left == [signals.TRY_AGAIN]


def test_a_signal_is_answered_while_the_main_thread_is_busy():
  """The handler of the main thread cannot run in here: it waits for a lock, as it would for a compilation."""
  answered = threading.Event()
  stop = signals.Stop(lambda code, sentence: answered.set())
  with signals.attended(stop):
    threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGTERM)).start()
    lock = threading.Lock()
    lock.acquire()
    threading.Thread(target=lambda: (answered.wait(60), lock.release())).start()
    with lock:
      assert answered.is_set()


def test_a_second_ctrl_c_leaves_at_once_and_cannot_be_swallowed(call, tmp_path):
  stopped = call(tmp_path / "study", SWALLOWED)
  assert stopped.returncode == 130
  assert stopped.stderr == (
    f"{WAIT}stopped by Ctrl-C: nothing of group-0 was saved yet, and the same command starts it again\n"
  )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_the_exit_code_once_all_is_saved(number, code, monkeypatch, capsys):
  class Left(Exception):
    pass

  def leave(given):
    raise Left(given)

  stop = signals.Stop(leave)
  stop.unsaved, stop.outcome = True, "step 200 is saved"
  stop.ask(number)
  monkeypatch.setattr(command, "leave", leave)
  monkeypatch.setattr(command, "prepare_streams", lambda: None)
  with pytest.raises(Left) as left:
    command.run(lambda arguments: stop.check())
  assert left.value.args == (code,)
  assert capsys.readouterr().err.endswith(": step 200 is saved\n")


def test_a_directory_that_is_removed_while_it_is_written(call, tmp_path):
  """It is not made again as a torso."""
  failed = call(tmp_path / "study", "shutil.rmtree(study)")
  assert failed.returncode == 1
  assert failed.stderr == (
    f"error: {tmp_path / 'study'} was removed or moved while it was being written; nothing more was written\n"
  )
  assert not (tmp_path / "study").exists()


def test_a_directory_that_is_replaced_while_it_is_written(tmp_path):
  (tmp_path / "study").mkdir()
  check = runs.still_there(tmp_path / "study")
  check()
  (tmp_path / "study").rename(tmp_path / "moved")
  (tmp_path / "study").mkdir()
  with pytest.raises(Failure, match="was replaced by another directory"):
    check()


def test_a_step_that_hangs_is_ended(call, tmp_path, monkeypatch):
  """The stacks say where it hangs, and the status that it does."""
  monkeypatch.setenv(watchdog.VARIABLE, "1.5")
  hung = call(tmp_path / "study", "time.sleep(600)")
  (stacks,) = (tmp_path / "study" / "stacks").iterdir()
  assert hung.returncode == watchdog.HUNG == 70
  assert re.fullmatch(
    rf"error: no progress for \d+ s in program 1 of 1: the stacks of all threads are in {stacks}; "
    "nothing of group-0 was saved yet, and the same command starts it again\n",
    hung.stderr,
  ), hung.stderr
  assert re.search(r'File "<string>", line \d+ in advance\n.* in _train\n', stacks.read_text())
  assert (
    overview.overview(tmp_path / "study").failures[0].startswith("the last attempt hung: program 1 of 1: no progress")
  )
  with runs.writer_lock(tmp_path / "study"):
    pass
  assert overview.overview(tmp_path / "study").failures == ()  # there was an attempt since


def test_before_training_a_signal_leaves_at_once(call, tmp_path):
  first = "from gan_jax import data; data.load = lambda *_: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(60))"
  stopped = call(tmp_path / "study", "pass", first)
  assert stopped.returncode == 75
  assert stopped.stderr == ("stopped by SIGTERM: it had trained nothing yet, and the same command does so\n")
  assert not (tmp_path / "study").exists()


def test_in_a_program_of_ones_own_signals_are_noticed_and_handlers_restored(config, tmp_path, monkeypatch):
  """Called from the main thread: SIGTERM, then a Ctrl-C that what was running swallows. Then from a thread."""
  before = [signal.getsignal(number) for number in (signal.SIGINT, *signals.ASKING)]
  compile_group = population.compile_group

  def sent(number, chunk):
    """In this chunk of those that are trained, and swallowed."""

    def then(*group):
      program, calls = compile_group(*group), []

      def advance(*arguments):
        found = program.advance(*arguments)
        calls.append(1)
        with contextlib.suppress(BaseException):
          if len(calls) == chunk:
            os.kill(os.getpid(), number)
        return found

      return program._replace(advance=advance)

    return then

  def run():
    return study.run(str(config), [], tmp_path / "study", single=True, say=lambda line: None)

  monkeypatch.setattr(population, "compile_group", sent(signal.SIGTERM, 2))
  with pytest.raises(Stopped, match="stopped by SIGTERM: step 200 of 300 of group-0 is saved"):
    run()
  monkeypatch.setattr(population, "compile_group", sent(signal.SIGINT, 1))
  with pytest.raises(KeyboardInterrupt):
    run()
  assert [signal.getsignal(number) for number in (signal.SIGINT, *signals.ASKING)] == before
  monkeypatch.setattr(population, "compile_group", compile_group)
  thread = threading.Thread(target=run)
  with undrawn():
    thread.start()
    thread.join()
  assert runs.read_status(tmp_path / "study")["groups"]["group-0"]["complete"]


def test_a_handler_of_the_callers_own_stays():
  before = signal.signal(signal.SIGTERM, lambda *_: None)
  mine = signal.getsignal(signal.SIGTERM)
  try:
    with signals.noticed(signals.Stop()):
      assert signal.getsignal(signal.SIGTERM) is mine
    with signals.attended(signals.Stop()):
      assert signal.getsignal(signal.SIGTERM) is not mine
    assert signal.getsignal(signal.SIGTERM) is mine
  finally:
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGINT, *signals.ASKING])
def test_a_signal_while_a_finished_command_exits_changes_nothing(number):
  """It comes after the handlers of the command and before the end of the process."""
  late = f"atexit.register(lambda: os.kill(os.getpid(), {int(number)}))"
  code = f"import atexit, os; from experiments import command; {late}; command.run(lambda _: print('written'))"
  done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
  assert (done.returncode, done.stdout, done.stderr) == (0, "written\n", "")


IMPORTING = """
import os, signal, sys
from experiments import command
class Sends:
  def find_spec(self, name, path=None, target=None):
    if name == "jax._src.config":
      os.kill(os.getpid(), signal.SIGUSR2)
sys.meta_path.insert(0, Sends())
command.run(lambda _: __import__("jax"))
"""


def test_a_signal_while_jax_is_imported_is_one_sentence():
  done = subprocess.run([sys.executable, "-c", IMPORTING], cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == signals.TRY_AGAIN
  assert done.stderr == "stopped by SIGUSR2: what was not finished is done again by the same command\n"
