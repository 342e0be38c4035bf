"""What a shared page says below its world: facts, model card and licences, as HTML in which
nothing from outside is markup.
"""

import html
import re

from genie_mini.errors import GenieError, how_to_install
from genie_mini.genie import Genie

_LICENCE = re.compile(r"^\|\s*licen[cs]e\s*\|\s*(\S.*?)\s*\|\s*$", re.MULTILINE | re.IGNORECASE)
_EMPTY_HEAD = re.compile(r"<thead>\s*<tr>(\s*<th[^>]*></th>)+\s*</tr>\s*</thead>\n?")
_NO_SCRIPT = "<noscript><p>To be played, this world needs JavaScript.</p></noscript>"
_ABOUT = """<p>A neural network draws each frame from those before it and the action that you
choose. It has learnt this from videos alone. All that it needs is in this file: nothing is sent
or fetched.</p>"""


def facts_section(genie: Genie, action_names: list[str], variant: str, difference: float) -> str:
    """What the networks tell about themselves.

    Args:
        genie: the networks in the page.
        action_names: one for each latent action, empty if unknown.
        variant: how the page stores the weights, one of the export's `VARIANTS`.
        difference: of its logits from PyTorch's, the largest.
    """
    dynamics, (height, width) = genie.config.dynamics, genie.config.tokenizer.image_size
    num_tokens = dynamics.grid[0] * dynamics.grid[1]
    names = [f"{key} {name}" for key, name in enumerate(action_names, 1) if name]
    parts = [*genie.tokenizer.parameters(), *genie.dynamics.parameters()]
    facts = {
        "Frames": f"{width}×{height} pixels, each {num_tokens} tokens of {dynamics.num_codes} "
        "codes",
        "Latent actions": f"{dynamics.num_actions}, which the model found by itself: "
        + (", ".join(names) or "nobody has named them"),
        "Memory": f"{dynamics.context} frames, with the one that it draws",
        "Networks": f"{sum(part.numel() for part in parts) / 1e6:.2f} million parameters, stored "
        f"as {variant}; logits differ from PyTorch's by {difference:.2g} at most",
    }
    rows = "\n".join(
        f'<tr><th scope="row">{name}</th><td>{html.escape(fact)}</td></tr>'
        for name, fact in facts.items()
    )
    return f"{_NO_SCRIPT}\n<h2>About this world</h2>\n{_ABOUT}\n<table>\n{rows}\n</table>\n"


def card_section(card: str) -> str:
    """A model card, folded.

    Args:
        card: Markdown; HTML in it is shown as text, and a picture as a link.

    Raises:
        GenieError: the package that reads Markdown is missing.
    """
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise GenieError(
            f"a page needs the package {error.name}: {how_to_install('export')}"
        ) from error
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = reader.parse(card)
    for token in tokens:
        if token.type.startswith("heading_"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"  # below the page's own
    # A table of names and values needs no head; an empty one would be read out.
    text = _EMPTY_HEAD.sub("", reader.renderer.render(tokens, reader.options, {}))
    return f"<details><summary>Model card</summary>\n{text}</details>\n"


def licences_section(card: str | None, licences: dict[str, str]) -> str:
    """The licences, folded.

    Args:
        card: the model card, whose row "licence" is that of the weights.
        licences: those of the code, by what they are of.
    """
    stated = _LICENCE.search(card or "")
    weights = stated[1] if stated else "not stated; ask whoever made this page"
    texts = "\n".join(
        f"<h3>{html.escape(name)}</h3>\n<pre>{html.escape(text)}</pre>"
        for name, text in licences.items()
    )
    return (
        f"<details><summary>Licences</summary>\n<h3>The weights of this world</h3>\n"
        f"<p>{html.escape(weights)}</p>\n{texts}\n</details>"
    )
