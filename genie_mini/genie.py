"""Genie: the video tokenizer, the latent action model and the dynamics model together (paper,
Section 2).
"""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

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
from genie_mini.models.dynamics import DynamicsConfig, DynamicsModel
from genie_mini.models.latent_action import LatentActionConfig, LatentActionModel
from genie_mini.models.quantizer import QuantizerConfig
from genie_mini.models.tokenizer import TokenizerConfig, VideoTokenizer
from genie_mini.presets import PRESETS, GenieConfig
from genie_mini.rollout import PlaySession


class Genie(nn.Module):
    """A world that was learnt from video alone.

    Attributes:
        tokenizer: `VideoTokenizer`. latent_action_model: `LatentActionModel`. dynamics:
            `DynamicsModel`.
        config: the `GenieConfig` that fixes their shapes.
    """

    def __init__(self, config: GenieConfig):
        super().__init__()
        self.config = config
        self.tokenizer = VideoTokenizer(config.tokenizer)
        self.latent_action_model = LatentActionModel(config.latent_action)
        self.dynamics = DynamicsModel(config.dynamics)
        self.float()  # whatever torch's default type is: a seed gives the same frames

    @property
    def device(self) -> torch.device:
        """Where it computes. `genie.to("cuda")` moves it; pictures are moved to it, and what it
        draws stays there.
        """
        return self.dynamics.position.device

    @classmethod
    def from_preset(cls, name: str) -> "Genie":
        """An untrained Genie: "pocket", "mini", "coinrun" or "paper" (build the last under
        `torch.device("meta")`).
        """
        if name not in PRESETS:
            raise GenieError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
        return cls(PRESETS[name]()).eval()

    @classmethod
    def from_pretrained(cls, name_or_folder: str | Path = "mini") -> "Genie":
        """Load trained weights: those that ship with the package, by name, or a folder that
        training wrote.

        Raises:
            ValueError: the folder or one of its files is missing, damaged, or does not belong to
                this configuration.
        """
        folder = weights_folder(name_or_folder)
        if not folder.is_dir():
            raise GenieError(
                f"no weights called {str(name_or_folder)!r}: give one of "
                f"{', '.join(shipped_weights())}, or a folder of trained weights"
            )
        config = load_config(folder / "config.json")
        try:
            genie = cls(config)
        except (ValueError, TypeError) as error:
            raise GenieError(
                f"{folder / 'config.json'} is not the configuration of a Genie: {error}"
            ) from error
        for part, file in part_files(folder).items():
            load_weights(getattr(genie, part), file)
        check_saved_together(folder)
        return genie.eval()

    def save(self, folder: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write configuration and weights into a folder; each file whole or not at all. Where it
        was stopped between two files, `from_pretrained` says so.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = json.dumps(asdict(self.config), indent=1).encode() + b"\n"
        save_together(folder, config, {part: getattr(self, part) for part in PARTS}, dtype)
        (folder / "shared.json").unlink(missing_ok=True)  # all parts are its own now

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
    """What a network that was trained on clips of 16 frames says of a longer video, (batch, T,
    height, width, 3).

    Args:
        function: `VideoTokenizer.encode`, or `LatentActionModel.infer`: one result a frame, or a
            transition.

    Returns:
        The results in order, (batch, T or T - 1, ...). Windows overlap by half; all but the first
        give those of their second half.
    """
    if frames.shape[1] <= 16:
        return function(frames)
    results = function(frames[:, :9])
    for start in range(1, frames.shape[1] - 8, 8):
        new = function(frames[:, start : start + 16])[:, results.shape[1] - start :]
        results = torch.cat([results, new], dim=1)
    return results


def load_config(path: Path) -> GenieConfig:
    """Read a configuration that `Genie.save` wrote, or raise a ValueError that says what is wrong
    with it.
    """
    try:
        content = json.loads(path.read_text())
        parts: dict[str, Any] = {}
        for name, kind in (
            ("tokenizer", TokenizerConfig),
            ("latent_action", LatentActionConfig),
            ("dynamics", DynamicsConfig),
        ):
            fields: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in content[name].items()
            }
            if "quantizer" in fields:
                fields["quantizer"] = QuantizerConfig(**fields["quantizer"])
            parts[name] = kind(**fields)
        return GenieConfig(**parts)
    except FileNotFoundError:
        raise GenieError(f"{path} is missing: {path.parent} holds no trained Genie") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GenieError(f"{path} is not the configuration of a Genie: {error}") from error
