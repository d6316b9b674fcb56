"""Checkpoints: what is different is refused, what is damaged gives way, what the machine cannot read is tried again."""

import errno
import shutil

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from gan_jax.core import files
from gan_jax.core.errors import BadInput
from gan_jax.runner import checkpoint, echoes

FACTS = {"members": ["aaaa", "bbbb"], "data": "0123"}


def state(step=0):
  rng = np.random.default_rng(step)
  return {
    "kernel": jnp.asarray(rng.normal(size=(2, 300, 30)).astype(np.float32)),
    "count": jnp.asarray(np.array([step, step], np.int32)),
    "moments": (jnp.asarray(rng.normal(size=(2, 5)).astype(np.float32)),),
  }


def blank(like):
  return {
    name: np.zeros(leaf.shape, leaf.dtype)
    if not isinstance(leaf, tuple)
    else tuple(np.zeros(x.shape, x.dtype) for x in leaf)
    for name, leaf in like.items()
  }


@pytest.fixture(scope="module", autouse=True)
def without_echoes():
  """As in a study: after a failed read TensorStore's threads find their event loop closed, whenever that is, and say so.

  It stays in place: an echo may come when this file is done.
  """
  echoes.quiet()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  folder = tmp_path_factory.mktemp("saved") / "group-0"
  for step in (10, 20):
    checkpoint.save(folder, step, state(step), FACTS, {"versions": {}})
  return folder


@pytest.fixture
def folder(saved, tmp_path):
  shutil.copytree(saved, tmp_path / "group-0")
  return tmp_path / "group-0"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
  monkeypatch.setattr(files, "WAITS", (0.0, 0.0, 0.0))


def contents(folder):
  return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def restore(folder, template=None, facts=FACTS):
  told = []
  found = checkpoint.restore(
    folder, template or blank(state()), facts, 99, lambda path, why: told.append((path.name, why))
  )
  return found, told


def same(found, step):
  got, want = found[1], state(step)
  assert found[0] == step
  for name in ("kernel", "count"):
    assert got[name].dtype == want[name].dtype
    np.testing.assert_array_equal(got[name], want[name])


def test_the_newest_comes_back_to_the_bit(folder):
  found, told = restore(folder)
  same(found, 20)
  assert told == []
  assert checkpoint.restore(folder, blank(state()), FACTS, 15, print)[0] == 10
  assert restore(folder / "nothing") == (None, [])


def other_templates():
  like = blank(state())
  return {
    "another dtype": (
      {**like, "kernel": like["kernel"].astype(np.float64)},
      r"kernel: expected float32 .*, got float64",
    ),
    "unsigned": ({**like, "count": like["count"].astype(np.uint32)}, r"count: expected int32 \[2\], got uint32 \[2\]"),
    "half precision": ({**like, "kernel": like["kernel"].astype(np.float16)}, "float16"),
    "another width": (
      {**like, "kernel": like["kernel"][:, :, :20]},
      r"\[2, 300, 30\], got float32 \[2, 300, 20\]",
    ),
    "fewer members": (
      {"kernel": like["kernel"][:1], "count": like["count"][:1], "moments": (like["moments"][0][:1],)},
      "and 2 other parts differ too",
    ),
    "one more leaf": (
      {**like, "moments": (like["moments"][0], np.zeros((2, 5), np.float32))},
      r"this program's state has moments 1, .* and the checkpoint has not",
    ),
    "one leaf less": (
      {"kernel": like["kernel"], "count": like["count"], "moments": ()},
      "its state has moments 0, .* and this program's has not",
    ),
    "a renamed leaf": (
      {"weights": like["kernel"], "count": like["count"], "moments": like["moments"]},
      "its state has kernel, ",
    ),
  }


@pytest.mark.parametrize("case", other_templates())
def test_another_program_is_refused_and_nothing_is_touched(case, folder):
  template, words = other_templates()[case]
  before = contents(folder)
  for ask in (lambda: restore(folder, template), lambda: checkpoint.check(folder, template, FACTS)):
    with pytest.raises(BadInput, match=words) as caught:
      ask()
    assert not isinstance(caught.value, files.Damaged)
    assert "\n" not in str(caught.value)
  assert contents(folder) == before


@pytest.mark.parametrize(
  ("facts", "words"),
  [
    ({**FACTS, "members": ["aaaa", "cccc"]}, r"members: 2 there \(only bbbb\), 2 here \(only cccc\)"),
    ({**FACTS, "members": ["aaaa"]}, "only bbbb"),
    ({**FACTS, "members": ["bbbb", "aaaa"]}, "members"),
    ({**FACTS, "data": "4567"}, "data: 0123 there, 4567 here"),
  ],
)
def test_other_facts_are_refused(facts, words, folder):
  before = contents(folder)
  for ask in (lambda: restore(folder, facts=facts), lambda: checkpoint.check(folder, blank(state()), facts)):
    with pytest.raises(BadInput, match=words):
      ask()
  assert contents(folder) == before


