"""What a table says of the code and the machine that made it."""

import platform
import subprocess
from pathlib import Path

import torch


def commit() -> str:
    """Of the code that runs, short."""
    asked = ["git", "rev-parse", "--short", "HEAD"]
    told = subprocess.run(asked, cwd=Path(__file__).parent, capture_output=True, text=True)
    return told.stdout.strip()


def processor() -> str:
    """The processor as the system names it, and the kernels that PyTorch chose for it."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
