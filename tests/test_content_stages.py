"""Stage 1 of label maps, depth and edges, and priors over them and over pixels, end to end."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from skimage import data

from smalti.cli.inspect_model import describe_model
from smalti.conditions.grid import spatial_sizes
from smalti.conditions.maps import Segmentation, SegmentationConfig
from smalti.config import InputError
from smalti.content import DepthContent, EdgesContent, LabelsContent
from smalti.runs.config import PixelsRunConfig, PriorRunConfig, VQGANRunConfig
from smalti.runs.folder import check_run_folder
from smalti.runs.pixels import train_pixels
from smalti.runs.prior import train_prior
from smalti.runs.settle import fit_loss, settle_vqgan
from smalti.runs.vqgan import train_vqgan
from smalti.sampling.pipeline import Pipeline
from smalti.tokenizer.load import load_tokenizer
from smalti.tokenizer.pixels import PixelTokenizer
from smalti.training.log import read_metrics
from smalti.training.vqgan.config import VQGANLossConfig

pytestmark = pytest.mark.usefixtures("no_curves")

CLASSES = 4
CONTENTS: dict[str, dict[str, Any]] = {
    "labels": {"kind": "labels", "classes": CLASSES, "ignore": 255},
    "depth": {"kind": "depth"},
    "edges": {"kind": "edges"},
}
TRAINING = {"batch_size": 4, "device": "cpu", "precision": "float32", "total_steps": 3}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, label maps by brightness and 16-bit depths, side by side."""
    root = tmp_path_factory.mktemp("scenes")
    photograph = Image.fromarray(data.astronaut())
    for part in ("images", "segmentations", "depths"):
        (root / part).mkdir()
    for number in range(6):
        left, top = 60 * number, 40 * number
        picture = photograph.crop((left, top, left + 20, top + 16))
        grey = np.asarray(picture.convert("L"))
        labels = grey // 64
        labels[0, 0] = 255
        picture.save(root / "images" / f"{number}.png")
        Image.fromarray(labels).save(root / "segmentations" / f"{number}.png")
        Image.fromarray(grey.astype(np.uint16) * 257).save(root / "depths" / f"{number}.png")
    return root


def config_of(scenes: Path, out: Path, kind: str, **changes: Any) -> VQGANRunConfig:
    return VQGANRunConfig.model_validate(
        {
            "data": (str(scenes),),
            "out": str(out),
            "image": {"size": 8, "resize_px": "keep"},
            "vqgan": {
                "content": CONTENTS[kind],
                "channels": 8,
                "channel_multipliers": (1, 1),
                "code_dim": 8,
                "codebook_size": 16,
            },
            "training": TRAINING,
        }
        | changes
    )


