"""One writer: real processes that hold locks, are killed, stopped and woken; and what their files say."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gan_jax import runs
from gan_jax.core.errors import BadInput, Failure
from gan_jax.runs import holders, lock, mounts, pulse, status
from tests.conftest import ROOT

NAMED = r"host \S+, pid \d+, started \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, attempt \d+"
# Another process: takes a lock, says so, waits for a line, writes a status, and says what became of it.
OTHER = """
import sys
from pathlib import Path
from gan_jax import runs
study, group = Path(sys.argv[1]), sys.argv[2]
try:
  with runs.group_lock(study, group) if group else runs.writer_lock(study) as attempt:
    print("holds", attempt, flush=True)
    sys.stdin.readline()
    runs.write_status(study, {"groups": {"g": {"step": attempt}}})
    print("wrote", flush=True)
except Exception as error:
  print(type(error).__name__, error, flush=True)
"""


class Other:
  """A process that holds a lock of a study until it is told to go on."""

  def __init__(self, study: Path, group: str = ""):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    self.process = subprocess.Popen(
      [sys.executable, "-c", OTHER, str(study), group], cwd=ROOT, text=True, bufsize=1, **pipes
    )
    self.said = self.process.stdout.readline().strip()

  def go_on(self) -> str:
    """It writes; returns what it said then."""
    self.process.stdin.write("\n")
    self.process.stdin.flush()
    return self.process.stdout.readline().strip()


@pytest.fixture
def other():
  """Makes such processes, and kills them in the end."""
  made = []

  def make(*arguments):
    made.append(Other(*arguments))
    return made[-1]

  yield make
  for one in made:
    one.process.kill()
    one.process.communicate()


def test_one_writer(tmp_path):
  with runs.writer_lock(tmp_path) as first:
    with (
      pytest.raises(runs.Taken, match=rf"is being written by another process \({NAMED}\)"),
      runs.writer_lock(tmp_path),
    ):
      pass
    assert runs.attempt(tmp_path) == first == 1
  with runs.writer_lock(tmp_path) as second:
    assert second == 2
  assert runs.attempt(tmp_path) == 0


def test_workers_share_a_study_each_with_a_group_of_its_own(tmp_path, other):
  """No two have one group, and a sweep of the whole study and workers keep each other out."""
  one, two = other(tmp_path, "group-0"), other(tmp_path, "group-1")
  assert (one.said, two.said) == ("holds 1", "holds 2")  # the second found the study shared since attempt 1
  with runs.group_lock(tmp_path, "group-2"):
    with pytest.raises(runs.Taken, match=rf"group-1 of .* is being written by another process \({NAMED}\)$"):  # noqa: SIM117
      with runs.group_lock(tmp_path, "group-1"):
        pass
    with pytest.raises(runs.Taken, match=rf"by another process \(group-0: {NAMED}; and 2 more\)$"):  # noqa: SIM117
      with runs.writer_lock(tmp_path):
        pass
  assert {name: held.alive for name, held in pulse.workers(tmp_path).items()} == {
    "group-0": True, "group-1": True, "group-2": False
  }  # fmt: skip
  assert pulse.holder(tmp_path).pid == two.process.pid
  assert (one.go_on(), two.go_on()) == ("wrote", "wrote")
  for process in (one.process, two.process):
    process.wait()
  with runs.writer_lock(tmp_path) as attempt:
    assert attempt == 3  # higher than all of theirs
    with pytest.raises(runs.Taken, match=rf"by another process \({NAMED}\)$"), runs.group_lock(tmp_path, "group-0"):
      pass
    assert pulse.holder(tmp_path).attempt == 3
  with runs.group_lock(tmp_path, "group-0") as attempt:
    assert attempt == 4


def test_a_killed_holder_keeps_nobody_out(tmp_path, other):
  one = other(tmp_path)
  os.kill(one.process.pid, signal.SIGKILL)
  one.process.wait()
  assert pulse.holder(tmp_path)[1:2] + pulse.holder(tmp_path)[3:4] == (one.process.pid, False)
  with runs.writer_lock(tmp_path) as attempt:
    assert attempt == 2


@pytest.mark.parametrize("group", ["", "group-0"])
def test_a_holder_that_was_stopped_and_woken_writes_nothing_more(tmp_path, other, group):
  """Its lock is deleted, so the kernel lets a second one in; the lock's file of a group alone, too."""
  one = other(tmp_path, group)
  os.kill(one.process.pid, signal.SIGSTOP)
  (tmp_path / "lock").unlink()
  if group:
    (tmp_path / "locks" / group).unlink()
  with runs.group_lock(tmp_path, group) if group else runs.writer_lock(tmp_path):
    runs.write_status(tmp_path, {"groups": {"g": {"step": 7}}})
  before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
  os.kill(one.process.pid, signal.SIGCONT)
  said = one.go_on()
  assert re.fullmatch(
    rf"Failure {re.escape(str(tmp_path))}: another process has taken its place \(.*\) while .*", said
  ), said
  assert f"pid {os.getpid()}," in said
  assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_where_the_kernel_keeps_no_lock_the_later_attempt_writes_alone(tmp_path, other, monkeypatch):
  """As on a network file system: the same file, and `flock` lets everybody in. A worker and a sweep, either way round."""
  monkeypatch.setattr(lock.fcntl, "flock", lambda *_: None)
  for first, second in (("", ""), ("", "group-0"), ("group-0", ""), ("group-0", "group-0")):
    one = other(tmp_path, first)
    with runs.group_lock(tmp_path, second) if second else runs.writer_lock(tmp_path) as attempt:
      assert attempt > int(one.said.split()[1])
      said = one.go_on()
      assert said.startswith("Failure"), (first, second, said)
      assert "another process has taken its place" in said
      runs.write_status(tmp_path, {"groups": {"g": {"step": attempt}}})
    one.process.wait()


