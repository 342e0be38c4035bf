"""The report of a Genie as one page that needs no network: scores, what each action does, roll-outs
beside the truth, curves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

import torch
from torch import Tensor

from genie_mini.evaluation.action_grid import PROMPT_FRAMES, play_actions
from genie_mini.evaluation.any_world import Footage, draw_clips, dream, long_clips
from genie_mini.evaluation.curves import draw_drift, draw_log, read_logs
from genie_mini.evaluation.world_report import WorldReport, format_figure, format_interval
from genie_mini.files import data_uri, to_uint8, write_together
from genie_mini.genie import Genie

_PROMPTS = 4
_PLAYED = (1, 4, 8)  # frames that are shown of each action
_ROLLOUTS = 3
_SHOWN = (1, 4, 8, 16, 32, 64)  # frames that are shown of each roll-out


@dataclass(frozen=True)
class WorldPictures:
    """What a report shows, float in [0, 1].

    Attributes:
        prompts: (prompts, height, width, 3) held-out frames that play begins from.
        played: (prompts, actions, `_PLAYED`, height, width, 3) each action held from there.
        truth, dreamt: (roll-outs, shown, height, width, 3).
        shown: which frames of the roll-outs, from 1.
    """

    prompts: Tensor
    played: Tensor
    truth: Tensor
    dreamt: Tensor
    shown: tuple[int, ...]


def draw_pictures(genie: Genie, held_out: Footage) -> WorldPictures:
    """Play a few held-out clips: every action from each, and their own actions once more.

    Raises:
        GenieError: the films are too short.
    """
    prompts = draw_clips(held_out, _PROMPTS, PROMPT_FRAMES, key=4).frames
    played = play_actions(genie, prompts, _PLAYED)
    clips = long_clips(held_out, _ROLLOUTS).frames
    dreamt = dream(genie, clips)
    truth = clips[:, -dreamt.shape[1] :]
    shown = tuple(number for number in _SHOWN if number <= dreamt.shape[1])
    chosen = torch.tensor(shown) - 1
    return WorldPictures(prompts[:, -1], played, truth[:, chosen], dreamt[:, chosen], shown)


def write_report(
    path: Path, report: WorldReport, pictures: WorldPictures, title: str, run: Path
) -> Path:
    """Write the report as JSON and its page beside it, both or neither.

    Args:
        path: of the JSON; the page has the same name, and the ending .html.
        report, pictures: what they say and show.
        title: of the page.
        run: where training left its logs, if any.

    Returns:
        The page's file.
    """
    page = path.with_suffix(".html")
    html = report_page(report, pictures, title, run).encode()
    write_together([(path, report.as_json()), (page, html)])
    return page


def report_page(report: WorldReport, pictures: WorldPictures, title: str, run: Path) -> str:
    """The page; see `write_report`."""
    parts = [
        _head(title),
        f"<h1>{escape(title)}</h1>\n{_about(report)}",
        f"<h2>Scores</h2>\n{_scores_table(report)}",
        f"<h2>What each action does</h2>\n{_action_grid(report, pictures)}",
        f"<h2>Roll-outs beside the truth</h2>\n{_rollouts(report, pictures)}",
        *(_training(name, curves) for name, curves in read_logs(run).items()),
    ]
    return "\n".join(parts) + "\n</main>\n</body>\n</html>\n"


def _head(title):
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark; --page: #f6f7f9; --text: #1f2937; --line: #c3c9d2; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --page: #14171c; --text: #e6e9ee; --line: #454c57; }}
}}
body {{ margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.45 system-ui, sans-serif; }}
main {{ max-width: 70rem; margin: 0 auto; padding: 1.25rem 1rem 2rem; }}
h1 {{ font-size: 1.5rem; }}
h2 {{ font-size: 1.2rem; margin-top: 2rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; }}
caption {{ text-align: left; padding-bottom: .5rem; }}
th, td {{ padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left;
  font-weight: normal; }}
thead th {{ font-weight: 600; }}
.number {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }}
td img, th img {{ display: block; width: 64px; image-rendering: pixelated; }}
.chart {{ max-width: 100%; height: auto; }}
</style>
</head>
<body>
<main>"""


def _about(report):
    source = report.source
    films = source.get("files")
    what = str(source.get("environment", ""))
    if films:
        what = f"{films[0][0]}" + (f" and {len(films) - 1} more files" if len(films) > 1 else "")
    of_films = f"{report.num_films} film{'s' * (report.num_films != 1)}"
    over = of_films
    if report.num_groups != report.num_films:
        over = f"{report.num_groups} passages of {of_films}"
    shown = "These are too few for intervals."
    if any(score.interval for score in report.scores):
        shown = "The intervals hold the truth in 95 of 100 such reports."
    return (
        f"<p>Films: {escape(str(source.get('kind', '')))} {escape(what)}. All figures are of "
        f"{report.num_clips} clips from {over} that training did not see. {shown} Chance is what "
        "no skill at all gets; best is what the best possible would get, where that is known. "
        f"The frames' SHA-256 is <code>{escape(report.data_sha256[:16])}</code>.</p>"
    )


