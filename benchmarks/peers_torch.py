"""The networks of TinyWorlds and Open-Genie, by their own code, for peers.py."""

import functools
import importlib
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from unittest.mock import patch

import torch
from peers import (
    ACTIONS,
    BATCH,
    BLOCKS,
    CODES,
    FEEDFORWARD,
    FRAME,
    FRAMES,
    HEADS,
    LAM,
    MASKGIT_STEPS,
    PATCH,
    SIZE,
    WIDTH,
    Work,
    patch_of,
)


def count(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad)


def tinyworlds(network: str) -> Work:
    """Its networks return their losses; the step is that of its three scripts, not compiled."""
    models = {name: importlib.import_module(f"models.{name}") for name in
              ("video_tokenizer", "latent_actions", "dynamics")}  # fmt: skip
    shape = {"frame_size": (SIZE, SIZE), "embed_dim": WIDTH, "num_heads": HEADS,
             "hidden_dim": FEEDFORWARD, "num_blocks": BLOCKS}  # fmt: skip
    codes = {"latent_dim": 5, "num_bins": 4, "patch_size": PATCH}
    tokenizer = models["video_tokenizer"].VideoTokenizer(**shape, **codes)
    actor = models["latent_actions"].LatentActionModel(
        **shape, n_actions=ACTIONS, patch_size=patch_of(network)
    )
    dynamics = models["dynamics"].DynamicsModel(**shape, **codes, conditioning_dim=actor.action_dim)
    frames = 2 * torch.rand(BATCH, FRAMES, 3, SIZE, SIZE) - 1
    if network == FRAME:
        return Work(tinyworlds_frame(tokenizer, actor, dynamics, frames[:1, :-1]), count(dynamics))

    def dynamics_loss():
        tokens = tokenizer.tokenize(frames)
        latents = tokenizer.quantizer.get_latents_from_indices(tokens, dim=-1)
        actions = actor.encode(frames)
        return dynamics(latents, training=True, conditioning=actions, targets=tokens)[2]

    if network == "dynamics":
        for frozen in (tokenizer, actor):
            frozen.eval().requires_grad_(False)
        return Work(tinyworlds_step(dynamics, dynamics_loss), count(dynamics))
    model = tokenizer if network == "tokenizer" else actor
    return Work(tinyworlds_step(model, lambda: model(frames)[0]), count(model))


def tinyworlds_step(model: torch.nn.Module, loss: Callable) -> Callable:
    create = importlib.import_module("utils.optimizer_utils").create_optimizer
    schedule = importlib.import_module("utils.scheduler_utils").create_cosine_scheduler
    (optimizer,) = create(model, SimpleNamespace(optimizer="adamw", learning_rate=1e-4))
    scheduler = schedule(optimizer, 1000)
    model.train()

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        scheduler.step()

    return step


def tinyworlds_frame(tokenizer, actor, dynamics, past: torch.Tensor) -> Callable:
    """A round of its run_inference.py with known actions."""
    for model in (tokenizer, actor, dynamics):
        model.eval()
    latents_of = functools.partial(tokenizer.quantizer.get_latents_from_indices, dim=-1)
    actions = actor.quantizer.get_latents_from_indices(torch.ones(1, FRAMES - 1, dtype=torch.int64))

    def frame():
        latents = latents_of(tokenizer.tokenize(past))
        latents = dynamics.forward_inference(
            context_latents=latents, prediction_horizon=1, num_steps=MASKGIT_STEPS,
            index_to_latents_fn=latents_of, conditioning=actions, temperature=0.5,
        )  # fmt: skip
        return tokenizer.detokenize(latents)

    return frame


