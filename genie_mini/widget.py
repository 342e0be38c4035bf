"""A player for notebooks: the frame, its tokens, what the model remembers, and a button for each action.

Keys: Tab reaches every button and Enter or Space presses it. Faster: put the cursor into the "Keys" field and type.
Each digit is an action, and what was typed stays as a record of the game. (ipywidgets reports no key
strokes elsewhere, and JupyterLab keeps most of them for itself.)
"""

import colorsys
import io

import ipywidgets as widgets
import numpy as np
from PIL import Image

from genie_mini.controls import as_prompt, check_action_names, level_picture, to_bytes
from genie_mini.genie import Genie
from genie_mini.world import HELD_OUT_SEED

LETTERS = {"a": "left", "d": "right", "w": "jump", "s": "nothing"}
_SCREEN = 320  # pixels on the page
_GAP = 2  # pixels between the frames of the strip
_WIDE = {"description_width": "110px"}  # so that the sliders' labels are not cut off


def player(genie: Genie, prompt=None, seed: int = 0, action_names: list[str] | None = None) -> "Player":
    """A widget to play on; show it by ending a cell with it.

    Args:
        genie: a `Genie`.
        prompt: a picture to begin with, as `controls.as_prompt` takes it; None is a held-out platformer level.
        seed: of that level, counted from 0, and of everything that sampling draws.
        action_names: what each latent action means, as `controls.read_action_names` reads it; None if unknown.

    Raises:
        ValueError: the prompt cannot be used, or there is not one name for each action.
    """
    return Player(genie, prompt, seed, action_names)


class Player(widgets.VBox):
    """The widget that `player` makes. `step(action)` and `reset()` do what its buttons do."""

    def __init__(self, genie, prompt, seed, action_names):
        self.genie = genie.eval()
        self.seed = seed
        size = genie.config.tokenizer.image_size
        self._prompt = (
            level_picture(HELD_OUT_SEED + seed, size) if prompt is None else as_prompt(prompt, size)
        )
        self._grid, self._memory = genie.config.dynamics.grid, genie.config.dynamics.context - 1
        names = check_action_names(action_names, genie.config.dynamics.num_actions)
        self._keys = {str(action): action for action in range(min(10, len(names)))}
        self._keys |= {key: names.index(name) for key, name in LETTERS.items() if name in names}

        self.frame = widgets.Image(format="png", layout=widgets.Layout(width=f"{_SCREEN}px"))
        self.tokens = widgets.Image(format="png", layout=widgets.Layout(width=f"{_SCREEN}px"))
        self.strip = widgets.Image(format="png", layout=widgets.Layout(width="100%", max_width="800px"))
        self.frame.tooltip, self.tokens.tooltip = (
            "The world as the model draws it",
            "Its tokens, one colour a code",
        )
        self.strip.tooltip = "The frames that the model remembers, the newest on the right"
        self.buttons = [
            widgets.Button(
                description=f"{action} {name}".strip(),
                tooltip=f"Latent action {action}",
                layout={"width": "96px"},
            )
            for action, name in enumerate(names)
        ]
        for action, button in enumerate(self.buttons):
            button.on_click(lambda _, action=action: self.step(action))
        letters = "".join(key for key in self._keys if key in LETTERS)
        self.key_field = widgets.Text(
            description="Keys",
            placeholder=f"type 0 to {min(9, len(names) - 1)}" + (f" or {letters}" if letters else ""),
        )
        self.key_field.observe(self._typed, "value")
        self.restart = widgets.Button(description="Restart", icon="refresh")
        self.restart.on_click(lambda _: self.reset())
        most = min(25, self._grid[0] * self._grid[1])
        self.num_steps = widgets.IntSlider(min(8, most), 1, most, description="MaskGIT steps", style=_WIDE)
        self.temperature = widgets.FloatSlider(
            1.0, min=0.0, max=3.0, step=0.1, description="Temperature", style=_WIDE
        )
        self.status = widgets.HTML()

        def column(title, *parts):
            return widgets.VBox([widgets.HTML(f"<b>{title}</b>"), *parts], layout={"margin": "0 16px 8px 0"})

        pictures = [column("Frame", self.frame), column("Tokens", self.tokens)]
        super().__init__(
            [
                widgets.HBox(pictures, layout={"flex_flow": "row wrap"}),
                column(f"What the model remembers ({self._memory} frames)", self.strip),
                widgets.HBox(self.buttons, layout={"flex_flow": "row wrap", "max_width": "800px"}),
                widgets.HBox([self.key_field, self.restart], layout={"flex_flow": "row wrap"}),
                widgets.HBox([self.num_steps, self.temperature], layout={"flex_flow": "row wrap"}),
                self.status,
            ]
        )
        self.reset()

    def reset(self):
        """Begin the same world again; the same actions then lead to the same frames."""
        self._session = self.genie.play(self._prompt, self.seed)
        self._shown = [to_bytes(self._session.frame)]
        self._count = 0
        self._draw()

    def step(self, action: int):
        """Play one latent action with the sliders' settings; see `PlaySession.step`."""
        frame = self._session.step(action, self.num_steps.value, self.temperature.value)
        self._shown = [*self._shown, to_bytes(frame)][-self._memory :]
        self._count += 1
        self._draw()

    def _typed(self, change):
        """Play what was added at the field's end. Never emptied from here: keys typed meanwhile would be lost."""
        if change["new"].startswith(change["old"]):
            for key in change["new"][len(change["old"]) :].lower():
                if key in self._keys:
                    self.step(self._keys[key])

    def _draw(self):
        height, width, _ = self._shown[-1].shape
        self.frame.value = to_png(self._shown[-1], max(1, _SCREEN // width))
        tokens = token_colours(
            self._session.tokens.numpy().reshape(self._grid), self.genie.config.dynamics.num_codes
        )
        self.tokens.value = to_png(tokens, max(1, _SCREEN // self._grid[1]))
        strip = np.full((height, self._memory * (width + _GAP) - _GAP, 3), 128, dtype=np.uint8)
        for index, frame in enumerate(self._shown, start=self._memory - len(self._shown)):
            left = index * (width + _GAP)
            strip[:, left : left + width] = frame
        self.strip.value = to_png(strip, 1)
        self.status.value = f"Frame {self._count}"


def token_colours(tokens: np.ndarray, num_codes: int) -> np.ndarray:
    """A colour for every code: (rows, columns) int64 in [0, num_codes) -> (rows, columns, 3) uint8.

    Neighbouring codes get hues far apart (steps of the golden ratio), in three shades of lightness.
    """
    table = [
        colorsys.hls_to_rgb(code * 0.618 % 1, 0.35 + 0.15 * (code % 3), 0.65) for code in range(num_codes)
    ]
    return (np.array(table) * 255).round().astype(np.uint8)[tokens]


def to_png(picture: np.ndarray, scale: int) -> bytes:
    """(height, width, 3) uint8 as a PNG file, each pixel repeated `scale` times both ways to stay crisp."""
    file = io.BytesIO()
    Image.fromarray(picture.repeat(scale, axis=0).repeat(scale, axis=1)).save(file, "PNG")
    return file.getvalue()
