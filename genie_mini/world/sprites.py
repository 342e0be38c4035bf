"""The pictures that the platformer is made of: tiles, sprites and palettes, a letter a pixel."""

import numpy as np

TILE = 8  # pixels; also the patch of the `mini` tokenizer
SCREEN = 64  # pixels, both ways

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
PLAYER_COLORS = np.array([_SHARED["r"], _SHARED["b"], _SHARED["s"]], dtype=np.uint8)

# Per palette, red, green and blue in hexadecimal digits: sky at the top and at the horizon, hills,
# sun, grass light and dark, dirt, dirt speck, brick edge, body, gap.
PALETTES = {
    "meadow": "5fb4f0 bfe6fa 93cfc0 fff3b0 7ed04b 4da53a a9713f 956134 e8a77c c8744c a0573b",
    "dusk": "4b3d8f f2a07b a0608f ffd27a d9b24c a8803a 7a4a4a 683d3d c9a0b8 9a6c90 785074",
    "night": "101a3c 2c4478 1d2f58 e8ecff 4f9a8c 2f6f70 3c4a6c 323f5e 8fa2cc 6478a6 4d5f8a",
    "winter": "9fc4dc e8f2f8 c4d8e6 fffbe6 ffffff d4e4f2 7f93ab 71859e b0c8dc 88a4c0 6b88a7",
}
# Hills, sun, then ground and bricks, in the order of the lists above from entry 2.
_PALETTE_LETTERS = "hulgdDinI"
SKY_BANDS = 16  # of four rows each


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
    alphabet = {letter: 1 + SKY_BANDS + index for index, letter in enumerate(letters)}
    table = np.zeros((len(PALETTES), 64, 4), dtype=np.uint8)
    for row, hex_colors in zip(table, PALETTES.values(), strict=True):
        own = np.array([[*bytes.fromhex(text)] for text in hex_colors.split()], dtype=float)
        blend = np.linspace(0, 1, SKY_BANDS)[:, None]
        row[1 : 1 + SKY_BANDS, :3] = np.rint(own[0] * (1 - blend) + own[1] * blend)
        for letter, index in alphabet.items():
            row[index, :3] = (
                _SHARED[letter] if letter in _SHARED else own[2 + _PALETTE_LETTERS.index(letter)]
            )
    return alphabet, table.view(np.uint32)[..., 0]


LETTER_INDEX, COLORS = _build_colors()
# (kind, column, 8, 8)
TILE_ART = np.stack(
    [[_parse(art, LETTER_INDEX) for art in _TILES[kind]] for kind in range(len(_TILES))]
)
PLAYER_ART = np.stack([_parse(_PLAYER[pose], LETTER_INDEX) for pose in range(4)])
PLAYER_ART = np.stack([PLAYER_ART[..., ::-1], PLAYER_ART])  # (facing left or right, pose, 8, 8)
CREATURE_ART = np.stack([_parse(art, LETTER_INDEX) for art in _CREATURE])
# (facing left or right, foot lifted, 8, 8)
CREATURE_ART = np.stack([CREATURE_ART[..., ::-1], CREATURE_ART])
