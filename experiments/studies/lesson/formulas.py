"""The lesson's second part: the two losses of a GAN, the best discriminator, and the slope that vanishes."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import logit
from matplotlib.figure import Figure

from gan_jax import losses
from gan_jax.report.canvas import COLOURS, GREY
from gan_jax.theory import divergences

from .page import Formula, Picture, Section, Table
from .uncertainty import png

ANSWERS = ((0.9, 0.1), (0.6, 0.4), (0.5, 0.5), (0.1, 0.9))  # pairs D(real), D(fake)
DATA, MODEL = (0.4, 0.3, 0.2, 0.1), (0.1, 0.2, 0.3, 0.4)  # chances of four images
APART = ((0.5, 0.5, 0.0, 0.0), (0.0, 0.0, 0.5, 0.5))  # two distributions without a common image
DOUBTS = (0.5, 0.1, 0.01, 0.001)  # D(fake)


def two_losses() -> Section:
  loss = losses.get("non_saturating")
  rows = []
  for real, fake in ANSWERS:
    case_1, case_2, named_real = (
      float(divergences.binary_cross_entropy_from_probabilities(jnp.asarray(p), jnp.asarray(y)))
      for p, y in ((real, 1.0), (fake, 0.0), (fake, 1.0))
    )
    logits = logit(jnp.asarray([real])), logit(jnp.asarray([fake]))
    d, g = float(loss.discriminator(*logits)[0]), float(loss.generator(*logits)[0])
    rows.append([f"{real:g}", f"{fake:g}", *(f"{x:z.4f}" for x in (case_1, case_2, d, named_real, g))])
  level = jnp.zeros(1)
  d, g = float(loss.discriminator(level, level)[0]), float(loss.generator(level, level)[0])
  return Section(
    "Where do the two losses of a GAN come from?",
    [
      "The discriminator D is a filter for images: y = 1 for an image of the data, y = 0 for one that the generator made. "
      "D(x) is its probability that x is real. In each step it sees one of either kind, a real image (Case 1) and a fake "
      "one (Case 2), and pays for both. The generator wants its image to be called real, so it pays the price of Case 1 for "
      "its own image:",
      Formula("discriminator: -(log D(real) + log(1 - D(fake)))\ngenerator:     -log D(fake)"),
      Table(
        ["D(real)", "D(fake)", "Case 1, real", "Case 2, fake", "loss of D", "Case 1, fake", "loss of G"],
        rows,
      ),
      "The columns of the cases are binary cross-entropies as in section 1. The two losses are computed by the loss "
      "`non_saturating` of this package, from logits. They are the same numbers.",
      "Why does the generator's loss have no real term? The generator's weights do not occur in D(real). Its derivative by "
      "them is 0, so a real term would change the value of the loss and none of the generator's steps.",
      f"Why is the loss {d:z.4f} = 2 ln 2 for D and {g:z.4f} = ln 2 for G when neither player wins? If D cannot tell the "
      "images apart, it answers 0.5. An answer of 0.5 costs ln 2. D pays for two images, and G pays for one. A library that "
      "takes the mean of D's two terms reports ln 2 for it. So a discriminator's loss of 1.39 does not mean that it learns "
      "badly. It means that the game is level, or that nobody has learnt anything yet.",
    ],
  )


def best_discriminator() -> Section:
  p, q = jnp.asarray(DATA), jnp.asarray(MODEL)
  best = divergences.optimal_discriminator(p, q)
  rows = [[f"image {i + 1}", *(f"{x:z.4f}" for x in line)] for i, line in enumerate(zip(p, q, best, strict=True))]
  pairs = {"q = p": (p, p), "the four images above": (p, q), "no common image": tuple(map(jnp.asarray, APART))}
  paid = []
  for name, (a, b) in pairs.items():
    js = float(divergences.js_divergence(a, b))
    paid.append([name, f"{loss_at_best(a, b):z.4f}", f"{js:z.4f}", f"{2 * np.log(2) - 2 * js:z.4f}"])
  return Section(
    "What is the best discriminator, and what does it measure?",
    [
      "Let p(x) be the chance of image x in the data, and q(x) its chance as an output of the generator. If one image of "
      "each kind is shown, then image x is a real one p(x) times and a fake one q(x) times. Among its appearances the share "
      "of real ones is p / (p + q), and by section 3 the best answer is the true share:",
      Formula("D*(x) = p(x) / (p(x) + q(x)),    its logit: log p(x) - log q(x)"),
      Table(["", "p", "q", "D*"], rows),
      "What does this discriminator pay? Put D* into the discriminator's loss and take the mean over real and fake images. "
      "The result is 2 ln 2 - 2 JS(p, q), with the Jensen-Shannon divergence of section 3:",
      Table(["data p and generator q", "loss of D at D*", "JS(p, q)", "2 ln 2 - 2 JS(p, q)"], paid),
      "So a generator that raises the loss of the best discriminator lowers the distance JS to the data, and at q = p the "
      "loss is 2 ln 2. If p and q have no image in common, the loss is 0, and stays 0 however near they come: a best "
      "discriminator gives such a generator no direction. Section 7 shows what remains of it in practice.",
      Picture(
        "discriminator.png",
        _density_figure(),
        "Images of one number: the data (density p), a generator (q), and the best discriminator, which is 0.5 where p = q.",
      ),
    ],
  )


def loss_at_best(p: Array, q: Array) -> float:
  """Mean loss of the discriminator D* = p / (p + q) of distributions p and q, [K]."""
  found = losses.get("minimax")
  v = divergences.optimal_logit(jnp.log(p), jnp.log(q))
  # The loss is a function of the real logit plus one of the fake logit; a logit of -inf or inf makes the other one 0.
  real, fake = found.discriminator(v, jnp.full_like(v, -jnp.inf)), found.discriminator(jnp.full_like(v, jnp.inf), v)
  return float(jnp.sum(jnp.where(p > 0, p * real, 0)) + jnp.sum(jnp.where(q > 0, q * fake, 0)))


def _density_figure() -> bytes:
  x = jnp.linspace(-4, 6, 301)
  log_p, log_q = (jax.scipy.stats.norm.logpdf(x, mean) for mean in (0.0, 2.0))
  drawing = Figure(figsize=(5, 2.6), dpi=100, layout="constrained")
  axes = drawing.subplots()
  axes.plot(x, jnp.exp(log_p), color=COLOURS[0], label="data p")
  axes.plot(x, jnp.exp(log_q), color=COLOURS[1], label="generator q")
  axes.plot(x, jax.nn.sigmoid(divergences.optimal_logit(log_p, log_q)), color=COLOURS[4], label="D* = p / (p + q)")
  axes.axhline(0.5, color=GREY, linewidth=0.8, dashes=(4, 3))
  axes.set(xlabel="x", ylim=(0, 1.02))
  axes.spines[["top", "right"]].set_visible(False)
  axes.legend(frameon=False, fontsize=8)
  return png(drawing)


def slope(name: str, answers: Array) -> Array:
  """d generator's loss / d logit where D(fake) is `answers` [B]."""
  return jax.grad(lambda f: losses.get(name).generator(jnp.zeros_like(f), f).sum())(logit(answers))


