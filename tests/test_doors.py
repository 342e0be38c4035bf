"""Whatever is wrong with a value, the door that it comes to says so in the one way: no other
exception, and no result.
"""

import pytest
from doors import STRANGERS, Door, all_doors, find_escape

EXAMPLES = 8  # at each door; `tools/fuzz.py` tries more


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    return all_doors(tmp_path_factory.mktemp("doors"))


@pytest.mark.parametrize("room", ["configurations", "networks", "a Genie", "scores and export"])
def test_what_is_wrong_is_refused_at_every_door(rooms, room):
    found = {name: find_escape(door, EXAMPLES) for name, door in rooms[room].items()}
    escaped = [
        f"{name}: {escape[0]!r:.200} {escape[1]!r:.300}" for name, escape in found.items() if escape
    ]
    assert not escaped, "\n".join(escaped)


def test_an_open_door_is_noticed():
    _, error = find_escape(Door(lambda value: value, STRANGERS), EXAMPLES)
    assert "it was taken" in str(error)
    _, error = find_escape(Door(lambda value: value + 1j, STRANGERS, may_work=True), EXAMPLES)
    assert isinstance(error, TypeError)
