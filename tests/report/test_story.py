"""The first paragraph, the words and the losses of the page: no claim beyond the tests, no word without its explanation."""

import html
import re

import numpy as np
import pytest
from scipy import stats

from gan_jax import losses, runs, settings
from gan_jax.core import formulas
from gan_jax.losses import table
from gan_jax.report import glossary, loss_cards, records, story, verdicts, words
from gan_jax.report.comparison import compare
from gan_jax.settings import labels

EMPTY = runs.Table(np.zeros(0, np.int64), {})
NAMES = ("minimax", "hinge", "wasserstein", "least_squares", "relativistic")


def panel(finals, diverged=(), start=500.0, stopped=(), **fields):
  """A panel whose runs end at these distances, `{loss: [of each seed]}`; `diverged`, `stopped`: (loss, seed)."""
  variants = []
  for loss, ends in finals.items():
    members = []
    for seed, end in enumerate(ends):
      config = settings.resolve({"loss": loss, "seed": seed, "steps": 100, **fields})
      values = np.array([start, 0.9 * start, end], np.float32) if start else np.array([end], np.float32)
      steps = np.array([0, 50, 100])[-len(values) :]
      quality = runs.Table(steps, {"frechet/distance": values})
      status = "diverged" if (loss, seed) in diverged else "stopped" if (loss, seed) in stopped else "done"
      members.append(records.Run(f"{loss}-{seed}", "g", seed, config, status, 100, EMPTY, quality))
    said = labels.without(labels.said(members[0].config, {}), "seed")
    variants.append(records.Variant(loss, said, tuple(members)))
  return records.Panel("a panel", tuple(variants))


def told(found):
  return " ".join(story.story(compare(found)))


def named(text, pattern):
  """The losses in the sentence that matches."""
  match = re.search(pattern, text)
  return {name for name in NAMES if match and re.search(rf"\b{name}\b", match[1])}


def test_a_paragraph_says_what_its_tests_say_and_no_more():
  """80 random studies: what is named as sure or as a tie is what scipy's paired t-tests with Holm's correction say."""
  rng = np.random.default_rng(0)
  sides = set()
  for _ in range(80):
    level = np.exp(rng.normal(1, 0.5, len(NAMES)))
    ends = {n: level[i] * np.exp(rng.normal(0, 0.2, 5)) for i, n in enumerate(NAMES)}
    text = told(panel(ends, baseline="minimax"))
    logs = {n: np.log(np.float32(x).astype(float)) for n, x in ends.items()}
    p = {n: stats.ttest_rel(logs[n], logs["minimax"]).pvalue for n in NAMES[1:]}
    order, adjusted, worst = sorted(p, key=p.get), {}, 0.0
    for place, name in enumerate(order):
      worst = adjusted[name] = max(worst, p[name] * (len(p) - place))
    sure = {n for n in p if adjusted[n] < 0.05}
    worse = {n for n in sure if logs[n].mean() > logs["minimax"].mean()}
    best = min(NAMES, key=lambda n: logs[n].mean())
    assert named(text, r"(?:Surely worse than [^:]*|All others are surely worse): (.*?\))\.") == worse
    better = named(text, r"Surely better than [^:]*: (.*?\))\.") | ({best} if ", surely lower than" in text else set())
    assert better == sure - worse
    tied = named(text, r"\. ([\w, ]+) (?:is|are) not told apart from") | (
      {best} if "that may be chance" in text else set()
    )
    assert tied - {"minimax"} == set(p) - sure
    assert f"{best} ends lowest" in text
    assert ("no winner is named" in text) == (best not in sure if best != "minimax" else bool(set(p) - sure))
    sides |= {"tie" if best not in sure else "winner", "worse" if worse else "none", best == "minimax"}
  assert sides == {"tie", "winner", "worse", "none", True, False}