def flip(path, at=None):
  content = bytearray(path.read_bytes())
  content[len(content) // 2 if at is None else at] ^= 4
  path.write_bytes(bytes(content))


def payload(folder):
  return max((folder / "20" / "state").rglob("d/*"), key=lambda path: path.stat().st_size)


DAMAGE = {
  "a flipped bit": lambda folder: flip(payload(folder)),
  "half a file": lambda folder: payload(folder).write_bytes(payload(folder).read_bytes()[:1000]),
  "no state": lambda folder: shutil.rmtree(folder / "20" / "state"),
  "no meta": lambda folder: shutil.rmtree(folder / "20" / "meta"),
  "an empty meta": lambda folder: (folder / "20" / "meta" / "metadata").write_bytes(b""),
  "half a meta": lambda folder: (folder / "20" / "meta" / "metadata").write_bytes(b'{"format": 2, "step"'),
  "a meta of brackets": lambda folder: (folder / "20" / "meta" / "metadata").write_bytes(b"[" * 100_000),
  "no meta to speak of": lambda folder: (folder / "20" / "meta" / "metadata").write_bytes(b"[]"),
  "a dtype edited": lambda folder: edit(folder, b"float32", b"float64"),
  "a member edited": lambda folder: edit(folder, b"bbbb", b"cccc"),
  "another step's": lambda folder: (shutil.rmtree(folder / "20"), shutil.copytree(folder / "10", folder / "20")),
  "a folder that is empty": lambda folder: (shutil.rmtree(folder / "20"), (folder / "20").mkdir()),
}


def edit(folder, old, new):
  path = folder / "20" / "meta" / "metadata"
  assert old in path.read_bytes()
  path.write_bytes(path.read_bytes().replace(old, new))


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_gives_way_to_the_one_before_and_is_only_told(case, folder):
  DAMAGE[case](folder)
  before = contents(folder)
  checkpoint.check(folder, blank(state()), FACTS)  # damage is no difference
  found, told = restore(folder)
  same(found, 10)
  assert [name for name, _ in told] == ["20"]
  assert contents(folder) == before


def failing(monkeypatch, error, times):
  """Orbax fails so often, then works."""
  left, real = [times], ocp.Checkpointer.restore

  def restore(self, *args, **kwargs):
    if left[0]:
      left[0] -= 1
      raise error
    return real(self, *args, **kwargs)

  monkeypatch.setattr(ocp.Checkpointer, "restore", restore)


ERRORS = {
  "EIO": OSError(errno.EIO, "Input/output error"),
  "ESTALE": OSError(errno.ESTALE, "Stale file handle"),
  "EMFILE": OSError(errno.EMFILE, "Too many open files"),
  "of TensorStore": ValueError('UNKNOWN: Error reading local file "x" [OS error 5: EIO Input/output error]'),
}


@pytest.mark.parametrize("case", ERRORS)
def test_a_failure_of_the_machine_is_no_damage(case, folder, monkeypatch):
  before = contents(folder)
  failing(monkeypatch, ERRORS[case], 2)
  found, told = restore(folder)
  same(found, 20)
  assert told == []
  failing(monkeypatch, ERRORS[case], 10**6)
  with pytest.raises(OSError, match=r"while reading checkpoint.*20"):
    restore(folder)
  assert contents(folder) == before


def test_what_cannot_be_read_is_not_called_damaged(folder, monkeypatch):
  """Whatever Orbax makes of it: the bytes are asked for, and the disk does not give them."""
  failing(monkeypatch, RuntimeError("something"), 10**6)
  real = open

  def denied(path, *args, **kwargs):
    if str(path).startswith(str(folder)):
      raise PermissionError(errno.EACCES, "Permission denied", str(path))
    return real(path, *args, **kwargs)

  monkeypatch.setattr("builtins.open", denied)
  with pytest.raises(PermissionError):
    restore(folder)


def test_a_failure_once_that_nobody_knows_is_no_damage(folder, monkeypatch):
  failing(monkeypatch, RuntimeError("something"), 1)
  found, told = restore(folder)
  same(found, 20)
  assert told == []


def test_the_newest_stay_and_every_tenth(tmp_path):
  """And what a killed save left is removed by the next one."""
  folder = tmp_path / "group-0"
  small = {"x": jnp.zeros(1)}
  (folder / "40.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
  for step in (40, 80, 90, 100, 110, 115, 120, 130):  # 115: asked for by a signal
    checkpoint.save(folder, step, small, FACTS, {}, period=10)
  assert checkpoint.steps(folder) == [100, 115, 120, 130]
  assert sorted(path.name for path in folder.iterdir()) == ["100", "115", "120", "130"]
  for step in (140, 150, 160, 200, 210, 220):
    checkpoint.save(folder, step, small, FACTS, {}, period=10)
  assert checkpoint.steps(folder) == [100, 200, 210, 220]
  assert checkpoint.held(3) == 3
  assert checkpoint.held(22) == 6  # three, the one that is being written, and two that stay
