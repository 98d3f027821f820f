"""Writes the page of a run, `RUN/report/index.html`, with its pictures."""

import html
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from smalti.files import atomic_folder
from smalti.report.html import document, figure, table
from smalti.runs.config import VQGANRunConfig
from smalti.runs.state import RunState, in_figures
from smalti.training.curves import draw_numbers, grouped_names
from smalti.words import counted

REPORT_FOLDER = "report"
PICTURE = re.compile(r"(\w+)_(\d{8})\.png")  # as the log of a run names its pictures

CAPTIONS = {
    "reconstructions": "{Scored} above, what their codes give back below",
    "samples": "New images, from the same seeds at each step",
    "codes": "Each code decoded alone (a grid of it, its middle shown), most-used first, from the "
    "upper left",
    "codes_in_context": "The most-used codes: first alone, then the middle of pieces of "
    "reconstructed {scored}",
}
CODEBOOK = ("codes", "codes_in_context")


def write_report(state: RunState) -> Path:
    """Write the page from what the run has written so far, and return it; no model is needed.

    Raises:
        InputError: the run's folder cannot be written.
    """
    with atomic_folder(state.folder / REPORT_FOLDER) as folder:
        pictures = _copy_newest_pictures(state.folder / "samples", folder)
        curves = _draw_curves(state, folder)
        title = f"{state.config.stage} run {state.folder.name}: step {state.step}"
        body = "\n".join(_body(state, pictures, curves))
        (folder / "index.html").write_text(document(title, body), encoding="utf-8")
    return state.folder / REPORT_FOLDER / "index.html"


def _body(state: RunState, pictures: dict[str, int], curves: dict[str, str]) -> Iterator[str]:
    config = state.config
    steps = f"step {state.step} of {config.training.total_steps}"
    yield f"<h1>{html.escape(state.folder.name)}: {steps}</h1>"
    yield from _health(state)
    yield "<h2>Pictures</h2>"
    yield from _figures(state, [name for name in pictures if name not in CODEBOOK], pictures)
    if isinstance(config, VQGANRunConfig):
        yield "<h2>Codebook</h2>"
        yield from _figures(state, [name for name in CODEBOOK if name in pictures], pictures)
    yield "<h2>The run</h2>"
    yield table(facts_of(state))
    evaluated = state.last_evaluation()
    if evaluated:
        yield f"<h2>Scores of {state.scored}</h2>"
        yield table({name: in_figures(value) for name, value in evaluated.items()})
    for title, file in curves.items():
        yield f"<h2>{title}</h2>"
        caption = f"Lines are training steps, dots {state.scored}; dotted: a remedy or a change"
        yield figure(file, caption)


def _health(state: RunState) -> Iterator[str]:
    """The findings of the run, its remedies and changes."""
    yield "<h2>Health</h2>"
    if not state.findings:
        yield '<p class="good">Healthy: nothing wrong is seen.</p>'
    for finding in state.findings:
        message, advice = html.escape(finding.message), html.escape(finding.advice)
        yield f'<div class="bad"><strong>{message}</strong><br>What to change: {advice}.</div>'
    remedies = [line for line in state.lines if line["group"] == "remedy"]
    if remedies:
        items = (
            f"<li>step {line['step']}: {html.escape(line['change'])}, because of "
            f"{html.escape(line['finding'].replace('_', ' '))}</li>"
            for line in remedies
        )
        yield f"<p>Remedies applied:</p><ul>{''.join(items)}</ul>"
    if state.changes:
        listed = "".join(f"<li>{html.escape(change)}</li>" for change in state.changes)
        yield f"<p>Options changed while it trained:</p><ul>{listed}</ul>"


def _figures(state: RunState, names: Sequence[str], steps: dict[str, int]) -> Iterator[str]:
    if not names:
        yield "<p>None yet: the first come after training.picture-steps steps.</p>"
    for name in names:
        yield figure(f"{name}.png", f"{caption_of(state, name)}. Step {steps[name]}.", "small")


def caption_of(state: RunState, name: str) -> str:
    """What a picture of a run shows, by its name without the step."""
    caption = CAPTIONS.get(name, name.replace("_", " ").capitalize())
    return caption.format(scored=state.scored, Scored=state.scored.capitalize())


def facts_of(state: RunState) -> dict[str, str]:
    """The options of a run that people compare, by their names."""
    config = state.config
    facts = {
        "stage": config.stage,
        "data": ", ".join(config.data),
        "images": str(state.images) if state.images else "not written down by this older run",
        "overlap": "; ".join(state.images.overlap_in_words if state.images else ()),
        "crops": f"{config.image.height_px}x{config.image.width_px} pixels",
        "batch": counted(config.training.batch_size, "image"),
        "training time": f"{state.seconds / 60:.1f} minutes",
    }
    if isinstance(config, VQGANRunConfig):
        vqgan = config.vqgan
        facts["tokenizer"] = (
            f"f = {vqgan.downsampling_factor}, K = {vqgan.codebook_size}, "
            f"quantizer {vqgan.quantizer.kind}"
        )
        facts["perceptual loss"] = config.loss.perceptual.kind
        facts["adversary"] = (
            f"{config.loss.adversary.kind}, weight {config.loss.adversary.weight:g}"
        )
    else:
        shape = config.prior
        facts["tokenizer"] = config.vqgan or f"that of {config.init}"
        facts["prior"] = f"{shape.kind}: {shape.in_words}"
    return {name: fact for name, fact in facts.items() if fact}


def _draw_curves(state: RunState, folder: Path) -> dict[str, str]:
    """Draw a picture for each group of numbers; returns the files by the group's title."""
    files: dict[str, str] = {}
    for title, names in grouped_names(state.lines).items():
        files[title] = f"curves_{title.lower()}.png"
        draw_numbers(state.lines, names, folder / files[title])
    return files


def _copy_newest_pictures(samples: Path, folder: Path) -> dict[str, int]:
    """Copy the newest picture of each name as NAME.png; returns their steps by name."""
    newest: dict[str, int] = {}
    for path in sorted(samples.glob("*.png")):
        match = PICTURE.fullmatch(path.name)
        if match:
            newest[match[1]] = int(match[2])
            shutil.copyfile(path, folder / f"{match[1]}.png")
    return newest
