"""What a table says of the code and the machine that made it, and how time and memory are taken.

It needs PyTorch alone: other people's code is measured where this book's is not installed.
"""

import multiprocessing
import platform
import resource
import statistics
import subprocess
import time
from pathlib import Path

import torch

REPEATS = 5  # times of each, of which the median counts
MATRIX, GPU_MATRIX = 1024, 8192  # side of the matrices whose product is the machine's rate
CPU = torch.device("cpu")
STATUS = Path("/proc/self/status")  # on Linux


def commit(folder: Path = Path(__file__).parent) -> str:
    """Of the code that runs, or of that in another folder, short."""
    asked = ["git", "rev-parse", "--short", "HEAD"]
    told = subprocess.run(asked, cwd=folder, capture_output=True, text=True)
    return told.stdout.strip()


def once(function, device: torch.device = CPU) -> float:
    """The time of a call, with all that it has told the device to do."""
    began = time.perf_counter()
    function()
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter() - began


def seconds(function, repeats: int = REPEATS, device: torch.device = CPU) -> float:
    """The median time of a call, after one to warm up."""
    once(function, device)
    return statistics.median(once(function, device) for _ in range(repeats))


def matrix_rate(dtype: torch.dtype = torch.float32, device: torch.device = CPU) -> float:
    """Floating-point operations a second of a product of matrices."""
    # A GPU multiplies in a moment, and needs many of them to raise its clock.
    side, repeats = (MATRIX, 9) if device.type == "cpu" else (GPU_MATRIX, 30)
    left, right = (torch.randn(side, side, dtype=dtype, device=device) for _ in range(2))
    return 2 * side**3 / seconds(lambda: left @ right, repeats, device)


def most_held() -> int:
    """The most memory that this process has held, bytes."""
    if STATUS.exists():  # where ru_maxrss begins with what the process that started this one held
        return 1024 * int(STATUS.read_text().partition("VmHWM:")[2].split()[0])
    unit = 1 if platform.system() == "Darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def alone(function, *arguments):
    """The result of a call in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def processor() -> str:
    """The processor as the system names it, and the kernels that PyTorch chose for it."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
