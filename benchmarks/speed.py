"""How fast the parts are: run on an idle machine; compare only figures of one run.

python benchmarks/speed.py
"""

import time

import torch

from genie_mini.genie import Genie
from genie_mini.rollout import PlaySession, Rollout
from genie_mini.world import record


def seconds(function, repeats=5):
    """The median time of a call, after one to warm up."""
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return sorted(times)[repeats // 2]


def training_seconds(step):
    """Time of a forward and backward pass."""
    return seconds(lambda: step()["loss"].backward(), repeats=3)


@torch.no_grad()
def without_cache(genie, frames, maskgit_steps=8):
    """One frame drawn as without a cache: every round runs the whole window."""
    tokens, actions = genie.tokenizer.encode(frames), genie.latent_action_model.infer(frames)
    for _ in range(maskgit_steps):
        genie.dynamics(tokens, actions)
    genie.tokenizer.decode(tokens)


def main():
    """Print the figures."""
    torch.manual_seed(0)
    genie = Genie.from_preset("mini").eval()
    print(f"{torch.get_num_threads()} threads")
    print(f"world: {256 * 16 / seconds(lambda: record(256, 16)):.0f} frames a second")
    frames = torch.from_numpy(record(4, 16)[0])
    tokens, actions = genie.tokenizer.encode(frames), genie.latent_action_model.infer(frames)
    genie.train()
    for dtype in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            print(f"training, seconds for 4 clips of 16 frames, {dtype}:")
            print(f"  tokenizer {training_seconds(lambda: genie.tokenizer(frames)):.2f}")
            print(
                "  latent action model "
                f"{training_seconds(lambda: genie.latent_action_model(frames)):.2f}"
            )
            print(
                f"  dynamics {training_seconds(lambda: genie.dynamics.loss(tokens, actions)):.2f}"
            )
    session = PlaySession(genie, frames[0, :15])
    cached, uncached = (
        seconds(lambda: session.step(0), repeats=20),
        seconds(lambda: without_cache(genie, frames[:1])),
    )
    print(
        f"play: {1 / cached:.1f} frames a second; without a cache {1 / uncached:.1f}, "
        f"{uncached / cached:.1f} times slower"
    )
    rollout = Rollout(genie, frames[:, :15])
    actions = torch.zeros(4, dtype=torch.int64)
    print(
        f"four worlds at once: {4 / seconds(lambda: rollout.step(actions), repeats=20):.1f} "
        "frames a second"
    )


if __name__ == "__main__":
    main()
