"""Genie: the video tokenizer, the latent action model and the dynamics model together (paper,
Section 2).
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import MISSING, asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, cast, get_type_hints

import torch
from torch import Tensor, nn

from genie_mini.contract import check_callable, check_path, shown
from genie_mini.errors import GenieError
from genie_mini.files import (
    PARTS,
    check_saved_together,
    load_weights,
    part_files,
    save_together,
    shipped_weights,
    weights_folder,
)
from genie_mini.hub import check_wishes, copy_beside, fetch, is_hub_id, push
from genie_mini.models.dynamics import DynamicsModel
from genie_mini.models.latent_action import LatentActionModel
from genie_mini.models.patch_tokenizer import PatchTokenizer
from genie_mini.models.tokenizer import Tokenizer, VideoTokenizer
from genie_mini.presets import PRESETS, GenieConfig
from genie_mini.rollout import PlaySession

# Frames of a clip, 1.6 seconds: what the networks are trained and scored on.
CLIP_FRAMES = 16
# What weights may be saved as; play computes in float32 with all of them.
SAVED_TYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


class Genie(nn.Module):
    """A world that was learnt from video alone.

    Attributes:
        tokenizer: `VideoTokenizer`, or `PatchTokenizer` where the config says so.
            latent_action_model: `LatentActionModel`. dynamics: `DynamicsModel`.
        config: the `GenieConfig` that fixes their shapes.
    """

    def __init__(self, config: GenieConfig):
        super().__init__()
        if not isinstance(config, GenieConfig):
            raise GenieError(f"a Genie is built from a GenieConfig, got {shown(config)}")
        self.config = config
        learnt = config.tokenizer.codebook == "learnt"
        self.tokenizer: Tokenizer = (VideoTokenizer if learnt else PatchTokenizer)(config.tokenizer)
        self.latent_action_model = LatentActionModel(config.latent_action)
        self.dynamics = DynamicsModel(config.dynamics)

    @property
    def device(self) -> torch.device:
        """Where it computes. `genie.to("cuda")` moves it; pictures are moved to it, and what it
        draws stays there.
        """
        return self.dynamics.device

    @classmethod
    def from_preset(cls, name: str) -> "Genie":
        """An untrained Genie: "pocket", "mini", "coinrun" or "paper" (build the last under
        `torch.device("meta")`).
        """
        if not isinstance(name, str) or name not in PRESETS:
            raise GenieError(f"there is no preset {shown(name)}; there are {', '.join(PRESETS)}")
        return cls(PRESETS[name]()).eval()

    @classmethod
    def from_pretrained(cls, name_or_folder: str | Path = "mini") -> "Genie":
        """Load trained weights: those that ship with the package, by name; a folder that training
        wrote; or where there is no such folder a Genie on the hub, by its id `owner/name`, for
        which `genie-mini[hub]` must be installed. Only safetensors are read.

        Raises:
            GenieError: the folder or one of its files is missing, damaged, or does not belong to
                this configuration; or the hub gives no such Genie.
        """
        folder = weights_folder(check_path("name_or_folder", name_or_folder))
        if not folder.is_dir() and is_hub_id(name_or_folder):
            folder = fetch(name_or_folder)
        if not folder.is_dir():
            raise GenieError(
                f"no weights called {str(name_or_folder)!r}: give one of "
                f"{', '.join(shipped_weights())}, a folder of trained weights, or the id of a "
                "Genie on the hub, owner/name"
            )
        genie = cls(load_config(folder / "config.json"))
        for part, file in part_files(folder).items():
            load_weights(getattr(genie, part), file)
        check_saved_together(folder)
        return genie.eval()

    def save(self, folder: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write configuration and weights into a folder; each file whole or not at all. Where it
        was stopped between two files, `from_pretrained` says so.
        """
        folder = Path(check_path("folder", folder))
        if dtype not in SAVED_TYPES:
            raise GenieError(f"weights are saved as one of {SAVED_TYPES}, got {shown(dtype)}")
        folder.mkdir(parents=True, exist_ok=True)
        config = json.dumps(asdict(self.config), indent=1).encode() + b"\n"
        save_together(folder, config, {part: getattr(self, part) for part in PARTS}, dtype)
        (folder / "shared.json").unlink(missing_ok=True)  # all parts are its own now

    def push_to_hub(
        self,
        repo_id: str,
        *,
        beside: str | Path | None = None,
        license: str | None = None,
        private: bool = False,
    ) -> str:
        """Send configuration and weights (float32, safetensors) with a card to the hub, where
        `from_pretrained` finds them; what was there of an earlier version is replaced. Needs
        `genie-mini[hub]`, and who you are on the hub, as `hf auth login` keeps it.

        Args:
            repo_id: `owner/name`; made if it is not there.
            beside: where these weights lie (what `from_pretrained` takes): the pictures to begin
                from, the names of the actions, the scores and the model card there go with them.
            license: under which others may use the weights, an identifier such as "mit" or
                "cc-by-4.0"; without it the card names none.
            private: whether one that is made is hidden from others.

        Returns:
            The address of the Genie there.

        Raises:
            GenieError: one of these is something else, the folder beside is missing, or the hub
                takes nothing.
        """
        check_wishes(repo_id, license, private)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if beside is not None:
                weights = weights_folder(check_path("beside", beside))
                if not weights.is_dir():
                    raise GenieError(f"beside names no folder of trained weights: {weights}")
                copy_beside(weights, folder)
            self.save(folder)
            return push(folder, repo_id, self.config, license, private)

    def with_lookback(self, lookback: str) -> "Genie":
        """A Genie with the same weights whose dynamics model chooses its past in another way
        (`genie_mini.models.lookback`).

        It makes good use of another past only after training on clips that are long enough to need
        it.
        """
        genie = Genie(
            replace(self.config, dynamics=replace(self.config.dynamics, lookback=lookback))
        )
        genie.load_state_dict(self.state_dict())
        return genie.eval()

    def play(self, prompt: Tensor, seed: int = 0) -> PlaySession:
        """Start a world from a picture, (height, width, 3), or from a few, (T, height, width, 3),
        float in [0, 1].
        """
        return PlaySession(self, prompt, seed)


