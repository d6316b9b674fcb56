"""Which colour and dash each variant has on the page, and the key under which it is switched on and off."""

from gan_jax.report import canvas
from gan_jax.report.canvas import Style
from gan_jax.report.comparison import Comparison
from gan_jax.report.records import Study
from gan_jax.report.search import search


def of_losses(study: Study) -> dict[str, Style]:
  """The style of each loss, if every panel's variants have losses of their own; else {}."""
  each = [[variant.config["loss"] for variant in panel.variants] for panel in study.panels if not search(panel)]
  if any(len(set(own)) < len(own) for own in each):
    return {}
  return {loss: canvas.style(i, f"loss-{i}") for i, loss in enumerate(dict.fromkeys(x for own in each for x in own))}


def of_variants(study: Study, some: Comparison, count: int, number: int) -> dict[int, Style]:
  """The style of each variant, by its place. Where every variant has a loss of its own, a loss has one colour on the whole
  page; otherwise colours follow the order of the variants. If only some are drawn, they get the first styles.
  """
  places = [row.place for row in some.rows]
  losses = list(dict.fromkeys(variant.config["loss"] for p in study.panels for variant in p.variants))
  own = [row.variant.config["loss"] for row in some.rows]
  if len(set(own)) == len(own):
    at = {place: losses.index(loss) for place, loss in zip(places, own, strict=True)}
    return {place: canvas.style(i, f"loss-{i}") for place, i in at.items()}
  found = [i if count > len(places) else place for i, place in enumerate(places)]
  return {place: canvas.style(i, f"panel-{number}-{i}") for place, i in zip(places, found, strict=True)}
