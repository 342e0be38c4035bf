"""How the platformer looks: palettes, sprites, tiles, and a renderer that draws many levels at
once.

A picture is first drawn in *colour indices* (one byte a pixel); one table look-up turns the indices
into RGB. All levels that share a palette therefore share their exact colours, which matters later:
a codebook of 1024 entries cannot hold every colour there is.
"""

import numpy as np
import torch

TILE = 8  # pixels; also the patch of the `mini` tokenizer
SCREEN = 64  # pixels, both ways
PLAYER_SCREEN_X = 24  # where the camera keeps the player: a little left of the middle

EMPTY, GRASS, DIRT, BRICK, COIN, FLOWER = range(6)
SOLID = np.array([False, True, True, True, False, False])

STAND, STEP, RISE, FALL = range(4)

# One letter a pixel. "." lets what is behind show through.
_PLAYER = {
    STAND: "..rrrr..  .rrrrrrr  ..sskss.  ..ssss..  .rrrrrr.  .sbbbbs.  ..bbbb..  ..k..k..",
    STEP: "..rrrr..  .rrrrrrr  ..sskss.  ..ssss..  .rrrrrs.  .sbbbb..  .bb..bb.  .k....k.",
    RISE: "s.rrrr.s  s.rrrrrr  .rsskss.  ..ssss..  ..rrrr..  ..bbbb..  .bb..bb.  k....k..",
    FALL: "..rrrr..  s.rrrrrr  .ssskss.  .rsssss.  ..rrrr..  .bbbbbb.  bb....bb  k......k",
}
_CREATURE = (
    "........  ........  ..pppp..  .pppppp.  .ppwkwk.  pppppppp  pppppppp  .P.PP.P.",
    # a foot lifted
    "........  ..pppp..  .pppppp.  .ppwkwk.  pppppppp  pppppppp  .P....P.  ......P.",
)
# Three drawings a kind, for columns in turn: a picture that repeats every 8 pixels looks the same
# after 4 pixels to the left as after 4 to the right, and one that repeats every 16 after 8, and a
# learner could not tell where the player went.
_TILES = {
    EMPTY: (
        "........  ........  ........  ........  ........  ........  ........  ........",
        "........  ........  ........  ........  ........  ........  ........  ........",
        "........  ........  ........  ........  ........  ........  ........  ........",
    ),
    GRASS: (
        "llllllll  gggggggg  gggggggg  dgggggdd  dddddddd  dddddddd  dddddddd  dddddddd",
        "llllllll  gggggggg  gggggggg  ddggdggg  dddddddd  dddddddd  ddddDDdd  dddddddd",
        "llllllll  gggggggg  gggggggg  gggggggg  gggdddgg  dddddddd  dddddddd  dddddddd",
    ),
    DIRT: (
        "dddddddd  dddddddd  dddddddd  dddddddd  dddddddd  dDDddddd  ddDddddd  dddddddd",
        "dddddddd  ddddDDdd  ddddDdDd  dddddddd  dddddddd  dddddddd  dddddddd  dddddddd",
        "dddddddd  dddddddd  dddddddd  dddddddd  dddddddd  dddddddd  dddddddd  dddddddd",
    ),
    BRICK: (
        "iiiiiiii  nnnnnnnI  nnnnnnnI  nnnnnnnI  nnnnnnnI  nnnnnnnI  nnnnnnnI  IIIIIIII",
        "iiiiiiii  nnnnnnnn  nnnnnnnn  nnnnnnnn  nnnnnnnn  nnnnnnnn  nnnnnnnn  IIIIIIII",
        "iiiiiiii  nnnInnnn  nnnInnnn  nnnInnnn  nnnInnnn  nnnInnnn  nnnInnnn  IIIIIIII",
    ),
    COIN: (
        "........  ..yyyy..  .yYwyYy.  .yYwyYy.  .yYyyYy.  .yYyyYy.  ..yyyy..  ........",
        "........  ..yyyy..  .yYwyYy.  .yYwyYy.  .yYyyYy.  .yYyyYy.  ..yyyy..  ........",
        "........  ..yyyy..  .yYwyYy.  .yYwyYy.  .yYyyYy.  .yYyyYy.  ..yyyy..  ........",
    ),
    FLOWER: (
        "........  ........  ..ww....  .wyyw...  ..ww....  ..g.....  ..gl....  .gggg...",
        "........  ........  ........  ........  ...g....  .g.gg.g.  .ggggggg  ggggglgg",
        "........  ........  ........  .w......  wyw...w.  .w...wyw  .g....w.  gggg.gg.",
    ),
}
# Colours that every palette shares, so that the player looks alike everywhere.
_SHARED = {
    "r": (214, 48, 49),
    "s": (255, 205, 160),
    "b": (44, 74, 170),
    "k": (24, 20, 37),
    "w": (255, 255, 255),
    "p": (146, 84, 200),
    "P": (94, 48, 140),
    "y": (250, 200, 40),
    "Y": (200, 130, 20),
}
PLAYER_COLOURS = np.array([_SHARED["r"], _SHARED["b"], _SHARED["s"]], dtype=np.uint8)

