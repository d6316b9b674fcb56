"""`Game`: everything static that a step needs, built from the names in a `Spec`; and the rules that a `Spec` must meet."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import optax
from jax import Array

from gan_jax import data, losses, models, penalties, probes
from gan_jax.core.errors import BadInput
from gan_jax.core.types import Loss, Player
from gan_jax.data import Dataset
from gan_jax.data.order import split_sizes
from gan_jax.game import methods, optimizers, reading
from gan_jax.losses import transforms
from gan_jax.losses.classes import ClassLoss
from gan_jax.models import constraints, coupling
from gan_jax.models.precision import in_bfloat16
from gan_jax.probes import lens
from gan_jax.settings.records import Hypers, Spec, thawed

SAN = "san"  # of the models' option `last_layer`: models/linen.py


class Game(NamedTuple):
  spec: Spec
  generator: Player
  discriminator: Player
  losses: tuple[Callable[..., Loss], ...]  # builders; `Hypers.loss_index` chooses
  optimal_logits: tuple[Callable[..., Array] | None, ...]  # of each loss's best discriminator; see losses.optimal_logit
  class_loss: Callable[..., ClassLoss | None]  # builder, of the traced options
  penalties: tuple[penalties.Penalty, ...]  # of the discriminator; `Hypers.penalty_weights` has a weight for each
  generator_penalties: tuple[penalties.Penalty, ...]
  augment: data.augmentations.Augmentation  # of penalties that compare examples with augmented ones
  disguise: data.augmentations.Augmentation | None  # (images, key, strength): of all that the discriminator is shown
  optimizer: Callable[..., optax.GradientTransformation]  # (rate, **Hypers.optimizer_options)
  decode: Callable[[Array], Array]  # a stored batch -> float32 images
  image_shape: tuple[int, ...]  # (H, W, C), or (2,)
  num_classes: int
  reads: str = "logits"  # or "features": what of the discriminator's output the losses are functions of
  couples_batch: bool = False  # the discriminator's logits depend on the whole batch
  # Where a batch lies on several devices: the identity, or a hint for the compiler. See runner/population.py.
  spread: Callable[[Array], Array] = lambda x: x
  one_loss: bool = False  # runs that are trained at the same moment have the same loss. See runner/blocks.py.


def constraint(game: Game, hypers: Hypers) -> constraints.Constraint:
  """The constraint on the discriminator's weights, with its options bound."""
  options = thawed(game.spec.weight_constraint_options) | hypers.weight_constraint_options
  return constraints.CONSTRAINTS[game.spec.weight_constraint](**options)


def real_batches(spec: Spec) -> int:
  """Batches of real examples that one step uses."""
  evaluations = methods.facts(spec.method).evaluations
  return evaluations if evaluations > 1 and spec.fakes == "fresh" else spec.n_critic


def second_order(spec: Spec) -> bool:
  """Whether a step differentiates a player's gradient by the players: then the loss must not be a traced choice.

  The derivative of a choice among losses multiplies the slopes of those not chosen by zero, and an inf there is a NaN.
  """
  return methods.facts(spec.method).second_order or (spec.unroll_steps > 0 and spec.unroll_gradient == "through")


def rough(spec: Spec) -> str:
  """What makes second derivatives through the players' weights differ from those of the game, and why; '': nothing."""
  vectors, options = "takes its singular vectors as constants", dict(spec.model_options)
  if not constraints.CONSTRAINTS[spec.weight_constraint]().smooth:
    return f"weight_constraint {spec.weight_constraint!r} {vectors}"
  if options.get("spectral", "none") != "none":
    return f"model_options.spectral {options['spectral']!r} {vectors}"
  if options.get("last_layer") == SAN:
    return f"model_options.last_layer {SAN!r} is taken as a constant by the loss"
  return ""


def once(spec: Spec) -> str:
  """The first loss whose derivative must not be differentiated again (see losses.once); '': none."""
  return next((name for name in spec.losses if losses.once(name)), "")


