"""What storing the weights in fewer bytes costs: the scores of each variant of an export. A quarter
of an hour:

    python benchmarks/export.py
    # the table of the chapter on pipelines
    python benchmarks/export.py genie_mini/chapters/results/export.json
"""

import sys
import tempfile
import time
from pathlib import Path

import torch

from genie_mini import Genie
from genie_mini.evaluation.action_names import read_action_names
from genie_mini.evaluation.metrics import in_batches, psnr
from genie_mini.evaluation.scores import cycle_scores, prediction_scores
from genie_mini.export.runtime import ExportedGenie
from genie_mini.export.write import VARIANTS, export
from genie_mini.files import save_table
from genie_mini.rollout import PlaySession
from genie_mini.world import ACTIONS, record

LEVELS = 96  # of the cycle test


def scores(genie, frames, latent, names):
    """Figures of one variant by name."""
    cycle = {score.name: score.value for score in cycle_scores(genie, names, LEVELS)}
    prediction = {score.name: score.value for score in prediction_scores(genie, frames, latent)}
    decoded = genie.tokenizer.decode(in_batches(genie.tokenizer.encode, frames))
    session, seconds = PlaySession(genie, frames[0, 0]), []
    for step in range(24):
        began = time.perf_counter()
        session.step(step % 8)
        seconds.append(time.perf_counter() - began)
    return {
        "tokenizer PSNR (dB)": psnr(decoded, frames),
        "cycle consistency": cycle["cycle consistency"],
        "cycle consistency, all moments": cycle["cycle consistency, all moments"],
        **{
            name: prediction[name]
            for name in ("delta PSNR at t = 4", "next frame above repeating the last")
        },
        "frames a second, 8 MaskGIT steps": 1 / sorted(seconds)[12],
    }


def main(out=None):
    """Print the table, and save it if there is a file for it."""
    genie = Genie.from_pretrained("mini").eval()
    labels = read_action_names("mini")
    names = torch.tensor([ACTIONS.index(name) for name in labels]).numpy()
    frames = torch.from_numpy(record(32, 16, seed=7, held_out=True)[0])
    latent = genie.latent_action_model.infer(frames)
    with tempfile.TemporaryDirectory() as folder:
        differences = export(genie, folder, action_names=labels)
        rows = {
            "PyTorch": {"MB": None, "logits differ by": 0.0, **scores(genie, frames, latent, names)}
        }
        for variant in VARIANTS:
            size = sum(path.stat().st_size for path in Path(folder).glob(f"*.{variant}.onnx")) / 1e6
            exported = ExportedGenie(genie, folder, variant)
            rows[variant] = {
                "MB": size,
                "logits differ by": differences[variant],
                **scores(exported, frames, latent, names),
            }
            print(f"{variant} done", flush=True)
    print(f"{'':38}" + "".join(f"{name:>10}" for name in rows))
    for figure in rows["PyTorch"]:
        cells = ("" if row[figure] is None else f"{row[figure]:.3g}" for row in rows.values())
        print(f"{figure:38}" + "".join(f"{cell:>10}" for cell in cells))
    if out:
        table = [{"variant": name, **row} for name, row in rows.items()]
        save_table(Path(out), table, f"python benchmarks/export.py {out}", 0, "mini")


if __name__ == "__main__":
    main(*sys.argv[1:])
