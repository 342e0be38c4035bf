"""What a Genie makes of a film, as pictures in rows: what each of its actions does, and before it
can play, what it keeps of the film.
"""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from genie_mini.evaluation.any_world import reconstruct
from genie_mini.files import as_png, to_uint8
from genie_mini.genie import Genie
from genie_mini.rollout import Rollout

PROMPT_FRAMES = 4  # before play begins: enough to see speed and acceleration
FILM_FRAMES = 8  # that a strip is drawn from
_DREAMT = 6  # frames of an action in a strip

# Of a strip, pixels.
_LEAST_TILE, _GAP, _MARGIN = 64, 2, 92
_PAGE, _INK = (20, 23, 28), (230, 233, 238)


def play_actions(genie: Genie, prompts: Tensor, shown: Sequence[int]) -> Tensor:
    """Hold each action from each prompt.

    Args:
        prompts: (prompts, T, height, width, 3) in [0, 1].
        shown: which frames after the prompt are wanted, from 1.

    Returns:
        (prompts, actions, shown, height, width, 3) in [0, 1], on the CPU.
    """
    played, begun = [], Rollout(genie, prompts)
    for action in range(genie.config.dynamics.num_actions):
        rollout = begun.again(seed=0)
        chosen = torch.full((len(prompts),), action)
        frames = [rollout.step(chosen).cpu() for _ in range(max(shown))]
        played.append(torch.stack([frames[number - 1] for number in shown], dim=1))
    return torch.stack(played, dim=1)


def draw_strip(genie: Genie, learnt: Collection[str], *, film: Tensor) -> bytes:
    """Show how far a training is.

    As soon as the dynamics model has begun to learn: a row for each action, with the last frame of
    the prompt and what is dreamt when the action is held. Before that the film, what the tokenizer
    keeps of it, and, as soon as the latent action model has begun, what its decoder draws from the
    frame before and the action that it saw.

    Args:
        genie: as it is now, in evaluation mode.
        learnt: the names of its parts that have begun to learn.
        film: (T, height, width, 3) in [0, 1], T at least 2, best `FILM_FRAMES`; of frames that it
            is not trained on.

    Returns:
        A PNG.
    """
    if "dynamics" in learnt:
        prompt = film[None, :PROMPT_FRAMES]
        played = play_actions(genie, prompt, range(1, _DREAMT + 1))[0]
        rows = {
            f"action {action}": torch.cat([prompt[0, -1:], frames])
            for action, frames in enumerate(played)
        }
        return _in_rows(rows)
    # The decoder of the latent actions draws no first frame.
    rows = {"film": film[1:], "tokenizer": reconstruct(genie, film[None])[0, 1:]}
    if "latent_action_model" in learnt:
        model = genie.latent_action_model
        rows["latent actions"] = model.predict(film[None, :-1], model.infer(film[None]))[0]
    return _in_rows(rows)


def _in_rows(rows: dict[str, Tensor]) -> bytes:
    """Rows of pictures with their names, (pictures, height, width, 3) each, as a PNG."""
    pictures = {name: to_uint8(row) for name, row in rows.items()}
    columns, height, width = next(iter(pictures.values())).shape[:3]
    scale = -(-_LEAST_TILE // min(height, width))  # small pictures are hard to see
    height, width = scale * height + _GAP, scale * width + _GAP
    page = Image.new("RGB", (_MARGIN + columns * width, len(rows) * height), _PAGE)
    text = ImageDraw.Draw(page)
    for number, (name, row) in enumerate(pictures.items()):
        top = number * height
        text.text((8, top + height // 2), name, fill=_INK, anchor="lm")
        for column, pixels in enumerate(row):
            large = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
            page.paste(Image.fromarray(large), (_MARGIN + column * width, top))
    return as_png(np.asarray(page))
