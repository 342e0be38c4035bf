"""Genies on a hub come back as they were sent; only safetensors is read; without the extra, the
network or the Genie there is one clear error, and folders work as ever.
"""

import re
import socket
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hub_server import ask_at, hub_on_this_machine
from tiny import NAMES, tiny_genie

from genie_mini import hub
from genie_mini.cli import main
from genie_mini.cli.options import stays_as_it_is
from genie_mini.errors import GenieError
from genie_mini.evaluation.action_names import NAMES as NAMES_FILE
from genie_mini.evaluation.action_names import read_action_names, save_names_by_labels
from genie_mini.files import PARTS, SUMS
from genie_mini.genie import Genie
from genie_mini.play.prompts import PROMPTS, save_prompts, saved_prompts

ID = "someone/world"


@pytest.fixture
def there(monkeypatch, tmp_path):
    with hub_on_this_machine(monkeypatch, tmp_path / "copies") as server:
        yield server


@pytest.fixture
def weights(tmp_path):
    """A folder as training and people leave it, with much that is nobody else's business."""
    folder = tmp_path / "run"
    tiny_genie().save(folder)
    save_prompts(folder, torch.rand(2, 32, 32, 3))
    save_names_by_labels(folder, NAMES, len(NAMES))
    (folder / "checkpoint.safetensors").write_bytes(b"state")
    (folder / "world.csv").write_text("step,loss\n")
    return folder


def same(one, two):
    assert one.config == two.config
    for name, tensor in one.state_dict().items():
        assert torch.equal(two.state_dict()[name], tensor), name
    return True


def card(server):
    """The head of a Genie's card, and the rest."""
    text = server.files(ID)["README.md"].decode()
    head, rest = re.fullmatch(r"---\n(.*?)\n---\n(.*)", text, re.DOTALL).groups()
    return yaml.safe_load(head), rest


def test_a_genie_comes_back_as_it_was_sent(there):
    genie = tiny_genie()
    assert genie.push_to_hub(ID) == f"{there.address}/{ID}"
    assert same(genie, Genie.from_pretrained(ID))


@pytest.mark.parametrize("codebook", ["learnt", "patches"])
def test_a_genie_of_either_tokenizer_comes_back(there, codebook):
    genie = tiny_genie(codebook=codebook)
    genie.push_to_hub(ID)
    assert same(genie, Genie.from_pretrained(ID))


def test_what_is_sent_is_the_weights_and_the_card(there):
    tiny_genie().push_to_hub(ID)
    weights = {f"{part}.safetensors" for part in PARTS}
    assert there.files(ID).keys() == {"README.md", "config.json", SUMS, *weights}


