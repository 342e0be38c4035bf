"""A player for pages and notebooks: the frame, its tokens, what the model remembers, and a button
for each action.

It is one custom element, `<genie-player>` (assets/player*.js). In a page that was built from a
notebook it runs the exported world in the browser; see `page_player`. In JupyterLab it is an
anywidget, `Player`, and on the page of `genie-mini play` it asks `PlayServer`; in both, Python
draws the frames.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from IPython.display import HTML
from torch import Tensor

from genie_mini.contract import check_integer
from genie_mini.errors import GenieError
from genie_mini.export.runtime import ExportedGenie, describe
from genie_mini.genie import Genie
from genie_mini.models.maskgit import PLAY_MASKGIT_STEPS
from genie_mini.play.games import Games
from genie_mini.play.images import data_uri, to_uint8
from genie_mini.play.prompts import as_prompt, level_picture
from genie_mini.world.simulation import ACTIONS, HELD_OUT_SEED, SIZES, Simulation

_ASSETS = Path(__file__).parent / "assets"


def _join(*names):
    """One module of several: an anywidget, and a page opened from disk, can load one only."""
    files = (_ASSETS / f"{name}.js" for name in names)
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    text = re.sub(r'^import \{[^}]*\} from "\./\w+\.js";\n', "", text, flags=re.MULTILINE)
    return re.sub(r"^export (?!default)", "", text, flags=re.MULTILINE)


MODULE = _join("player_engines", "player_markup", "player_sketch", "player_naming", "player")
FORMS = ("play", "maskgit", "actions", "memory")
# Of the weights that ship, where a page finds the exported world.
PAGE_FILES = {
    "mini": "_static/player",
    "mini-coinrun": "_static/player-mini-coinrun",
    "mini-worlds": "_static/player-mini-worlds",
}
# held-out levels of all four palettes, in which the dream of a walk holds together for long
PROMPT_LEVELS = (11, 1, 23, 12, 7, 22)
_RECORDING_COLUMNS = 8


def level_prompts(image_size: tuple[int, int]) -> list[Tensor]:
    """The first pictures of `PROMPT_LEVELS`, each (height, width, 3) float in [0, 1]."""
    return [level_picture(HELD_OUT_SEED + level, image_size) for level in PROMPT_LEVELS]


def offered_pictures(
    image_size: tuple[int, int], asked: Sequence[Tensor], own: Sequence[Tensor]
) -> list[Tensor]:
    """What a player offers to begin from: the pictures asked for, then those that travel with the
    weights; where none do, the usual levels of the platformer if it is drawn at this size.

    Args:
        image_size: (height, width) in pixels.
        asked, own: each (height, width, 3) float in [0, 1].

    Raises:
        GenieError: there is none at all.
    """
    has_levels = tuple(image_size) in [(size, size) for size in SIZES]
    levels = level_prompts(image_size) if not own and (has_levels or not asked) else []
    return [*asked, *own, *levels]


def player_options(
    genie: Genie | ExportedGenie,
    form: str = "play",
    prompts: list | None = None,
    action_names: list[str] | None = None,
    steps: int = PLAY_MASKGIT_STEPS,
    recording: dict | None = None,
    weights: str = "mini",
) -> dict:
    """What a player needs to know.

    Args:
        genie: the world.
        form: "play", all there is to play with; "maskgit", MaskGIT in slow motion; "actions", one
            action in four worlds at once; "memory", one world above the strip of what it remembers.
        prompts: pictures to begin with, each as `prompts.as_prompt` takes it; None are the first
            pictures of `PROMPT_LEVELS`.
        action_names: what each latent action means, as `read_action_names` gives it; None
            if unknown.
        steps: MaskGIT steps of a frame, at first; no more than a frame has tokens.
        recording: a game to replay, from `recorded_game`.
        weights: which of `PAGE_FILES` a built page plays.

    Raises:
        GenieError: the form is unknown, there is no prompt or one that cannot be used, the steps
            are no integer from 1 up, or there is not one name for each action.
    """
    if form not in FORMS:
        raise GenieError(f"a player's form is one of {', '.join(FORMS)}, got {form!r}")
    size = genie.config.tokenizer.image_size
    if prompts is None:
        prompts = level_prompts(size)
    pictures = [to_uint8(as_prompt(prompt, size)) for prompt in prompts]
    if not pictures or any(picture.ndim != 3 for picture in pictures):
        raise GenieError("a player begins from pictures, one at least, each (height, width, 3)")
    rows, columns = genie.config.dynamics.grid
    steps = check_integer("steps", steps, 1, told="steps are an integer from 1 up")
    return {
        "form": form,
        "steps": min(steps, rows * columns),
        "lookback": genie.config.dynamics.lookback,
        "assets": PAGE_FILES[weights],
        "world": describe(genie, action_names),
        "prompts": [
            {"name": f"Picture {number}", "image": data_uri(picture)}
            for number, picture in enumerate(pictures, 1)
        ],
        "trace": recording,
    }


def recorded_game(actions: list[str], action_names: list[str], level: int, size: int = 64) -> dict:
    """Play real actions in the true game, for a player to show beside the dream of the same
    actions.

    Args:
        actions: names of real actions (`world.ACTIONS`).
        action_names: what each latent action means; every name in `actions` must be among them.
        level: seed of the platformer level.
        size: of the frames, 32 or 64 pixels.

    Raises:
        GenieError: there is no such action, level or size.
    """
    missing = sorted(set(actions) - (set(action_names) & set(ACTIONS)))
    if missing:
        raise GenieError(f"no latent action means {', '.join(missing)}")
    level = check_integer("level", level, 0, told="a level's seed is an integer from 0 up")
    simulation = Simulation([level])
    frames = [simulation.frames(size)[0]]
    for name in actions:
        simulation.step(np.array([ACTIONS.index(name)]))
        frames.append(simulation.frames(size)[0])
    rows = -(-len(frames) // _RECORDING_COLUMNS)
    cells = np.zeros((rows * _RECORDING_COLUMNS, size, size, 3), np.uint8)
    cells[: len(frames)] = frames
    sheet = (
        cells.reshape(rows, _RECORDING_COLUMNS, size, size, 3)
        .swapaxes(1, 2)
        .reshape(rows * size, -1, 3)
    )
    return {
        "actions": [action_names.index(name) for name in actions],
        "columns": _RECORDING_COLUMNS,
        "image": data_uri(sheet),
    }


def as_json(options: dict) -> str:
    """Options for the JSON script within an element: no "<" may end it."""
    return json.dumps(options).replace("<", "\\u003c")


def player_element(options: dict, fallback: str = "") -> str:
    """The element, as HTML.

    Args:
        options: from `player_options`.
        fallback: HTML to show where there is no JavaScript.
    """
    script = f'<script type="application/json">{as_json(options)}</script>'
    return f"<genie-player>{fallback}{script}</genie-player>"


def page_player(options: dict, fallback: Tensor, alt: str) -> HTML:
    """The player for a built page; the page's files come from the book's build.

    Args:
        options: from `player_options`.
        fallback: frames (T, height, width, 3) float in [0, 1], shown side by side where there is no
            JavaScript.
        alt: what there is to see in them.
    """
    strip = to_uint8(fallback.transpose(0, 1).flatten(1, 2))
    picture = (
        f'<img src="{data_uri(strip)}" alt="{html.escape(alt, quote=True)}" '
        'style="image-rendering:pixelated">'
    )
    return HTML(player_element(options, picture))


def script_hash(script: str) -> str:
    """A script of a page's, as the page's policy allows it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def whole_page(player: str, title: str = "Genie mini", **more: str) -> str:
    """A page of its own for a player.

    Args:
        player: the element, as HTML.
        title: plain text.
        more: HTML for other places of assets/player.html, which else are empty: `policy` in the
            head, `about` below the player, `scripts` before the player's own.
    """
    template = (_ASSETS / "player.html").read_text(encoding="utf-8")
    parts = {"policy": "", "about": "", "scripts": "", **more, "player": player, "module": MODULE}
    parts["title"] = html.escape(title)
    # in one pass, so that nothing in a part is taken for the name of another
    return re.sub(r"\{\{ (\w+) \}\}", lambda name: parts[name[1]], template)


