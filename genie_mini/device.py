"""Which processor, which precision, how many threads: decided here, by what the machine has or by
measurement, and nowhere else.
"""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from genie_mini.contract import check_choice, check_integer
from genie_mini.errors import GenieError

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16")

# Play of a model this small: two threads drew 12.0 frames a second, one 11.7; beside another busy
# program two fell to 0.3, since each step waits for the slower of them (two AVX2 cores). So play
# keeps to one.
PLAY_THREADS = 1
_MOST_WORKERS = 8  # that prepare clips

# A forked process (Gymnasium's asynchronous vector environments are such) has none of the threads
# that torch's operations ran on, and would wait for them for ever. So it computes with its own.
if hasattr(os, "register_at_fork"):  # on Windows nothing forks
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def choose_device(name: str = "auto") -> torch.device:
    """The device of this name; "auto" is a GPU where there is one. Of the processes that `torchrun`
    has started each gets a GPU of its own.

    Raises:
        GenieError: the name is none of `DEVICES`, or this machine has no such device, or too few.
    """
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if check_choice("a device", name, DEVICES) == "auto":
        name = "cuda" if available["cuda"] else "mps" if available["mps"] else "cpu"
    if not available[name]:
        there = ", ".join(device for device, found in available.items() if found)
        raise GenieError(f"this machine (or this torch) has no {name} device; it has {there}")
    process = os.environ.get("LOCAL_RANK")  # of this machine, where torchrun has started several
    if name != "cuda" or process is None:
        return torch.device(name)
    if int(process) >= torch.cuda.device_count():
        raise GenieError(
            f"each process needs a GPU of its own, and this machine has {torch.cuda.device_count()}"
        )
    return torch.device(name, int(process))


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies matrices of bfloat16 in hardware.

    Elsewhere bfloat16 is emulated: on an AVX2 processor a training step took 6 to 11 times as long
    as in float32.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # What oneDNN may use depends on its settings too.
    if device.type != "cpu" or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.cpu._is_avx512_bf16_supported()  # torch before 2.10 has no public word for it


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The type that matrices are multiplied in: torch.float32 or torch.bfloat16; "auto" is bfloat16
    where the hardware has it.

    Raises:
        GenieError: the name is none of `PRECISIONS`.
    """
    check_choice("a precision", name, PRECISIONS)
    return (
        torch.bfloat16 if name == "bf16" or (name == "auto" and has_bf16(device)) else torch.float32
    )


def computing_in(
    dtype: torch.dtype, device: torch.device, *, keep_casts: bool = True
) -> AbstractContextManager:
    """A context in which networks multiply matrices in this type; their weights stay float32.

    Weights in the other type are kept until it ends, unless `keep_casts` is false, as where no
    process shall hold all of them.
    """
    if dtype == torch.float32:
        return in_float32(device)
    return torch.autocast(device.type, dtype, cache_enabled=keep_casts)


def in_float32(device: torch.device) -> AbstractContextManager:
    """A context in which everything is computed in float32, whatever the networks around it compute
    in.

    What training and play must agree on to the bit stands in it: which code is nearest, for one.
    """
    if not torch.amp.is_autocast_available(device.type):  # as on torch's meta device
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def clip_workers(device: torch.device) -> int:
    """Processes that prepare clips while the device learns from earlier ones.

    None for the CPU: it learns on all its cores, and filming a batch takes a fiftieth of a step.
    None on a Mac: there a process that has used its GPU must not fork.
    """
    if device.type != "cuda" or "fork" not in multiprocessing.get_all_start_methods():
        return 0
    # Those that torchrun has started on this machine share its cores.
    cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(_MOST_WORKERS, cores // 2))


def attending(device: torch.device) -> AbstractContextManager:
    """A context for attention: on a CPU in float32, where its backward pass in bfloat16 is several
    times slower; elsewhere in whatever the networks around it compute in.
    """
    return in_float32(device) if device.type == "cpu" else nullcontext()


@contextmanager
def float32_weights() -> Iterator[None]:
    """A context, or a decorator, in which networks are made in float32, whatever torch's default
    type is: a seed gives the same weights.
    """
    before = torch.get_default_dtype()
    if before == torch.float32:  # nothing global is touched where nothing must be
        yield
        return
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many threads in this context."""
    check_integer("threads", count, 1, 1024)
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
