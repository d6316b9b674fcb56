"""The lesson's first part: what a forecast costs. Cross-entropy of one answer, entropy, and the gap between the two."""

import io
import math

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logit
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gan_jax.report.canvas import COLOURS, GREY
from gan_jax.theory import divergences

from .page import Formula, Picture, Section, Table

ANSWERS = (0.99, 0.9, 0.5, 0.1, 0.01)  # probabilities that a filter may give
UNFAIR = 0.9  # chance of heads of the unfair coin; the share of spam in section 3
FORECASTS = (0.9, 0.7, 0.5, 0.1)


def coin(heads: float) -> jnp.ndarray:
  """The distribution (heads, tails), [2]."""
  return jnp.asarray([heads, 1 - heads])


def png(drawing: Figure) -> bytes:
  buffer = io.BytesIO()
  FigureCanvasAgg(drawing).print_png(buffer)
  return buffer.getvalue()


def sections() -> list[Section]:
  return [one_guess(), coins(), forecasts()]


def one_guess() -> Section:
  p = jnp.asarray(ANSWERS)
  spam, not_spam = (divergences.binary_cross_entropy_from_probabilities(p, jnp.full_like(p, y)) for y in (1.0, 0.0))
  rows = [[f"{q:g}", f"{a:z.4f}", f"{b:z.4f}"] for q, a, b in zip(ANSWERS, spam, not_spam, strict=True)]
  x = float(logit(jnp.asarray(UNFAIR)))
  by_logit = float(divergences.binary_cross_entropy(jnp.asarray(x), jnp.asarray(1.0)))
  return Section(
    "What does one guess cost?",
    [
      "A spam filter reads a mail and answers with p, the probability that the mail is spam. The truth is y = 1 (spam) or "
      "y = 0 (not spam). Binary cross-entropy is the price of the answer:",
      Formula("L = -(y log p + (1 - y) log(1 - p))"),
      "Only one of the two terms is ever there. Case 1, y = 1: the factor 1 - y is 0, and L = -log p. Case 2, y = 0: the "
      "factor y is 0, and L = -log(1 - p).",
      Table(["p", "Case 1: it is spam", "Case 2: it is not"], rows),
      f"A sure and right answer costs almost nothing ({spam[0]:z.4f}). The answer 0.5 costs {spam[2]:z.4f}, which is ln 2, "
      f"whatever the truth is. A sure and wrong answer costs {spam[4]:z.4f}, and the price has no upper limit: it grows "
      "without end as p approaches 0. The logarithm is the natural one, so prices are in nats.",
      "A network does not return p itself. It returns a logit x, which can be any number, and p = sigmoid(x) = 1 / (1 + "
      "exp(-x)). With softplus(x) = log(1 + exp(x)) the price is y softplus(-x) + (1 - y) softplus(x), without a "
      f"division or a logarithm of a number near 0. The logit of p = {UNFAIR:g} is {x:z.4f}, and if the mail is spam it "
      f"costs {by_logit:z.4f} again. All losses of this package are written in logits.",
    ],
  )


def coins() -> Section:
  fair, unfair = coin(0.5), coin(UNFAIR)
  nats = [float(divergences.entropy(c)) for c in (fair, unfair, coin(1.0))]
  bits = [float(divergences.entropy(c, base=2)) for c in (fair, unfair, coin(1.0))]
  names = ("fair: 0.5", f"unfair: {UNFAIR:g}", "always heads: 1")
  rows = [[name, f"{n:z.4f}", f"{b:z.4f}"] for name, n, b in zip(names, nats, bits, strict=True)]
  return Section(
    "How uncertain is a coin?",
    [
      "Suppose you know that a coin shows heads with probability p, and you forecast p at every toss. On average you pay "
      "p (-log p) + (1 - p) (-log(1 - p)). This is the entropy of the coin. For any number of outcomes:",
      Formula("H(p) = -sum p log p"),
      Table(["coin: chance of heads", "entropy in nats", "in bits"], rows),
      f"A fair coin is the most uncertain one: {nats[0]:z.4f} nats = ln 2, which is {bits[0]:.0f} bit. The unfair coin is "
      f"easier to forecast, and costs {nats[1]:z.4f} nats. A coin that always shows heads costs nothing. A value in nats "
      f"divided by ln 2 = {math.log(2):z.4f} is in bits.",
      Picture("entropy.png", _entropy_figure(), "Entropy of a coin, in nats, by its chance of heads."),
    ],
  )


def _entropy_figure() -> bytes:
  heads = np.linspace(0, 1, 201)
  drawing = Figure(figsize=(5, 2.6), dpi=100, layout="constrained")
  axes = drawing.subplots()
  axes.plot(heads, divergences.entropy(jnp.stack([heads, 1 - heads], axis=-1)), color=COLOURS[0])
  for p in (0.5, UNFAIR):
    axes.plot(p, float(divergences.entropy(coin(p))), "o", color=COLOURS[4])
  axes.axhline(math.log(2), color=GREY, linewidth=0.8, dashes=(4, 3))
  axes.set(xlabel="chance of heads", ylabel="entropy (nats)", ylim=(0, 0.75))
  axes.spines[["top", "right"]].set_visible(False)
  return png(drawing)


def forecasts() -> Section:
  p = coin(UNFAIR)
  entropy = float(divergences.entropy(p))
  rows = []
  for q in FORECASTS:
    cross, kl = float(divergences.cross_entropy(p, coin(q))), float(divergences.kl_divergence(p, coin(q)))
    rows.append([f"{q:g}", f"{cross:z.4f}", f"{entropy:z.4f}", f"{cross - entropy:z.4f}", f"{kl:z.4f}"])
  there, back = (float(divergences.kl_divergence(*pair)) for pair in ((p, coin(0.5)), (coin(0.5), p)))
  js = float(divergences.js_divergence(p, coin(0.5)))
  return Section(
    "What does a wrong forecast cost on average?",
    [
      f"Of all mails a share of {UNFAIR:g} is spam, but the filter believes that it is q, and answers q for each. On average "
      "it pays the cross-entropy:",
      Formula("H(p, q) = -sum p log q = H(p) + KL(p||q)\nKL(p||q) = sum p log(p / q)"),
      Table(["forecast q", "H(p, q)", "H(p)", "gap: H(p, q) - H(p)", "KL(p||q)"], rows),
      "The gap is the Kullback-Leibler divergence, the price of believing q where the truth is p. It is never negative, and "
      "0 only for q = p. H(p) does not depend on the forecast, so whoever minimises the cross-entropy minimises the gap. A "
      f"cross-entropy of 0 is not the goal: the best that can be reached is H(p) = {entropy:z.4f}.",
      f"KL is not symmetric: with q = 0.5 it is {there:z.4f} from p to q and {back:z.4f} from q to p. The Jensen-Shannon "
      f"divergence compares both with their mean m = (p + q) / 2, as JS(p, q) = (KL(p||m) + KL(q||m)) / 2; it is {js:z.4f} "
      "either way. Section 5 finds it inside a GAN.",
    ],
  )
