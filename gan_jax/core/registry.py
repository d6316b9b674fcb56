"""Registries: the names that a config can use, and each entry's options, read from its builder's signature. No jax import.

    MODELS = Registry("model", ("image_shape", "num_classes", "latent_size", "conditional"))

    @MODELS.register()
    def mlp(
      image_shape, num_classes, latent_size, conditional,
      *, depth: Annotated[int, Option("hidden layers of each player", 1, 256)] = 2,
    ):
      "Fully connected players."

The first parameters of a builder are the same for a whole registry (its protocol); the program passes them. Every
further parameter has a default and is an option, which a config gives beside the entry's name: `model_options={"depth":
3}`. An option's type is that of its default. An annotation is optional; it adds a line of text, a range, choices, and
whether the option is traced (may differ between the members of one compiled program) or static.
"""

import importlib
import inspect
import math
import numbers
import pkgutil
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from gan_jax.core.errors import BadInput, shown, unknown

Builder = Callable[..., Any]
LARGEST = 3.4028234663852886e38  # of float32, which every traced number becomes
LARGEST_INT = 2**31 - 1  # of int32
PLAIN = (bool, int, float, str)  # the types that an option can have


class Option(NamedTuple):
  """Type, default, range and description of an option. `type` and `default` are filled in from the signature."""

  text: str = ""  # one line
  low: float = -math.inf  # inclusive, like `high`
  high: float = math.inf
  choices: tuple[str, ...] = ()
  traced: bool | None = None  # None: as `Registry.traced` says
  above: float = -math.inf  # exclusive, like `below`
  below: float = math.inf
  type: type = float
  default: Any = None

  @property
  def range(self) -> str:
    """The values that it accepts, for a message that begins with 'expected'."""
    if self.choices:
      return f"one of {', '.join(self.choices)}"
    if self.type in (bool, str):
      return {bool: "True or False", str: "text"}[self.type]
    what = "a whole number" if self.type is int else "a number"
    if math.isfinite(self.low) and math.isfinite(self.high):
      return f"{what} from {self.low:.8g} to {self.high:.8g}"
    bounds = {"of at least": self.low, "above": self.above, "of at most": self.high, "below": self.below}
    said = " and ".join(f"{word} {bound:.8g}" for word, bound in bounds.items() if math.isfinite(bound))
    return f"{what} {said}" if said else "a finite number"


class Entry(NamedTuple):
  """One entry of a registry. Calling it calls its builder."""

  kind: str  # of the registry: 'loss', 'model', ...
  name: str
  builder: Builder
  options: Mapping[str, Option]
  text: str  # the first line of the builder's docstring
  facts: Any = None  # further data about the entry, such as a loss's card or a penalty's default weight

  def __call__(self, *protocol: Any, **options: Any) -> Any:
    return self.builder(*protocol, **options)

  @property
  def defaults(self) -> dict[str, Any]:
    return {name: option.default for name, option in self.options.items()}

  def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options: the given ones, converted to their types, and the defaults of the others.

    Raises:
      BadInput: an option that this entry does not have, or a value of another type or outside its range.
    """
    self.check_names(given)
    return {n: coerce(self, n, given[n]) if n in given else option.default for n, option in self.options.items()}

  def check_names(self, given: Iterable[str]) -> None:
    """Raises `BadInput` for a name that is not an option of this entry."""
    for name in given:
      if name not in self.options:
        if not self.options:
          raise BadInput(f"{self.kind} {self.name!r} has no options, got {name!r}")
        raise unknown(f"option of {self.kind} {self.name!r}:", name, self.options)

  def split(self, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(static options, traced options) of complete options."""
    traced = {name: value for name, value in options.items() if self.options[name].traced}
    return {name: value for name, value in options.items() if name not in traced}, traced


def coerce(entry: Entry, name: str, value: Any) -> Any:
  """`value` converted to the type of option `name`: an int is accepted as a float, a whole float (1e3) as an int.

  A jax array given to a traced option is returned unchanged.

  Raises:
    BadInput: another type, outside the range, or not among the choices.
  """
  option = entry.options[name]
  if (value is None and option.default is None) or (option.traced and hasattr(value, "aval")):  # a jax array
    return value
  if option.type is float and is_number(value):
    value = _float(value)
  elif option.type is int and is_number(value) and value == value // 1:  # NaN and infinity are not
    value = int(value)
  elif option.type is str and type(value) is int:  # from a command line, where a folder may be called 2024
    value = str(value)
  what = f"option {name!r} of {entry.kind} {entry.name!r}"
  if type(value) is not option.type or (isinstance(value, str) and not is_text(value)):
    raise BadInput(f"{what} expected {option.range}, got {shown(value)}")
  if option.choices and value not in option.choices:
    raise unknown(f"value of {what}:", value, option.choices)
  if isinstance(value, (int, float)) and not in_range(option, value):
    raise BadInput(f"{what} expected {option.range}, got {shown(value)}")
  return value


def in_range(option: Option, value: float) -> bool:
  """Whether a number is finite in float32 (or int32) and within the option's bounds."""
  largest = LARGEST_INT if option.type is int else LARGEST
  inside = option.low <= value <= option.high and option.above < value < option.below
  return inside and abs(value) <= largest


def is_text(value: str) -> bool:
  """Whether a string can be stored in a file and used as a file name: no NUL, no lone surrogate."""
  return "\0" not in value and value == value.encode("utf-8", "replace").decode()


def is_number(value: Any) -> bool:
  """Whether it is a number and not a bool."""
  return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _float(value: Any) -> float:
  try:
    return float(value)
  except OverflowError:
    return math.inf


