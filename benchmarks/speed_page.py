"""Write the book's page of speed, book/speed.md, from the tables of `benchmarks/speed.py`:

    python benchmarks/speed_page.py

The first time, put `- file: speed` below the appendices in book/_toc.yml.
"""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "genie_mini" / "chapters" / "results" / "speed"
PAGE = ROOT / "book" / "speed.md"
# Seconds of the fastest of four open implementations of Genie, at the setting "peers": one thread,
# float32, four clips, as they were in November 2026. One that cannot do it, or leaves out the
# attention's projections, is not counted.
OTHERS = {
    ("tokenizer", "peers"): 3.9,
    ("latent_action_model", "peers"): 4.9,
    ("latent_action_model", "peers, 16"): 0.27,
    ("dynamics", "peers"): 2.6,
}
OTHERS_FRAME = 2.4  # of 25 MaskGIT steps
HEAD = """# How fast it is

One section for each processor that was measured, each by one run of the command that stands there,
on a machine that did nothing else. A training step is the loss of four clips of 16 frames, its
gradient, and AdamW. What it computes is what PyTorch counts of its matrix products and attention;
the rate at which the same machine multiplied 1024×1024 matrices of float32 in the same minute is
what this is a share of (with bfloat16 it may be above one). "MB" is by how much a step raises the
memory of its process. Times are medians.

The sizes are those of `mini` (64 tokens a frame), and those at which other people's Genies were
measured in November 2026, on another day and machine, with one thread: 256 tokens a frame, width
128, 4 blocks and 4 heads, 1024 codes; for the latent action model, patches of 4 and of 16 pixels.
"Others" is the fastest of four.
"""
NETWORKS = {
    "tokenizer": "tokenizer",
    "latent_action_model": "latent actions",
    "dynamics": "dynamics",
}
SIZES = {"mini": "`mini`", "peers": "others'", "peers, 16": "others', patches of 16"}


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def number(value: float | None) -> str:
    """Three digits that count."""
    return "" if value is None else f"{value:.3g}"


def training(rows: list[dict]) -> str:
    lines = []
    for row in rows:
        here, others = row["network"], None
        if row["precision"] == "float32":
            others = OTHERS.get((here, row["setting"]))
        times = (row["seconds"], row["GFLOP"], row["share of the matrix rate"], row["MB"], others)
        lines.append([NETWORKS[here], SIZES[row["setting"]], row["precision"], *map(number, times)])
    head = ["training step", "sizes", "precision", "seconds", "GFLOP", "share of the rate", "MB"]
    return table([*head, "others, seconds"], lines)


def play(rows: list[dict]) -> str:
    lines = []
    for row in rows:
        compared = (row["setting"], row["MaskGIT steps"], row["worlds"]) == ("peers", 25, 1)
        values = [row["tokens a frame"], row["MaskGIT steps"], row["worlds"]]
        times = (row["seconds"] / row["worlds"], OTHERS_FRAME if compared else None)
        frames = f"{row['frames a second']:.1f}"
        lines.append([*map(str, values), number(times[0]), frames, number(times[1])])
    head = ["tokens a frame", "MaskGIT steps", "worlds at once", "seconds a frame"]
    return table([*head, "frames a second", "others, seconds"], lines)


def section(content: dict) -> str:
    """One processor's part of the page."""
    threads = f"{content['threads']} thread{'s' if content['threads'] > 1 else ''}"
    other = [[row["what"], number(row["seconds"])] for row in content["other"]]
    return (
        f"## {content['processor']}, {threads}\n\n"
        f"`{content['command']}`, commit {content['commit']}, PyTorch {content['torch']}, "
        f"{content['system']}; {content['matrix GFLOP/s']:.0f} GFLOP/s of float32 matrices.\n\n"
        f"{training(content['training'])}\n{play(content['play'])}\n"
        f"{table(['other', 'seconds'], other)}"
    )


def page(contents: list[dict]) -> str:
    """The whole page, Markdown."""
    return "\n".join([HEAD, *map(section, contents)])


def main() -> None:
    files = sorted(RESULTS.glob("*.json"))
    if not files:
        raise SystemExit(f"no table lies in {RESULTS}: run benchmarks/speed.py first")
    text = page([json.loads(file.read_text(encoding="utf-8")) for file in files])
    PAGE.write_text(text, encoding="utf-8", newline="\n")
    print(f"{PAGE}: {len(files)} tables")


if __name__ == "__main__":
    main()
