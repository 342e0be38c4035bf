"""A device that every machine has: it computes on the CPU, and like a GPU refuses to mix its
tensors with those of the CPU.

Within `FakeDevice()`, `tensor.to("meta")` goes there and `.cpu()` comes back; torch's own name
"meta" stands for the device, since torch admits no other without a driver. What NumPy or an
operation gets from the wrong side is an error, as it would be on a GPU.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

CPU, FAKE = torch.device("cpu"), torch.device("meta")


class Elsewhere(torch.Tensor):
    """A tensor on the fake device; `here` holds its numbers."""

    @staticmethod
    def __new__(cls, here):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            dtype=here.dtype,
            device=FAKE,
            requires_grad=here.requires_grad,
        )
        made.here = here
        return made

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _dispatch(function, args, kwargs or {})


def _dispatch(function, args, kwargs):
    # What torch's operations are given are values and lists of values, and no deeper.
    given = [*args, *kwargs.values()]
    flat = [one for value in given for one in (value if isinstance(value, list) else (value,))]
    there = [value for value in flat if isinstance(value, Elsewhere)]
    if there:
        mixed = [
            value
            for value in flat
            if isinstance(value, torch.Tensor) and not isinstance(value, Elsewhere) and value.ndim
        ]
        copying = function.overloadpacket in (torch.ops.aten.copy_, torch.ops.aten._to_copy)
        assert copying or not mixed, (
            f"{function}: tensors of the fake device beside one of the CPU, {tuple(mixed[0].shape)}"
        )
    target = FAKE if there else None
    if kwargs.get("device") is not None:
        target = torch.device(kwargs["device"])
    elif function.overloadpacket is torch.ops.aten.copy_:
        target = FAKE if isinstance(args[0], Elsewhere) else None
    on_fake = target is not None and target.type == FAKE.type
    result = function(*map(_here, args), **{name: _here(kwargs[name]) for name in kwargs})
    if not on_fake:
        return result
    # an operation in place returns the tensor it changed
    originals = {id(value.here): value for value in there}

    def place(value):
        if not isinstance(value, torch.Tensor):
            return value
        return originals[id(value)] if id(value) in originals else Elsewhere(value)

    return place(result) if isinstance(result, torch.Tensor) else tree_map(place, result)


def _here(value):
    """A value as an operation on the CPU is given it."""
    if isinstance(value, list):
        return [_here(one) for one in value]
    if isinstance(value, Elsewhere):
        return value.here
    return CPU if isinstance(value, torch.device) and value == FAKE else value


class FakeDevice(TorchDispatchMode):
    """Within it the fake device exists."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _dispatch(function, args, kwargs or {})


def move(module: torch.nn.Module) -> torch.nn.Module:
    """Bring a module's parameters and buffers to the fake device, in place."""
    for part in module.modules():
        for name, parameter in list(part._parameters.items()):
            if parameter is not None:
                part._parameters[name] = torch.nn.Parameter(
                    Elsewhere(parameter.detach()), requires_grad=parameter.requires_grad
                )
        for name, buffer in list(part._buffers.items()):
            if buffer is not None:
                part._buffers[name] = Elsewhere(buffer)
    return module
