"""Genie, from scratch: learn a world that can be played from video alone, then play it.

    genie = Genie.from_pretrained("mini")
    session = genie.play(prompt_frame)     # (height, width, 3) float in [0, 1]
    frame = session.step(action)           # a latent action, 0 to 7

The rooms, in the order in which they build on each other; imports point one way, from the later to
the earlier:

    world       the platformer itself, and `record`, which films it
    models      the networks: ST-transformer, codebook, tokenizer, latent actions, dynamics, MaskGIT
    presets     the sizes that have names
    genie       the three networks together; loading and saving
    rollout     playing, one world or many, frame by frame
    data        clips to train on: the platformer's, or a folder of videos
    training    the two phases of training, with checkpoints
    evaluation  all scores, on levels never seen
    export      the world as ONNX files, for play outside PyTorch
    play        the learnt world as a Gymnasium environment, on a page in the browser, in a notebook
    studies     experiments on memory: recall, ablations, attention, drift, budget
    cli         `genie-mini train | play | evaluate | memory | export | record`

Beside them, for all: `contract`, what the doors ask of the values that come in; `device`, which
decides processor, precision and threads; `files`, which writes whole files and finds weights;
`hub`, which sends and fetches trained Genies; `errors`. Importing the package registers
`genie_mini/Genie-v0` and `genie_mini/Platformer-v0` with Gymnasium.
"""

import gymnasium

from genie_mini.genie import Genie
from genie_mini.play.environment import GenieEnv

__all__ = ["Genie", "GenieEnv"]

gymnasium.register("genie_mini/Genie-v0", entry_point="genie_mini.play.environment:GenieEnv")
gymnasium.register(
    "genie_mini/Platformer-v0", entry_point="genie_mini.world.environment:Platformer"
)
