"""Saved tables are found from wherever a chapter lies, and say what made them."""

import pytest

from genie_mini.chapters.tables import (
    RESULTS,
    read_scores,
    read_table,
    read_trainings,
    read_watched,
    with_interval,
)
from genie_mini.errors import GenieError

NAMES = [
    path.relative_to(RESULTS).with_suffix("").as_posix()
    for path in sorted([*RESULTS.glob("*.json"), *RESULTS.glob("*/*.json")])
    # tests/book/test_results.py and tests/test_speed.py read the others
    if path.parent.name not in ("worlds", "latent_actions", "speed", "trainings", "clips")
]


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_read_and_says_what_made_it(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert read_table(name)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(("genie-mini memory ", "python benchmarks/"))
    assert "(these weights, dynamics " in line


def test_other_weights_are_said(tmp_path, monkeypatch, capsys):
    text = (RESULTS / "memory" / "budget.json").read_text(encoding="utf-8")
    content = text.replace('"dynamics.safetensors": "', '"dynamics.safetensors": "00')
    (tmp_path / "old.json").write_text(content, encoding="utf-8")
    monkeypatch.setattr("genie_mini.chapters.tables.RESULTS", tmp_path)
    read_table("old")
    assert "OTHER WEIGHTS" in capsys.readouterr().out


def test_a_table_that_is_not_there_is_named():
    for read in (read_table, read_scores, read_trainings, read_watched):
        with pytest.raises(GenieError, match="there is no table 'memory/reccall'"):
            read("memory/reccall")


@pytest.mark.parametrize(
    "row, told",
    [
        ({"recall": 0.75, "low": 0.5, "high": 0.875}, "0.75 (0.50-0.88)"),
        ({"age": 2, "obeyed": 0.5, "obeyed_low": 0.25, "obeyed_high": 0.75}, "0.50 (0.25-0.75)"),
        ({"obeyed": 0.5, "obeyed_low": None, "obeyed_high": None}, "0.50"),
    ],
)
def test_a_share_is_told_with_its_interval_where_one_is_known(row, told):
    assert with_interval(row, list(row)[-3]) == told
