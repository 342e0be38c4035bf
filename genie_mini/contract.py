"""What the public doors ask of the values that come in, each kind in one place.

Doors are what people call: encode, infer, loss, play, evaluate, export, and the making of a
configuration. Behind them nothing is asked again, least of all within the steps of MaskGIT. A check
is one pass over the values. Where there are none to look at (torch's meta device) it stops at type
and shape; while torch translates (compile, export) nothing is checked.
"""

import math
import numbers
import operator
import os
import reprlib
from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from genie_mini.errors import GenieError

# Below it, logits divided by a temperature leave float32; 0 is the limit, and its own case.
LOWEST_TEMPERATURE = 1e-6
# Bytes of a file's name that every system takes.
LONGEST_NAME = 255


def shown(value: Any) -> str:
    """A value as an error shows it, never long."""
    try:
        return reprlib.repr(value)
    except ValueError:  # an integer of thousands of digits
        return f"one of type {type(value).__name__}"


def check_integer(name: str, value: Any, low: int, high: int | None = None, told: str = "") -> int:
    """An integer in [low, high], of Python, NumPy or torch, as an int; 3.0 and True are none.

    `told` is what the error says of those that are accepted, if not the range.
    """
    try:
        is_bool = isinstance(value, bool) or getattr(value, "dtype", None) == torch.bool
        number = None if is_bool else operator.index(value)
    except (TypeError, RuntimeError):  # torch raises both
        number = None
    if number is None or number < low or (high is not None and number > high):
        accepted = f"be {low} or more" if high is None else f"lie in [{low}, {high}]"
        told = told or f"{name} must {accepted}, an integer"
        raise GenieError(f"{told}, got {shown(value)}")
    return number


def check_number(name: str, value: Any, low: float, high: float) -> float:
    """A real number in [low, high], of Python or NumPy, as a float; True is none, nor is NaN."""
    try:
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        number = float(value) if is_number else math.nan
    except OverflowError:
        number = math.inf
    if not low <= number <= high or math.isinf(number):
        raise GenieError(f"{name} must lie in [{low:g}, {high:g}], got {shown(value)}")
    return number


def check_choice(name: str, value: Any, choices: Collection[str]) -> str:
    """One of these words."""
    if not isinstance(value, str) or value not in choices:
        raise GenieError(f"{name} is one of {', '.join(choices)}, got {shown(value)}")
    return value


def check_path(name: str, path: Any) -> str | Path:
    """The path of a file or folder, or the name of weights, which a system can be asked for."""
    fits = isinstance(path, str | Path) and str(path) and "\0" not in str(path)
    try:
        fits = fits and all(len(os.fsencode(part)) <= LONGEST_NAME for part in Path(path).parts)
    except UnicodeEncodeError:
        fits = False
    if not fits:
        raise GenieError(f"{name} must be a path, got {shown(path)}")
    return path


def check_seed(seed: Any) -> int:
    """A seed, an integer that torch and NumPy can take."""
    return check_integer("seed", seed, 0, 2**63 - 1)


def check_temperature(temperature: Any) -> float:
    """A temperature of sampling: 0, or from `LOWEST_TEMPERATURE` up."""
    try:
        number = check_number("temperature", temperature, 0, math.inf)
    except GenieError:
        number = math.nan
    if not (number == 0 or number >= LOWEST_TEMPERATURE):
        raise GenieError(
            f"temperature must be 0 or more, and at least {LOWEST_TEMPERATURE:g} if it is not 0, "
            f"got {shown(temperature)}"
        )
    return number


def check_min_p(min_p: Any) -> float:
    """The least share of the likeliest token's probability that a token must have to be drawn."""
    return check_number("min_p", min_p, 0, 1)


def check_callable(name: str, value: Any, *, optional: bool = False) -> None:
    """Something that can be called."""
    if not (callable(value) or (optional and value is None)):
        raise GenieError(f"{name} must be a function, got {shown(value)}")


def check_parts(genie: Any, *parts: str) -> None:
    """A `Genie`, or what stands in for one with these attributes, such as an `ExportedGenie`."""
    if not all(hasattr(genie, part) for part in parts):
        raise GenieError(f"a Genie is needed, got {shown(genie)}")


def is_dense(tensor: Tensor) -> bool:
    """Whether it is neither sparse nor nested, so that it can be cut anywhere."""
    return tensor.layout == torch.strided and not tensor.is_nested


