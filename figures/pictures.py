"""Draw the README's pictures: the world as it is, as the shipped weights dream it, and the page on
which it is played.

    python figures/pictures.py

writes world.png (four levels of the platformer), played.gif (a real level on the left, on the right
the same play dreamt by the shipped Genie from the first frame and the latent actions alone) and
page.png (the first page of the built book, being played in Chromium) beside this file.
"""

import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from playwright.sync_api import sync_playwright

from genie_mini import Genie
from genie_mini.rollout import Rollout
from genie_mini.world import HELD_OUT_SEED, Simulation, record
from genie_mini.world.levels import build_level
from genie_mini.world.simulation import JUMP, RIGHT
from genie_mini.world.sprites import PALETTES

HERE = Path(__file__).parent
SCALE = 4
GAP = 4  # pixels between pictures, before scaling


def enlarge(picture):
    """Scale a (height, width, 3) uint8 picture up, crisp."""
    return Image.fromarray(picture).resize(
        (picture.shape[1] * SCALE, picture.shape[0] * SCALE), Image.Resampling.NEAREST
    )


def one_level_a_palette():
    """The first held-out level of each palette."""
    seeds = {}
    for seed in range(HELD_OUT_SEED, HELD_OUT_SEED + 100):
        seeds.setdefault(build_level(seed).palette, seed)
    return [seeds[palette] for palette in range(len(PALETTES))]


def draw_world():
    """Four levels, a few seconds into each."""
    simulation = Simulation(one_level_a_palette())
    for step in range(36):
        simulation.step(np.full(len(PALETTES), JUMP if step % 12 == 4 else RIGHT))
    frames = [
        np.pad(frame, ((0, 0), (0, GAP), (0, 0)), constant_values=255)
        for frame in simulation.frames()
    ]
    enlarge(np.concatenate(frames, axis=1)[:, :-GAP]).save(HERE / "world.png")


def draw_played():
    """Sixty-four frames of one level, real and dreamt."""
    genie = Genie.from_pretrained("mini")
    frames = torch.from_numpy(record(1, 65, seed=4, held_out=True, from_start=True)[0])
    windows = [frames[:, max(0, t - 15) : t + 2] for t in range(64)]
    actions = [genie.latent_action_model.infer(window)[:, -1] for window in windows]
    rollout = Rollout(genie, frames[:, :1])
    dreamt = [rollout.frames[0]] + [rollout.step(action)[0] for action in actions]
    gap = np.full((64, GAP, 3), 255, dtype=np.uint8)
    pictures = []
    for real, dream in zip(frames[0], dreamt, strict=True):
        real, dream = (
            (picture.numpy() * 255).round().astype(np.uint8) for picture in (real, dream)
        )
        pictures.append(enlarge(np.concatenate([real, gap, dream], axis=1)))
    pictures[0].save(
        HERE / "played.gif", save_all=True, append_images=pictures[1:], duration=100, loop=0
    )


def draw_page():
    """The player on the first page, after a walk to the right."""
    address = (HERE.parent / "_build" / "html" / "index.html").as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            args=["--no-sandbox"], executable_path=shutil.which("chromium")
        )
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(address)
        page.locator("genie-player .cover").click()
        page.wait_for_function("document.querySelector('genie-player').started")
        page.keyboard.down("ArrowRight")
        page.wait_for_function("document.querySelector('genie-player').count >= 24")
        page.locator("genie-player").evaluate("element => element.scrollIntoView()")
        page.screenshot(path=HERE / "page.png")
        browser.close()


if __name__ == "__main__":
    draw_world()
    draw_played()
    draw_page()
