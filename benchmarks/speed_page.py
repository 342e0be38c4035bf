"""Write the book's page of speed, book/speed.md, from the tables of `benchmarks/speed.py` and, in
files called gpu-NAME.json and peers-NAME.json, of `benchmarks/gpu.py` and `benchmarks/peers.py`:

    python benchmarks/speed_page.py

The first time, put `- file: speed` below the appendices in book/_toc.yml.
"""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "genie_mini" / "chapters" / "results" / "speed"
PAGE = ROOT / "book" / "speed.md"
HEAD = """# How fast it is

One section for each processor that was measured, each by one run of the command that stands there,
on a machine that did nothing else. GPUs come last. A training step is the loss of four clips of 16
frames, its gradient, and AdamW. What it computes is what PyTorch counts of its matrix products and
attention; the rate at which the same machine multiplied 1024×1024 matrices of float32 in the same
minute is what this is a share of (with bfloat16 it may be above one). "MB" is by how much a step
raises the memory of its process; with *less memory* one clip is computed at a time, and once more
where its gradients are (`--gradient-accumulation 4`). Times are medians.

The sizes are those of `mini` (64 tokens a frame), and those at which other people's Genies are
measured further down: 256 tokens a frame, width 128, 4 blocks and 4 heads, 1024 codes; for the
latent action model, patches of 4 and of 16 pixels.
"""
PEERS_HEAD = """## Other people's Genies

The same steps by their own code, on one core, in float32, each in a process of its own; "this
book's" are from the section of the same processor. What these sizes leave open is as they have it.
"MB" is by how much a step raises what its process holds.

A training step takes about as long here as there: most of it is the same matrix products, for which
no code is faster than the machine. A step of the dynamics model does more here: it passes each clip
twice, clean and masked, and twice more to guess ({doc}`dynamics`); some of theirs encode the clip
in each step instead, which is told below. A frame at play is several times as fast, since here the
past is kept and there it is computed anew at every MaskGIT step.

"""
PEERS = {
    "tinyworlds": "TinyWorlds",
    "open-genie": "Open-Genie",
    "jafar": "Jafar",
    "jasmine": "Jasmine",
}
GPU_HEAD = """## GPUs

A training step is the same here, of more clips, and products are in bfloat16 where the GPU has it.
"Share" is what a step computes in a second, of the rate at which this GPU multiplied 8192×8192
matrices in the same run and, in brackets, of the rate that its maker publishes. Where a step did
not fit into the GPU's memory, its clips were halved, and halved again: "9 of 36" says so. "GB" is
the most that PyTorch held at a time.

Blocks run as they are written, or compiled by `torch.compile` (`--compile`), or recomputed in the
backward pass to save memory (`--activation-checkpointing`); what is computed again takes time and
is not counted as work. "Gain" is how many times as fast a compiled step is as the same step that is
not; compiling is part of its first step. The memory that was computed beforehand is in
{doc}`scaling`.

A whole training is that of `genie-mini train --preset`, with what it waits for its clips: a few
steps of each network were timed, from all parts of its schedule. Frames at play have 8 MaskGIT
steps.
"""
NETWORKS = {
    "tokenizer": "tokenizer",
    "latent_action_model": "latent actions",
    "dynamics": "dynamics",
}
SIZES = {"peers": "others'", "peers, 16": "others', patches of 16"}  # those without a name


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def sizes(setting: str) -> str:
    return SIZES.get(setting, f"`{setting}`")


def number(value: float | None) -> str:
    """Three digits that count."""
    return "" if value is None else f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def training(rows: list[dict]) -> str:
    lines = []
    for row in rows:
        values = (row["seconds"], row["GFLOP"], row["share of the matrix rate"], row["MB"])
        less = " (less memory)" if row["less memory"] else ""
        kind = [NETWORKS[row["network"]], sizes(row["setting"]), row["precision"] + less]
        lines.append([*kind, *map(number, values)])
    head = ["training step", "sizes", "precision", "seconds", "GFLOP", "share of the rate", "MB"]
    return table(head, lines)


def play(rows: list[dict]) -> str:
    lines = []
    for row in rows:
        values = [row["tokens a frame"], row["MaskGIT steps"], row["worlds"]]
        frames = f"{row['frames a second']:.1f}"
        lines.append([*map(str, values), number(row["seconds"] / row["worlds"]), frames])
    head = ["tokens a frame", "MaskGIT steps", "worlds at once", "seconds a frame"]
    return table([*head, "frames a second"], lines)


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


def own_rows(content: dict, less_memory: bool) -> dict[str, dict]:
    """What this book's code takes for the rows of `benchmarks/peers.py`."""
    rows = {}
    for row in content["training"]:
        setting, _, patch = row["setting"].partition(", ")
        asked = setting == "peers" and row["precision"] == "float32"
        if asked and row["less memory"] == less_memory:
            rows[", ".join(filter(None, (row["network"], patch)))] = row
    for row in content["play"]:
        if (row["setting"], row["worlds"]) == ("peers", 1) and not less_memory:
            rows[f"frame, {row['MaskGIT steps']} steps"] = row
    return rows