def vanishing_slope() -> Section:
  answers = jnp.asarray(DOUBTS)
  saturating, other = slope("minimax", answers), slope("non_saturating", answers)
  rows = [
    [f"{d:g}", f"{a:z.4f}", f"{b:z.4f}", f"{b / a:,.0f}"] for d, a, b in zip(DOUBTS, saturating, other, strict=True)
  ]
  return Section(
    "Why does log(1 - D) vanish?",
    [
      "In the first formulation of GANs the generator minimises log(1 - D(fake)): the discriminator's own Case 2 with the "
      "opposite sign, so that one player loses what the other gains. This package calls it `minimax`. It has the same goal "
      "as -log D(fake), which is `non_saturating` here, but another slope. With f the logit of the fake image, and D = "
      "sigmoid(f):",
      Formula("minimax:        d/df log(1 - D) = -D          (saturating)\nnon_saturating: d/df (-log D)   = -(1 - D)"),
      Table(["D(fake)", "slope, minimax", "slope, non_saturating", "how many times larger"], rows),
      "At D(fake) = 0.5 both slopes are equal. When the discriminator recognises the fakes, D(fake) is near 0, and the "
      f"slope of `minimax` is near 0 too: {abs(float(saturating[-1])):z.4f} at D(fake) = {DOUBTS[-1]:g}, where that of "
      f"`non_saturating` is {abs(float(other[-1])):z.4f}. The generator learns least where it is worst.",
      "The slope reaches every weight of the generator as a factor, because its gradient is a product of three:",
      Formula(
        "gradient of the weights = d loss / d logit     slope of the loss\n"
        "                        x d logit / d image    slope of the discriminator\n"
        "                        x d image / d weights  slope of the generator"
      ),
      "Section 9 measures the three factors in trained networks.",
    ],
  )