def test_what_lies_beside_goes_with_it_and_nothing_else(there, weights):
    Genie.from_pretrained(weights).push_to_hub(ID, beside=weights)
    names = there.files(ID).keys()
    assert {"action_names.json", "prompts/01.png", "prompts/02.png"} <= names
    assert not names & {"checkpoint.safetensors", "world.csv"}
    copy = hub.fetch(ID)
    assert read_action_names(copy) == NAMES
    pairs = zip(saved_prompts(copy, (32, 32)), saved_prompts(weights, (32, 32)), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


def test_the_files_beside_are_called_as_those_who_read_them_call_them():
    assert NAMES_FILE in hub.BESIDE and f"{PROMPTS}/*.png" in hub.BESIDE


def test_the_weights_that_ship_can_be_sent_with_their_card(there):
    Genie.from_pretrained("mini").push_to_hub(ID, beside="mini", license="mit")
    head, text = card(there)
    assert head["license"] == "mit" and head["library_name"] == "genie-mini"
    assert "# Model card: `mini`" in text and f"--weights {ID}" in text
    assert same(Genie.from_pretrained("mini"), Genie.from_pretrained(ID))


def test_a_card_tells_what_the_genie_is_and_no_licence_that_nobody_gave(there):
    tiny_genie().push_to_hub(ID)
    head, text = card(there)
    assert "license" not in head
    assert "# world" in text and "32x32 pixels, 16 tokens of 32 codes" in text
    assert f'Genie.from_pretrained("{ID}")' in text


def test_a_new_version_replaces_the_old_one_in_one_commit(there, weights):
    Genie.from_pretrained(weights).push_to_hub(ID, beside=weights)
    there.put(ID, **{"notes.txt": b"somebody's"})
    before = len(there.repositories[ID])
    new = tiny_genie(seed=1)
    new.push_to_hub(ID)
    assert len(there.repositories[ID]) == before + 1
    assert same(new, Genie.from_pretrained(ID))
    names = there.files(ID).keys()
    assert not any(name.startswith("prompts/") for name in names) and NAMES_FILE not in names
    assert "notes.txt" in names


def test_one_that_is_made_private_is_hidden(there):
    tiny_genie().push_to_hub(ID, private=True)
    tiny_genie().push_to_hub("someone/other")
    assert there.private == {ID}


def test_only_what_a_genie_is_made_of_is_fetched(there):
    tiny_genie().push_to_hub(ID)
    there.put(ID, **{"dynamics.pt": b"a pickle", "modeling.py": b"code", "shared.json": b"{}"})
    copy = hub.fetch(ID)
    names = {path.name for path in copy.rglob("*")}
    assert names == {"config.json", SUMS, *(f"{part}.safetensors" for part in PARTS)}
    assert not any(re.search(r"resolve/.*(pt|py|shared)", asked) for asked in there.asked)


def test_a_pickle_in_place_of_weights_is_refused(there):
    tiny_genie().push_to_hub(ID)
    there.put(ID, **{"dynamics.safetensors": b"\x80\x04K\x01."})
    with pytest.raises(GenieError, match="is not a whole safetensors file"):
        Genie.from_pretrained(ID)


def test_without_a_network_the_copy_is_played(there, monkeypatch):
    genie = tiny_genie()
    genie.push_to_hub(ID)
    Genie.from_pretrained(ID)
    ask_at(monkeypatch, nobody())
    assert same(genie, Genie.from_pretrained(ID))


def nobody():
    """An address at which nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_folder_goes_before_an_id_and_asks_nobody(there, monkeypatch, tmp_path):
    genie = tiny_genie(seed=2)
    genie.save(tmp_path / ID)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # as where it is not installed
    assert same(genie, Genie.from_pretrained(ID))
    assert there.asked == []


@pytest.mark.parametrize(
    "name, is_id",
    [
        (ID, True),
        ("a/b.c_d-e", True),
        ("mini", False),
        ("./mini", False),
        ("../mini", False),
        ("a/b/c", False),
        ("/a/b", False),
        ("a/", False),
        ("a\\b", False),
        ("a/b\n", False),
        ("ä/b", False),
        (Path("a/b"), False),
    ],
)
def test_an_id_is_told_from_a_path(name, is_id):
    assert hub.is_hub_id(name) == is_id


# what can go wrong


def test_without_the_extra_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(GenieError, match=r"no folder someone/world.*genie-mini\[hub\]"):
        Genie.from_pretrained(ID)
    with pytest.raises(GenieError, match=r"genie-mini\[hub\]"):
        tiny_genie().push_to_hub(ID)


def test_a_genie_that_is_not_there_is_told(there):
    with pytest.raises(GenieError, match="no folder someone/world here, and the hub gives no"):
        Genie.from_pretrained(ID)


@pytest.mark.parametrize("status", [401, 403, 500])
def test_what_the_hub_refuses_is_told(there, status):
    there.refuses = status
    with pytest.raises(GenieError, match=f"the hub does not take {ID}: .*{status}"):
        tiny_genie().push_to_hub(ID)
    with pytest.raises(GenieError, match="the hub gives no Genie of this id"):
        Genie.from_pretrained(ID)


def test_a_network_that_is_down_is_told(there, monkeypatch):
    ask_at(monkeypatch, nobody())
    with pytest.raises(GenieError, match="the hub does not take"):
        tiny_genie().push_to_hub(ID)
    with pytest.raises(GenieError, match="the hub gives no Genie of this id"):
        Genie.from_pretrained(ID)


def test_a_repository_of_something_else_is_no_genie(there):
    there.put(ID, **{"README.md": b"# A language model", "model.safetensors": b""})
    with pytest.raises(GenieError, match="on the hub is no Genie: it has no config.json"):
        Genie.from_pretrained(ID)


@pytest.mark.parametrize("name", ["world", "a/b/c", "", 3, "../a", None])
def test_what_is_no_id_is_refused_before_anything_is_sent(there, name):
    with pytest.raises(GenieError, match="is called owner/name"):
        tiny_genie().push_to_hub(name)
    assert there.asked == []


@pytest.mark.parametrize(
    "options",
    [{"license": ""}, {"license": 5}, {"license": ["mit"]}, {"private": "no"}, {"private": 1}],
)
def test_options_of_another_kind_are_refused_before_anything_is_sent(there, options):
    with pytest.raises(GenieError, match=f"{next(iter(options))} is .*, got"):
        tiny_genie().push_to_hub(ID, **options)
    assert there.asked == []


def test_a_folder_beside_that_is_missing_is_told(there, tmp_path):
    with pytest.raises(GenieError, match="beside names no folder"):
        tiny_genie().push_to_hub(ID, beside=tmp_path / "no")
    assert there.asked == []


# the commands


def test_commands_take_an_id_and_leave_the_copy_as_it_is(there, weights, monkeypatch, tmp_path):
    Genie.from_pretrained(weights).push_to_hub(ID, beside=weights)
    monkeypatch.chdir(tmp_path)
    seen = {}
    monkeypatch.setattr(
        "genie_mini.cli.export.export", lambda genie, folder, **more: seen.update(more) or {}
    )
    assert main(["export", "--weights", ID, "--out", "onnx"]) == 0
    assert seen["action_names"] == NAMES
    copy = hub.fetch(ID)
    assert stays_as_it_is(copy) and not stays_as_it_is(weights)


def test_a_command_says_in_one_line_that_there_is_no_such_genie(there, capsys):
    assert main(["evaluate", "--weights", ID]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("genie-mini: there is no folder someone/world here")
