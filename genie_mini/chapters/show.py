"""What the chapters show things with: pictures, a slider over pictures, the player, and the map of
the system.

Everything here becomes plain HTML in the page, so it works without a kernel and offline. What there
is to see in a picture stands in the metadata of its cell; the build puts it in for `alt=""`.
"""

import base64
import html
import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import HTML
from matplotlib.figure import Figure
from PIL import Image

from genie_mini.chapters.plots import PARTS
from genie_mini.genie import Genie
from genie_mini.play.images import to_uint8
from genie_mini.play.prompts import level_picture, saved_prompts
from genie_mini.play.widget import Player, page_player, player_options, recorded_game
from genie_mini.world import HELD_OUT_SEED


def _source(picture, scale):
    """The data URI of a matplotlib figure, or of an array (height, width, 3) of floats in [0, 1],
    enlarged: WebP without loss, since the notebooks are committed with it.
    """
    file, options = io.BytesIO(), {"lossless": True, "method": 4}
    if isinstance(picture, Figure):
        picture.savefig(file, format="webp", facecolor="white", pil_kwargs=options)
        plt.close(picture)
    else:
        pixels = to_uint8(torch.as_tensor(np.asarray(picture)).clamp(0, 1))
        large = Image.fromarray(pixels.repeat(scale, axis=0).repeat(scale, axis=1))
        large.save(file, format="webp", **options)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def picture(figure: Figure | np.ndarray, scale: int = 4) -> HTML:
    """Show one picture: a matplotlib figure, or a frame (height, width, 3) so many times larger."""
    return HTML(f'<img src="{_source(figure, scale)}" alt="" style="image-rendering:pixelated">')


def strip(frames: Sequence, gap: int = 2) -> np.ndarray:
    """Put frames (n, height, width, 3) side by side into one picture, with white gaps."""
    padded = np.pad(np.asarray(frames), ((0, 0), (0, 0), (0, gap), (0, 0)), constant_values=1.0)
    return np.concatenate(list(padded), axis=1)[:, :-gap]


def grid(rows: Sequence, gap: int = 2) -> np.ndarray:
    """Put rows of frames, each as `strip` takes it, below one another, with white gaps."""
    strips = [
        np.pad(strip(row, gap), ((0, gap), (0, 0), (0, 0)), constant_values=1.0) for row in rows
    ]
    return np.concatenate(strips)[:-gap]


_SLIDES = """<figure class="genie-slides" style="margin:0.5em 0">
<img src="{first}" alt="" style="image-rendering:pixelated;max-width:100%">
<div><label>{name} <input type="range" min="0" max="{last}" value="{start}" style="width:min(60%,20em);vertical-align:middle"
aria-valuetext="{label}" oninput="const figure=this.closest('figure'),data=JSON.parse(figure.querySelector('script').textContent);
figure.querySelector('img').src=data.pictures[this.value];figure.querySelector('output').textContent=data.labels[this.value];
this.setAttribute('aria-valuetext',data.labels[this.value])"></label> <output>{label}</output></div>
<script type="application/json">{data}</script></figure>"""


def slides(
    pictures: Mapping[object, Figure | np.ndarray], *, name: str, start: int = 0, scale: int = 4
) -> HTML:
    """Show one of several pictures, chosen with a slider that works by mouse and keyboard.

    Args:
        pictures: matplotlib figures, or frames (height, width, 3), computed beforehand, by what the
            slider stands at.
        name: what the slider changes.
        start: which picture comes first.
        scale: how many times larger to show frames.
    """
    sources = [_source(picture, scale) for picture in pictures.values()]
    labels = [str(label) for label in pictures]
    return HTML(
        _SLIDES.format(
            first=sources[start],
            name=html.escape(name),
            last=len(sources) - 1,
            start=start,
            label=html.escape(labels[start], quote=True),
            data=json.dumps({"pictures": sources, "labels": labels}).replace("<", "\\u003c"),
        )
    )


