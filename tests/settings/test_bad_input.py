"""Whatever a person hands over that cannot be used: one sentence on one line, and nothing made on disk."""

import os
import re
import subprocess
import sys

import pytest

from gan_jax import game, losses, penalties, settings
from gan_jax.core import paths
from gan_jax.core.errors import BadInput, one_line, plural, unknown
from gan_jax.losses import registry
from gan_jax.runner import manifest, memory, study
from gan_jax.settings import sweeps
from tests.conftest import ROOT

PLAIN = "def get_config():\n  return {}\n"


def of(text):
  return f"def get_config():\n  return {text}\n"


def swept(text):
  return f"{PLAIN}def sweep(s):\n  {text}\n"


CONFIGS = {  # what is in the config file: what is said
  "an empty sweep": (swept("return []"), r"sweep\(\) of .*study.py expected at least one run, got none"),
  "an empty parameter": (
    swept("return s.param('loss', [])"),
    "a sweep over 'loss' expected at least one value, got none",
  ),
  "an empty array": (
    swept("import numpy; return s.param('seed', numpy.arange(0))"),
    "'seed' expected at least one value",
  ),
  "an empty product": (swept("return s.product([], s.param('seed', [1]))"), "expected at least one run, got none"),
  "an empty chain": (swept("return s.chain()"), "expected at least one run, got none"),
  "a sweep of None": (swept("return None"), "expected a list of dicts, got NoneType None"),
  "a sweep that forgot to return": (swept("s.param('seed', [1])"), "expected a list of dicts, got NoneType None"),
  "a sweep of a dict": (swept("return {'seed': 1}"), "expected a list of dicts, got dict {'seed': 1}"),
  "a sweep of text": (swept("return 'hinge'"), "expected a list of dicts, got str 'hinge'"),
  "a sweep of texts": (swept("return ['hinge']"), "a run of sweep.* expected a dict of fields, got str 'hinge'"),
  "a sweep of ints": (swept("return [1, 2]"), "a run of sweep.* expected a dict of fields, got int 1"),
  "a sweep of lists": (swept("return [[('seed', 1)]]"), "a run of sweep.* expected a dict of fields, got list"),
  "a sweep without an end": (swept("while True: yield {'seed': 1}"), "expected at most 100,000 runs, got more"),
  "a parameter without an end": (
    swept("import itertools; return s.param('seed', itertools.count())"),
    "a sweep over 'seed' expected at most 100,000 runs, got more",
  ),
  "a product beyond all": (
    swept("return s.product(*(s.param(f, range(99)) for f in ('seed', 'steps', 'batch_size')))"),
    "a product of sweeps expected at most 100,000 runs",
  ),
  "a chain without an end": (
    swept("import itertools; return s.chain(itertools.repeat({'seed': 1}))"),
    "a chain of sweeps expected at most 100,000 runs, got more",
  ),
  "a product without an end": (
    swept("import itertools; return s.product(s.param('seed', [1]), itertools.repeat({'steps': 2}))"),
    "a product of sweeps expected at most 100,000 runs, got more",
  ),
  "a product of a dict": (
    swept("return s.product({'seed': 1})"),
    "a product of sweeps expected lists of dicts, got dict",
  ),
  "a product of None": (swept("return s.product(None)"), "expected lists of dicts, got NoneType None"),
  "a chain with a number": (swept("return s.chain([1])"), "a chain of sweeps expected dicts of fields, got int 1"),
  "zipped text": (swept("return s.zipit(s.param('seed', [1]), 'a')"), "zipit expected lists of dicts, got str 'a'"),
  "text for values": (swept("return s.param('loss', 'hinge')"), "expected a list of values, got 'hinge'"),
  "one value for values": (swept("return s.param('seed', 3)"), "expected a list of values, got 3"),
  "a sweep with two arguments": (
    f"{PLAIN}def sweep(a, b):\n  return [{{}}]\n",
    "TypeError: sweep.. missing 1 required",
  ),
  "a sweep that is no function": (f"{PLAIN}sweep = [{{}}]\n", r"TypeError: \[\{\}\] is not a callable object"),
  "a number for a name": (swept("return [{1: 2}]"), "expected names of fields as keys, got 1"),
  "a raise in the sweep": (swept("raise RuntimeError('first\\nsecond')"), "RuntimeError: first second$"),
  "a raise with nothing to say": (swept("raise KeyError()"), "cannot be read: KeyError: $|KeyError:$"),
  "an error without a text": (swept("assert False"), "AssertionError"),
  "an exit in the sweep": (swept("import sys; sys.exit(0)"), r"it ends the program, with sys.exit\(0\)"),
  "an exit on reading": ("import sys\nsys.exit()\n", r"it ends the program, with sys.exit\(None\)"),
  "a quit with a message": (of("{}") + "raise SystemExit('a\\nb')\n", "it ends the program"),
  "no config": ("x = 1\n", r"expected a function get_config\(\), found none"),
  "a config of None": (of("None"), r"get_config\(\) of .* expected a dict of fields, got NoneType None"),
  "a config of a list": (of("[('seed', 1)]"), "expected a dict of fields, got list"),
  "a config of text": (of("'seed=1'"), "expected a dict of fields, got str 'seed=1'"),
  "a config that yields": ("def get_config():\n  while True: yield 1\n", "expected a dict of fields, got generator"),
  "a config with an argument": ("def get_config(x):\n  return {}\n", "missing 1 required positional argument"),
  "a config that is no function": ("get_config = {}\n", "'dict' object is not callable"),
  "keys that are no text": (of("{1: 2}"), "expected names of fields as keys, got 1"),
  "a key that is None": (of("{None: 2}"), "expected names of fields as keys, got None"),
  "an unknown field": (of("{'stesp': 2}"), "unknown config field 'stesp'; did you mean 'steps'"),
  "a field in capitals": (of("{'Batch-Size': 2}"), "unknown config field 'Batch-Size'; did you mean 'batch_size'"),
  "an unknown field of a ConfigDict": (
    "from ml_collections import ConfigDict\n" + of("ConfigDict({'lsos': 'hinge'})"),
    "unknown config field 'lsos'; did you mean 'loss'",
  ),
  "nested dicts": (
    of("{'loss_options': {'a': {'b': 1}}}"),
    "'loss_options': 'a' expected a number, a truth or text, got",
  ),
  "a number as an option's name": (of("{'loss_options': {1: 1}}"), "'loss_options' expected names as keys, got 1"),
  "an infinite option": (of("{'loss_options': {'a': float('inf')}}"), "'a' expected a finite number"),
  "an option that is not a number": (
    of("{'loss_options': {'a': float('nan')}}"),
    "'a' expected a finite number, got nan",
  ),
  "a list for a number": (of("{'steps': [1, 2]}"), r"'steps' expected int .*, got list \[1, 2\]"),
  "a list for a name": (of("{'loss': ['hinge']}"), "'loss' expected str"),
  "a truth for a number": (of("{'steps': True}"), "'steps' expected int .*, got bool True"),
  "a number for a truth": (of("{'conditional': 1}"), "'conditional' expected bool .*, got int 1"),
  "a fraction of a step": (of("{'steps': 2.5}"), "'steps' expected int"),
  "text for a number": (of("{'steps': '100'}"), "'steps' expected int .*, got str '100'"),
  "bytes for a name": (of("{'loss': b'hinge'}"), "'loss' expected str"),
  "None for a name": (of("{'loss': None}"), "'loss' expected str .*, got NoneType None"),
  "a huge int": (of("{'seed': 10 ** 5000}"), "'seed' expected from 0 to .*, got an int of 16610 bits"),
  "a huge int for a float": (of("{'generator_rate': 10 ** 5000}"), "'generator_rate' expected a finite number"),
  "beyond float32": (of("{'generator_rate': 1e39}"), "'generator_rate' expected a finite number .of float32"),
  "a vast width": (
    of("{'model_options': {'generator_width': 10 ** 7}}"),
    "option 'generator_width' of model 'mlp' expected a whole number from 1 to 32768, got 10000000",
  ),
  "an option of another model": (
    of("{'model': 'dcgan', 'model_options': {'dept': 3}}"),
    "unknown option of model 'dcgan': 'dept'; .*known: class_logits, convolution, discriminator_norm",
  ),
  "an option of nothing": (
    of("{'optimizer': 'sgd', 'optimizer_options': {'beta1': 0.5}}"),
    "optimizer 'sgd' has no options, got 'beta1'",
  ),
  "an option of a penalty that is not there": (
    of("{'penalty': 'r1', 'penalty_options': {'gradient_penalty': {'centre': 0}}}"),
    "'penalty_options', here .* has no effect with penalty 'r1'",
  ),
  "a vast evaluation": (
    of("{'evaluation_samples': 10 ** 9}"),
    "'evaluation_samples' expected from 100 to 10000000, got 1000000000",
  ),
  "a vast depth": (
    of("{'model_options.depth': 10 ** 6}"),
    "'depth' of model 'mlp' expected a whole number from 1 to 256",
  ),
  "a vast number of turns": (of("{'n_critic': 10 ** 6}"), "'n_critic' expected from 1 to 1000"),
  "NUL in a name": (
    of("{'dataset_options.data_dir': 'a\\0b'}"),
    "'data_dir' expected text that UTF-8 can hold, without NUL",
  ),
  "half a character": (of("{'panel': chr(0xd800)}"), "'panel' expected text that UTF-8 can hold"),
  "a loss with a line break": (of("{'loss': 'hinge\\n'  'x'}"), "unknown loss 'hinge"),
  "a loss without an end": (of("{'loss': 'a' * 10 ** 6}"), "unknown loss 'aaa"),
  "transformations beyond all": (
    of("{'loss': 'top_k(' * 600 + 'hinge' + ')' * 600}"),
    "at most 16 transformations, got 600",
  ),
  "unclosed transformations": (of("{'loss': 'top_k(' * 600}"), "at most 16 transformations, got 600"),
  "an open parenthesis": (of("{'loss': 'top_k(hinge'}"), r"unknown loss 'top_k\(hinge'"),
  "an empty loss": (of("{'loss': ''}"), "unknown loss ''"),
  "an empty transformation": (of("{'loss': 'top_k()'}"), "unknown loss ''"),
  "an import that is not there": (
    "import nothing_of_that_name\n" + PLAIN,
    "ModuleNotFoundError: No module named 'nothing",
  ),
  "no ordinary exception": (swept("raise GeneratorExit"), "cannot be read: GeneratorExit:?"),
  "an exception of the file's own": (
    "class Mine(BaseException): pass\n" + of("{}") + "raise Mine('a\\nb')\n",
    "cannot be read: Mine: a b$",
  ),
  "an exception whose text fails": (
    "class Mine(Exception):\n  def __str__(self): return 1 / 0\nraise Mine\n",
    "cannot be read: Mine: without a text that can be read",
  ),
  "an exit whose code has no text": (
    "class Mine:\n  def __repr__(self): return 1 / 0\nraise SystemExit(Mine())\n",
    "it ends the program, with sys.exit.a Mine",
  ),
  "a masked number": (
    of("{'generator_rate': __import__('numpy').ma.masked}"),
    "'generator_rate' expected float .* got MaskedConstant",
  ),
  "all probes, and more": (of("{'probes': 'all+noise'}"), "unknown group of probes 'all'; known: gap, geometry"),
  "lookahead beyond the end": (
    of("{'lookahead_every': 2}"),
    "lookahead_every 2 has no effect with steps=1: expected steps of at least lookahead_every",
  ),
  "recursion": ("def get_config():\n  return get_config()\n", "RecursionError"),
  "no Python": ("def get_config(:\n", "SyntaxError"),
  "a wrong indentation": ("def get_config():\nreturn {}\n", "IndentationError"),
  "latin-1": ("# caf\xe9\n".encode("latin-1") + PLAIN.encode(), "UnicodeDecodeError|encoding declaration"),
  "an unknown encoding": ("# coding: klingon\n" + PLAIN, "SyntaxError: .*klingon"),
  "UTF-16": (PLAIN.encode("utf-16"), "UnicodeDecodeError|encoding declaration"),
  "NUL in the source": (b"x = 1\0\n" + PLAIN.encode(), "null bytes"),
  "bytes that are no text": (bytes(range(256)), "UnicodeDecodeError|encoding declaration"),
}