# Per palette: sky at the top and at the horizon, hills, sun, grass light and dark, dirt, dirt
# speck, brick edge, body, gap.
PALETTES = {
    "meadow": [
        "#5fb4f0",
        "#bfe6fa",
        "#93cfc0",
        "#fff3b0",
        "#7ed04b",
        "#4da53a",
        "#a9713f",
        "#956134",
        "#e8a77c",
        "#c8744c",
        "#a0573b",
    ],
    "dusk": [
        "#4b3d8f",
        "#f2a07b",
        "#a0608f",
        "#ffd27a",
        "#d9b24c",
        "#a8803a",
        "#7a4a4a",
        "#683d3d",
        "#c9a0b8",
        "#9a6c90",
        "#785074",
    ],
    "night": [
        "#101a3c",
        "#2c4478",
        "#1d2f58",
        "#e8ecff",
        "#4f9a8c",
        "#2f6f70",
        "#3c4a6c",
        "#323f5e",
        "#8fa2cc",
        "#6478a6",
        "#4d5f8a",
    ],
    "winter": [
        "#9fc4dc",
        "#e8f2f8",
        "#c4d8e6",
        "#fffbe6",
        "#ffffff",
        "#d4e4f2",
        "#7f93ab",
        "#71859e",
        "#b0c8dc",
        "#88a4c0",
        "#6b88a7",
    ],
}
_PALETTE_LETTERS = (
    "hulgdDinI"  # hills, sun, then ground and bricks, in the order of the lists above from entry 2
)
_SKY_BANDS = 16  # of four rows each
_HILL_PERIOD = 128  # pixels after which the hills repeat


def _parse(art, alphabet):
    """Turn a drawing of eight words of eight letters into an (8, 8) array of colour indices, 0
    where transparent.
    """
    return np.array(
        [[alphabet.get(letter, 0) for letter in row] for row in art.split()], dtype=np.uint8
    )


def _build_colors():
    """Return the letter -> index alphabet and the (palettes, 64) table of packed RGBA colours."""
    letters = [*_SHARED, *_PALETTE_LETTERS]
    alphabet = {letter: 1 + _SKY_BANDS + index for index, letter in enumerate(letters)}
    table = np.zeros((len(PALETTES), 64, 4), dtype=np.uint8)
    for row, hex_colors in zip(table, PALETTES.values(), strict=True):
        own = np.array(
            [[int(text[i : i + 2], 16) for i in (1, 3, 5)] for text in hex_colors], dtype=float
        )
        blend = np.linspace(0, 1, _SKY_BANDS)[:, None]
        row[1 : 1 + _SKY_BANDS, :3] = np.rint(own[0] * (1 - blend) + own[1] * blend)
        for letter, index in alphabet.items():
            row[index, :3] = (
                _SHARED[letter] if letter in _SHARED else own[2 + _PALETTE_LETTERS.index(letter)]
            )
    return alphabet, table.view(np.uint32)[..., 0]


_ALPHABET, _COLORS = _build_colors()
# (kind, column, 8, 8)
_TILE_ART = np.stack(
    [[_parse(art, _ALPHABET) for art in _TILES[kind]] for kind in range(len(_TILES))]
)
_PLAYER_ART = np.stack([_parse(_PLAYER[pose], _ALPHABET) for pose in range(4)])
_PLAYER_ART = np.stack([_PLAYER_ART[..., ::-1], _PLAYER_ART])  # (facing left or right, pose, 8, 8)
_CREATURE_ART = np.stack([_parse(art, _ALPHABET) for art in _CREATURE])
# (facing left or right, foot lifted, 8, 8)
_CREATURE_ART = np.stack([_CREATURE_ART[..., ::-1], _CREATURE_ART])


