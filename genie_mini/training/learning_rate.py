"""The learning rate at each step."""

import math


def current_restart(starts: list[int], step: int) -> int:
    """Which of the stretches between `starts` a step falls in, from 0; the last entry ends the last
    one.
    """
    return max(0, sum(start <= step for start in starts[:-1]) - 1)


def learning_rate(step: int, start: int, stop: int, peak: float, warmup_steps: int) -> float:
    """The rate at a step: a linear rise over `warmup_steps` from `start`, then a cosine down to
    peak / 50 at `stop`.
    """
    done = step - start
    if done < 0:
        return 0.0
    warmup_steps = min(warmup_steps, (stop - start) // 2)
    if done < warmup_steps:
        return peak * (done + 1) / warmup_steps
    progress = (done - warmup_steps) / max(1, stop - start - warmup_steps)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
