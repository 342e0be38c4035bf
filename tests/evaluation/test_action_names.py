"""Names of the latent actions: by hand, by labels, by measurement, each in its place."""

import json

import pytest
from tiny import NAMES as MEASURED
from tiny import tiny_genie

from genie_mini.errors import GenieError
from genie_mini.evaluation.action_names import (
    LONGEST_NAME,
    NAMES,
    check_name,
    read_action_names,
    read_measured_names,
    save_name_by_hand,
    save_names_by_labels,
)
from genie_mini.files import SUMS
from genie_mini.genie import Genie

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"


def test_a_name_by_hand_goes_before_labels_and_labels_before_the_platformer(tmp_path):
    assert read_action_names(tmp_path) is None
    assert save_name_by_hand(tmp_path, 1, "hop", 8) == ["", "hop", *[""] * 6]
    (tmp_path / "scores.json").write_text(json.dumps({"scores": [], "latent_to_real": MEASURED}))
    assert read_action_names(tmp_path) == ["left", "hop", *MEASURED[2:]]
    labels = ["noop", "fire", *[""] * 6]
    assert save_names_by_labels(tmp_path, labels, 8) == ["noop", "hop", *MEASURED[2:]]
    assert save_name_by_hand(tmp_path, 1, " ", 8) == ["noop", "fire", *MEASURED[2:]]
    assert read_action_names(tmp_path) == ["noop", "fire", *MEASURED[2:]]


def test_no_experiment_takes_what_somebody_said_for_a_measurement(tmp_path):
    save_name_by_hand(tmp_path, 0, "left", 8)
    assert read_measured_names(tmp_path) is None
    content = json.dumps({"scores": [], "latent_to_real": MEASURED})
    (tmp_path / "scores.json").write_text(content)
    save_name_by_hand(tmp_path, 0, "right", 8)
    assert read_measured_names(tmp_path) == MEASURED
    assert (tmp_path / "scores.json").read_text() == content


def test_named_weights_are_the_same_weights(tmp_path):
    genie = tiny_genie()
    genie.save(tmp_path)
    sums = (tmp_path / SUMS).read_bytes()
    save_name_by_hand(tmp_path, 3, "duck", 8)
    assert (tmp_path / SUMS).read_bytes() == sums
    Genie.from_pretrained(tmp_path).save(tmp_path)
    assert read_action_names(tmp_path)[3] == "duck", "saving again takes no name away"


@pytest.mark.parametrize(
    "given, kept",
    [
        ("  jump \n", "jump"),
        ("", ""),
        (" \t", ""),
        ("a" * LONGEST_NAME, "a" * LONGEST_NAME),
        ("e\u0301tage", "étage"),
        ("跳ぶ", "跳ぶ"),
        ("قفز إلى اليسار", "قفز إلى اليسار"),
        (FAMILY, FAMILY),
        ("<b>&amp;</b>", "<b>&amp;</b>"),
        ("a\u00a0b", "a\u00a0b"),
    ],
)
def test_text_of_every_script_is_a_name(tmp_path, given, kept):
    assert check_name(given) == kept
    save_name_by_hand(tmp_path, 7, given, 8)
    assert (read_action_names(tmp_path) or [""] * 8)[7] == kept


@pytest.mark.parametrize(
    "name",
    [
        "a" * (LONGEST_NAME + 1),
        "up\ndown",
        "up\x00",
        "\x1b[31mred",
        "a\u2028b",
        "a\x85b",
        "half \ud83d",
        "\u202eright",
        "a\u2067b",
        "\u200b",
        "\u200d\u2060",
        None,
        3,
        ["left"],
        b"left",
    ],
    ids=repr,
)
def test_what_is_no_name_is_refused_and_the_others_stay(tmp_path, name):
    save_name_by_hand(tmp_path, 0, "duck", 8)
    before = (tmp_path / NAMES).read_bytes()
    with pytest.raises(GenieError, match="a name is a line of text of at most 24 characters"):
        save_name_by_hand(tmp_path, 0, name, 8)
    with pytest.raises(GenieError, match="a name is a line of text"):
        save_names_by_labels(tmp_path, [name] * 8, 8)
    assert (tmp_path / NAMES).read_bytes() == before


@pytest.mark.parametrize("action", [-1, 8, 2.0, True, "2", None])
def test_an_action_that_there_is_not_is_refused(tmp_path, action):
    with pytest.raises(GenieError, match="latent actions are the integers from 0 to 7"):
        save_name_by_hand(tmp_path, action, "duck", 8)
    assert not (tmp_path / NAMES).exists()


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "3",
        '"by_hand"',
        "[" * 100_000,
        '{"by_hand": ["left", 3]}',
        '{"by_hand": "left"}',
        '{"by_hand": null}',
        '{"by_hand": ["a\\u0000b"]}',
        '{"by_hand": ["\\ud83d"]}',
        json.dumps({"by_labels": ["a" * 25]}),
        '{"by_foot": ["left"]}',
    ],
    ids=lambda content: content[:30],
)
def test_a_file_of_something_else_is_one_clear_error_and_is_not_replaced(tmp_path, content):
    (tmp_path / NAMES).write_text(content)
    for use in (
        lambda: read_action_names(tmp_path),
        lambda: save_name_by_hand(tmp_path, 0, "duck", 8),
        lambda: save_names_by_labels(tmp_path, ["duck"] * 8, 8),
    ):
        with pytest.raises(GenieError, match=f"{NAMES} does not hold lists of names"):
            use()
    assert (tmp_path / NAMES).read_text() == content


def test_names_of_another_number_of_actions_are_refused(tmp_path):
    save_name_by_hand(tmp_path, 0, "duck", 8)
    before = (tmp_path / NAMES).read_bytes()
    with pytest.raises(GenieError, match="there are 6 latent actions, but 8 names"):
        save_name_by_hand(tmp_path, 0, "hop", 6)
    with pytest.raises(GenieError, match="there are 8 latent actions, but 2 names"):
        save_names_by_labels(tmp_path, ["left", "right"], 8)
    with pytest.raises(GenieError, match="different numbers of names: 8, 2"):
        save_names_by_labels(tmp_path, ["left", "right"], 2)
    assert (tmp_path / NAMES).read_bytes() == before


def test_names_that_cannot_be_written_say_so_and_leave_the_old_ones(tmp_path, monkeypatch):
    save_name_by_hand(tmp_path, 0, "duck", 8)

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(GenieError, match=f"{NAMES} cannot be written .No space left on device"):
        save_name_by_hand(tmp_path, 0, "hop", 8)
    assert read_action_names(tmp_path)[0] == "duck"
    assert [file.name for file in tmp_path.iterdir()] == [NAMES]
    with pytest.raises(GenieError, match="cannot be written .No such file or directory"):
        save_name_by_hand(tmp_path / "gone", 0, "hop", 8)
