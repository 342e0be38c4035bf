"""Genie, from scratch: learn a world that can be played from video alone, then play it.

    genie = Genie.from_pretrained("mini")
    session = genie.play(prompt_frame)     # (height, width, 3) float in [0, 1]
    frame = session.step(action)           # a latent action, 0 to 7

The modules, in the order in which they build on each other:

    drawing           how the platformer looks: palettes, sprites, tiles
    world             the platformer itself, and `record`, which films it
    data              clips to train on: the platformer's, or a folder of videos
    patches           pictures cut into patches and put together again
    st_transformer    attention over space, then over time: what all three networks are made of
    quantizer         vectors to the nearest entry of a codebook
    tokenizer         frames to tokens and back
    latent_action     what happened between two frames, as one of 8 codes
    dynamics          the next frame's tokens from the tokens so far and an action
    genie             the three networks together; loading and saving
    presets           the sizes that have names
    session           playing, frame by frame
    training          the two phases of training, with checkpoints
    evaluation        all scores, on levels never seen
    lookback          which earlier frames a frame attends to
    memory            does it remember? recall against age
    memory_ablations  what each memory is worth, what leaks, where it looks
    memory_experiments  drift and budget; tables of all experiments
    controls          pictures to start from, and names for the latent actions
    environments      the learnt world as a Gymnasium environment
    recording         the platformer as files
    window            a page in the browser to play on
    export            the world as ONNX files, for play outside PyTorch
    widgets           a player for notebooks and pages
    command_line      `genie-mini train | play | evaluate | memory | export | record`

Importing the package registers `genie_mini/Genie-v0` and `genie_mini/Platformer-v0` with Gymnasium.
"""

from genie_mini.environments import GenieEnv
from genie_mini.genie import Genie

__all__ = ["Genie", "GenieEnv"]
