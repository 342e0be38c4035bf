"""Gives a chapter's pictures their alternative text, which stands in the metadata of their cell.

    "mystnb": {"image": {"alt": "..."}}

MyST-NB itself does so for outputs that are images. Those of `genie_mini.chapters.show` are HTML, so
that they work without a kernel; there the text takes the place of `alt=""`. A wide one also gets
the class `genie-wide`, by which the pages know what could not be read if it shrank to a phone.

Sphinx loads this as a local extension (`_config.yml`).
"""

import base64
import html
import io
import re

from docutils import nodes
from PIL import Image
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
EMPTY = 'alt=""'
EMBEDDED = re.compile(r'src="data:image/\w+;base64,([^"]+)"')
WIDE = 750  # pixels; the largest part of the plots has 704


def is_wide(output):
    """Whether the first picture in the HTML is wider than WIDE."""
    encoded = EMBEDDED.search(output)
    if encoded is None:
        return False
    with Image.open(io.BytesIO(base64.b64decode(encoded[1]))) as picture:
        return picture.width > WIDE


def give_alt_texts(app, doctree):
    """Put the text of each cell into its pictures; a picture without one fails the build, whose
    warnings are errors.
    """
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") != "cell_code":
            continue
        alt = cell["cell_metadata"].get("mystnb", {}).get("image", {}).get("alt")
        for output in cell.findall(nodes.raw):
            if EMPTY not in output.astext():
                continue
            if not alt:
                LOGGER.warning(
                    'a picture has no alternative text: "mystnb": {"image": {"alt": "..."}} in the '
                    "metadata of its cell",
                    location=cell,
                )
                continue
            text = output.astext()
            kind = 'class="genie-wide" ' if is_wide(text) else ""
            text = text.replace(EMPTY, f'{kind}alt="{html.escape(alt, quote=True)}"')
            output[0] = nodes.Text(text)


def setup(app):
    """Register with Sphinx."""
    app.connect("doctree-read", give_alt_texts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