def test_a_file_system_without_locks_is_written_by_one_process_of_this_machine(tmp_path, other, monkeypatch):
  one = other(tmp_path)

  def unsupported(*_):
    raise OSError(38, "Function not implemented")

  monkeypatch.setattr(lock.fcntl, "flock", unsupported)
  with pytest.raises(runs.Taken, match=f"pid {one.process.pid},"), runs.writer_lock(tmp_path):
    pass
  one.process.kill()
  one.process.wait()
  with runs.writer_lock(tmp_path) as attempt:
    assert attempt == 2
    with status.changed_status(tmp_path) as changed:
      changed["groups"]["g"] = {"step": 3}
  assert runs.read_status(tmp_path)["groups"] == {"g": {"step": 3}}


@pytest.mark.parametrize("damage", ["emptied", "garbage", "removed", "an earlier version's"])
def test_attempts_rise_whatever_became_of_the_lock(tmp_path, damage):
  """Then the status says which was the last."""
  for _ in range(3):
    with runs.writer_lock(tmp_path) as attempt:
      runs.write_status(tmp_path, {"groups": {"g": {"attempt": attempt}}})
  file = tmp_path / "lock"
  if damage == "removed":
    file.unlink()
  else:
    file.write_bytes({"emptied": b"", "garbage": b"\xff\x00" * 99}.get(damage, b"host x, pid 3"))
  if damage == "garbage":
    (tmp_path / "status.json").write_text('{"groups": {"g": {"attempt": 3, ')
  with runs.writer_lock(tmp_path) as attempt:
    assert attempt == 4
    assert re.fullmatch(f"{NAMED}\n", file.read_text())