def peers_section(own: dict, peers: list[dict]) -> str:
    """Other people's code beside this book's, on the processor that both were measured on."""
    columns = {"this book's": own_rows(own, False), "less memory": own_rows(own, True)}
    columns |= {
        PEERS[content["peer"]]: {row["network"]: row for row in content["rows"]}
        for content in peers
    }
    networks = dict.fromkeys(row["network"] for content in peers for row in content["rows"])
    parts, notes = [], []
    for unit in ("seconds", "MB"):
        lines = []
        for network in networks:
            name, *more = network.split(", ", 1)
            told = ", ".join([NETWORKS.get(name, name), *more])
            values = (rows.get(network, {}).get(unit) for rows in columns.values())
            lines.append([told, *map(number, values)])
        parts.append(table([unit, *columns], lines))
    for content in peers:
        rates = f"{content['matrix GFLOP/s']:.0f} GFLOP/s of float32 matrices"
        versions = ", ".join(f"{name} {told}" for name, told in sorted(content["versions"].items()))
        notes.append(
            f"- **{PEERS[content['peer']]}**, commit {content['commit']}: `{content['command']}`, "
            f"commit {content['code']} of this book; {versions}; {rates}.\n"
        )
        for row in content["rows"]:
            if told := row["why"] and f"not measured, `{row['why'].replace('`', '')}`":
                notes.append(f"  - {row['network']}: {told}\n")
            elif "note" in row:
                notes.append(f"  - {row['network']}: {row['note']}.\n")
    return PEERS_HEAD + "\n".join(parts) + "\n" + "".join(notes)


def blocks(row: dict) -> str:
    """How the blocks of a training step on a GPU run."""
    told = [name for name in ("compiled", "recompute") if row[name]]
    return ", ".join(told).replace("recompute", "recomputed") or "as written"


def gpu_training(rows: list[dict]) -> str:
    lines = []
    for row in rows:
        asked = row["clips asked"]
        clips = f"{row['clips']}{f' of {asked}' if asked != row['clips'] else ''}"
        kind = [f"{NETWORKS[row['network']]}, {sizes(row['setting'])}", clips, str(row["frames"])]
        times = [number(row[name]) for name in ("seconds", "clips a second")]
        work, share, published, memory, gain, first = (
            number(row.get(name))
            for name in (
                *("TFLOP", "share of the matrix rate", "share of the published rate"),
                *("GB", "gain", "first step, seconds"),
            )
        )
        shares = f"{share} ({published})" if published else share
        lines.append([*kind, blocks(row), *times, work, shares, memory, gain, first])
    head = ["training step", "clips", "frames", "blocks", "seconds", "clips a second", "TFLOP"]
    return table([*head, "share (published)", "GB", "gain", "first step, seconds"], lines)


def gpu_play(rows: list[dict]) -> str:
    lines = []
    for row in rows:
        frames = f"{row['frames a second']:.1f}"
        kind = [sizes(row["setting"]), str(row["worlds"])]
        lines.append([*kind, number(row["seconds"] / row["worlds"]), frames])
    return table(["play", "worlds at once", "seconds a frame", "frames a second"], lines)


def schedule(rows: list[dict]) -> str:
    lines = []
    for row in rows:
        steps = zip(row["steps"], row["seconds a step"], strict=True)
        each = [f"{count} steps of {number(one)} s" for count, one in steps]
        lines.append([sizes(row["preset"]), *each, number(sum(row["minutes"]))])
    return table(["whole training", *NETWORKS.values(), "minutes"], lines)


def missing(content: dict) -> str:
    """What a run on a GPU did not measure, and why."""
    rows = [row for name in ("training", "schedule", "play") for row in content[name]]
    failed = [(row, row["failed"].splitlines()[0]) for row in rows if "failed" in row]
    reasons = [(row, f"`{reason.replace('`', '')}`") for row, reason in failed]
    reasons += [(row, "no time was left") for row in content["left out"]]
    lines = []
    for row, reason in reasons:
        what = NETWORKS.get(row.get("network"), "play" if "worlds" in row else "whole training")
        told = f", {blocks(row)}" if "compiled" in row else ""
        lines.append(f"- {what}, {sizes(row.get('setting', row.get('preset')))}{told}: {reason}\n")
    told = "".join(dict.fromkeys(lines))  # two rows may differ in what is not told here
    return f"\nNot measured:\n\n{told}" if lines else ""


def gpu_section(content: dict) -> str:
    """One GPU's part of the page."""
    rates = ", ".join(f"{rate:.0f} of {kind}" for kind, rate in content["matrix TFLOP/s"].items())
    published = content["published TFLOP/s"]
    told = f" ({published:.0f} of bfloat16 are published)" if published else ""
    parts = [
        draw(measured)
        for name, draw in (("training", gpu_training), ("schedule", schedule), ("play", gpu_play))
        if (measured := [row for row in content[name] if "failed" not in row])
    ]
    return (
        f"### {content['gpu']}\n\n"
        f"`{content['command']}`, commit {content['commit']}, PyTorch {content['torch']}, "
        f"{content['system']}, beside {content['processor']}; TFLOP/s of matrices: {rates}{told}."
        f"\n\n" + "\n".join(parts) + missing(content)
    )


def of_processors(contents: list[dict]) -> list[dict]:
    """The tables of this book's code on a processor."""
    return [content for content in contents if not {"gpu", "peer"} & content.keys()]


def page(contents: list[dict]) -> str:
    """The whole page, Markdown."""
    gpus = [content for content in contents if "gpu" in content]
    peers = [content for content in contents if "peer" in content]
    processors = of_processors(contents)
    parts = [HEAD, *map(section, processors)]
    for own in processors:
        beside = [content for content in peers if content["processor"] == own["processor"]]
        parts += [peers_section(own, beside)] if beside else []
    parts += [GPU_HEAD, *map(gpu_section, gpus)] if gpus else []
    return "\n".join(parts)


def main() -> None:
    files = sorted(RESULTS.glob("*.json"))
    contents = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    if not of_processors(contents):
        raise SystemExit(f"no processor's table lies in {RESULTS}: run benchmarks/speed.py first")
    PAGE.write_text(page(contents), encoding="utf-8", newline="\n")
    print(f"{PAGE}: {len(files)} tables")


if __name__ == "__main__":
    main()
