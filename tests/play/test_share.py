"""A shared page: one file that plays in a browser from disk, asks nobody for anything, and takes no
word of a title, a name or a model card for markup.
"""

import json
from functools import partial
from pathlib import Path

import driving
import numpy as np
import pytest
import torch
from PIL import Image
from tiny import tiny_genie as any_tiny_genie

from genie_mini.errors import GenieError
from genie_mini.export import page as export_page
from genie_mini.export.graphs import GRAPHS
from genie_mini.play import share as share_module
from genie_mini.play.images import to_uint8
from genie_mini.play.share import player_files, read_model_card, share, shared_prompts
from genie_mini.play.widget import level_prompts

ROOT = Path(__file__).resolve().parents[2]
ATTACK = (
    "</script></title><img src=x onerror='window.attacked=1'><script>window.attacked=1</script>"
)
TITLE = f'My "world" & {{{{ module }}}} {ATTACK}'
NAMES = ["left", "right", "jump", "nothing", f"duck {ATTACK}", "", "{{ scripts }}", "jump left"]
CARD = f"""# Model card: `tiny` {ATTACK}

| | |
|---|---|
| seed | 0 |
| licence | CC BY 4.0 {ATTACK} |

## Scores

| score | value |
|---|---|
| tokenizer PSNR | 12.5 |

<b onclick="window.attacked=1">bold</b> ![a picture](http://other.invalid/x.png)
[a link](javascript:window.attacked=1)
"""
# What only these tests ask of the element.
ADDED = """
genie.find(".clock").checked = false;
const begin = genie.engine.begin;
genie.begun = 0;
genie.engine.begin = async function (...given) {
  const shown = await begin.apply(this, given);
  genie.begun++;
  return shown;
};
null;
"""

# The page has to begin with these chances, and to put back detail.
tiny_genie = partial(any_tiny_genie, min_p=0.37, keeps_detail=True)


def pictures():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(32, 32, 3, generator=generator) for _ in range(2)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A page of the tiny Genie, in float32, so that its frames are PyTorch's."""
    try:
        export_page.find_onnxruntime_web()
    except GenieError:
        pytest.skip("node_modules is missing: `python3 run.py book` installs it")
    path = tmp_path_factory.mktemp("page") / "new" / "world.html"
    share(
        tiny_genie(),
        path,
        pictures(),
        title=TITLE,
        action_names=NAMES,
        model_card=CARD,
        variant="fp32",
    )
    return path


wait = partial(driving.wait, seconds=30)


@pytest.fixture
def open_page(browser):
    """Open a page from disk without a network. Nothing may be asked for or complained of."""
    contexts, wrong = [], []

    def open_(path, **options):
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.wrong = wrong
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((path.as_uri(), "data:", "blob:"))
                else wrong.append(request.url)
            ),
        )
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console",
            lambda message: wrong.append(message.text) if message.type == "error" else None,
        )
        page.goto(path.as_uri())
        if options.get("java_script_enabled", True):
            wait(page, "document.querySelector('genie-player').shadowRoot")
            page.evaluate(driving.HELPERS + ADDED)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


def begin(page):
    """The button that begins has the focus."""
    page.keyboard.press("Enter")
    wait(page, "genie.started && /^Ready/.test(genie.status())")


def press(page, key):
    """Press a key, wait for the frame that it brings, and return it."""
    driving.press(page, key, seconds=30)
    return shown(page)


def shown(page):
    return np.array(page.evaluate("genie.pixels()"), int).reshape(32, 32, 4)[..., :3]


def test_it_is_one_file_of_less_than_15_megabytes(shared):
    assert [path.name for path in shared.parent.iterdir()] == ["world.html"]
    assert shared.stat().st_size < share_module.LARGEST_PAGE == 15e6


def test_from_disk_and_offline_the_keys_play_the_genies_own_frames(open_page, shared):
    page = open_page(shared)
    begin(page)
    prompts = [torch.from_numpy(to_uint8(picture)).float() / 255 for picture in pictures()]
    session, frames = tiny_genie().play(prompts[0], seed=0), [shown(page)]
    assert np.abs(frames[0] - to_uint8(session.frame)).max() <= 1
    for key, action in (("Digit3", 2), ("ArrowRight", 1), ("ArrowUp", 2), ("Digit8", 7)):
        frames.append(press(page, key))
        assert np.abs(frames[-1] - to_uint8(session.step(action))).max() <= 1
    assert len({frame.tobytes() for frame in frames}) > 1
    page.get_by_role("button", name="Picture 2").click()
    wait(page, "genie.begun === 2")
    other = tiny_genie().play(prompts[1], seed=0)
    assert np.abs(shown(page) - to_uint8(other.frame)).max() <= 1
    assert np.abs(press(page, "Digit1") - to_uint8(other.step(0))).max() <= 1
    page.locator("genie-player .min-p").fill("0.7")
    page.locator("genie-player .worlds").focus()
    for key, action in (("Digit3", 2), ("Digit8", 7)):
        assert np.abs(press(page, key) - to_uint8(other.step(action, min_p=0.7))).max() <= 1


