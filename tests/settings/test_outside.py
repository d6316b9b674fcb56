"""Names of code outside: found in fields, digested with what they import, stamped into configs; said in one sentence."""

import pytest

from gan_jax import settings
from gan_jax.core.errors import BadInput
from gan_jax.settings import labels, outside


def config(**fields):
  return settings.resolve(fields)


def test_references_are_found_in_every_field_that_names_entries_and_nowhere_else():
  given = config(
    model="nets/mine.py:net",
    loss="mix(top_k(a.py:soft), b.c:hard)",
    penalty="r1+mine.py:curl + lab.penalties:flat",
    lens="hinge+a.py:soft",
    panel="see x.py:y",
  )
  assert outside.named(given) == [
    ("lens", "a.py:soft"),
    ("loss", "a.py:soft"),
    ("loss", "b.c:hard"),
    ("penalty", "mine.py:curl"),
    ("penalty", "lab.penalties:flat"),
    ("model", "nets/mine.py:net"),
  ]
  assert outside.named(config()) == []


def test_a_config_is_stamped_with_the_digest_of_each_file_and_of_what_it_imports(tmp_path):
  (tmp_path / "mine.py").write_text("import near\nfrom far.deep import x\nimport json\n")
  (tmp_path / "near.py").write_text("import nearer")
  (tmp_path / "nearer.py").write_text("import mine")  # a circle ends
  (tmp_path / "stranger.py").write_text("")
  (tmp_path / "far").mkdir()
  (tmp_path / "far" / "deep.py").write_text("x = 1")

  def stamp(name="mine.py:f"):
    (place, digest), *more = outside.stamped(config(model=name), tmp_path)["code"].items()
    assert not more
    assert len(digest) == 12
    return place, digest

  began = stamp()
  assert began[0] == "mine.py"
  assert stamp("mine:f") == ("mine", began[1])
  seen = {began[1]}
  (tmp_path / "stranger.py").write_text("changed")
  assert stamp() == began
  for name in ("mine.py", "near.py", "nearer.py", "far/deep.py"):
    with (tmp_path / name).open("a") as file:
      file.write("\n# changed")
    assert stamp()[1] not in seen, name
    seen.add(stamp()[1])


def test_code_is_part_of_a_runs_identity_and_of_no_label(tmp_path):
  for name in ("one", "two"):
    (tmp_path / f"{name}.py").write_text("def net(): pass")
  one, two = (outside.stamped(config(model=f"{name}.py:net"), tmp_path) for name in ("one", "two"))
  assert labels.varying([one, two]) == ["model"]
  assert labels.label(two, ["model"]) == "model=two.py:net"
  before = settings.identity(one)
  (tmp_path / "one.py").write_text("def net(): return 1")
  assert settings.identity(outside.stamped(config(model="one.py:net"), tmp_path)) != before


def test_a_file_that_is_not_there_is_named_with_the_nearest(tmp_path):
  (tmp_path / "mine.py").write_text("")
  with pytest.raises(BadInput, match=r"unknown file of code beside the config, in .*'mime.py'; did you mean 'mine.py'"):
    outside.stamped(config(model="mime.py:net"), tmp_path)


def test_the_stamp_is_filled_in_and_never_given():
  with pytest.raises(BadInput, match="'code' is filled in"):
    settings.resolve({"code": {"mine.py": "0"}})


ERRORS = {
  "no such function": ("def other(): pass", "unknown function of mine.py: 'thing'; known: other"),
  "near": ("def thin(): pass\ndef _thing(): pass", "unknown function of mine.py: 'thing'; did you mean 'thin'"),
  "no function": ("thing = 3", "unknown function of mine.py: 'thing'"),
  "raises": (
    "x = 1\nraise RuntimeError('no\\nGPU')",
    r"mine.py, which .* cannot be run: RuntimeError: no GPU \(.*mine.py, line 2\)$",
  ),
  "imports what is not there": (
    "import nothing_of_that_name",
    r"cannot be run: ModuleNotFoundError: .*mine.py, line 1\)$",
  ),
  "ends": ("import sys; sys.exit(3)", r"cannot be run: it ends the program, with sys.exit\(3\)"),
  "no Python": ("def thing(:", r"mine.py cannot be read: .*line 1"),
}


@pytest.mark.parametrize(("text", "message"), ERRORS.values(), ids=ERRORS)
def test_what_is_wrong_with_a_file_is_one_sentence(tmp_path, text, message):
  (tmp_path / "mine.py").write_text(text)
  with pytest.raises(BadInput, match=message) as caught:
    outside.function("mine.py:thing", tmp_path)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["nothing_of_that_name", "json.nothing", "math"])
def test_a_module_that_is_not_there_or_no_python_file_is_refused(tmp_path, place):
  with pytest.raises(BadInput, match=rf"module '{place}' that a config names"):
    outside.function(f"{place}:f", tmp_path)


def test_a_file_is_run_once_and_again_where_it_or_its_neighbour_has_changed(tmp_path):
  (tmp_path / "near.py").write_text("value = 1")
  (tmp_path / "mine.py").write_text("import near\ndef thing(): return near.value")
  first = outside.function("mine.py:thing", tmp_path)
  assert outside.function("mine.py:thing", tmp_path) is first
  (tmp_path / "near.py").write_text("value = 22")
  assert outside.function("mine.py:thing", tmp_path)() == 22
  assert outside.function("mine:thing", tmp_path)() == 22