def check(spec: Spec) -> None:
  """Everything about a spec that can be refused before any data is read.

  Raises:
    BadInput: an unknown name, or fields that cannot be combined; the message says which, and what is possible.
  """
  models.get(spec.model)
  optimizers.OPTIMIZERS.get(spec.optimizer)
  methods.METHODS.get(spec.method)
  constraints.CONSTRAINTS.get(spec.weight_constraint)
  for name in spec.losses:
    reading.check_own(name, losses.get(name), spec.batch_size // spec.packing)
  if losses.CLASS_LOSSES.get(spec.class_loss).name != "none" and not spec.conditional:
    raise BadInput(f"class_loss {spec.class_loss!r} expected conditional=True, a generator that is given the class")
  reading.check(spec)
  lens.names(spec.lens)
  probes.requested(spec.probes)
  if spec.hold_out == 1:
    raise BadInput("hold_out expected 0 or at least 2, got 1: every example would be held out")
  if spec.gradient_normalisation and dict(spec.model_options).get("last_layer") == SAN:
    raise BadInput(
      f"gradient_normalisation expected model_options.last_layer 'linear', got {SAN!r}, whose direction is that of logits "
      "that are not normalised"
    )
  check_penalties(spec)
  check_turns(spec)


def check_penalties(spec: Spec) -> None:
  """Whether penalties, augmentation and packing go together; raises `BadInput`."""
  data.augmentations.get(spec.augmentation)
  data.augmentations.joined(spec.discriminator_augmentation)
  penalties.of_the_generator(spec.generator_penalty)
  chosen = penalties.of_discriminator(spec.penalty)
  check_packing(spec)
  augmenting = [p.name for p in chosen if p.augments]
  if spec.augmentation == "none" and augmenting:
    choices = ", ".join(name for name in data.AUGMENTATIONS if name != "none")
    raise BadInput(
      f"penalty {augmenting[0]!r} expected an augmentation to be consistent under, got 'none'; known: {choices}"
    )


def check_turns(spec: Spec) -> None:
  """Whether the order of updates, the method and the unrolling go together; raises `BadInput`."""
  if spec.order == "simultaneous":
    if (spec.n_critic, spec.n_gen) != (1, 1):
      raise BadInput(
        f"order 'simultaneous' expected n_critic=1 and n_gen=1, got n_critic={spec.n_critic} and n_gen={spec.n_gen}"
      )
    if spec.penalty_every > 1:
      raise BadInput(
        "penalty_every above 1 gives penalties updates of their own, which order 'simultaneous' does not support; "
        f"expected penalty_every=1 or another order, got {spec.penalty_every}"
      )
  elif spec.method != "gradient":
    raise BadInput(f"method {spec.method!r} expected order 'simultaneous', got {spec.order!r}")
  if second_order(spec) and rough(spec):
    raise BadInput(
      f"{rough(spec)}, so second derivatives through it are not the game's; "
      "expected it to be left out, method gradient or extragradient, and unroll_gradient 'stopped'"
    )
  if second_order(spec) and once(spec):
    raise BadInput(
      f"the derivative of loss {once(spec)!r} must not be differentiated again; expected method gradient or extragradient, "
      "and unroll_gradient 'stopped'"
    )
  if spec.unroll_steps and methods.facts(spec.method).second_order:
    raise BadInput(f"method {spec.method!r} expected unroll_steps=0, got {spec.unroll_steps}")


def per_sample(spec: Spec) -> list[tuple[str, str]]:
  """(what needs the gradient of a logit by its own example, what to choose instead), as parts of a message."""
  sloped = [p.name for p in penalties.of_discriminator(spec.penalty) if p.kind == "critic"]
  found = [(f"penalty {name!r}", "penalty none") for name in sloped]
  return found + [("gradient_normalisation", "gradient_normalisation=False")] * bool(spec.gradient_normalisation)


def check_packing(spec: Spec) -> None:
  """Raises `BadInput` for packs of examples where something needs each example for itself."""
  if spec.packing == 1:
    return
  if spec.batch_size % spec.packing:
    raise BadInput(
      f"packing expected a divisor of batch_size={spec.batch_size}, got {spec.packing}: the discriminator takes whole packs"
    )
  for what, instead in per_sample(spec):
    raise BadInput(
      f"{what} is per sample, but packing={spec.packing} gives several samples one logit, so a sample "
      f"has no gradient of its own; expected packing=1, or {instead}"
    )
  if spec.conditional:
    raise BadInput(
      f"packing={spec.packing} joins examples of any class, so a pack has no class; expected conditional=False, "
      "or packing=1"
    )


def objectives(spec: Spec) -> tuple[Callable[..., Loss], ...]:
  """The builders of a spec's losses.

  If the generator differentiates through the unrolled updates of the discriminator, its gradient also depends on the
  loss on real examples. Then the generator's loss of a zero-sum game is minus the discriminator's whole loss (Metz et
  al. 2017, eq. 6).
  """
  through = spec.unroll_steps > 0 and spec.unroll_gradient == "through"

  def builder(name: str) -> Callable[..., Loss]:
    build = losses.builder(name)
    if through and losses.zero_sum(name):
      return lambda **options: transforms.zero_sum(build(**options))
    return build

  return tuple(builder(name) for name in spec.losses)


def optimal_logits(spec: Spec) -> tuple[Callable[..., Array] | None, ...]:
  """Of each loss's best discriminator; see losses.optimal_logit."""
  return tuple(losses.optimal_logit(name) for name in spec.losses)


def players(spec: Spec, dataset: Dataset) -> tuple[Player, Player]:
  """(generator, discriminator) for a dataset: functions, of which nothing is computed yet.

  Raises:
    BadInput: as `check` does, for a batch larger than the data, or for images that the model cannot make.
  """
  check(spec)
  size = dataset.data.images.shape[0]
  trained, held = split_sizes(size, spec.hold_out)
  if spec.hold_out > size:
    raise BadInput(
      f"hold_out expected at most the {size} examples of dataset {spec.dataset!r}, so that one at least is held out, "
      f"got {spec.hold_out}"
    )
  if spec.batch_size > (min(trained, held) if spec.hold_out else trained):
    raise BadInput(
      f"batch_size expected at most the {trained} examples of dataset {spec.dataset!r}"
      + (f" that are trained on and the {held} held out" * bool(held))
      + f", got {spec.batch_size}"
    )
  if spec.conditional and dataset.num_classes < 2:
    raise BadInput(f"conditional=True expected labelled data, got dataset {spec.dataset!r} of one class")
  batches = real_batches(spec)
  if spec.steps * batches * spec.batch_size >= 2**32:
    raise BadInput(
      f"steps * n_critic * batch_size expected below 2**32, got {spec.steps} * {batches} * {spec.batch_size}"
    )
  head = losses.CLASS_LOSSES[spec.class_loss].facts
  width = head.width(dataset.num_classes)
  pair = models.build(spec, dataset.image_shape, dataset.num_classes, -width if head.cosine else width)
  reading.check_output(spec, pair[1], dataset.image_shape)
  return pair


def build(spec: Spec, dataset: Dataset) -> Game:
  """The game of a spec and a dataset. Raises `BadInput` as `players` and `assemble` do."""
  both = players(spec, dataset)
  return assemble(spec, dataset, *both, models.couples_batch(spec, dataset.image_shape, dataset.num_classes))


def generator(spec: Spec, image_shape: tuple[int, ...], num_classes: int) -> Player:
  """The generator of a game, without the data that it is trained on."""
  player, _ = models.build(spec, image_shape, num_classes)
  return in_bfloat16(player) if spec.precision == "bfloat16" else player


def uncoupled(spec: Spec) -> str:
  """What to choose instead of a discriminator that couples the examples of a batch."""
  if "discriminator_norm" in models.get(spec.model).options:
    return "model_options.discriminator_norm none or layer"
  return "a discriminator whose layers see one example at a time (no batch normalisation)"


def assemble(
  spec: Spec, dataset: Dataset, generator: Player, discriminator: Player, couples_batch: bool | None = None
) -> Game:
  """The game of two given players; `couples_batch` as in `Game`, None: it is determined here.

  Raises:
    BadInput: an augmentation that does not suit the data, or gradients of each example where the batch is coupled.
  """
  if couples_batch is None:
    couples_batch = coupling.couples_batch(discriminator, dataset.image_shape, spec.packing)
  for what, instead in per_sample(spec) if couples_batch else ():
    raise BadInput(
      f"{what} is per sample, but the discriminator of model {spec.model!r} couples the examples of a "
      "batch (a derivative of one's logit by another is not zero), so a sample has no gradient of its own; expected "
      f"{uncoupled(spec)}, or {instead}"
    )
  if spec.precision == "bfloat16":
    generator, discriminator = in_bfloat16(generator), in_bfloat16(discriminator)
  return Game(
    spec=spec,
    generator=generator,
    discriminator=discriminator,
    losses=objectives(spec),
    optimal_logits=optimal_logits(spec),
    class_loss=functools.partial(losses.CLASS_LOSSES[spec.class_loss].builder, **thawed(spec.class_loss_options)),
    penalties=penalties.of_discriminator(spec.penalty, thawed(spec.penalty_options)),
    generator_penalties=penalties.of_the_generator(spec.generator_penalty, thawed(spec.generator_penalty_options)),
    augment=data.augmentations.get(spec.augmentation, dataset.image_shape, **thawed(spec.augmentation_options)),
    disguise=data.augmentations.joined(
      spec.discriminator_augmentation, dataset.image_shape, thawed(spec.discriminator_augmentation_options)
    ),
    optimizer=functools.partial(optimizers.OPTIMIZERS[spec.optimizer].builder, **thawed(spec.optimizer_options)),
    decode=dataset.decode,
    image_shape=dataset.image_shape,
    num_classes=dataset.num_classes,
    reads=reading.reads(spec),
    couples_batch=couples_batch,
  )
