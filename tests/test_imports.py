"""Imports point one way, so that each room can be read with nothing but the rooms before it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "genie_mini"
# Each line may import from the lines above it; rooms on one line know nothing of each other, but
# for the exceptions.
LAYERS = (
    ("errors", "contract", "files", "outputs", "run_log", "device", "ranks"),
    ("world", "models"),
    ("presets",),
    ("rollout", "hub"),
    ("genie",),
    ("data", "training", "evaluation", "export"),
    ("play", "studies"),
    ("cli",),
    ("chapters",),  # of the book: nobody imports it
)
EXCEPTIONS = {
    ("training", "data"),  # it asks a source for clips
    ("export", "evaluation"),  # an export holds the names of the latent actions
    ("files", "errors"),
    ("outputs", "errors"),
    ("run_log", "errors"),
    ("run_log", "files"),
    ("device", "errors"),
    ("ranks", "errors"),
    ("device", "contract"),
    ("contract", "errors"),
}
LAYER_OF = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms}


def imported(source):
    """The rooms of genie_mini that a module's source imports, wherever in it."""
    rooms = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide the direction"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("genie_mini.")}
    return rooms


def wrong_way(room, source):
    """The rooms that a module of `room` must not import, and does."""
    allowed = {other for other, layer in LAYER_OF.items() if layer < LAYER_OF[room]} | {room}
    return sorted(imported(source) - allowed - {other for one, other in EXCEPTIONS if one == room})


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert room in LAYER_OF, f"{room} has no layer in tests/test_imports.py"
    assert not wrong_way(room, path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "room, line, wrong",
    [
        ("models", "from genie_mini.world.simulation import ACTIONS", ["world"]),
        ("world", "import genie_mini.training.trainer", ["training"]),
        ("data", "def later():\n    from genie_mini import cli", ["cli"]),
        ("evaluation", "from genie_mini.data import VideoFolder", ["data"]),
        ("training", "from genie_mini.data import VideoFolder", []),
    ],
)
def test_a_planted_wrong_import_is_seen(room, line, wrong):
    assert wrong_way(room, line) == wrong