def test_no_word_is_taken_for_markup(open_page, shared):
    page = open_page(shared)
    begin(page)
    press(page, "Digit5")
    for summary in page.locator("main > details > summary").all():
        summary.click()
    assert page.title() == page.locator("h1").inner_text() == TITLE
    labels = page.evaluate("genie.buttons.map(button => button.querySelector('span').textContent)")
    assert labels == [name or f"action {action}" for action, name in enumerate(NAMES)]
    card = page.locator("details", has_text="Model card").first
    assert '<b onclick="window.attacked=1">bold</b>' in card.inner_text()
    assert (
        page.locator("main > * img, main > img").count() == page.locator("genie-player img").count()
    )
    assert page.evaluate("window.attacked") is None
    assert page.locator("[href^='javascript'], [onclick], [onerror]").count() == 0


def test_the_browser_is_told_to_forbid_every_connection(open_page, shared):
    page = open_page(shared)
    forbidden = page.evaluate(
        """() => new Promise(done => {
          const seen = [];
          document.addEventListener("securitypolicyviolation", event => {
            seen.push(event.effectiveDirective);
            if (seen.length === 3) done(seen.sort());
          });
          new Image().src = "http://other.invalid/x.png";
          fetch("http://other.invalid/y").catch(() => {});
          const script = document.createElement("script");
          script.text = "window.attacked = 1";
          document.body.append(script);
        })"""
    )
    assert forbidden == ["connect-src", "img-src", "script-src-elem"]
    assert page.evaluate("window.attacked") is None
    page.wrong.clear()  # the browser's own words on the three


def test_it_says_what_it_is_and_under_which_licences(open_page, shared):
    page = open_page(shared)
    facts = page.locator("main > table").inner_text()
    for fact in ("32×32 pixels", "16 tokens of 32 codes", "1 left, 2 right", "16 frames", "fp32"):
        assert fact in facts
    for summary in page.locator("main > details > summary").all():
        summary.click()
    card, licences = page.locator("main > details").all()
    assert "tokenizer PSNR" in card.inner_text() and "12.5" in card.inner_text()
    text = licences.inner_text()
    for words in ("CC BY 4.0", "The Genie, from scratch authors", "onnxruntime-web", "abseil"):
        assert words in text
    notices = export_page.licences(export_page.find_onnxruntime_web())
    shown = page.evaluate("[...document.querySelectorAll('pre')].map(text => text.textContent)")
    assert [text.split() for text in shown] == [text.split() for text in notices.values()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page, shared, scheme):
    page = open_page(shared, color_scheme=scheme, bypass_csp=True)
    begin(page)
    press(page, "Digit1")
    for summary in page.locator("main > details > summary").all():
        summary.click()
    page.add_script_tag(path=ROOT / "node_modules" / "axe-core" / "axe.min.js")
    violations = page.evaluate("axe.run().then(found => found.violations)")
    assert not violations, json.dumps(violations, indent=1)[:3000]


def test_by_tab_one_comes_to_the_licences(open_page, shared):
    page = open_page(shared)
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Licences":
            break
    page.keyboard.press("Enter")
    assert page.locator("main > details").last.get_attribute("open") is not None


def test_without_scripts_its_pictures_are_shown_with_a_word(open_page, shared):
    page = open_page(shared, java_script_enabled=False)
    strip = page.locator("genie-player img")
    assert strip.is_visible() and "begin" in strip.get_attribute("alt")
    assert page.locator("noscript p").is_visible()


def test_a_page_that_has_lost_a_file_says_which(open_page, shared, tmp_path):
    damaged = tmp_path / "damaged.html"
    damaged.write_bytes(shared.read_bytes().replace(b'["decoder"] = "', b'["nothing"] = "'))
    page = open_page(damaged)
    page.keyboard.press("Enter")
    wait(page, "/lost its file decoder/.test(genie.status())")
    assert len(page.wrong) == 1, "the changed script is none of the page's own"
    page.wrong.clear()


# what a page is made of


def test_the_player_asks_for_these_files(shared, tmp_path):
    for name in ("step", "decoder", "encoder"):
        (tmp_path / f"{name}.int8.onnx").write_bytes(name.encode())
    files = player_files(tmp_path, "int8", export_page.find_onnxruntime_web())
    assert list(files) == ["worker", "runtime", "wasm", "step", "decoder", "encoder"]
    assert files["step"] == b"step" and b"onmessage" in files["worker"]