def check_tensor(
    expected: str,
    values: Any,
    shape: Sequence[int | str] | None,
    dtype: torch.dtype,
    device: torch.device | None = None,
) -> Tensor:
    """A tensor of this shape and dtype, brought to the device.

    Args:
        expected: what the error says of it, "frames must be ...".
        values: what was given.
        shape: its axes, those that may have any length but 0 by a name; None: any shape.
        dtype: its type; nothing is converted, so that no range is mistaken for another.
        device: where the network is that will compute with it; None: where it is.
    """
    if not isinstance(values, Tensor):
        raise GenieError(f"{expected}, a torch tensor, got {type(values).__name__}")
    if not is_dense(values):
        raise GenieError(f"{expected}, a dense tensor, got {values.layout}")
    if shape is not None:
        lengths = zip(values.shape, shape, strict=False)
        fits = all(
            found == wanted if isinstance(wanted, int) else found > 0 for found, wanted in lengths
        )
        if len(values.shape) != len(shape) or not fits:
            raise GenieError(f"{expected}, got shape {tuple(values.shape)}")
    if values.dtype != dtype:
        hint = "; divide bytes by 255 first" if values.dtype == torch.uint8 else ""
        raise GenieError(f"{expected}, {dtype}, got {values.dtype}{hint}")
    if device is None or values.device == device:
        return values
    if values.is_meta:
        raise GenieError(f"{expected}, got a tensor of the meta device, which holds no values")
    return values.to(device)


def check_range(expected: str, values: Tensor, low: float, high: float) -> None:
    """Values in [low, high], NaN being in no range; not looked at on the meta device."""
    if values.numel() and not values.is_meta:
        lowest, highest = (extreme.item() for extreme in torch.aminmax(values.detach()))
        if not low <= lowest <= highest <= high:
            raise GenieError(f"{expected}, got values from {lowest:.4g} to {highest:.4g}")


def check_frames(
    frames: Any,
    image_size: tuple[int, int],
    device: torch.device | None = None,
    *,
    fewest: int = 1,
) -> Tensor:
    """Frames, (batch, time, height, width, 3) float32 in [0, 1], brought to the device.

    Args:
        frames: what was given.
        image_size: (height, width) of a frame, pixels.
        device: where the network is that sees them; None leaves them where they are.
        fewest: frames that a clip must have.

    Raises:
        GenieError: they are something else; it says what, and what is accepted.
    """
    if torch.compiler.is_compiling():
        return frames
    height, width = image_size
    expected = f"frames must be (batch, time, {height}, {width}, 3) floats in [0, 1]"
    shape = ("batch", "time", height, width, 3)
    frames = check_tensor(expected, frames, shape, torch.float32, device)
    if frames.shape[1] < fewest:
        number = {2: "two"}.get(fewest, fewest)
        raise GenieError(f"clips of at least {number} frames are needed, got {frames.shape[1]}")
    check_range(expected, frames, 0, 1)
    return frames


def check_indices(
    name: str,
    indices: Any,
    shape: Sequence[int | str] | None,
    limit: int,
    device: torch.device | None = None,
    told: str = "",
) -> Tensor:
    """Tokens or latent actions, int64 in [0, limit), brought to the device.

    Args:
        name: what they are called.
        indices: what was given.
        shape: see `check_tensor`.
        limit: the first number that there is not.
        device: where the network is; None leaves them where they are.
        told: the shape as the error names it, if not by the lengths themselves.

    Raises:
        GenieError: they are something else; it says what, and what is accepted.
    """
    if torch.compiler.is_compiling():
        return indices
    if shape is not None and not told:
        told = f" ({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
    indices = check_tensor(f"{name} must be{told} int64", indices, shape, torch.int64, device)
    if indices.numel() and not indices.is_meta:
        lowest, highest = (int(extreme) for extreme in torch.aminmax(indices))
        if not 0 <= lowest <= highest < limit:
            raise GenieError(f"{name} must lie in [0, {limit}), got {lowest} to {highest}")
    return indices


def check_config(config: Any, **limits: tuple[float, float]) -> None:
    """A configuration's fields, each of the type that its annotation names and numbers within their
    limits; lists become tuples, NumPy's numbers Python's.

    Args:
        config: a dataclass, as it is being made.
        limits: for each field of numbers the lowest and the highest.

    Raises:
        GenieError: a field holds something else.
    """
    kinds = get_type_hints(type(config))
    for field in fields(config):
        value = getattr(config, field.name)
        checked = _check_field(field.name, value, kinds[field.name], limits.get(field.name))
        object.__setattr__(config, field.name, checked)  # it is frozen for everyone else


def _told(kind: Any) -> str:
    """What a tuple of this kind is called in an error."""
    kinds = get_args(kind)
    return f"a list, each {_told(kinds[0])}" if kinds[-1] is Ellipsis else f"{len(kinds)} numbers"


def _check_field(name: str, value: Any, kind: Any, limits: Any) -> Any:
    if get_origin(kind) is UnionType:  # something, or None
        return None if value is None else _check_field(name, value, get_args(kind)[0], limits)
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        if kinds[-1] is Ellipsis and isinstance(value, tuple | list):  # as many as there are
            kinds = kinds[:1] * len(value)
        if not isinstance(value, tuple | list) or len(value) != len(kinds):
            raise GenieError(f"{name} must be {_told(kind)}, got {shown(value)}")
        return tuple(_check_field(name, *pair, limits) for pair in zip(value, kinds, strict=True))
    if kind is int:
        return check_integer(name, value, *limits)
    if kind is float:
        return check_number(name, value, *limits)
    if not isinstance(value, kind):
        wanted = "a word" if kind is str else f"a {kind.__name__}"
        raise GenieError(f"{name} must be {wanted}, got {shown(value)}")
    return value
