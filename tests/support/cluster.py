"""A real Slurm of one node on this machine, private to whoever starts it: munged, slurmctld and slurmd in a folder.

Nothing of the system is touched: no file in /etc, no service. It needs Debian's `slurm-wlm` and `munge`, and root, since
slurmd starts jobs as the user who asked. By hand: `python -m tests.support.cluster COMMAND ...` runs a command in it.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scontrol", "srun")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
NODE = socket.gethostname().partition(".")[0]  # jax looks for the first process at the name of a node
STARTED = 30  # seconds in which the node must be ready
# Two queues over one node: a job of `urgent` pre-empts one of `normal`, which has 20 seconds to save and is queued again.
CONFIGURATION = """
ClusterName=private
SlurmctldHost={host}
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1,defer_batch
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=20
InactiveLimit=0
MinJobAge=5
SlurmdTimeout=60
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=normal Nodes={node} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes={node} Default=NO MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def missing() -> str:
  """Why a Slurm cannot be started here; empty where it can."""
  absent = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
  if absent:
    return f"no {absent[0]} on this machine"
  return "" if os.geteuid() == 0 else "slurmd starts jobs for others, so it needs root"


@contextlib.contextmanager
def running(cpus: int = 2) -> Iterator[Mapping[str, str]]:
  """Start the cluster; gives the environment in which sbatch, squeue and scontrol find it. It ends with all its jobs.

  Raises:
    RuntimeError: the node was not ready in time; with the ends of the logs.
  """
  folder = Path(tempfile.mkdtemp(prefix="slurm_"))  # munged wants short paths, and no folder that others may write
  environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")}
  for name in [name for name in environment if name.startswith(("SLURM_", "SBATCH_")) and name != "SLURM_CONF"]:
    del environment[name]
  started: list[subprocess.Popen] = []
  try:
    _configure(folder, cpus)
    for command in _commands(folder):
      log = (folder / f"{command[0]}.out").open("w")
      started.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True))
      log.close()
      if command[0] == "munged":
        _wait(lambda: (folder / "munge.socket").exists(), folder)
    _wait(lambda: b"idle" in _output(["sinfo", "--noheader", "--format=%T"], environment), folder)
    yield environment
  finally:
    _stop(folder, started, environment)
    shutil.rmtree(folder, ignore_errors=True)


def _configure(folder: Path, cpus: int) -> None:
  for name in ("state", "spool"):
    (folder / name).mkdir(mode=0o700)
  key = folder / "munge.key"
  key.write_bytes(os.urandom(128))
  key.chmod(0o400)
  folder.chmod(0o711)  # a job of another user finds the socket
  ports = _free_ports(2)
  (folder / "slurm.conf").write_text(
    CONFIGURATION.format(
      host=socket.gethostname(), node=NODE, folder=folder, cpus=cpus, memory=1000, controller=ports[0], daemon=ports[1]
    )
  )


def _commands(folder: Path) -> list[list[str]]:
  files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid"}
  files |= {"log-file": "munge.log", "seed-file": "munge.seed"}
  munged = ["munged", "--foreground", "--force", *(f"--{name}={folder / file}" for name, file in files.items())]
  configuration = ["-f", str(folder / "slurm.conf")]
  return [munged, ["slurmctld", "-D", *configuration], ["slurmd", "-D", "-N", NODE, *configuration]]


def _free_ports(count: int) -> list[int]:
  with contextlib.ExitStack() as stack:
    found = [stack.enter_context(socket.socket()) for _ in range(count)]
    for one in found:
      one.bind(("", 0))
    return [one.getsockname()[1] for one in found]


def _wait(ready, folder: Path) -> None:
  until = time.monotonic() + STARTED
  while not ready():
    if time.monotonic() > until:
      logs = {path.name: path.read_text(errors="replace")[-600:] for path in folder.glob("*.[lo][ou][gt]")}
      raise RuntimeError(f"Slurm was not ready after {STARTED} s: {logs}")
    time.sleep(0.1)


def _output(command: list[str], environment: Mapping[str, str]) -> bytes:
  return subprocess.run(command, capture_output=True, env=environment, check=False).stdout


def _stop(folder: Path, started: list[subprocess.Popen], environment: Mapping[str, str]) -> None:
  """End all jobs, then the daemons, last started first; whatever step daemon is left goes with its folder's name."""
  if len(started) > 1:
    _output(["scancel", "--signal=KILL", "--full", "--user=root"], environment)
    _output(["scancel", "--user=root"], environment)
    until = time.monotonic() + 10
    while _output(["squeue", "--noheader"], environment).strip() and time.monotonic() < until:
      time.sleep(0.2)
  for one in reversed(started):
    one.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
      one.wait(10)
    one.kill()
    one.wait()


if __name__ == "__main__":
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the cluster ends also then
  with running() as found:
    sys.exit(subprocess.run(sys.argv[1:], env=found, check=False).returncode)
