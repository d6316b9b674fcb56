"""`launch.sh lesson [--short] [--out DIR]`: from the cross-entropy of a spam filter to a GAN that stops learning.

Ten questions, answered one after another with numbers that this package computes: what a guess costs (a spam filter),
the entropy of coins, cross-entropy and KL, the two losses of a GAN, the best discriminator, a game of two numbers, the
slope that vanishes, a first GAN on digits with a class as input, and players that do not start level. It trains the
study of configs/lessons/first_gan.py on the way.

Prints the lesson, and writes it to `lesson.html` below runs/lesson/, beside its pictures; `study/` there is the study.
About a minute on 2 cores. `--short` trains tiny networks for a few steps, which only tries whether everything runs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ... import command
from ...sweep import CONFIGS, Parser, place

CONFIG = CONFIGS / "lessons" / "first_gan.py"
BRIEF = (
  "This is the short form, --short: the networks of sections 8 and 9 learnt almost nothing; their numbers are not those of "
  "the lesson."
)
ABOUT = (
  "What is the loss of a GAN made of, and why can a generator stop learning? Ten questions, answered one after another, for "
  "readers who know Python and a little calculus. Every number was computed when this page was written."
)
SHORT = {
  "steps": 40,
  "probe_every": 5,
  "evaluate_every": 10,
  "checkpoint_every": 40,
  "evaluation_samples": 100,
  "batch_size": 16,
  "model_options": {"generator_width": 8, "discriminator_width": 8},
}
SHORT_START = 20  # the head start, where the config has one


def main(arguments: list[str]) -> None:
  parser = Parser("lesson")
  parser.add_argument("--out", type=place, default=Path("runs/lesson"), help="where the page, pictures and study go")
  parser.add_argument("--short", action="store_true", help="tiny networks and few steps: what is trained means nothing")
  known = parser.parse_args(arguments)

  from gan_jax.core.errors import BadInput
  from gan_jax.runner import devices
  from gan_jax.runs import is_study

  if is_study(known.out):
    raise BadInput(f"--out expected a place for the lesson, got {known.out}, which is a study's directory")
  found = configs(known.short)
  devices.configure(len(found), None)  # as many devices as training will use
  with command.with_jax(brief=True):
    teach(found, known.out, f"{ABOUT} {BRIEF}" if known.short else ABOUT)
  if known.short:
    from . import page

    print(page.paragraph(BRIEF))


def configs(short: bool) -> list[dict[str, Any]]:
  """The runs of the study, full configs."""
  from gan_jax.settings import sweeps

  _, found = sweeps.load(str(CONFIG), SHORT if short else {})
  return [config | {"head_start": min(config["head_start"], SHORT_START)} if short else config for config in found]


def teach(found: Sequence[dict[str, Any]], out: Path, about: str = ABOUT) -> None:
  """Print the lesson section by section, and write its files."""
  from gan_jax.runner import standing
  from gan_jax.runs.directory import write_atomic

  from . import digits, formulas, page, players, uncertainty

  standing.prepare(out)
  shown: list[page.Section] = []

  def show(*sections: page.Section) -> None:
    for section in sections:
      shown.append(section)
      print(page.lines(len(shown), section, str(out)))
      for part in section.parts:
        if isinstance(part, page.Picture):
          write_atomic(out / part.file, part.png)

  print(f"{page.paragraph(about)}\n")
  show(*uncertainty.sections(), formulas.two_losses(), formulas.best_discriminator())
  show(players.section(), formulas.vanishing_slope())
  print(f"Training {len(found)} small GANs for sections 8 and 9, half a minute on two idle cores ...\n")
  show(*digits.sections(train(found, out / "study")))
  write_atomic(out / "lesson.html", page.html(about, shown).encode())
  print(f"lesson: {out / 'lesson.html'}\nstudy:  {out / 'study' / 'report.html'}")


def train(found: Sequence[dict[str, Any]], directory: Path) -> Any:
  """Train or resume the study; returns its `report.records.Study`."""
  from gan_jax.report import records
  from gan_jax.runner import standing, study

  asked = study.Asked(found, str(CONFIG), ABOUT)
  study.conduct(asked, directory, say=lambda line: None, stop=command.stop())
  standing.confirm(directory)
  return records.read(directory)


if __name__ == "__main__":
  command.run(main)