def _draw_background():
    """Draw sky, sun-free, with hills: a (64, period + 64) picture that the camera slides over at
    half speed.
    """
    rows = np.arange(SCREEN)[:, None]
    columns = np.arange(_HILL_PERIOD + SCREEN)[None, :]
    picture = np.broadcast_to(1 + rows * _SKY_BANDS // SCREEN, (SCREEN, columns.size)).astype(
        np.uint8
    )
    # Two triangle waves; each step is two pixels wide and high, like the camera's half-speed steps.
    near = np.abs((columns // 2) % 32 - 16)
    far = np.abs((columns // 2 + 10) % 64 - 32) // 2
    crest = SCREEN - 16 - 2 * (np.maximum(near, far) // 2)
    return np.where(rows >= crest, np.uint8(_ALPHABET["h"]), picture)


# (64, offsets, 64)
_BACKGROUND = np.lib.stride_tricks.sliding_window_view(_draw_background(), SCREEN, axis=1)
_BACKGROUND = np.ascontiguousarray(_BACKGROUND.transpose(1, 0, 2)[:_HILL_PERIOD])


def _draw_sun():
    """A disc of radius five pixels, fixed on the screen, as a (64, 64) mask."""
    rows, columns = np.mgrid[:SCREEN, :SCREEN]
    return (rows - 11.5) ** 2 + (columns - 51.5) ** 2 <= 5.2**2


_SUN = _draw_sun()
_BACKGROUND[:, _SUN] = _ALPHABET["u"]


def draw_level(tiles):
    """Draw whole levels in colour indices.

    Args:
        tiles: (levels, 8, columns) tile kinds.

    Returns:
        (levels, 64, 8 * columns) uint8, 0 where the background shows through.
    """
    levels, rows, columns = tiles.shape
    art = _TILE_ART[tiles, np.arange(columns) % _TILE_ART.shape[1]]  # (levels, rows, columns, 8, 8)
    return np.ascontiguousarray(art.transpose(0, 1, 3, 2, 4)).reshape(
        levels, rows * TILE, columns * TILE
    )


def _stamp(frames, art, x, y, which):
    """Draw one 8x8 sprite a frame in place, clipped at the screen's edges; `which` selects the
    frames it shows in.
    """
    which = np.flatnonzero(which & (x > -TILE) & (x < SCREEN))
    if which.size == 0:
        return
    rows = y[which, None, None] + np.arange(TILE)[None, :, None]
    columns = x[which, None, None] + np.arange(TILE)[None, None, :]
    art = art[which]
    visible = (art > 0) & (rows >= 0) & (rows < SCREEN) & (columns >= 0) & (columns < SCREEN)
    frame, row, column = np.nonzero(visible)
    frames[which[frame], rows[frame, row, 0], columns[frame, 0, column]] = art[visible]


def render(state):
    """Draw what the camera sees in every level of a simulation.

    Args:
        state: a `genie_mini.world.Simulation`.

    Returns:
        (levels, 64, 64, 3) uint8 RGB.
    """
    levels = np.arange(len(state.x))
    windows = np.lib.stride_tricks.sliding_window_view(state.drawn, SCREEN, axis=2)
    frames = windows[levels, :, state.camera]
    background = _BACKGROUND[(state.camera // 2 + state.hills) % _HILL_PERIOD]
    frames = np.where(frames == 0, background, frames)
    for creature in range(state.creature_x.shape[1]):
        facing, lifted = state.creature_step[:, creature] > 0, state.creature_lifts[:, creature]
        art = _CREATURE_ART[facing.astype(int), lifted.astype(int)]
        x = state.creature_x[:, creature] - state.camera
        _stamp(frames, art, x, state.creature_y[:, creature], np.ones(len(levels), bool))
    pose = np.where(
        state.on_ground, np.where(state.walking, STEP, STAND), np.where(state.speed < 0, RISE, FALL)
    )
    art = _PLAYER_ART[state.facing, pose]
    _stamp(frames, art, state.x - state.camera, state.y, np.ones(len(levels), bool))
    packed = _COLORS.ravel()[frames + (64 * state.palette[:, None, None]).astype(np.uint16)]
    return packed.view(np.uint8).reshape(len(levels), SCREEN, SCREEN, 4)[..., :3]


def player_drawings(size):
    """The player in every facing and pose, as it appears in pictures of this size (32 or 64).

    Returns:
        RGB in [0, 1] and 1 where no background shows through, both (8, 3, side, side) float32
        tensors.
    """
    scale = SCREEN // size
    art = _PLAYER_ART.reshape(-1, TILE, TILE)
    colors = _COLORS[0][art].view(np.uint8).reshape(*art.shape, 4)[..., :3].astype(np.float32) / 255
    side = TILE // scale
    opaque = (art > 0).reshape(-1, side, scale, side, scale).all(axis=(2, 4))
    colors = colors.reshape(-1, side, scale, side, scale, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2)
    opaque = np.broadcast_to(opaque[:, None], colors.shape).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(colors)), torch.from_numpy(opaque)
