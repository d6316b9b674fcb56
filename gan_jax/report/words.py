"""The words of the report, explained: the one registry. `glossary` puts the explanations where the words stand."""

from typing import NamedTuple

from gan_jax.report.comparison import LEARNT
from gan_jax.report.verdicts import LOOKS
from gan_jax.report.wording import LOST


class Word(NamedTuple):
  """A word of the report."""

  title: str
  forms: str  # a regular expression of the forms that are explained where they stand; '': none
  short: str  # what it is, in a sentence or two
  more: str = ""  # what else there is to know; at the end of the page only
  state: str = ""  # of a verdict: its name in `LOOKS`


PLAYERS = (
  Word("generator", r"generators?", "The network that makes images (or points) out of random numbers."),
  Word(
    "discriminator",
    r"discriminators?",
    "The network that looks at an image and says whether it is real or made by the generator. Some papers call it critic.",
  ),
  Word(
    "GAN",
    r"GANs?",
    "Generative adversarial network: a generator and a discriminator, trained against each other.",
  ),
  Word(
    "loss",
    r"loss(?:es)?",
    "Two formulas: what the discriminator and what the generator is trained to make small. The choice of these two is what "
    "is compared here.",
  ),
  Word(
    "logit",
    r"logits?",
    "The number that the discriminator gives an image: high means 'real', low means 'generated'.",
    "A loss turns logits into what each player minimises. Of a few losses only differences between logits mean anything.",
  ),
  Word(
    "seed",
    r"seeds?",
    "The number from which all chance of a run is drawn: first weights, noise, order of the data. Repeating a variant with "
    "other seeds shows how much is chance.",
  ),
  Word("run", r"", "One training of one GAN: a variant and a seed."),
  Word(
    "variant", r"variants?", "A line of the table: what its runs have in common, all but the seed. Often it is a loss."
  ),
  Word("panel", r"panels?", "A part of a study that is compared by itself."),
  Word("step", r"steps?", "One update of both players."),
  Word(
    "baseline",
    r"baseline",
    "The variant that all others are compared with. The study names it, or it is the first one.",
  ),
  Word(
    "R1", r"R1", "A penalty on the squared slope of the discriminator at real images. It keeps the two players level."
  ),
  Word("penalty", r"penalt(?:y|ies)", "A term added to the discriminator's loss that forbids it to become too steep."),
  Word(
    "head start",
    r"head start|trained ahead",
    "The discriminator is trained alone for so many steps before the generator begins.",
  ),
)

QUALITY = (
  Word(
    "Fréchet distance",
    r"Fr[ée]chet distances?(?: \(Lite0\))?",
    "How far the generated images are from the data: 0 is a perfect match, and lower is better.",
    "It compares mean and covariance of both in the features of a small classifier that was trained on the same data. So it "
    "is not FID, and only runs on the same data can be compared.",
  ),
  Word(
    "FID, KID",
    r"FID|KID",
    "Distances between generated and real images in the features of a known network: lower is better.",
    "The list of measurements below gives the protocol of each: whose features with which weights, how images are resized, "
    "how many real examples. Numbers of different protocols cannot be compared.",
  ),
  Word(
    "reverse KL",
    r"reverse KL",
    "How unevenly the generator covers the modes of the data, in nats: 0 is even, and lower is better.",
  ),
  Word(
    "Wasserstein distance",
    r"Wasserstein distance",
    "How far the generated points have to be moved to become the data: lower is better.",
  ),
  Word(
    "final, best",
    r"",
    "Final: measured at the end. Best: the best value during the training, selected afterwards, so it is too optimistic. A "
    "final value far from the best one means that training went past its best, or never settled.",
  ),
  Word(
    "raw",
    r"raw",
    "The same for the generator's own weights. All other columns of quality use the moving average of its weights.",
  ),
  Word(
    "classes present",
    r"classes present",
    "How many of the data's classes (the ten digits, for example) the generator draws. Fewer than the data have: collapse.",
  ),
  Word("modes covered", r"modes covered", "How many of the clusters that the data consist of the generator reaches."),
  Word("high quality", r"high[- ]quality", "The share of generated points that lie near one of the data's clusters."),
)

WINNING = (
  Word(
    "AUC",
    r"AUC",
    "The chance that a real image gets a higher logit than a generated one. 0.5: the discriminator cannot tell them apart; "
    "1: it always can.",
    "It means the same under every loss. The discriminator's loss does not: under relativistic and hinge losses it is near "
    "zero in healthy runs too. A high AUC alone is no failure.",
  ),
  Word(
    "accuracy",
    r"accuracy",
    "How often the discriminator is right, at the loss's own threshold between 'real' and 'generated'. 0.5 is guessing.",
    "A loss of differences of logits has no threshold: its accuracy is measured midway between the mean logits, and there "
    "is none for real or generated images alone.",
  ),
  Word(
    "gradient",
    r"gradients?",
    "The direction and strength with which a step changes the generator's weights. A vanished gradient: the generator learns "
    "nothing any more.",
  ),
  Word(
    "factor",
    r"factors?",
    "The generator's gradient is a product of three factors: the loss's (its slope at the fake logits), the "
    "discriminator's (from the logits to the images) and the generator's (from the images to its weights).",
    "So it can be said which of them made the gradient small. In decades the three add up.",
  ),
  Word(
    "decade",
    r"decades?",
    "A power of ten: −1 decade is a fall to a tenth, −3 a fall to a thousandth.",
    "A change is from the first row with a gradient to where the gradient was lowest (the lowest median of five successive "
    f"rows). From a fall by {LOST:g} decades on, this page says that a gradient has vanished.",
  ),
  Word(
    "slope",
    r"slopes?",
    "How much a loss changes with a logit. Where the generator's slope is 0, its loss does not tell it what to do.",
  ),
  Word(
    "saturating", r"saturat(?:es|ing)", "A loss saturates where its slope is 0: there, the generator learns nothing."
  ),
  Word(
    "lens",
    r"lens",
    "At the weights and images of a run, the gradient that every other loss would have given: it separates what the loss "
    "does from where the training went.",
  ),
  Word("cosine", r"cosine", "Whether two gradients point the same way: 1 the same, 0 perpendicular, −1 opposite."),
)

