"""What a training run was asked for: its checkpoint keeps it, so that the run goes on with the
same, or with more of it, or not at all.
"""

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from genie_mini.data.videos import Source, Videos
from genie_mini.errors import GenieError
from genie_mini.genie import Genie
from genie_mini.training.config import TrainingConfig

LENGTHS = (
    "tokenizer_steps",
    "latent_action_steps",
    "latent_action_pretraining_steps",
    "dynamics_steps",
)
# How a run does it, not what it comes to; of the shares follow lengths, which are compared.
_MANNER = (
    *("compile", "gradient_accumulation", "activation_checkpointing", "shards"),
    *("checkpoint_seconds", "preview_seconds", "shares"),
)
_NAMED = 6  # differences that an error lists


@dataclass(frozen=True)
class Request:
    """What a run was asked for.

    Attributes:
        what: all that its result follows from but the lengths, as JSON has it: the settings of the
            training, the shapes of the networks, what the clips are, what the networks began as. A
            text that is empty is not known.
        lengths: the steps of each network (`LENGTHS`), those asked for first and then, each time
            more was asked for, the new ones.
        minutes: of each of the lengths, the minutes that were asked for and decided them; None
            where steps were asked for. One more than the lengths while the last ones are still to
            be decided.
    """

    what: dict[str, Any]
    lengths: tuple[tuple[int, ...], ...]
    minutes: tuple[float | None, ...]

    @classmethod
    def of(
        cls,
        genie: Genie,
        config: TrainingConfig,
        videos: Videos | None,
        origin: str,
        minutes: float | None = None,
    ) -> "Request":
        """The request for a training; see `train`. Without videos, what they are is not known. With
        minutes, its lengths are still to be decided.
        """
        settings = asdict(config)
        lengths = tuple(settings.pop(name) for name in LENGTHS)
        what = {
            "began as": origin,
            "data": videos.description if isinstance(videos, Source) else "",
            "training": {name: settings[name] for name in settings if name not in _MANNER},
            "networks": asdict(genie.config),
        }
        what = json.loads(json.dumps(what))
        return cls(what, (lengths,) if minutes is None else (), (minutes,))

    @classmethod
    def from_json(cls, text: str) -> "Request":
        """Read what `to_json` wrote; a ValueError or a TypeError if it did not."""
        content = json.loads(text)
        lengths = tuple(tuple(steps) for steps in content["lengths"])
        if not lengths or not all(
            len(steps) == len(LENGTHS) and all(type(count) is int for count in steps)
            for steps in lengths
        ):
            raise ValueError(f"{content['lengths']} are no lengths")
        # Checkpoints of before minutes could be asked for name none.
        minutes = tuple(content.get("minutes", [None] * len(lengths)))
        known = [value for value in minutes if value is not None]
        if (
            len(minutes) != len(lengths)
            or not all(type(value) in (int, float) and 0 < value < math.inf for value in known)
            or known != sorted(set(known))
        ):
            raise ValueError(f"{content['minutes']} are no minutes of {len(lengths)} lengths")
        return cls(dict(content["what"]), lengths, minutes)

    def to_json(self) -> str:
        """As the text that a checkpoint keeps."""
        return json.dumps(asdict(self))

    def goes_on_as(self, new: "Request", checkpoint: Path) -> "Request":
        """The request of a run that was asked for this and is now asked for something new: the same
        again, or more steps, or more minutes.

        Args:
            new: what is asked for now.
            checkpoint: the file that holds this, for the message.

        Raises:
            GenieError: it is something else; the error says what differs.
        """
        told = _differences(self.what, new.what) + self._less(new)
        if told:
            more = f"; and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
            raise GenieError(
                f"{checkpoint} belongs to a run that was asked for something else: "
                f"{'; '.join(told[:_NAMED])}{more}. Ask for the same to go on with it, or give "
                "another folder"
            )
        if new.undecided:
            same = new.minutes[-1] == self.minutes[-1]
            return self if same else replace(self, minutes=(*self.minutes, *new.minutes))
        if new.lengths[-1] == self.lengths[-1]:
            return self
        return replace(
            self,
            lengths=(*self.lengths, *new.lengths),
            minutes=(*self.minutes, *new.minutes),
        )

    def _less(self, new):
        """In what the new lengths or minutes are no more than these, a line each."""
        before, now = self.minutes[-1], new.minutes[-1]
        if new.undecided and before is None:
            steps = ", ".join(map(str, self.lengths[-1]))
            return [f"steps ({', '.join(LENGTHS)}: {steps}), now minutes {now:g}"]
        if new.undecided:
            more = "more can be asked for, not less"
            return [f"minutes {before:g}, now {now:g} ({more})"] if now < before else []
        pairs = list(zip(LENGTHS, self.lengths[-1], new.lengths[-1], strict=True))
        if all(one <= other for _, one, other in pairs):
            return []
        return [
            f"{name} {one}, now {other} (of each, more can be asked for, not less)"
            for name, one, other in pairs
            if one != other
        ]

    @property
    def undecided(self) -> bool:
        """Whether minutes were asked for last, and nobody knows yet how many steps they are."""
        return len(self.minutes) > len(self.lengths)

    def decided(self, steps: tuple[int, ...]) -> "Request":
        """This undecided request, with the steps of each network (`LENGTHS`) that its last minutes
        come to, on top of those before.
        """
        before = self.lengths[-1] if self.lengths else (0,) * len(LENGTHS)
        total = tuple(one + more for one, more in zip(before, steps, strict=True))
        return replace(self, lengths=(*self.lengths, total))

    @property
    def leg_minutes(self) -> list[float] | None:
        """The minutes of each leg of the run, on top of those before; None if steps were asked for
        in one of them.
        """
        minutes = [value for value in self.minutes if value is not None]
        if len(minutes) < len(self.minutes):
            return None
        return [now - before for before, now in zip([0.0, *minutes], minutes, strict=False)]

    def legs(self, genie: Genie, config: TrainingConfig) -> list[TrainingConfig]:
        """The settings of each leg of the run: the first, and one for each time more was asked for,
        as long as what came on top.

        A further leg is like the end of a training: long clips, latent actions that are decided,
        and learning rates that rise and fall once more.
        """
        first: dict[str, Any] = dict(zip(LENGTHS, self.lengths[0], strict=True))
        legs = [replace(config, **first)]
        for before, after in zip(self.lengths, self.lengths[1:], strict=False):
            steps = [new - old for old, new in zip(before, after, strict=True)]
            more: dict[str, Any] = dict(zip(LENGTHS, steps, strict=True))
            pretraining = "latent_action_pretraining_steps"
            more[pretraining] = min(more[pretraining], more["latent_action_steps"])
            decided = max(
                genie.config.latent_action.soft_share, config.latent_action_restarts[-1][1]
            )
            more["latent_action_restarts"] = ((1.0, decided),)
            legs.append(replace(config, short_share=0.0, **more))
        return legs


def _differences(before, now, name=""):
    """What differs between two JSON values, a line each."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            line
            for key in sorted({*before, *now}, key=[*now, *before].index)
            for line in _differences(before.get(key), now.get(key), f"{name} {key}".strip())
        ]
    return [] if before == now or "" in (before, now) else [f"{name} {before}, now {now}"]
