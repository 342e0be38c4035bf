"""A release's version, date, notes and links. CONTRIBUTING.md says how a release is made.

python tools/release.py prepare 0.2.0    # version and date into every file that holds them
python tools/release.py check v0.2.0     # whether a tag is the version of all these files
python tools/release.py notes            # what CHANGELOG.md says of the version
python tools/release.py links ADDRESS v0.2.0   # the README's links as the package index needs them
"""

import argparse
import datetime
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UNRELEASED = "## Unreleased\n"
VERSION = re.compile(r"\d+\.\d+\.\d+")
PICTURE = re.compile(r"\.(png|gif|svg)$")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def write(name: str, text: str) -> None:
    (ROOT / name).write_text(text, encoding="utf-8", newline="\n")


def version() -> str:
    """The version that pyproject.toml gives."""
    return tomllib.loads(read("pyproject.toml"))["project"]["version"]


def replace_line(text: str, key: str, line: str) -> str:
    """The text with the one line that begins with this key made another."""
    changed, count = re.subn(rf"^{key}.*$", line, text, flags=re.MULTILINE)
    if count != 1:
        sys.exit(f"release.py: {count} lines begin with {key!r}, not one")
    return changed


def notes(changelog: str, version: str) -> str:
    """What a changelog says of a version: the text below its heading."""
    found = re.search(
        rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)\n(.*?)(?=^## |\Z)",
        changelog,
        flags=re.MULTILINE | re.DOTALL,
    )
    if found is None or not found[1].strip():
        sys.exit(f"release.py: CHANGELOG.md has nothing below '## {version} (date)'")
    return found[1].strip() + "\n"


def prepare(new: str, today: datetime.date) -> None:
    """Make what is unreleased this version, of today."""
    if not VERSION.fullmatch(new):
        sys.exit(f"release.py: {new} is no version such as 0.2.0")
    changelog = read("CHANGELOG.md")
    if f"## {new} (" in changelog:
        sys.exit(f"release.py: CHANGELOG.md has a version {new} already")
    if UNRELEASED not in changelog:
        sys.exit(f"release.py: CHANGELOG.md has no heading {UNRELEASED.strip()!r}")
    changelog = changelog.replace(UNRELEASED, f"{UNRELEASED}\n## {new} ({today})\n", 1)
    notes(changelog, new)
    project = replace_line(read("pyproject.toml"), "version = ", f'version = "{new}"')
    citation = replace_line(read("CITATION.cff"), "version: ", f"version: {new}")
    citation = re.sub(r"^date-released: .*\n", "", citation, flags=re.MULTILINE)
    citation = replace_line(citation, "version: ", f"version: {new}\ndate-released: {today}")
    write("CHANGELOG.md", changelog)
    write("pyproject.toml", project)
    write("CITATION.cff", citation)


def check(tag: str) -> None:
    """Stop if a tag is not the version of every file that names one."""
    name = version()
    if tag != f"v{name}":
        sys.exit(f"release.py: the tag is {tag}, and the version in pyproject.toml {name}")
    if f"\nversion: {name}\n" not in read("CITATION.cff"):
        sys.exit(f"release.py: CITATION.cff is not of version {name}")
    notes(read("CHANGELOG.md"), name)


def with_links(text: str, address: str, tag: str) -> str:
    """Markdown whose links to files of the repository hold elsewhere too: pictures as they are,
    pages as the repository's site shows them.
    """

    def whole(match: re.Match) -> str:
        kind = "raw" if PICTURE.search(match[1]) else "blob"
        return f"]({address}/{kind}/{tag}/{match[1]})"

    return re.sub(r"\]\((?![a-z]+:|#)([^)\s]+)\)", whole, text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare").add_argument("version")
    commands.add_parser("check").add_argument("tag")
    commands.add_parser("notes")
    links = commands.add_parser("links")
    links.add_argument("address")
    links.add_argument("tag")
    arguments = parser.parse_args()
    if arguments.command == "prepare":
        prepare(arguments.version, datetime.date.today())
    elif arguments.command == "check":
        check(arguments.tag)
    elif arguments.command == "notes":
        print(notes(read("CHANGELOG.md"), version()), end="")
    else:
        write("README.md", with_links(read("README.md"), arguments.address, arguments.tag))


if __name__ == "__main__":
    main()