def test_own_pictures_come_first_then_the_weights_or_else_levels(tmp_path):
    Image.new("RGB", (60, 40), (255, 0, 0)).save(tmp_path / "photo.jpg", quality=100)
    size, photo = (32, 32), tmp_path / "photo.jpg"
    levels = level_prompts(size)
    offered = shared_prompts(tmp_path, size, [photo])
    assert len(offered) == 1 + len(levels) and torch.equal(offered[1], levels[0])
    assert len(shared_prompts(tmp_path, (48, 48), [photo])) == 1
    with pytest.raises(ValueError, match="48x48: give a prompt"):
        shared_prompts(tmp_path, (48, 48))
    folder = tmp_path / "prompts"
    folder.mkdir()
    for name, shade in (("b.png", 20), ("a.png", 10), ("notes.txt", 0)):
        Image.new("RGB", size, (shade,) * 3).save(folder / name, "PNG")
    offered = shared_prompts(tmp_path, size, [photo])
    assert [round(255 * picture[0, 0, 1].item()) for picture in offered] == [0, 10, 20]
    (folder / "c.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="c.png"):
        shared_prompts(tmp_path, size)


def test_a_model_card_is_read_as_text(tmp_path):
    assert read_model_card(tmp_path) is None
    assert "licence" in read_model_card("mini")
    (tmp_path / "MODEL_CARD.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="MODEL_CARD.md is no text in UTF-8"):
        read_model_card(tmp_path)


# nothing half done


@pytest.fixture
def old(tmp_path):
    """A page that was there before."""
    path = tmp_path / "world.html"
    path.write_text("<genie-player>the old page")
    yield path
    assert path.read_text() == "<genie-player>the old page"
    assert [file.name for file in tmp_path.iterdir()] == ["world.html"]


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"title": " \n"}, "a page's title is a line of text"),
        ({"action_names": ["left"]}, "8 latent actions, but 1 names"),
        ({"prompts": [torch.rand(8, 8, 3)]}, r"a prompt must be \(32, 32, 3\)"),
        ({"prompts": []}, "pictures"),
        ({"variant": "fp64"}, "variants are some of"),
        ({"onnxruntime": "/no/such/folder"}, "is not the folder of onnxruntime-web"),
    ],
)
def test_what_cannot_be_shared_leaves_the_old_page(old, options, problem):
    with pytest.raises(ValueError, match=problem):
        share(tiny_genie(), old, **{"prompts": pictures(), **options})


def test_without_onnxruntime_web_nothing_is_exported(old, monkeypatch):
    monkeypatch.setattr(export_page, "_OURS", old.parent / "nowhere")
    monkeypatch.setattr(share_module, "export", None)
    with pytest.raises(ValueError, match="a page needs onnxruntime-web"):
        share(tiny_genie(), old, pictures())


@pytest.mark.parametrize("name", ["world", "world.onnx", ""])
def test_another_name_than_a_pages_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="a page is a file whose name ends in .html"):
        share(tiny_genie(), tmp_path / name, pictures())
    assert not list(tmp_path.iterdir())


def test_what_lies_there_and_is_no_such_page_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(share_module, "export", None)
    (tmp_path / "diary.html").write_text("<p>Dear diary")
    (tmp_path / "folder.html").mkdir()
    for name in ("diary.html", "folder.html"):
        with pytest.raises(GenieError, match=f"{name} is there and holds something else"):
            share(tiny_genie(), tmp_path / name, pictures())
    with pytest.raises(GenieError, match="diary.html is no folder to write into"):
        share(tiny_genie(), tmp_path / "diary.html" / "world.html", pictures())
    assert (tmp_path / "diary.html").read_text() == "<p>Dear diary"


@pytest.mark.parametrize("failure", ["export", "size", "disk"])
def test_a_failure_in_the_middle_leaves_the_old_page(shared, old, monkeypatch, failure):
    def export(genie, folder, variants, names):
        """Files that nobody will play."""
        if failure == "export":
            raise GenieError("the exported logits differ")
        for graph in GRAPHS:
            (Path(folder) / f"{graph}.int8.onnx").write_bytes(b"a graph")
        return dict.fromkeys(variants, 0.0)

    def full(*files):
        raise OSError("no space left")

    monkeypatch.setattr(share_module, "export", export)
    monkeypatch.setattr(share_module, "LARGEST_PAGE", 1e6 if failure == "size" else 15e6)
    if failure == "disk":
        monkeypatch.setattr("genie_mini.files.os.replace", full)
    problem = {"export": "logits differ", "size": "the page would hold", "disk": "no space left"}
    with pytest.raises((GenieError, OSError), match=problem[failure]):
        share(tiny_genie(), old, pictures())