@pytest.fixture(scope="module")
def label_run(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_vqgan(config_of(scenes, tmp_path_factory.mktemp("runs") / "labels", "labels"))


def evaluations(run: Path) -> dict[str, float]:
    return [line for line in read_metrics(run) if line["group"] == "eval"][-1]


def test_label_maps_are_judged_by_their_labels(label_run: Path) -> None:
    values = evaluations(label_run)
    assert values["pixel_loss"] > 0
    assert 0 <= values["mean_iou"] <= values["pixel_accuracy"] <= 1
    assert "psnr_db" not in values
    assert "perceptual_loss" not in values


def test_label_maps_are_drawn_in_colours(label_run: Path) -> None:
    (picture,) = (label_run / "samples").glob("reconstructions_*.png")
    assert len(np.unique(np.asarray(Image.open(picture)).reshape(-1, 3), axis=0)) > 2


@pytest.mark.parametrize("kind", ["depth", "edges"])
def test_maps_of_one_channel_are_judged_by_their_values(
    scenes: Path, tmp_path: Path, kind: str
) -> None:
    run = train_vqgan(config_of(scenes, tmp_path / "run", kind))
    values = evaluations(run)
    assert values["psnr_db"] > 0
    assert "ssim" not in values
    assert load_tokenizer(run).content.kind == kind


def test_depth_may_have_an_adversary(scenes: Path, tmp_path: Path) -> None:
    changes = {
        "image": {"size": 12, "resize_px": "keep"},
        "discriminator": {"filters": 4, "layers": 1},
        "loss": {"adversary": {"kind": "hinge", "start": 0, "warmup": 0, "ramp": 0}},
    }
    run = train_vqgan(config_of(scenes, tmp_path / "run", "depth", **changes))
    assert any("discriminator_loss" in line for line in read_metrics(run))


def test_a_prior_learns_label_maps(scenes: Path, label_run: Path, tmp_path: Path) -> None:
    config = PriorRunConfig.model_validate(
        {
            "data": (str(scenes),),
            "out": str(tmp_path / "prior"),
            "vqgan": str(label_run),
            "image": {"size": 8, "resize_px": "keep"},
            "codes": {"views": 1},
            "prior": {"layers": 1, "heads": 2, "width": 16},
            "training": TRAINING,
        }
    )
    pipeline = Pipeline.from_pretrained(train_prior(config))
    (picture,) = pipeline.sample(1, progress=False)
    assert picture.mode == "P"
    assert np.asarray(picture).max() < CLASSES


def test_names_of_label_classes_stay_with_tokenizer_and_prior(
    scenes: Path, label_run: Path, tmp_path: Path, capsys: Any
) -> None:
    config = config_of(scenes, label_run, "labels")
    names = scenes / "segmentations" / "classes.txt"
    names.write_text("night\ndusk\ndawn\nday\n", encoding="utf-8")
    expected = ("night", "dusk", "dawn", "day")
    try:  # a run that began without names, and may go on with them
        check_run_folder(label_run, settle_vqgan(config))
        run = train_vqgan(config_of(scenes, tmp_path / "labels", "labels"))
    finally:
        names.unlink()
    assert settle_vqgan(config_of(scenes, run, "labels")).vqgan.content.class_names == expected
    init = config_of(scenes, tmp_path / "more", "labels", init=str(run))
    assert settle_vqgan(init).vqgan.content.class_names == expected
    describe_model(run)
    assert "classes:      night, dusk, dawn, day" in capsys.readouterr().out
    sizes = spatial_sizes(load_tokenizer(run), 8, 8)
    segmentation = Segmentation(SegmentationConfig(**sizes), load_tokenizer(run))
    assert segmentation.details() == {"labels": "night, dusk, dawn, day"}
    stored = SegmentationConfig.model_validate_json(segmentation.config.model_dump_json())
    assert stored.content.class_names == expected


def test_models_without_names_are_written_as_before() -> None:
    assert "class_names" not in LabelsContent(classes=2).model_dump(mode="json")


def test_names_must_be_as_many_as_the_classes() -> None:
    with pytest.raises(ValidationError, match="class-names has 1 names, but there are 2 classes"):
        LabelsContent(classes=2, class_names=("sky",))


def test_a_prior_learns_pixels(scenes: Path, tmp_path: Path, capsys: Any) -> None:
    image = {"size": 8, "resize_px": "keep"}
    pixels = PixelsRunConfig.model_validate(
        {
            "data": (str(scenes),),
            "out": str(tmp_path / "pixels"),
            "image": image,
            "codebook_size": 16,
            "pixels": 300,
        }
    )
    run = train_pixels(pixels)
    config = PriorRunConfig.model_validate(
        {
            "data": (str(scenes),),
            "out": str(tmp_path / "prior"),
            "vqgan": str(run),
            "image": image,
            "codes": {"views": 1},
            "prior": {"layers": 1, "heads": 2, "width": 16},
            "training": TRAINING,
        }
    )
    folders = "folders: images from images/; segmentations from segmentations/"
    assert folders in capsys.readouterr().err
    pipeline = Pipeline.from_pretrained(train_prior(config))
    assert folders in capsys.readouterr().err
    assert isinstance(pipeline.tokenizer, PixelTokenizer)
    (picture,) = pipeline.sample(1, progress=False)
    palette = set(map(tuple, ((pipeline.tokenizer.palette + 1) * 127.5).round().int().tolist()))
    assert picture.size == (8, 8)
    assert set(picture.get_flattened_data()) <= palette


def test_a_palette_that_is_there_is_kept(scenes: Path, tmp_path: Path) -> None:
    values = {"data": (str(scenes),), "out": str(tmp_path / "run"), "image": {"size": 8}}
    config = PixelsRunConfig.model_validate(values | {"codebook_size": 8, "pixels": 100})
    run = train_pixels(config)
    weights = next(run.glob("checkpoints/*/model.safetensors"))
    before = weights.stat().st_mtime_ns
    assert train_pixels(config) == run
    assert weights.stat().st_mtime_ns == before


def test_more_colours_than_there_are_write_nothing(scenes: Path, tmp_path: Path) -> None:
    values = {"data": (str(scenes),), "out": str(tmp_path / "run"), "image": {"size": 8}}
    config = PixelsRunConfig.model_validate(values | {"codebook_size": 5000, "pixels": 100})
    with pytest.raises(InputError, match="codebook-size 5000 is more than the"):
        train_pixels(config)
    assert not (tmp_path / "run").exists()


# Losses that fit


@pytest.mark.parametrize("kind", list(CONTENTS))
def test_maps_have_no_adversary_and_no_perceptual_loss_unless_asked(
    scenes: Path, tmp_path: Path, kind: str
) -> None:
    loss = settle_vqgan(config_of(scenes, tmp_path, kind)).loss
    assert loss.adversary.kind == "none"
    assert loss.perceptual.kind == "none"
    assert loss.pixel == {"labels": "cross_entropy", "edges": "l2"}.get(kind, "l1")


@pytest.mark.parametrize(
    ("kind", "loss", "words"),
    [
        ("labels", {"pixel": "l2"}, "loss.pixel l2 does not fit label maps"),
        ("labels", {"adversary": {"kind": "hinge"}}, "adversary.kind hinge does not fit label"),
        ("labels", {"perceptual": {"kind": "lpips"}}, "lpips compares photographs, not labels"),
        ("depth", {"perceptual": {"kind": "efficientnet"}}, "compares photographs, not depth"),
        ("edges", {"pixel": "cross_entropy"}, "cross_entropy is for label maps, not edges"),
    ],
)
def test_losses_that_do_not_fit_are_refused(
    scenes: Path, tmp_path: Path, kind: str, loss: dict[str, Any], words: str
) -> None:
    config = config_of(scenes, tmp_path, kind, loss=loss)
    with pytest.raises(InputError, match=words):
        train_vqgan(config)


def test_fitting_losses_stay_when_fitted_again(scenes: Path, tmp_path: Path) -> None:
    content = LabelsContent(classes=CLASSES)
    once = fit_loss(config_of(scenes, tmp_path, "labels").loss, content)
    assert fit_loss(once, content) == once


def test_edges_are_compared_by_their_squares():
    """A share p of edges: l1 has its lowest value where none is drawn, l2 where p is."""
    config = VQGANLossConfig()
    assert fit_loss(config, EdgesContent()).pixel == "l2"
    assert fit_loss(config, DepthContent()).pixel == "l1"
    assert fit_loss(config, LabelsContent(classes=3)).pixel == "cross_entropy"


# Maps that do not fit


def test_a_label_that_is_no_class_writes_nothing(scenes: Path, tmp_path: Path) -> None:
    config = config_of(scenes, tmp_path / "run", "labels")
    vqgan = config.vqgan.model_copy(update={"content": LabelsContent(classes=2, ignore=255)})
    with pytest.raises(InputError, match=r"segmentations/\d\.png has label [23]; allowed are 0 to"):
        train_vqgan(config.model_copy(update={"vqgan": vqgan}))
    assert not (tmp_path / "run").exists()


def test_a_map_of_another_size_writes_nothing(tmp_path: Path) -> None:
    for part in ("images", "segmentations"):
        (tmp_path / "set" / part).mkdir(parents=True)
    Image.new("RGB", (20, 16)).save(tmp_path / "set/images/1.jpg")
    Image.new("L", (10, 8)).save(tmp_path / "set/segmentations/1.png")
    with pytest.raises(InputError, match=r"1\.png is 8x10, but its image .*1\.jpg is 16x20"):
        train_vqgan(config_of(tmp_path / "set", tmp_path / "run", "labels"))
    assert not (tmp_path / "run").exists()