def _scores_table(report):
    rows = []
    for score in report.scores:
        value, chance, best = map(format_figure, (score.value, score.chance, score.best))
        cells = [value, format_interval(score), chance, best]
        rows.append(
            f'<tr><th scope="row">{escape(score.name)} ({escape(score.unit)})</th>'
            + "".join(f'<td class="number">{cell or "–"}</td>' for cell in cells)
            + "</tr>"
        )
    head = "".join(
        f'<th scope="col"{kind}>{name}</th>'
        for name, kind in [("Score", "")]
        + [(name, ' class="number"') for name in ("Value", "95% interval", "Chance", "Best")]
    )
    return _table("Each figure beside its bounds", head, rows)


def _action_grid(report, pictures):
    actions = range(pictures.played.shape[1])
    head = '<th scope="col">Prompt</th>'
    for action in actions:
        name = ""
        if report.latent_to_real is not None:
            name = f", true action {report.latent_to_real[action]}"
        head += (
            f'<th scope="col">Action {action}{name}<br>seen again {report.cycle[action]:.0%}</th>'
        )
    rows = []
    for number, (prompt, played) in enumerate(
        zip(pictures.prompts, pictures.played, strict=True), start=1
    ):
        row = f'<tr><th scope="row">{_picture(prompt, f"Prompt {number}")}</th>'
        for action in actions:
            alt = f"Action {action} from prompt {number}, frames {_numbers(_PLAYED)} downwards"
            row += f"<td>{_picture(played[action].flatten(0, 1), alt)}</td>"
        rows.append(row + "</tr>")
    caption = (
        f"Each action held from {len(rows)} held-out prompts: frames {_numbers(_PLAYED)}, from top "
        "to bottom. Above, how often the latent action model sees the action that was played."
    )
    return _table(caption, head, rows)


def _rollouts(report, pictures):
    head = '<th scope="col">Clip</th>' + "".join(
        f'<th scope="col">Frame {number}</th>' for number in pictures.shown
    )
    rows = []
    for clip, (truth, dreamt) in enumerate(
        zip(pictures.truth, pictures.dreamt, strict=True), start=1
    ):
        for name, frames in (("truth", truth), ("dream", dreamt)):
            cells = [
                f"<td>{_picture(frame, f'Clip {clip}, {name}, frame {number}')}</td>"
                for frame, number in zip(frames, pictures.shown, strict=True)
            ]
            rows.append(f'<tr><th scope="row">{clip}, {name}</th>{"".join(cells)}</tr>')
    caption = "The latent actions of held-out clips, played again from four frames"
    drift = report.drift
    alt = f"PSNR along the roll-outs, from frame 1 to frame {len(drift.rollout)}: " + "; ".join(
        f"{name} from {line[0]:.1f} to {line[-1]:.1f} dB"
        for name, line in (
            ("dreamt", drift.rollout),
            ("last frame repeated", drift.repeated),
            ("truth behind the tokenizer", drift.tokenized),
        )
    )
    return _table(caption, head, rows) + "\n" + _chart(lambda dress: draw_drift(drift, dress), alt)


def _training(name, curves):
    last = ", ".join(f"{column} {heights[-1]:.3g}" for column, (_, heights) in curves.items())
    alt = f"{name} along the steps of the training; at its end {last}"
    return f"<h2>Training: {escape(name)}</h2>\n" + _chart(
        lambda dress: draw_log(curves, dress), alt
    )


def _table(caption, head, rows):
    # A region that scrolls sideways must be reachable with the keyboard.
    return (
        f'<div class="wide" role="region" aria-label="{escape(caption)}" tabindex="0">\n'
        f"<table>\n<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n"
        + "\n".join(rows)
        + "\n</tbody>\n</table>\n</div>"
    )


def _chart(draw: Callable[[str], str], alt: str) -> str:
    """A chart in the dress of the page, light or dark."""
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{draw("dark")}">'
        f'<img class="chart" src="{draw("light")}" alt="{escape(alt)}"></picture>'
    )


def _picture(frame: Tensor, alt: str) -> str:
    """A picture, (height, width, 3) float in [0, 1]."""
    return f'<img src="{data_uri(to_uint8(frame))}" alt="{escape(alt)}">'


def _numbers(numbers):
    """1, 4 and 8"""
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last
