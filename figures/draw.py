"""Redraw every figures/NAME.dot as figures/NAME.svg.

    python figures/draw.py             # those whose source or style changed
    python figures/draw.py --all

A .dot file holds no colours: a node, edge or cluster says which part of Genie it belongs to with
`class="tokenizer"` (or action, dynamics, memory, neutral), and genie_mini/chapters/style.json says
how that part looks, in a light and in a dark page. A cluster or node with the further class `open`
is drawn as an outline.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

FIGURES = Path(__file__).resolve().parent
# in the package, where the chapters find their colours, too
STYLE = FIGURES.parent / "genie_mini" / "chapters" / "style.json"
FONTS = "Helvetica, Arial, 'Liberation Sans', sans-serif"


def source_hash(dot_file):
    """Hash a figure's source and the style: what decides the picture, unlike the bytes, which
    differ by Graphviz version.
    """
    content = dot_file.read_text(encoding="utf-8") + STYLE.read_text(encoding="utf-8")
    return hashlib.sha256(content.encode()).hexdigest()


def drawn_hash(svg_file):
    """Read the source hash that `draw` wrote into an SVG (None if there is none)."""
    found = re.search(r"source-hash: ([0-9a-f]{64})", svg_file.read_text(encoding="utf-8"))
    return found[1] if found else None


def run_graphviz(source):
    """Lay `source` out as SVG: with a `dot` on the PATH, else with the Graphviz inside pygraphviz's
    wheel.
    """
    dot = shutil.which("dot")
    if dot:
        result = subprocess.run(
            [dot, "-Tsvg"], input=source, capture_output=True, text=True, encoding="utf-8"
        )
        if result.returncode or result.stderr.strip():
            raise ValueError(result.stderr.strip())
        return result.stdout
    try:
        import pygraphviz
    except ImportError:
        sys.exit(
            "No Graphviz found: install it, or `pip install pygraphviz`, whose wheel brings one."
        )
    return pygraphviz.AGraph(string=source).draw(format="svg", prog="dot").decode("utf-8")


def with_defaults(source, defaults):
    """Put the style's fonts and shapes first in the graph, where the source can still override
    them.
    """
    statements = [
        f"{kind} [{', '.join(f'{name}={json.dumps(value)}' for name, value in values.items())}];"
        for kind, values in defaults.items()
    ]
    opening = source.index("{") + 1
    return source[:opening] + " ".join(statements) + source[opening:]


def style_sheet(parts):
    """Write the CSS of one picture: every part's colours, first for a light page, then for a dark
    one.
    """

    def rules(scheme):
        neutral = parts["neutral"][scheme]
        lines = [
            f"text {{ font-family: {FONTS}; fill: {neutral['text']}; }}",
            f".edge path {{ fill: none; stroke: {neutral['line']}; }}",
            f".edge polygon {{ fill: {neutral['line']}; stroke: {neutral['line']}; }}",
            f".edge text {{ fill: {neutral['text']}; }}",
        ]
        for part, schemes in parts.items():
            color = schemes[scheme]
            nodes = (f".node.{part} {kind}" for kind in ("path", "polygon", "ellipse"))
            shape = ", ".join([*nodes, f".cluster.{part} path"])
            lines += [
                f"{shape} {{ fill: {color['fill']}; stroke: {color['line']}; }}",
                f".node.{part} text, .cluster.{part} text {{ fill: {color['text']}; }}",
                f".edge.{part} path {{ stroke: {color['line']}; }}",
                f".edge.{part} polygon {{ fill: {color['line']}; stroke: {color['line']}; }}",
            ]
        lines.append(".open path, .open polygon { fill: none !important; }")
        return "\n".join(lines)

    dark = f"@media (prefers-color-scheme: dark) {{\n{rules('dark')}\n}}"
    return f"<style>\n{rules('light')}\n{dark}\n</style>"


def join_runs(svg):
    """Make one text of the runs of a line (such as "8 steps" in bold, "of the model"), and centre
    it in its node.

    Graphviz sets each run by itself, where it belongs in Helvetica; in a wider font the runs would
    collide, and lines would stick out of their box on the right. Nodes with subscripts keep their
    places: their runs are not all on one line.
    """

    def join(group):
        text = group[0]
        runs = re.findall(r'<text [^>]*text-anchor="start"[^>]*>.*?</text>\n?', text)
        heights = sorted({float(re.search(r' y="(\S+?)"', run)[1]) for run in runs})
        if not runs or any(
            after - before < 8 for before, after in zip(heights, heights[1:], strict=False)
        ):
            return text
        outline = re.search(r' (?:d|points)="([^"]*)"', text)[1]
        sides = [float(x) for x in re.findall(r"(-?[\d.]+),-?[\d.]+", outline)]
        center = (min(sides) + max(sides)) / 2
        for height in heights:
            line = [run for run in runs if float(re.search(r' y="(\S+?)"', run)[1]) == height]
            spans = []
            for run in line:
                attributes, words = re.fullmatch(r"<text ([^>]*)>(.*?)</text>\n?", run).groups()
                looks = re.findall(
                    r'(?:font-weight|font-style|font-size|baseline-shift)="[^"]*"', attributes
                )
                spans.append(f"<tspan {' '.join(looks)}>{words}</tspan>")
            x = re.search(r' x="(\S+?)"', line[0])[1]
            place = (
                f'text-anchor="middle" x="{center:.2f}"'
                if 'class="node' in text
                else f'text-anchor="start" x="{x}"'
            )
            text = text.replace(
                line[0],
                f'<text xml:space="preserve" {place} y="{height}">{"".join(spans)}</text>\n',
            )
            for run in line[1:]:
                text = text.replace(run, "")
        return text

    return re.sub(r'<g id="(?:node|clust)\d+".*?</g>', join, svg, flags=re.S)


def draw(dot_file):
    """Draw one .dot file into the SVG beside it."""
    style = json.loads(STYLE.read_text(encoding="utf-8"))
    source = with_defaults(dot_file.read_text(encoding="utf-8"), style["graphviz"])
    try:
        drawn = run_graphviz(source)
    except ValueError as error:
        sys.exit(f"Graphviz could not draw {dot_file.name}:\n{error}")
    svg = re.sub(r"<!--.*?-->\s*", "", drawn, flags=re.S)  # the version and the names of the nodes
    # would pop up as tooltips with internal names
    svg = re.sub(r"<title>.*?</title>\s*", "", svg, flags=re.S)
    head, body = join_runs(svg)[svg.index("<svg") :].split(">", 1)
    note = f"<!-- drawn by figures/draw.py; source-hash: {source_hash(dot_file)} -->"
    sheet = style_sheet(style["parts"])
    dot_file.with_suffix(".svg").write_text(
        f"{head}>\n{note}\n{sheet}{body}", encoding="utf-8", newline="\n"
    )


def main():
    parser = argparse.ArgumentParser(description="Redraw figures/*.dot as SVG.")
    parser.add_argument("--all", action="store_true", help="also those that are up to date")
    every = parser.parse_args().all
    for dot_file in sorted(FIGURES.glob("*.dot")):
        svg_file = dot_file.with_suffix(".svg")
        if every or not svg_file.exists() or drawn_hash(svg_file) != source_hash(dot_file):
            draw(dot_file)
            print(f"drew {svg_file.name}")


if __name__ == "__main__":
    main()