CHANCE = (
  Word(
    "interval, [low, high]",
    r"95 % intervals?|intervals?",
    "From low to high: where the true value lies in 95 of 100 studies. Wide means: not known well.",
    "Of a distance it is the interval of the median seed (Student's t on logarithms). In simulations with five seeds it "
    "contains it in 95 of 100 studies of normal, exponential and lognormal data, and in 96 where one seed in ten ends "
    "tenfold worse. The mean that includes such failures is contained in only 40 to 70 of 100 by any of these intervals, so "
    "no interval of it is given. ± is half such an interval of a mean. One run has no interval.",
  ),
  Word(
    "average",
    r"geometric mean",
    "Distances are averaged as logarithms (geometric mean), over the seeds that learnt.",
    f"A run that diverged, or whose distance did not fall by a factor of {LEARNT:g} from its first measurement or is "
    "not finite at the end, is counted beside the average and not averaged.",
  ),
  Word(
    "ratio to the baseline",
    r"ratio to",
    "A variant's distance divided by the baseline's, seed by seed; below 1 is better.",
    "Runs with the same seed saw the same data in the same order, and the same noise. Given is the geometric mean of the "
    "ratios over seeds, or for other qualities the mean difference.",
  ),
  Word(
    "p, Holm",
    r"Holm(?:'s correction)?|p(?= (?:=|<|below|is)| with)",
    "p is the chance of a difference as large as this if there were none. Holm: corrected for the number of comparisons, so "
    "that many tries do not make a finding.",
  ),
  Word(
    "surely",
    r"surely(?: (?:worse|better|different|lower|higher))?",
    "Said only where the corrected p is below 5 %: of twenty tables without any difference, one says it once.",
  ),
  Word(
    "tie, not told apart",
    r"tied?|ties|told apart|tell apart",
    "The test found no sure difference. That is no proof of equality: the interval says how large a difference may be.",
  ),
)

VERDICTS = (
  Word(
    "verdict",
    r"verdicts?",
    "How a run ended, computed from its measurements with fixed thresholds.",
    "The thresholds are the config field 'verdict'. If several verdicts apply, a cause is named before its consequence: a "
    "run whose gradient has vanished also has few modes.",
  ),
  Word(
    "healthy",
    r"healthy",
    "No failure was found, and the samples got better. It does not say that they are good: look at them.",
    "It is said of the game: a run that was stopped early is healthy and draws blotches.",
    "healthy",
  ),
  Word(
    "discriminator dominates",
    r"discriminator dominates|D wins",
    "The discriminator tells nearly all images apart, and the generator's gradient has vanished or its samples get no "
    "better.",
    state="discriminator_dominates",
  ),
  Word(
    "generator dominates",
    r"generator dominates|G wins",
    "The discriminator cannot tell real from generated images although these are bad, so the generator learns nothing "
    "from it.",
    state="generator_dominates",
  ),
  Word(
    "oscillating",
    r"oscillat(?:ing|es)",
    "Quality or AUC go up and down by a large amount until the end.",
    state="oscillating",
  ),
  Word(
    "mode collapse",
    r"mode collapse|collapsed?",
    "The generator makes too few different images: most kinds of the data are missing, or all images of a kind are alike.",
    state="mode_collapse",
  ),
  Word(
    "stalled",
    r"stalled",
    "Nothing moves: the generator stands still, or changes without coming nearer to the data.",
    state="stalled",
  ),
  Word(
    "diverged",
    r"diverged?",
    "A number became infinite or undefined. The run is frozen before that update and left out of every average.",
    state="diverged",
  ),
  Word("unknown", r"unknown", "Too little has been measured to say how the run does.", "", "unknown"),
)

SEARCHES = (
  Word(
    "setting",
    r"settings?",
    "What is compared in a search, such as a loss; each has several draws of its other numbers.",
  ),
  Word("draw", r"draws?", "A random choice of the tuned numbers, such as learning rates, from their ranges."),
  Word(
    "budget, tuned",
    r"budgets?|tuned|tuning",
    "Tuning with a budget of k: try k draws, and take the one with the best run. It is judged by runs that the choice has "
    "not seen.",
  ),
  Word(
    "rank correlation",
    r"rank correlations?",
    "Whether a larger number goes with a worse (above 0) or a better result (below 0); ±1 at most, 0: no relation.",
  ),
  Word("learning rate", r"learning rates?|generator_rate|discriminator_rate", "How far one step moves the weights."),
)
CHAPTERS = (
  ("The game", PLAYERS),
  ("How good the samples are", QUALITY),
  ("Who is winning, and whether the generator still learns", WINNING),
  ("How sure it is", CHANCE),
  ("How a run ended", VERDICTS),
  ("Tuning", SEARCHES),
)
WORDS = tuple(word for _, words in CHAPTERS for word in words)
assert {word.state for word in WORDS if word.state} == set(LOOKS)
