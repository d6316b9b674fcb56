"""The records that the parts exchange. Static choices are bound when a step is built, traced ones are its arguments."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array

Params = Any  # a pytree of arrays that are trained by gradient
Memory = Any  # a pytree of arrays that follow training without a gradient, such as running statistics; () for none
Key = Array  # a typed PRNG key

Critic = Callable[[Array], Array]  # images [B, ...] -> logits [B], parameters and labels bound
LossFn = Callable[[Array, Array], Array]  # (real_logits [B], fake_logits [B]) -> loss per example [B]


class Loss(NamedTuple):
  """A GAN objective: two pure functions of logits (a high logit means real), both minimised."""

  discriminator: LossFn
  generator: LossFn  # differentiated with respect to the fake logits only


class Output(NamedTuple):
  """The output of a discriminator for a batch."""

  logits: Array  # [B], float32 (float64 stays)
  features: Array | None = None  # [B, F], of which the logit is a linear function; None: not given
  classes: Array | None = None  # [B, K], logits of classes of a second head; None: it has none
  direction: Array | None = (
    None  # [B], the logits with a derivative by the last layer alone, while `logits` has none (SAN)
  )


class Player(NamedTuple):
  """A network as two pure functions.

  `apply` is (params, memory, inputs, labels, train) -> (outputs, memory). The generator maps noise [B, Z] to images [B,
  ...], the discriminator images [B, ...] to an `Output`. Labels are int32 [B]; an unconditional player ignores them.
  `train` is a Python bool: with True a batch is normalised by its own statistics and the memory is updated; with False
  the statistics in the memory are used, and it is returned unchanged.
  """

  init: Callable[[Key], tuple[Params, Memory]]
  apply: Callable[[Params, Memory, Array, Array, bool], tuple[Any, Memory]]


class Data(NamedTuple):
  """A whole dataset on the device. `images` is uint8 if its source is; `labels` is int32."""

  images: Array  # [N, ...]
  labels: Array  # [N]


class Counts(NamedTuple):
  """What a run has used so far, uint32: a fair axis for comparing methods whose steps differ in cost."""

  discriminator_updates: Array
  generator_updates: Array
  images: Array  # real examples that the discriminator was shown, batch by batch


class LogitMeans(NamedTuple):
  """Moving averages of the discriminator's logits."""

  real: Array
  fake: Array


class Memories(NamedTuple):
  """All arrays that change from step to step but are not trained by gradient."""

  generator: Memory  # the generator's own
  average: Memory  # the same, averaged as `GanState.gen_ema` is: evaluation uses the two together
  discriminator: Memory
  constraint: Any  # of `Spec.weight_constraint`: power-iteration vectors under `spectral`
  logit_means: LogitMeans
  slow: Any  # (gen_params, disc_params) of lookahead; () without it
  strength: Any  # probability of each augmentation of what the discriminator is shown; () where there is none
  balance: Any = ()  # the option that the controller of the loss in use moves; () where no loss has one


class GanState(NamedTuple):
  """The complete state of a run between steps. It holds no random key: keys are derived from (seed, step)."""

  step: Array  # int32, steps taken
  diverged_at: Array  # int32, the step whose update was refused because it was not finite; -1: none
  counts: Counts
  gen_params: Params
  gen_ema: Params  # exponential moving average of gen_params
  gen_opt: Any
  disc_params: Params
  disc_opt: Any
  memory: Memories


class Batches(NamedTuple):
  """The real examples of one step, as they are stored: drawn outside the step, from (seed, step).

  R is `rules.real_batches`: how many different batches of real examples the updates of one step see.
  """

  images: Array  # [R, B, ...]
  labels: Array  # [R, B]
  held_out: Data | None  # [B, ...], [B]: examples that are never trained on; None without `Spec.hold_out`


class DiscriminatorView(NamedTuple):
  """The quantities of the discriminator's (last) update in a step."""

  loss: Array  # mean over the batch, penalty not included; before the update
  penalty: Array  # mean over the batch, the sum of several, weights not included; NaN: not due
  real_logits: Array  # [B]
  fake_logits: Array  # [B]
  parts: Params  # gradient of the loss alone by micro-batch, [M, ...]; None unless `Spec.probes` asks for `noise`
  grads: Params  # of loss + weights * penalties
  params: Params  # before the update
  updates: Params | None = None  # the difference that the update made
  normalised: Params = ()  # weights as the next forward pass uses them; () where no constraint changes them
  class_loss: Array | None = None  # mean over the batch, weight not included; None without `Spec.class_loss`
  class_accuracy: Array | None = None  # share of the real examples whose largest class logit is that of their class
  balance: Array | None = None  # of `Memories`, in this update; NaN where another loss is in use; None without one
  convergence: Array | None = None  # the controller's measure of convergence, as `balance`


class GeneratorView(NamedTuple):
  """The quantities of the generator's last update in a step, computed before the update is applied.

  With the order `discriminator_first` they are computed after the discriminator's update, with the others before it.
  `extragradient` shows its second evaluation.
  """

  loss: Array  # mean over the batch, penalty not included
  penalty: Array  # as of the discriminator
  real_logits: Array  # [B]; NaN, as all that is of logits, under a loss of features
  fake_logits: Array  # [B]
  held_out_logits: Array | None  # [B]; None without `Spec.hold_out`
  logit_cotangent: Array  # [B]       d loss / d fake_logits, the loss's factor; [B, F] of features, if it reads those
  logit_slope: Array  # [B, ...]      d fake_logit_i / d image_i, the discriminator's factor
  real_slope: Array  # [B, ...]       the same at real examples
  between_slope: Array  # [B, ...]    the same at random points between a real example and the fake at the same index
  image_cotangent: Array  # [B, ...]  d loss / d images
  image_motion: Array  # [B, ...]     d images / d params along the gradient's unit vector, the generator's factor
  lens: dict[str, Any]  # lens.View by loss; empty unless `Spec.lens` asks for some
  parts: Params  # as of the discriminator
  grads: Params  # d loss / d params; with `unroll_gradient=through`, through the unrolled discriminator updates too
  params: Params  # before the update
  updates: Params | None = None  # the difference that the update made; zero where it was refused
  class_loss: Array | None = None  # as of the discriminator
  class_accuracy: Array | None = None  # the same of the fakes


class Trace(NamedTuple):
  """The intermediate results of one step with B examples. Probes read it; the compiler removes what no probe uses.

  With `packing` m a pack of m examples has one logit: logits and logit_cotangent are [B/m], slopes stay [B, ...].
  """

  step: Array
  counts: Counts  # after the step
  alive: Array  # bool: this step's update was taken
  threshold: Array  # the logit at which the loss in use is neutral between real and fake; NaN: it has no such logit
  calibrated: Array  # bool: the optimal logit is log p/q, so its sigmoid is a probability
  signed: Array  # bool: to the loss in use a high logit means "real"
  generator: GeneratorView
  discriminator: DiscriminatorView
  next_generator_grads: Params | None = None  # of the step after this one; None unless `Spec.probes` asks for `noise`


StepFn = Callable[[Any, GanState, Batches], tuple[GanState, Trace]]
Probe = Callable[[Trace], dict[str, Array]]  # flat: 'disc/accuracy', 'gen/grad_norm'; scalars