@pytest.fixture
def alone(tmp_path, monkeypatch):
  """An empty folder to work in, with a place for the config beside it; what is made in it is seen."""
  (tmp_path / "here").mkdir()
  monkeypatch.chdir(tmp_path / "here")
  return tmp_path


def refused(alone, config, arguments=(), out=None):
  """What is said of input that cannot be used, by the one path that `train` and `sweep` share."""
  with pytest.raises(BadInput) as caught:
    study.run(str(config), ["--config.steps=1", *arguments], out, single=False, say=lambda line: None)
  text = str(caught.value)
  assert text.isprintable()
  assert len(text) < 3000
  assert not list((alone / "here").iterdir())
  return text


@pytest.mark.parametrize("case", CONFIGS)
def test_config_files(case, alone):
  content, words = CONFIGS[case]
  (alone / "study.py").write_bytes(content if isinstance(content, bytes) else content.encode())
  text = refused(alone, alone / "study.py")
  assert re.search(words, text), text


ARGUMENTS = {
  "no field": (["--config.=1"], "unknown config field ''"),
  "no value": (["--config.steps="], r"'steps' expected int \(as 6000\), got ''"),
  "no equals sign": (["--config.steps", "5"], "expected --config.field=value, got '--config.steps'"),
  "one dash": (["-config.steps=5"], "expected --config.field=value"),
  "an attribute for an option": (
    ["--config.loss_options.__class__=1"],
    "'loss_options' expected --config.loss_options.name=value, got '--config.loss_options.__class__=1'",
  ),
  "an option of an option": (
    ["--config.loss_options.a.b=1"],
    "'loss_options' expected (--config.)?loss_options.name",
  ),
  "an option without a name": (
    ["--config.loss_options.=1"],
    "'loss_options' expected (--config.)?loss_options.name",
  ),
  "a dict for a number": (["--config.loss_options=1"], "'loss_options' expected (--config.)?loss_options.name"),
  "an option of a number": (["--config.steps.x=1"], "unknown config field 'steps.x'"),
  "not a number": (["--config.generator_rate=nan"], "'generator_rate' expected at least 0, got nan"),
  "infinite": (["--config.generator_rate=1e999"], "'generator_rate' expected a finite number"),
  "infinite steps": (["--config.steps=1e999"], "'steps' expected int"),
  "negative": (["--config.steps=-1"], "'steps' expected from 1 to"),
  "half a step": (["--config.steps=0.5"], "'steps' expected int"),
  "a comma": (["--config.steps=1,000"], "'steps' expected int"),
  "maybe": (["--config.conditional=maybe"], r"'conditional' expected bool \(as False\), got 'maybe'"),
  "digits without end": (["--config.steps=" + "9" * 5000], "'steps' expected int"),
  "a line break": (["--config.loss=hinge\nx"], "unknown loss"),
  "a field twice, the last one wrong": (["--config.steps=5", "--config.steps=x"], "'steps' expected int"),
  "a class's name": (["--config.__class__=1"], "unknown config field '__class__'"),
  "what argparse would shorten": (["--con.steps=5"], "expected --config.field=value"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments(case, alone):
  arguments, words = ARGUMENTS[case]
  (alone / "study.py").write_text(PLAIN)
  text = refused(alone, alone / "study.py", arguments)
  assert re.search(words, text), text


def test_what_is_odd_and_can_be_used_is_used(alone, capsys):
  """Digits of any script and whole numbers in any spelling are numbers; a file may print, and choose its encoding."""
  (alone / "study.py").write_bytes("# coding: latin-1\n# caf\xe9\nprint('hello')\n".encode("latin-1") + PLAIN.encode())
  arguments = ["--config.steps=١٢", "--config.batch_size=1e2", "--config.seed=4", "--config.seed=5"]
  (run,), _ = sweeps.load(str(alone / "study.py"), arguments)
  assert (run["steps"], run["batch_size"], run["seed"]) == (12, 100, 5)
  assert capsys.readouterr().out == "hello\n"
  assert manifest.ast_docstring(alone / "study.py") is None


def test_a_setting_that_jax_cannot_read(alone):
  """jax reads the environment as it is imported, and refuses with whatever exception comes."""
  (alone / "here" / "study.py").write_text(PLAIN)
  for arguments in (["sweep", "study.py"], ["losses"]):
    done = subprocess.run(
      [sys.executable, "-m", f"experiments.{arguments[0]}", *arguments[1:]],
      cwd=alone / "here", capture_output=True, text=True, check=False, timeout=60,
      env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_ENABLE_X64": "maybe"},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert re.fullmatch("error: jax cannot be imported here: .*'maybe'.*\n", done.stderr)
  assert [p.name for p in (alone / "here").iterdir()] == ["study.py"]


def test_config_paths(alone):
  os.mkfifo(alone / "pipe.py")
  (alone / "folder.py").mkdir()
  (alone / "study.txt").write_text(PLAIN)
  for path, words in (
    (alone / "pipe.py", "expected a Python file .* got no regular file"),
    (alone / "folder.py", "expected a Python file .* got a directory"),
    ("/dev/zero", "expected a Python file .* got no regular file"),
    ("/dev/stdin", "expected a Python file"),
    (alone / "study.txt", "expected a Python file .* got another file"),
    (alone / ("x" * 300 + ".py"), "File name too long"),
    (alone / "nothing.py", "unknown config file .*nothing.py"),
    ("a\0b.py", "embedded null byte"),
    ("", "expected a Python file"),
  ):
    assert re.search(words, refused(alone, path)), path


def test_output_directories(alone, monkeypatch):
  (alone / "study.py").write_text(PLAIN)
  for out, words in (
    (alone / ("x" * 300), "output directory expected names of at most 255 bytes"),
    (alone / "not there" / ("x" * 300), "output directory expected names of at most 255 bytes"),
    (alone / "a\nb", "output directory expected a path of printable characters"),
    (f"{alone}/a\0b", "output directory expected a path of printable characters"),
    ("~nobody-of-that-name/x", "output directory .* cannot be used: Could not determine home"),
    ("/dev/null", "is not a study"),
    ("/dev/null/x", "cannot be written|is not a study"),
  ):
    assert re.search(words, refused(alone, alone / "study.py", out=out)), out
  monkeypatch.setenv("HOME", str(alone))
  assert paths.usable("~/x", "a path") == alone / "x"


def test_what_cannot_fit_into_memory_is_refused_with_the_field_that_makes_it_large(alone, monkeypatch):
  """Two generators and a discriminator of 2^15 squared weights of four bytes, in each of three runs: 36 GiB and more."""
  monkeypatch.setattr(memory, "available", lambda: 30 * 2**30)
  (alone / "study.py").write_text(swept("return s.param('seed', range(3))"))
  wide = [f"--config.model_options.{player}_width=32768" for player in ("generator", "discriminator")]
  text = refused(alone, alone / "study.py", wide)
  assert (
    "the weights (class_logits=0, depth=2, discriminator_width=32768, generator_width=32768, latent_size=32) of 3 runs side"
    in text
  )
  assert "at most the 30 GiB of memory there are, got at least 36" in text
  monkeypatch.setattr(memory, "available", lambda: 5 * 2**30)
  text = refused(alone, alone / "study.py", ["--config.evaluation_samples=10000000"])
  assert (
    "the samples of one evaluation (evaluation_samples=10000000) of 3 runs side by side expected at most the 5" in text
  )


def test_the_machine_has_memory():
  assert 2**28 < memory.available() < 2**50


COMMANDS = {
  "a long --out": (["sweep", "study.py", "--out", "x" * 300], "names of at most 255 bytes"),
  "a long directory": (["report", "x" * 300], "names of at most 255 bytes"),
  "a line break in a directory": (["export", "a\nb", "--format=csv"], "a path of printable characters"),
  "an exit": (["sweep", "exit.py"], "it ends the program"),
  "a manifest of too little": (["report", "little"], "little"),
  "a manifest too deep": (["report", "deep"], "deep"),
  "a manifest of too little to go on from": (["sweep", "study.py", "--out", "little"], "little"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_commands_end_with_exit_code_2_and_one_line(case, alone):
  arguments, words = COMMANDS[case]
  here = alone / "here"
  (here / "study.py").write_text(PLAIN)
  (here / "exit.py").write_text("import sys; sys.exit(0)\n")
  for name, content in (("little", '{"format": 1}'), ("deep", "[" * 100_000)):
    (here / name).mkdir()
    (here / name / "manifest.json").write_text(content)
  before = sorted(p for p in here.rglob("*"))
  done = subprocess.run(
    [sys.executable, "-m", f"experiments.{arguments[0]}", *arguments[1:]],
    cwd=here, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
  )  # fmt: skip
  assert (done.returncode, done.stdout) == (2, ""), done.stderr
  assert done.stderr.startswith("error: ")
  assert done.stderr.count("\n") == 1
  assert words in done.stderr
  assert sorted(p for p in here.rglob("*") if "__pycache__" not in p.parts) == before


def test_names_that_others_use_for_a_loss_lead_to_ours():
  for name, words in (
    ("wgan-gp", "did you mean loss=wasserstein with penalty=gradient_penalty?"),
    ("WGAN GP", "did you mean loss=wasserstein with penalty=gradient_penalty?"),
    ("LSGAN", "did you mean least_squares?"),
    ("Non-Saturating", "did you mean 'non_saturating'?"),
    ("vanilla", "did you mean non_saturating, or minimax?"),
    ("hing", "did you mean 'hinge'?"),
  ):
    with pytest.raises(BadInput, match="unknown loss") as caught:
      losses.get(name)
    assert words in str(caught.value)
  assert "did you mean 'adam'?" in str(unknown("optimizer", "ADAM", ["adam", "sgd"]))


def test_what_they_lead_to_is_there():
  for spelling, meaning in registry.MEANINGS.items():
    assert spelling not in losses.LOSSES
    fields = dict(part.split("=") for part in meaning.split(" with ")) if "=" in meaning else {}
    typed = {k: {"True": True}.get(v, int(v) if v.isdigit() else v) for k, v in fields.items()}
    game.complete(settings.resolve(typed))
    for name in [fields["loss"]] if fields else meaning.split(", or "):
      assert name in losses.LOSSES
    assert fields.get("penalty", "r1") in penalties.PENALTIES


def test_one_line_and_plurals():
  assert one_line(" a\n\tb\x00 ") == "a b\\x00"
  assert [plural(n, "run") for n in (0, 1, 2, 1000)] == ["0 runs", "1 run", "2 runs", "1,000 runs"]
  assert plural(1, "class", "classes") == "1 class"
