"""Put the book of every release beside that of today, with a page that lists them:

    python tools/versions.py SITE    # fills SITE/versions; asks GitHub through `gh`

Each release carries its book as it was built then (`book.tar.gz`), so a version's pages stay what
they were. The pages' workflow calls this.
"""

import html
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ARCHIVE = "book.tar.gz"
# A tag becomes the name of a folder and stands in a page.
TAG = re.compile(r"v\d+\.\d+\.\d+")
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Versions of Genie, from scratch</title>
<style>
body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto }}
</style>
<h1>Versions of <i>Genie, from scratch</i></h1>
<ul>
<li><a href="../index.html">today</a>, as the main branch is</li>
{items}
</ul>
</html>
"""


def releases() -> list[dict]:
    """The releases on GitHub that have a book, the newest first: {"tagName", "publishedAt"}."""
    asked = ["gh", "release", "list", "--exclude-drafts", "--limit", "1000"]
    told = subprocess.run(
        [*asked, "--json", "tagName,publishedAt"], check=True, stdout=subprocess.PIPE, text=True
    )
    found = [one for one in json.loads(told.stdout) if TAG.fullmatch(one["tagName"])]
    return sorted(found, key=lambda one: one["publishedAt"], reverse=True)


def fill(site: Path) -> list[str]:
    """Unpack the book of each release into the site; returns the tags."""
    tags, items = [], []
    for release in releases():
        tag, target = release["tagName"], site / "versions" / release["tagName"]
        with tempfile.TemporaryDirectory() as folder:
            command = ["gh", "release", "download", tag, "--pattern", ARCHIVE, "--dir", folder]
            if subprocess.run(command).returncode:
                sys.exit(f"versions.py: release {tag} has no {ARCHIVE}")
            with tarfile.open(Path(folder) / ARCHIVE) as packed:
                packed.extractall(target, filter="data")
        if not (target / "index.html").is_file():
            sys.exit(f"versions.py: {ARCHIVE} of release {tag} holds no index.html")
        date = html.escape(release["publishedAt"][:10])
        items.append(f'<li><a href="{tag}/index.html">{tag}</a>, {date}</li>')
        tags.append(tag)
    (site / "versions").mkdir(exist_ok=True)
    page = PAGE.format(items="\n".join(items))
    (site / "versions" / "index.html").write_text(page, encoding="utf-8")
    return tags


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"books of {', '.join(fill(Path(sys.argv[1]))) or 'no release yet'}")
