"""What is computed for a proof: command lines that every version of the package reads.

A task writes into the folder of its name. Its commands see what the tasks that it needs have
written, and the folders of `scenes.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

EACH = (
    "--training.device=cpu --training.precision=float32 --training.batch_size=8 "
    "--training.log_steps=5 --training.eval_steps=10 --training.save_steps=10 "
    "--training.picture_steps=20"
)
FIXED = f"{EACH} --training.total_steps=20"
ADVERSARY = "--loss.adversary.start=6 --loss.adversary.warmup=4 --loss.adversary.ramp=6"
VQGAN = f"train vqgan --data scenes --preset=vqgan-photos-tiny {FIXED} {ADVERSARY}"
ANY_PRIOR = f"train prior --codes.views=2 {FIXED}"
PRIOR = f"{ANY_PRIOR} --vqgan=vqgan/run"
SMALL_VQGAN = (
    f"train vqgan --data scenes {EACH} {ADVERSARY} --image.size=32 --vqgan.channels=8 "
    "--vqgan.channel_multipliers=[1,1,2] --vqgan.codebook_size=64 --loss.perceptual.kind=none "
    "--discriminator.layers=1"
)
SMALL_PRIOR = "--prior.width=32 --prior.heads=2"


@dataclass(frozen=True)
class Task:
    """Command lines that belong together."""

    commands: Sequence[str]
    needs: Sequence[str] = ()
    """Tasks that come before it."""


def _sampled(name: str, condition: str = "", large: str | None = None) -> list[str]:
    """Draw a window from the run of a task, and a larger canvas where `large` is its condition."""
    asked = f"--condition {condition}" if condition else ""
    lines = [f"sample {name}/run -n 2 {asked} --size=64 --out={name}/window"]
    if large is not None:
        asked = f"--condition {large}" if large else ""
        how = f"--size=96x80 --stride=3 {'--guidance=2' if large else ''}"
        lines += [f"sample {name}/run -n 1 {asked} {how} --out={name}/large"]
    return lines


def _maps(content: str, options: str = "") -> Task:
    """A tokenizer of maps."""
    run = f"--preset={content}-tiny --data scenes {FIXED} {options} --out={content}-maps/run"
    return Task([f"train vqgan {run}"])


def _told_map(name: str, kind: str, maps: str, asked: str) -> Task:
    """A prior that is told a map, through its tokenizer."""
    condition = f"--condition {kind}={maps}/run"
    train = f"{PRIOR} --preset=prior-{name}-tiny --data scenes {condition} --out={name}/run"
    files = [f"asked/{asked}-{size}.png" for size in ("64x64", "96x80")]
    return Task([train, *_sampled(name, *files)], ["vqgan", maps])


def _prior(name: str, options: str = "--data scenes", drawn: Sequence[str] = ()) -> Task:
    """A prior that is told nothing, or something that needs no other tokenizer."""
    train = f"{PRIOR} --preset=prior-{name}-tiny {options} --out={name}/run"
    return Task([train, *drawn], ["vqgan"])


def _quantizers() -> Iterator[str]:
    """A small tokenizer with each quantizer but the usual one."""
    for kind in ("ema", "gumbel", "fsq", "lfq", "simvq", "ibq"):
        options = f"--training.total_steps=20 --vqgan.quantizer.kind={kind}"
        yield f"{SMALL_VQGAN} {options} --out=quantizers/{kind}"


FORMER_RUNS = ("vqgan", "unconditional", "class", "segmentation", "maps", "keypoints", "pixelsnail")
"""Runs of `tests/former`, which go on from what a former version wrote."""
COMPLETE = "complete unconditional/run scenes/images/01.png --keep-top=0.5 -n 2"
PRESETS = {
    "unconditional": _prior(
        "unconditional",
        drawn=[*_sampled("unconditional", large=""), f"{COMPLETE} --out=unconditional/half"],
    ),
    "class": _prior("class", "--data classes --condition class", _sampled("class", "cat", "cat")),
    "segmentation": _told_map("segmentation", "segmentation", "labels-maps", "labels"),
    "depth": _told_map("depth", "depth", "depth-maps", "depth"),
    "edges": _told_map("edges", "edges", "edges-maps", "photo"),
    "low-resolution": _prior(
        "low-resolution",
        "--data scenes --condition low_resolution",
        _sampled("low-resolution", "asked/small-64x64.png", "asked/small-96x80.png"),
    ),
    "coordinates": _prior(
        "coordinates", "--data scenes --condition coordinates", _sampled("coordinates", large="")
    ),
    "keypoints": _prior(
        "keypoints",
        "--data scenes --condition keypoints",
        _sampled("keypoints", "scenes/keypoints/00.json"),
    ),
}
"""Priors: one for each preset `prior-NAME-tiny`."""

TASKS = {
    "vqgan": Task([f"{VQGAN} --out=vqgan/run"]),
    "accumulation": Task([f"{VQGAN} --training.accumulation_steps=4 --out=accumulation/run"]),
    "labels-maps": _maps("labels"),
    "depth-maps": _maps("depth"),
    "edges-maps": _maps("edges"),
    **PRESETS,
    "pixels": Task(
        [
            "train pixels --data scenes --image.size=16 --codebook_size=64 --out=pixels/run",
            f"train prior --data scenes --vqgan=pixels/run --image.size=16 {FIXED} {SMALL_PRIOR} "
            "--ordering=spiral_out --out=pixels/prior",
            "sample pixels/prior -n 2 --out=pixels/window",
        ]
    ),
    "several": Task(
        [
            f"{PRIOR} --data scenes {SMALL_PRIOR} --condition segmentation=labels-maps/run "
            "--condition coordinate_map --condition keypoints --out=several/run",
            "sample several/run -n 1 --guidance=2 --condition segmentation=asked/labels-64x64.png "
            "keypoints=scenes/keypoints/00.json --out=several/window",
        ],
        ["vqgan", "labels-maps"],
    ),
    "pixelsnail": Task(
        [
            f"{PRIOR} --data classes --condition class --prior.kind=pixelsnail --prior.blocks=2 "
            f"{SMALL_PRIOR} --out=pixelsnail/run",
            *_sampled("pixelsnail", "cat", "cat"),
        ],
        ["vqgan"],
    ),
    "quantizers": Task(list(_quantizers())),
    "resumed": Task(
        [
            f"{SMALL_VQGAN} --training.total_steps=10 --out=resumed/run",
            "resume resumed/run --training.total_steps=20",
        ]
    ),
    "fine-tuned": Task(
        [
            f"{VQGAN} --init=vqgan/run --out=fine-tuned/run",
            f"{ANY_PRIOR} --init=class/run --data classes --out=fine-tuned/prior",
        ],
        ["vqgan", "class"],
    ),
    "commands": Task(
        [
            "encode vqgan/run scenes/images --size=64 --out=commands/codes.safetensors",
            "decode vqgan/run commands/codes.safetensors --out=commands/decoded",
            "reconstruct vqgan/run scenes/images/00.png --out=commands/reconstruction.png",
            "evaluate vqgan/run --data scenes --out=commands/evaluation.json",
            "evaluate labels-maps/run --data scenes --out=commands/labels.json",
            f"{SMALL_VQGAN} --training.total_steps=5 --vqgan.quantizer.lookup_dim=null "
            "--vqgan.quantizer.l2_normalised=false --loss.adversary.kind=none --out=commands/run",
            "export commands/run --out=commands/diffusers --format=diffusers",
            "import commands/diffusers --out=commands/imported",
        ],
        ["vqgan", "labels-maps"],
    ),
    "former": Task(
        [
            *(f"resume former/{run} --training.total_steps 6" for run in FORMER_RUNS),
            "sample former/unconditional -n 1 --size=64x64 --device=cpu --out former/canvas",
            "evaluate former/vqgan --data former/scenes --out=former/evaluation.json",
        ]
    ),
}
"""All tasks, each after those that it needs."""