def test_what_cannot_be_tested_names_no_winner():
  one_seed = told(panel({n: [float(i + 1)] for i, n in enumerate(NAMES)}))
  assert "Each has one run, so it cannot be said whether a difference is chance: no winner is named." in one_seed
  assert "Best first: minimax (1), hinge (2)," in one_seed
  start = panel({"minimax": [300.0], "hinge": [400.0]})  # from 500; hinge is a fork's, of which no start was measured
  fork = tuple(
    v._replace(runs=tuple(r._replace(quality=r.quality._replace(steps=r.quality.steps + 100)) for r in v.runs))
    if v.label == "hinge"
    else v
    for v in start.variants
  )
  assert "Best first, those that hardly learnt last: hinge (400) and minimax (300)." in told(
    start._replace(variants=fork)
  )
  gone = told(panel({n: [1.0 + i, 1.1 + i, 1.2 + i] for i, n in enumerate(NAMES)}, baseline="energy"))
  assert "The baseline energy is not among them, so nothing was tested and no winner is named." in gone
  alone = told(panel({"hinge": [2.0, 2.1, 2.2]}))
  assert alone.startswith("One variant was trained, hinge,")
  assert "It ends with a Fréchet distance of 2.10 [" in alone
  assert "baseline" not in alone
  unmeasured = panel({n: [1.0, 2.0] for n in NAMES[:2]})
  bare = unmeasured._replace(
    variants=tuple(v._replace(runs=tuple(r._replace(quality=EMPTY) for r in v.runs)) for v in unmeasured.variants)
  )
  assert "has not been measured, so none is said to be best" in told(bare)
  for text in (one_seed, gone, alone, told(bare)):
    assert "surely" not in text.lower()


def test_a_study_that_is_not_finished_says_so_and_ranks_nothing_at_its_start():
  found = panel({n: [1.0, 2.0, 3.0] for n in NAMES[:2]})

  def cut(run, rows, status="unfinished"):
    columns = {name: column[:rows] for name, column in run.quality.columns.items()}
    return run._replace(status=status, quality=runs.Table(run.quality.steps[:rows], columns))

  def until(rows):
    return told(
      found._replace(variants=tuple(v._replace(runs=tuple(cut(r, rows) for r in v.runs)) for v in found.variants))
    )

  assert "The training has just begun: how good the samples are has not been measured since." in until(1)
  assert "lowest" not in until(1)
  assert "as it was last measured, for they are not finished; lower is better" in until(2)
  assert "No run died" not in until(2)


def test_what_died_is_told():
  every = [(n, s) for n in NAMES[:2] for s in range(3)]
  dead = told(panel({n: [1.0, 2.0, 3.0] for n in NAMES[:2]}, diverged=every))
  assert "Every run diverged (the first at step 100), so nothing can be compared." in dead
  assert "No run died" not in dead
  some = told(panel({"minimax": [1.0, 1.1, 1.2], "hinge": [1.0, 499.0, 1.3]}, diverged=[("minimax", 0)]))
  assert "Diverged, and left out of every average: 1 of 3 runs of minimax." in some
  assert "Hardly learnt (the distance did not halve): 1 of 3 runs of hinge." in some
  assert "No run died" not in some
  none = told(panel({"minimax": [np.nan] * 3, "hinge": [np.inf] * 3}))
  assert "No run that did not diverge has a finite value at the end, so none is said to be best." in none
  assert "has not been measured" not in none
  lost = told(panel({"minimax": [1.0, 1.1, 499.0], "hinge": [1.0, np.inf, np.nan]}))
  assert "Hardly learnt (the distance did not halve): 1 of 3 runs of minimax." in lost
  assert "The last value is not finite: 2 of 3 runs of hinge." in lost
  both = [("hinge", 0), ("hinge", 1)]
  left = told(panel({"minimax": [1.0, 1.1], "hinge": [3.0, 4.0], "wasserstein": [2.0, 2.1]}, stopped=both))
  assert "What halving let go on was selected, so nothing was tested and no winner is named." in left
  assert "Best first: minimax (1.05) and wasserstein (2.05)." in left
  assert "Stopped by halving, and left out of every average: both runs of hinge." in left


def test_that_the_class_was_given_is_told():
  ends = {name: [1.0, 1.1, 1.2] for name in NAMES[:2]}
  assert "3 seeds each, 100 steps, with the class given, no penalty." in told(panel(ends, conditional=True))
  assert "class" not in told(panel(ends))