class Registry(dict[str, Entry]):
  """Entries by name, in the order of registration.

  Args:
    kind: how messages call an entry: 'loss', 'model', ...
    protocol: the names of the arguments that every builder is called with.
    traced: whether options are traced: 'never'; 'always' (then they are numbers); 'may' (each option states it).
    meanings: names of the entries that are common elsewhere, as in `errors.unknown`.
  """

  def __init__(
    self, kind: str, protocol: tuple[str, ...], traced: str = "never", meanings: Mapping[str, str] | None = None
  ):
    super().__init__()
    self.kind, self.protocol, self.traced, self.meanings = kind, protocol, traced, meanings
    self.also: tuple[str, ...] = ()  # names that a config can use although they are not entries, such as 'none'
    self.compose: Callable[[str], Entry] | None = (
      None  # makes an entry from a composed name, such as a transformed loss
    )

  def register(self, name: str | None = None, facts: Any = None) -> Callable[[Builder], Builder]:
    """Decorator: register a builder, by default under its own name. Raises `BadInput` as `enter` does."""

    def decorate(builder: Builder) -> Builder:
      self.enter(name or builder.__name__, builder, facts)
      return builder

    return decorate

  def enter(self, name: str, builder: Builder, facts: Any = None, protocol: tuple[str, ...] | None = None) -> Entry:
    """Register a builder under a name, which may be any text: user code is registered as `my_models.py:small_resnet`.

    Args:
      name: the name in configs.
      builder: see the top of this file.
      facts: stored as `Entry.facts`.
      protocol: if it differs from the registry's, as for the kinds of penalties.

    Raises:
      BadInput: another builder has this name, or the builder does not fit the registry's protocol.
    """
    if name in self and self[name].builder is not builder:
      raise BadInput(f"the {self.kind} {name!r} is registered twice")
    if not callable(builder):
      raise BadInput(f"the {self.kind} {name!r} expected a function, got {type(builder).__name__} {shown(builder)}")
    same = next((entry for entry in self.values() if entry.builder is builder), None)
    if same is not None:  # decorated in its own file, and now named by a config
      self[name] = same._replace(name=name)
      return self[name]
    first = (inspect.getdoc(builder) or "").strip().split("\n")[0]
    options = self._options(name, builder, self.protocol if protocol is None else protocol)
    self[name] = Entry(self.kind, name, builder, options, first, facts)
    return self[name]

  def get(self, name: str, *default: Any) -> Any:
    """The entry of that name. For an unknown name: the default if given, else raises `BadInput` with the nearest name."""
    if name in self or default:
      return super().get(name, *default)
    if self.compose is not None:
      return self.compose(name)
    raise unknown(self.kind, name, [*self.also, *self], self.meanings)

  @property
  def own(self) -> list[str]:
    """The names of gan_jax's own entries, without user code (`mine.py:name`)."""
    return [name for name in self if ":" not in name]

  def complete(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of an entry, as `Entry.complete`. Also raises `BadInput` for an unknown name."""
    return self.get(name).complete(given)

  def _options(self, name: str, builder: Builder, protocol: tuple[str, ...]) -> dict[str, Option]:
    """The options: the parameters after the protocol's. Raises `BadInput` for a builder that does not fit the protocol."""
    parameters = list(inspect.signature(builder).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    takes_all = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    own = positional[: len(protocol)]
    rest = [p for p in parameters if p not in own and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    bare = [p.name for p in rest if p.default is p.empty]
    if (len(own) < len(protocol) and not takes_all) or bare:
      more = f"; {', '.join(bare)} would be options and have no default" if bare else ""
      raise BadInput(
        f"the {self.kind} {name!r} expected a function of ({', '.join(protocol)}) and of options with defaults, "
        f"got one of ({', '.join(p.name for p in parameters)}){more}"
      )
    hints = _hints(builder)
    return {p.name: self._option(name, p, hints.get(p.name, p.annotation)) for p in rest}

  def _option(self, name: str, parameter: inspect.Parameter, annotation: Any) -> Option:
    about, default = described(annotation), parameter.default
    traced = {"always": True, "never": False}.get(self.traced, bool(about.traced))
    if self.traced == "always" and type(default) is int:
      default = float(default)
    kind = float if default is None else type(default)
    fits = kind in ((float,) if self.traced == "always" else PLAIN)
    if not fits or (about.traced and not traced) or (traced and kind is str):
      numeric = " that are numbers" if self.traced == "always" else ""
      raise BadInput(
        f"the {self.kind} {name!r} expected options with defaults{numeric} (None, numbers, truths or text) and "
        f"{self.traced} traced, got {parameter.name}={shown(parameter.default)}"
      )
    return about._replace(type=kind, default=default, traced=traced)


def import_modules(package: str, folders: Iterable[str]) -> None:
  """Import every module of a package in the order of their names, so that their entries are registered.

  A new file in the package's folder is found without being listed. Packages within the package are not imported.

  Args:
    package: its `__name__`.
    folders: its `__path__`.
  """
  for module in pkgutil.iter_modules(folders):
    if not module.ispkg:
      importlib.import_module(f"{package}.{module.name}")


def described(annotation: Any) -> Option:
  """The `Option` in an annotation `Annotated[type, Option(...)]`; an empty `Option` if there is none."""
  found = [extra for extra in getattr(annotation, "__metadata__", ()) if isinstance(extra, Option)]
  return found[0] if found else Option()


def _hints(builder: Builder) -> dict[str, Any]:
  try:
    return typing.get_type_hints(builder, include_extras=True)
  except Exception:  # user code may annotate with names that exist for type checkers only
    return {}
