"""The networks of Jafar and Jasmine, by their own code, for peers.py."""

import dataclasses
import functools
import importlib
import sys
from contextlib import ExitStack
from unittest.mock import patch

import jax
import optax
from flax import nnx
from flax.training.train_state import TrainState
from jax import numpy as jnp
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

TOKENIZER_SIZES = {"model_dim": WIDTH, "num_blocks": BLOCKS, "num_heads": HEADS}
GENIE_SIZES = {f"{part}_{size}": value for part in ("tokenizer", "lam", "dyna") for size, value in
               {"dim": WIDTH, "num_blocks": BLOCKS, "num_heads": HEADS}.items()}  # fmt: skip


def sizes_of(network: str) -> dict:
    """Options of a JAX peer's training script; the others keep their defaults."""
    if network in ("dynamics", FRAME):
        return {"batch_size": BATCH, **GENIE_SIZES, "patch_size": PATCH}
    codes = {"num_latents": CODES if network == "tokenizer" else ACTIONS}
    return {"batch_size": BATCH, **TOKENIZER_SIZES, **codes, "patch_size": patch_of(network)}


def size_of(weights) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(weights))


def jafar(network: str) -> Work:
    """The jitted train_step of its three scripts, which read their options as they are imported."""
    key = jax.random.key(0)
    genie = network in ("dynamics", FRAME)
    script = "dynamics" if genie else "tokenizer" if network == "tokenizer" else "lam"
    options = sizes_of(network) | ({"num_latent_actions": ACTIONS} if genie else {})
    sys.argv = [script, *(f"--{name.replace('_', '-')}={value}" for name, value in options.items())]
    module = importlib.import_module(f"train_{script}")
    classes = {"dynamics": "Genie", "tokenizer": "TokenizerVQVAE", "lam": "LatentActionModel"}
    kind, asked = getattr(module, classes[script]), vars(module.args)
    fields = {field.name for field in dataclasses.fields(kind)}
    model = kind(in_dim=3, **{name: asked[name] for name in asked if name in fields})
    videos = jax.random.uniform(key, (BATCH, FRAMES, SIZE, SIZE, 3))
    inputs = dict.fromkeys(["rng", "mask_rng", "dropout_rng"], key) | {"videos": videos}
    weights = jax.jit(model.init)(key, inputs)
    if network == FRAME:
        actions = jnp.ones((1, FRAMES - 1, 1), int)
        batch = {"videos": videos[:1, :-1], "latent_actions": actions, "rng": key}
        sample = functools.partial(model.apply, method=kind.sample)
        sample = jax.jit(sample, static_argnums=(2, 3, 4))
        made = sample.lower(weights, batch, MASKGIT_STEPS, 1.0, True).compile()
        size = size_of(weights["params"]["dynamics"])
        return Work(lambda: jax.block_until_ready(made(weights, batch)), size)
    rates = optax.warmup_cosine_decay_schedule(3e-6, 3e-5, 5000, 200_000)
    rule = optax.adamw(learning_rate=rates, b1=0.9, b2=0.9, weight_decay=1e-4)
    state = TrainState.create(apply_fn=model.apply, params=weights, tx=rule)
    rest = (inputs, jnp.zeros(ACTIONS)) if script == "lam" else (inputs,)
    compiled = module.train_step.lower(state, *rest).compile()

    def step():
        nonlocal state
        state = jax.block_until_ready(compiled(state, *rest)[0])

    trained = weights["params"]["dynamics"] if genie else weights
    return Work(step, size_of(trained))


class FirstBatchAsked(Exception):
    """Jasmine's main has made all that a training step needs."""


def jasmine(network: str) -> Work:
    """The train_step that its scripts' main jits, and the optimizer that main gives it."""
    key = jax.random.key(0)
    genie, lam = network in ("dynamics", FRAME), network.startswith(LAM)
    name = "maskgit.train_dynamics_maskgit" if genie else "maskgit.train_tokenizer_vqvae"
    script = importlib.import_module(f"jasmine.baselines.{'train_lam' if lam else name}")
    options = sizes_of(network) | {"log": False, "use_flash_attention": False}
    if genie:  # a trained model of latent actions, kept as it is
        options |= {"num_actions": ACTIONS, "lam_checkpoint": "given"}
    widths = [f"{part}_ffn_dim" for part in ("tokenizer", "lam", "dyna")] if genie else ["ffn_dim"]
    asked = script.Args(**options, **dict.fromkeys(widths, FEEDFORWARD))
    asked.dtype = jnp.float32
    videos = jax.random.randint(key, (BATCH, FRAMES, SIZE, SIZE, 3), 0, 256).astype(jnp.uint8)
    if network == FRAME:
        model = script.build_model(asked, key)[0]
        model.eval()
        batch = {"videos": videos[:1, :-1] / 255.0, "rng": key}
        batch["latent_actions"] = jnp.ones(FRAMES - 1, int)
        arguments = FRAMES, 1.0, True, MASKGIT_STEPS
        sample = nnx.jit(lambda model, batch: model.sample(batch, *arguments)[0])
        made = sample.lower(model, batch).compile()
        size = size_of(nnx.state(model.dynamics, nnx.Param))
        return Work(lambda: jax.block_until_ready(made(model, batch)), size)
    train_step, optimizer = jasmine_main(script, asked)
    rest = ({"videos": videos, "rng": key},)
    rest += (jnp.zeros(ACTIONS, jnp.int32), key) if lam else ()
    model = optimizer.model.dynamics if genie else optimizer.model

    def step():
        train_step(optimizer, *rest)
        jax.block_until_ready(nnx.state(optimizer))

    step()  # compiles: what is compiled ahead does not take the optimizer as a step leaves it
    step()
    return Work(step, size_of(nnx.state(model, nnx.Param)))


def jasmine_main(script, asked) -> tuple:
    """Runs a script's main until it asks for data; what it has jitted by then, and made."""
    kept, real = {}, nnx.jit

    def jit(function=None, **options):
        if function is None:
            return functools.partial(jit, **options)
        return kept.setdefault(function.__name__, real(function, **options))

    def no_data(*_):
        raise FirstBatchAsked
        yield

    replaced = {
        "nnx.jit": jit,
        "jax.distributed.initialize": lambda: None,
        "build_dataloader": no_data,
        "shard_optimizer_states": lambda optimizer, _: kept.update(optimizer=optimizer),
        "restore_genie_components": lambda optimizer, *_: optimizer,
    }
    with ExitStack() as stack:
        for path, value in replaced.items():
            *owners, attribute = path.split(".")
            owner = functools.reduce(getattr, owners, script)
            if hasattr(owner, attribute):
                stack.enter_context(patch.object(owner, attribute, value))
        try:
            script.main(asked)
        except FirstBatchAsked:
            return kept["train_step"], kept["optimizer"]
    raise RuntimeError("main asked for no data")