@pytest.mark.parametrize(
  ("end", "said"),
  [(-3.1, "and it stayed small"), (-1.7, "later it came back in part"), (0.1, "by the end it was back")],
)
def test_a_vanished_gradient_is_told_with_its_cause(end, said):
  steps = np.arange(0, 1000, 50)
  loss = 10.0 ** np.concatenate([np.linspace(0, -3.1, 10), np.full(10, end)])
  columns = {
    "factor/loss": loss,
    "factor/critic": 0 * loss + 1,
    "factor/generator": 0 * loss + 1,
    "gen/grad_norm": loss,
  }
  found = panel({"minimax": [1.0, 1.1], "hinge": [1.0, 1.2]})
  rows = runs.Table(steps, columns)
  first = found.variants[0]
  found = found._replace(
    variants=(first._replace(runs=tuple(r._replace(rows=rows) for r in first.runs)), found.variants[1])
  )
  text = told(found)
  fallen = re.search(r"Under minimax the generator's gradient vanished: it fell to 1/([\d,]+) of its first value", text)
  lowest = min(np.median(loss[i : i + 5]) for i in range(len(loss) - 4))
  assert float(fallen[1].replace(",", "")) == pytest.approx(1 / lowest, rel=0.05)
  assert "because the loss itself has hardly any slope" in text
  assert said in text
  assert "No run died" not in text


def test_every_verdict_has_a_word_and_every_word_explains_itself():
  assert {word.state for word in words.WORDS if word.state} == set(verdicts.LOOKS)
  anchors = [glossary.anchor(word) for word in words.WORDS]
  assert len(set(anchors)) == len(anchors)
  for look in verdicts.LOOKS.values():
    assert 'class="tip"' in str(glossary.marked(look.words)), look.words
  for wanted in (
    "AUC",
    "Fréchet distance",
    "logit",
    "R1",
    "factor",
    "decade",
    "lens",
    "seed",
    "95 % interval",
    "surely worse",
  ):
    found = str(glossary.marked(f"the {wanted} of"))
    tip = re.search(r'class="word" tabindex="0">([^<]*)<span class="tip" role="tooltip">([^<]+)<', found)
    assert tip, wanted
    assert tip[1] == wanted
  assert "lower is better" in next(w.short for w in words.WORDS if w.title == "Fréchet distance")


@pytest.mark.parametrize(
  "text", ["AUC & <b>logit</b>", "hinge_loss of my_seed", "the gradient's gradient", "&lt; 5 &#39;R1&#39;"]
)
def test_marking_changes_nothing_that_is_read(text):
  found = str(glossary.marked(text))
  read = re.sub(r'<span class="tip".*?</span>', "", found)
  assert html.unescape(re.sub(r"</?span[^>]*>", "", read)) == text
  assert "<b>" not in found
  assert found.count('class="word"') == {"A": 2, "h": 0, "t": 1, "&": 1}[text[0]]


@pytest.mark.parametrize("name", [*NAMES, "non_saturating", "relativistic_average", "kl_hinge"])
def test_the_push_that_is_drawn_is_minus_the_slope_of_the_loss(name):
  card = losses.CARDS[name]
  facts = table.facts([name])[name]
  logits, pushed = loss_cards.push(facts["slope"], facts["discriminator"], losses.default_options(name))
  for i in range(0, len(logits), 30):
    real, fake = np.zeros(1, np.float32), np.full(1, logits[i], np.float32)
    expected = -float(np.ravel(card.slope_at(real, fake, **losses.default_options(name)))[0])
    assert pushed[i] == pytest.approx(expected, abs=1e-6), (name, logits[i])
  assert loss_cards.figure(logits, pushed, name).count("<svg") == 2


@pytest.mark.parametrize(
  "text", ["", "f; " + "x" * 2000, "(" * 500, "__import__('os')", "f(f", "9^9^9^9^f", "nonsense f"]
)
def test_a_text_that_is_no_formula_has_no_picture(text):
  assert loss_cards.push(text, "", {}) is None or text == "9^9^9^9^f"


def test_both_parts_of_a_transformed_loss_are_told():
  found = table.facts(["matched_gain(hinge)", "minimax"])
  assert list(found) == ["matched_gain", "hinge", "minimax"]
  assert found["minimax"]["generator"] == losses.card("minimax").generator
  assert found["matched_gain"].keys() == {"title"}
  assert formulas.evaluate("f^2", formulas.of_batch(np.zeros(1), np.full(1, 3.0), {})) == 9


def test_names_with_commas_are_parted_by_semicolons_and_long_lists_are_counted():
  assert story._and(["a"]) == "a"
  assert story._and(["a", "b", "c"]) == "a, b and c"
  assert story._and(["a, x=1", "b, x=1"]) == "a, x=1; and b, x=1"
  assert story._and([f"hinge, discriminator_rate={i}" for i in range(12)]).endswith("; and 9 others")
  assert story._and([str(i) for i in range(40)]) == "0, 1, 2 and 37 others"