def blueprint(decodes: bool, channels: int, patch_size: int, **attention) -> tuple:
    """Open-Genie's description of an encoder or decoder: a stack, and patches of pixels."""
    stack = ("space-time_attn", {"n_rep": BLOCKS, "n_head": HEADS, "d_head": WIDTH // HEADS,
                                 "transpose": True, **attention})  # fmt: skip
    sides = {"kernel_size": 3, "time_factor": 1, "space_factor": patch_size}
    if decodes:
        up = {"in_channels": WIDTH, "out_channels": channels, **sides}
        return stack, ("depth2spacetime_upsample", up)
    down = {"in_channels": channels, "out_channels": WIDTH, **sides}
    return ("spacetime_downsample", down), stack


def open_genie(network: str) -> Work:
    """Its networks, each with AdamW; the class that joins them cannot be built."""
    genie = open_genie_code()
    frames = torch.rand(BATCH, 3, FRAMES, SIZE, SIZE)
    if network.startswith("tokenizer"):
        model = open_genie_tokenizer(bare=network == "tokenizer")
        return Work(open_genie_step(model, lambda: model(frames)[0]), count(model))
    if network.startswith(LAM):
        patch_size, outside = patch_of(network), {"has_ext": True, "time_attn_kw": {"key_dim": 3}}
        model = genie.LatentAction(
            blueprint(False, WIDTH, patch_size), blueprint(True, WIDTH, patch_size, **outside),
            d_codebook=3, inp_shape=(SIZE, SIZE), n_embd=WIDTH,
        )  # fmt: skip
        return Work(open_genie_step(model, lambda: model(frames)[1]), count(model))
    stack = {"n_rep": BLOCKS, "n_head": HEADS, "d_head": WIDTH // HEADS, "transpose": False}
    model = genie.DynamicsModel((("space-time_attn", stack),), CODES, ACTIONS, WIDTH)
    side = SIZE // PATCH
    tokens = torch.randint(CODES, (BATCH, FRAMES, side, side))
    actions = torch.randint(ACTIONS, (BATCH, FRAMES))
    if network == "dynamics":
        step = open_genie_step(model, lambda: model.compute_loss(tokens, actions))
        return Work(step, count(model))
    tokenizer = open_genie_tokenizer(bare=True).eval()

    @torch.no_grad()
    def frame():
        indices = tokenizer.tokenize(frames[:2, :, :-1])[1].long()
        made = model.generate(indices, actions[:2, :-1], steps=MASKGIT_STEPS)
        codes = tokenizer.quant.proj_out(tokenizer.quant.codebook[made])
        return tokenizer.decode(codes.permute(0, 4, 1, 2, 3))

    return Work(frame, count(model), clips=2)


@functools.cache
def open_genie_code():
    """Its package. It imports torchvision, whose compiled operators it never calls: without the
    build of torchvision that belongs to this PyTorch, two of them have to be declared.
    """
    for name in ("nms", "qnms"):
        with suppress(RuntimeError):  # declared already
            signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{name}", signature)
    return importlib.import_module("genie")


class Nothing(torch.nn.Module):
    """A loss that is left out: what Open-Genie puts there for a weight of 0 raises an error."""

    def forward(self, *_, **__) -> float:
        return 0.0


def open_genie_tokenizer(bare: bool) -> torch.nn.Module:
    """With the discriminator of its config/tokenize.yaml, whose attention raises an error and is
    off, and with VGG-16, untrained, unless bare.
    """
    genie = open_genie_code()
    loss = importlib.import_module("genie.module.loss")
    get_model = loss.get_model
    judge = {"inp_size": (SIZE, SIZE), "model_dim": 64, "dim_mults": (1, 2, 4), "num_groups": 8,
             "down_step": (None, 2, 2)}  # fmt: skip
    weights = {"gan_loss_weight": 0.0, "perc_loss_weight": 0.0} if bare else {}
    with patch.object(loss, "get_model", lambda name, **_: get_model(name, weights=None)):
        model = genie.VideoTokenizer(
            blueprint(False, 3, PATCH), blueprint(True, 3, PATCH), judge, d_codebook=10, **weights
        )
    if bare:
        model.gan_crit, model.perc_crit = Nothing(), Nothing()
    return model


def open_genie_step(model: torch.nn.Module, loss: Callable) -> Callable:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    return step