LEVEL = HELD_OUT_SEED + 5  # in which the pages' game is played
GAME = (
    ["right"] * 6
    + ["jump right"]
    + ["right"] * 5
    + ["dash right"] * 5
    + ["nothing"] * 3
    + ["jump"]
    + ["left"] * 8
)
GAME += ["jump left"] + ["dash left"] * 4 + ["right"] * 6 + ["jump right"] + ["dash right"] * 8


def player(
    genie: Genie,
    names: list[str] | None,
    *,
    form: str = "play",
    plan: Sequence[str] = (),
    weights: str = "mini",
) -> HTML | Player:
    """A learnt world to play. The built book's pages play it by themselves; in a notebook that
    somebody runs, the kernel does.

    Args:
        genie: the weights that ship under that name, which is what the pages play.
        names: what each latent action means; None if nobody knows.
        form: see `genie_mini.play.widget.player_options`.
        plan: names of real actions: a game to replay beside the true one, in `LEVEL`.
        weights: a key of `widget.PAGE_FILES`.
    """
    recording = recorded_game(list(plan), names or [], LEVEL) if plan else None
    prompts = saved_prompts(weights, genie.config.tokenizer.image_size) or None
    options: dict[str, Any] = {"form": form, "prompts": prompts, "recording": recording}
    if "GENIE_PAGE" not in os.environ:
        return Player(genie, action_names=names, **options)
    begin = prompts[0] if prompts else level_picture(LEVEL, genie.config.tokenizer.image_size)
    session = genie.play(begin, seed=0)
    pressed = names.index("dash right") if names else 0
    frames = [session.frame] + [session.step(pressed) for _ in range(7)]
    return page_player(
        player_options(genie, **options, action_names=names, weights=weights),
        torch.stack(frames),
        alt="",
    )


# Boxes of the map: part, text, x, y, width.
_BOXES = {
    "video": ("neutral", "video", 0, 50, 80),
    "tokenizer": ("tokenizer", "tokenizer", 130, 15, 110),
    "action": ("action", "latent actions", 130, 90, 110),
    "dynamics": ("dynamics", "dynamics", 300, 50, 100),
    "memory": ("memory", "memory", 300, 0, 100),
    "play": ("neutral", "next frame", 470, 50, 110),
}
_ARROWS = (
    (80, 62, 130, 34),
    (80, 70, 130, 104),
    (240, 32, 300, 60),
    (240, 106, 300, 78),
    (350, 50, 350, 30),
    (400, 65, 470, 65),
)


def you_are_here(*parts: str) -> HTML:
    """The map of the system with some of its boxes filled: video, tokenizer, action, dynamics,
    memory, play.
    """
    shapes = []
    for x1, y1, x2, y2 in _ARROWS:
        shapes.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="currentColor" '
            'stroke-opacity=".5"/>'
        )
    for name, (part, text, x, y, width) in _BOXES.items():
        here, colors = name in parts, PARTS[part]["light"]
        fill = f"var(--genie-{part}-fill,{colors['fill']})" if here else "none"
        ink = f"var(--genie-{part}-text,{colors['text']})" if here else "currentColor"
        line = f"var(--genie-{part}-line,{colors['line']})"
        shapes.append(
            f'<rect x="{x + 1}" y="{y + 1}" width="{width - 2}" height="28" rx="6" '
            f'fill="{fill}" stroke="{line}" '
            f'stroke-width="{2.5 if here else 1}"/><text x="{x + width / 2}" '
            f'y="{y + 20}" text-anchor="middle" '
            f'font-size="13" font-weight="{700 if here else 400}" '
            f'fill="{ink}">{text}</text>'
        )
    names = " and ".join(_BOXES[part][1] for part in parts)
    return HTML(
        f'<svg viewBox="-2 -2 584 124" role="img" aria-label="You are here: {names}" '
        f'style="max-width:36em;width:100%;font-family:sans-serif">{"".join(shapes)}</svg>'
    )
