from dataclasses import replace

import pytest
from short_runs import CONFIG, Noise

from genie_mini.training.trainer import train


@pytest.fixture
def trained(make_genie, tmp_path):
    """Train a fresh Genie: (folder name, config changes, videos) -> the Genie and its folder."""

    def run(name="run", videos=None, genie=None, minutes=None, draw_preview=None, **changes):
        genie = make_genie() if genie is None else genie
        train(
            genie,
            videos or Noise(),
            replace(CONFIG, **changes),
            tmp_path / name,
            minutes=minutes,
            draw_preview=draw_preview,
            progress=False,
        )
        return genie, tmp_path / name

    return run
