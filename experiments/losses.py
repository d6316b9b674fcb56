"""`launch.sh losses [NAME]`: a table of all losses; or one loss in full, with a plot of both halves and the slope.

NAME is a loss as in a config, also a transformed one: `matched_gain(hinge)`, or one of your own: `my_losses.py:twice`.
"""

import io
import re
from pathlib import Path

from . import command
from .sweep import Parser, place


def main(arguments: list[str]) -> None:
  parser = Parser("losses")
  parser.add_argument("name", nargs="?", help="a loss; without one, all of them as a table")
  parser.add_argument("--markdown", action="store_true", help="the table of gan_jax/losses/README.md")
  parser.add_argument(
    "--out", type=place, default=Path("runs/losses"), help="where NAME.svg goes (default: runs/losses)"
  )
  known = parser.parse_args(arguments)

  from gan_jax.runner import devices

  devices.imported()
  from gan_jax.losses import table

  if known.name is None:
    command.deliver(table.markdown_table() if known.markdown else f"{table.text_table()}\n")
    return
  with command.with_jax(brief=True):
    if ":" in known.name:
      from gan_jax import settings
      from gan_jax.game import outside

      outside.enter([settings.resolve({"loss": known.name})], Path())
    text, path = table.text_card(known.name), plot(known.name, known.out)
  command.deliver(f"{text}\n{'plot:':20}{path}\n")


def plot(name: str, folder: Path) -> Path:
  """Plot both halves and the generator's slope against one logit, the other at 0; returns the figure's path."""
  import jax
  import jax.numpy as jnp
  from matplotlib.backends.backend_svg import FigureCanvasSVG
  from matplotlib.figure import Figure

  from gan_jax import losses
  from gan_jax.runs.directory import write_atomic

  loss, card = losses.get(name), losses.CARDS.get(name)
  logits = jnp.linspace(-6, 6, 481)[:, None]  # batches of one
  zeros = jnp.zeros_like(logits)
  curves = {
    "discriminator, real": jax.vmap(loss.discriminator)(logits, zeros),
    "discriminator, fake": jax.vmap(loss.discriminator)(zeros, logits),
    "generator, fake": jax.vmap(loss.generator)(zeros, logits),
  }
  slope = jax.vmap(jax.grad(lambda f, r: loss.generator(r, f).sum()))(logits, zeros)
  figure = Figure(figsize=(9, 3.4), layout="constrained")
  left, right = figure.subplots(1, 2)
  for label, values in curves.items():
    left.plot(logits[:, 0], values[:, 0], label=label)
  left.legend(frameon=False)
  left.set(title=card.title if card else name, xlabel="logit (the other one: 0)", ylabel="loss", ylim=(-8, 8))
  right.plot(logits[:, 0], jnp.abs(slope[:, 0]), color="C2")
  wrong = jnp.where(slope[:, 0] > 0, slope[:, 0], jnp.nan)
  right.plot(logits[:, 0], wrong, color="C3", label="wrong sign: pushes the fake away")
  if bool(jnp.any(slope > 0)):
    right.legend(frameon=False)
  formula = f": {card.slope}" if card else ""
  right.set(title=f"|generator's slope|{formula}", xlabel="fake logit", yscale="log", ylim=(1e-4, 1e3))
  right.axhline(0.5, color="0.8", linewidth=0.8, zorder=0)  # the non-saturating slope at logit 0
  path = folder / f"{'_'.join(re.findall('[a-z_]+', name))}.svg"
  buffer = io.BytesIO()
  FigureCanvasSVG(figure).print_svg(buffer)
  write_atomic(path, buffer.getvalue())
  return path


if __name__ == "__main__":
  command.run(main)
