"""A page on which visitors make pictures with a prior of yours, for a Space of Hugging Face.

The prior lies in the folder `model` beside this file, or MODEL names it on the hub.
"""

import os
from pathlib import Path
from typing import Any

import gradio as gr
import torch
from PIL import Image

from smalti import Pipeline
from smalti.conditions import Condition
from smalti.config import InputError

COUNT = 4
MOST_SEED = 2**31 - 1
MOST_CELLS = 48 * 48
"""Codes of a picture. A larger map makes a larger picture, for which other visitors would wait."""
ANY_CLASS = "all in turn"

model = os.environ.get("MODEL", str(Path(__file__).parent / "model"))
device = "cuda" if torch.cuda.is_available() else "cpu"
pipeline = Pipeline.from_pretrained(model).to(device)
conditions = [one for one in pipeline.conditioning.conditions if one.is_asked]


def condition_input(condition: Condition[Any]) -> "gr.Dropdown | gr.File":
    """The control for a condition: classes by their names, everything else as a file."""
    title = condition.kind.replace("_", " ").capitalize()
    if condition.kind == "class":
        names = [ANY_CLASS, *condition.config.class_names]
        return gr.Dropdown(names, value=ANY_CLASS, label=title)
    return gr.File(label=title, type="filepath")


def make(
    seed: float | None, temperature: float, top_k: float, guidance: float, *asked: str | None
) -> list[Image.Image]:
    """Make pictures of what a visitor asks for, in the order of `conditions`."""
    try:
        if None in asked:
            raise InputError("Choose a file first.")
        given = {
            condition.kind: value
            for condition, value in zip(conditions, asked, strict=True)
            if value != ANY_CLASS
        }
        wanted = pipeline.request(COUNT, given or None)
        if wanted.height * wanted.width > MOST_CELLS:
            raise InputError("The picture would be too large here; take a smaller file.")
        return pipeline.sample(
            COUNT,
            int(seed or 0),
            given or None,
            temperature=temperature,
            top_k=int(top_k),
            guidance=guidance,
            progress=False,
        )
    except InputError as error:
        raise gr.Error(str(error), print_exception=False) from error


with gr.Blocks(title="Pictures of smalti") as page:
    gr.Markdown("# New pictures\nDrawn code by code by a prior that was trained with smalti.")
    with gr.Row():
        with gr.Column():
            asked = [condition_input(one) for one in conditions]
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=MOST_SEED)
            temperature = gr.Slider(0, 2, value=1, step=0.05, label="Temperature")
            top_k = gr.Slider(0, 1000, value=100, step=10, label="Top-k, 0 is off")
            can_guide = bool(conditions) and pipeline.config.condition_drop > 0
            guidance = gr.Slider(1, 10, value=1, step=0.5, label="Guidance", visible=can_guide)
            start = gr.Button("Make four pictures", variant="primary")
        gallery = gr.Gallery(label="Pictures", columns=2, format="png")
    start.click(make, [seed, temperature, top_k, guidance, *asked], gallery)

if __name__ == "__main__":
    page.queue(max_size=16).launch()
