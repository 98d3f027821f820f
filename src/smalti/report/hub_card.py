"""Writes the card of a model on the Hugging Face hub: `README.md` with metadata in front."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from smalti.hub import PREFIX, hub_name
from smalti.runs.config import PriorRunConfig
from smalti.runs.state import RunState, in_figures

NEEDS_MAPS = {"segmentation", "depth", "edges", "low_resolution", "keypoints"}
"""Conditions that are pictures, or are drawn as pictures."""
PLACES = {"data", "out", "init", "condition", "stage"}
"""Options of every run that name places on its machine, or are given by the command."""
PRIOR_PLACES = {"vqgan": True, "codes": {"data", "folder"}}
VQGAN_PLACES = {"loss": {"perceptual": {"vgg_weights"}}}
"""The same, of the runs of one stage."""

PAPER = "https://arxiv.org/abs/2012.09841"

USES = {
    "vqgan": """from smalti import VQGAN

vqgan = VQGAN.from_pretrained("{repository}")""",
    "prior": """from smalti import Pipeline

pipeline = Pipeline.from_pretrained("{repository}")
pictures = pipeline.sample(4, seed=0)""",
}
"""Python lines that load a model, by kind."""
OTHER_USE = """from smalti.tokenizer.load import load_tokenizer

tokenizer = load_tokenizer("{repository}")"""


@dataclass(frozen=True, slots=True)
class Described:
    """What the card of a model tells."""

    repository: str
    licence: str
    kind: str
    """Kind of the model, as in its `config.json`."""
    conditions: tuple[str, ...]
    """Kinds of conditions of a prior."""
    state: RunState | None
    """The run that trained the model, if it is one."""
    versions: Mapping[str, str]
    """Versions that the model was trained with, by library."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Figures by their names for people, with the network that measured them."""
    measured_on: str = ""
    """Images that the figures are of, in words."""
    pictures: tuple[str, ...] = ()
    """Files of pictures in the folder of the model."""


def model_card(model: Described) -> ModelCard:
    """Write the card; it names no place on the disk of the user."""
    data = ModelCardData(
        license=model.licence,
        library_name="smalti",
        pipeline_tag=_pipeline_tag(model),
        tags=["vqgan", "taming-transformers", model.kind, *model.conditions],
        base_model=_base_model(model.state),
        model_name=model.repository.partition("/")[2],
        eval_results=[_result(model, name, value) for name, value in model.figures.items()],
    )
    if not model.figures:
        data.eval_results = None
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(_sections(model)) + "\n")


def _pipeline_tag(model: Described) -> str | None:
    if model.kind != "prior":
        return "image-feature-extraction"
    if NEEDS_MAPS & set(model.conditions):
        return "image-to-image"
    return None if model.conditions else "unconditional-image-generation"


def _base_model(state: RunState | None) -> list[str] | None:
    """Names of the models on the hub that the run began with."""
    if state is None:
        return None
    config = state.config
    tokenizer = config.vqgan if isinstance(config, PriorRunConfig) else None
    named = [name for name in (config.init, tokenizer) if name]
    # Without hf:// a name may be a folder that is gone.
    on_hub = [hub_name(name) or "" for name in named if name.startswith(PREFIX)]
    return [name.partition("@")[0] for name in on_hub] or None


def _result(model: Described, name: str, value: float) -> EvalResult:
    return EvalResult(
        task_type=_pipeline_tag(model) or "image-generation",
        dataset_type="images",
        dataset_name=model.measured_on,
        metric_type=name.lower().replace(" ", "_"),
        metric_name=name,
        metric_value=value,
    )


def _sections(model: Described) -> list[str]:
    title = model.repository.partition("/")[2]
    what = "Prior" if model.kind == "prior" else f"Tokenizer ({model.kind})"
    asks = f", conditioned on {', '.join(model.conditions)}" if model.conditions else ""
    use = USES.get(model.kind, OTHER_USE)
    sections = [
        f"# {title}",
        f"{what} made with smalti, after [Taming Transformers]({PAPER}){asks}.",
        f"```python\n{use.format(repository=model.repository)}\n```",
        *(f"![{file}]({file})" for file in model.pictures),
    ]
    if model.figures:
        rows = [f"| {name} | {in_figures(value)} |" for name, value in model.figures.items()]
        sections += [
            "## Figures",
            f"Measured on {model.measured_on}.",
            "\n".join(["| figure | value |", "| --- | --- |", *rows]),
        ]
    if model.state is not None:
        sections += _training(model.state)
    versions = ", ".join(f"{name} {version}" for name, version in model.versions.items())
    return [*sections, f"Versions: {versions}."]


def _training(state: RunState) -> list[str]:
    """The command that trains such a model, and its options without their places."""
    config = state.config
    is_of_codes = isinstance(config, PriorRunConfig) and config.codes.data is not None
    words = ["smalti train", config.stage, "--codes CODES" if is_of_codes else "--data IMAGES"]
    if isinstance(config, PriorRunConfig):
        words.append("--vqgan TOKENIZER")
        kinds = [spec.partition("=") for spec in config.condition]
        words += [f"--condition {kind}{'=TOKENIZER' if eq else ''}" for kind, eq, _ in kinds]
    images = [f"Images: {state.images}."] if state.images else []
    options = yaml.safe_dump(_options(state), sort_keys=False)
    return [
        "## Training",
        *images,
        f"{state.step:,} steps, {state.seconds / 60:.1f} minutes:",
        f"    {' '.join(words)} --config options.yaml",
        f"`options.yaml`, without the places of files:\n\n```yaml\n{options}```",
    ]


def _options(state: RunState) -> dict[str, object]:
    """The options of a run that differ from their defaults and name no place."""
    excluded: dict[str, Any] = dict.fromkeys(PLACES, True)
    excluded |= PRIOR_PLACES if isinstance(state.config, PriorRunConfig) else VQGAN_PLACES
    return state.config.model_dump(mode="json", exclude_defaults=True, exclude=excluded)