class Player(anywidget.AnyWidget):
    """The player for notebooks with a kernel: show it by ending a cell with it.

    Args:
        genie: the world, on which the kernel plays.
        options: as those of `player_options`.
    """

    _esm = MODULE
    options = traitlets.Dict().tag(sync=True)

    def __init__(self, genie: Genie | ExportedGenie, **options):
        super().__init__(options=player_options(genie, **options))
        self._games = Games(genie)
        self.on_msg(self._answer)

    def __repr__(self):
        # without an address, so that notebooks stay the same
        return f"Player(form={self.options['form']!r})"

    def _answer(self, _, message, buffers):
        """Do what the element asks for; the answer's buffer is the frame."""
        number = message.get("id") if isinstance(message, dict) else None
        try:
            answer, frame = self._games.answer(message, _joined(buffers))
        except GenieError as error:
            self.send({"id": number, "error": str(error)})
        except Exception:
            self.send({"id": number, "error": "genie-mini failed; the kernel's log says where"})
            raise
        else:
            self.send({"id": number, **answer}, [frame])


def _joined(buffers):
    """The bytes of a message's buffers."""
    try:
        return b"".join(memoryview(buffer).cast("B") for buffer in buffers or ())
    except TypeError as error:
        raise GenieError("a message's picture is bytes") from error