def in_windows(function: Callable[[Tensor], Tensor], frames: Tensor) -> Tensor:
    """What a network that was trained on clips of `CLIP_FRAMES` says of a longer video, (batch, T,
    height, width, 3).

    Args:
        function: `VideoTokenizer.encode`, or `LatentActionModel.infer`: one result a frame, or a
            transition.

    Returns:
        The results in order, (batch, T or T - 1, ...). Windows overlap by half; all but the first
        give those of their second half.
    """
    check_callable("function", function)
    if not isinstance(frames, Tensor) or frames.ndim < 2 or not frames.numel():
        raise GenieError(f"frames must be (batch, time, ...), got {shown(frames)}")
    if frames.shape[1] <= CLIP_FRAMES:
        return function(frames)
    half = CLIP_FRAMES // 2
    results = function(frames[:, : half + 1])
    for start in range(1, frames.shape[1] - half, half):
        new = function(frames[:, start : start + CLIP_FRAMES])[:, results.shape[1] - start :]
        results = torch.cat([results, new], dim=1)
    return results


def load_config(path: Path) -> GenieConfig:
    """Read a configuration that `Genie.save` wrote, or raise a GenieError that says what is wrong
    with it.
    """
    try:
        return config_from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise GenieError(f"{path} is missing: {path.parent} holds no trained Genie") from None
    except (OSError, ValueError, RecursionError) as error:
        raise GenieError(f"{path} is not the configuration of a Genie: {error}") from error


def config_from_json(content: Any) -> GenieConfig:
    """The configuration that JSON holds, as in config.json or in a checkpoint, or a GenieError that
    says what is wrong with it.
    """
    return _from_json(GenieConfig, content, "it")


def _from_json(kind: type, content: Any, name: str) -> Any:
    """A dataclass from a JSON object of its fields, those that are dataclasses likewise."""
    if not isinstance(content, dict):
        raise GenieError(f"{name} is not an object but {content!r}")
    known = {field.name: field for field in fields(kind)}
    unknown = sorted(content.keys() - known.keys())
    if unknown:
        raise GenieError(f"{name} holds {unknown[0]!r}; {kind.__name__} has {', '.join(known)}")
    kinds, values = get_type_hints(kind), {}
    for key, value in content.items():
        if is_dataclass(kinds[key]):
            value = _from_json(cast(type, kinds[key]), value, key)
        values[key] = tuple(value) if isinstance(value, list) else value
    for key, field in known.items():
        if key not in values and field.default is MISSING and field.default_factory is MISSING:
            raise GenieError(f"{name} has no {key}")
    return kind(**values)