def test_a_writer_looks_before_each_write(tmp_path):
  """Whatever is done to the file of its lock; and it goes on where nothing was."""
  with contextlib.ExitStack() as held:
    held.enter_context(runs.writer_lock(tmp_path))
    check, file = runs.still_there(tmp_path), tmp_path / "lock"
    check()
    os.utime(file, (1, 1))
    check()
    own = file.read_text()
    for content, said in (("", "removed, replaced or emptied"), (own.replace("attempt 1", "attempt 2"), "attempt 2")):
      file.write_text(content)
      with pytest.raises(Failure, match=said):
        check()
    file.unlink()
    with pytest.raises(Failure, match="removed, replaced or emptied"):
      check()
    file.write_text(own)  # the same text in another file, on which nobody has a lock
    for write in (
      check,
      lambda: runs.write_status(tmp_path, {"groups": {}}),
      lambda: runs.write_manifest(tmp_path, {}),
    ):
      with pytest.raises(Failure, match="removed, replaced or emptied"):
        write()
  check()  # without a lock, only the directory matters
  assert sorted(path.name for path in tmp_path.iterdir()) == ["lock"]


def test_a_process_says_when_it_started(tmp_path):
  """Read off /proc; `ps` says the same."""
  said = subprocess.run(["ps", "-o", "lstart=", "-p", str(os.getpid())], capture_output=True, text=True, check=False)
  if said.returncode:
    pytest.skip("no ps here")
  told = subprocess.run(["date", "-u", "-d", said.stdout.strip(), "+%s"], capture_output=True, text=True, check=True)
  own = subprocess.run(["date", "-u", "-d", holders.started(), "+%s"], capture_output=True, text=True, check=True)
  assert abs(int(told.stdout) - int(own.stdout)) <= 1


MOUNTS = """22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /users rw,relatime - nfs4 server:/users rw,vers=4.2,local_lock=none,addr=10.0.0.1
31 22 0:41 / /old rw - nfs server:/old rw,vers=3,nolock,local_lock=all
32 22 0:42 / /lustre rw,flock - lustre mds@tcp:/fs rw,flock,lazystatfs
33 22 0:43 / /scratch rw - lustre mds@tcp:/fs rw,localflock
34 22 0:44 / /my\\040disk rw - beegfs beegfs_nodev rw
35 22 0:45 / /gpfs rw - gpfs fs1 rw
36 30 0:46 / /users/me/bucket rw - fuse.gcsfuse bucket rw
37 22 0:47 / /share rw - cifs //server/share rw
a torn line
"""


@pytest.mark.parametrize(
  ("folder", "kind"),
  [
    ("/elsewhere/x", ""),
    ("/users/me/runs", ""),
    ("/usersless", ""),
    ("/old/runs", "nfs"),
    ("/lustre/runs", ""),
    ("/scratch/runs", "lustre"),
    ("/my disk/runs", "beegfs"),
    ("/gpfs", "gpfs"),
    ("/users/me/bucket/runs", "fuse.gcsfuse"),
    ("/share/runs", "cifs"),
  ],
)
def test_file_systems_whose_locks_may_not_hold(folder, kind, tmp_path):
  """Lines as in proc(5), with the options of nfs(5) and mount.lustre(8)."""
  table = tmp_path / "mountinfo"
  table.write_text(MOUNTS)
  assert mounts.unsure(Path(folder), table) == kind
  assert mounts.unsure(Path(folder), tmp_path / "none") == ""


def test_what_is_said_of_such_a_file_system(tmp_path, monkeypatch):
  assert lock.remark(tmp_path) == ""
  monkeypatch.setattr(mounts, "unsure", lambda folder: "beegfs")
  assert "lies on beegfs, where a lock may not hold on other machines" in lock.remark(tmp_path)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "x\0"])
def test_a_group_lock_stays_in_its_folder(name, tmp_path):
  with pytest.raises(BadInput, match="expected the name of a group"), runs.group_lock(tmp_path, name):
    pass


def test_a_lock_that_leads_elsewhere_is_refused(tmp_path):
  (tmp_path / "elsewhere").write_text("precious")
  (tmp_path / "s").mkdir()
  lock = tmp_path / "s" / "lock"
  for make in (lambda: lock.symlink_to(tmp_path / "elsewhere"), lambda: os.mkfifo(lock)):
    make()
    with pytest.raises(BadInput, match="expected a regular file"), runs.writer_lock(tmp_path / "s"):
      pass
    lock.unlink()
  assert (tmp_path / "elsewhere").read_text() == "precious"
