"""Every condition from files to pictures: a prior is trained on it, saved, loaded and asked."""

from pathlib import Path

import pytest
from PIL import Image

from smalti.conditions import CONDITIONS
from smalti.config import InputError
from smalti.content import LabelsContent
from smalti.runs.config import PriorRunConfig
from smalti.runs.prior import train_prior
from smalti.sampling.pipeline import Pipeline

pytestmark = pytest.mark.usefixtures("no_curves")


def run_config(data: Path, tokenizers: Path, out: Path, *kinds: str, **changes) -> PriorRunConfig:
    named = [kind for kind in kinds if CONDITIONS[kind].content_kind not in (None, "rgb")]
    condition = [
        f"{kind}={tokenizers / CONDITIONS[kind].content_kind}" if kind in named else kind
        for kind in kinds
    ]
    return PriorRunConfig.model_validate(
        {
            "data": [str(data)],
            "vqgan": str(tokenizers / "rgb"),
            "out": str(out),
            "condition": condition,
            "held_out": 0.0,
            "image": {"size": 16, "resize_px": "keep"},
            "codes": {"views": 2},
            "prior": {"layers": 1, "heads": 2, "width": 16},
            "training": {"total_steps": 2, "batch_size": 4, "device": "cpu", "workers": 0},
        }
        | changes
    )


KINDS = [kind for kind in CONDITIONS if kind != "none"]


@pytest.mark.parametrize("kind", KINDS)
def test_prior_of_each_condition_trains_and_makes_images(kind, data, tokenizers, asked, tmp_path):
    config = run_config(data, tokenizers, tmp_path / "run", kind, low_resolution_factor=4)
    pipeline = Pipeline.from_pretrained(train_prior(config))
    assert list((tmp_path / "run" / "samples").glob("*.png"))
    condition = asked(kind, 1, 16, 16)
    pictures = pipeline.sample(2, condition=condition, guidance=2.0, progress=False)
    assert [picture.size for picture in pictures] == [(16, 16)] * 2
    larger = asked(kind, 1)
    (wide,) = pipeline.sample(1, condition=larger, size=(20, 24), progress=False)
    assert wide.size == (24, 20)


@pytest.mark.parametrize("flip", [True, False])
def test_exchanged_joints_are_said_where_images_are_mirrored(
    flip, data, tokenizers, tmp_path, capsys
):
    image = {"size": 16, "resize_px": "keep", "flip": flip}
    config = run_config(data, tokenizers, tmp_path / "run", "keypoints", image=image)
    train_prior(config)
    line = "joints: mirrored images exchange left_eye/right_eye, "
    assert (line in capsys.readouterr().err) == flip


def test_several_conditions_stand_together_and_are_guided_apart(data, tokenizers, asked, tmp_path):
    kinds = ("class", "segmentation", "keypoints")
    config = run_config(data, tokenizers, tmp_path / "run", *kinds)
    pipeline = Pipeline.from_pretrained(train_prior(config))
    assert pipeline.conditioning.kinds == kinds
    wanted = {kind: asked(kind, 1, 16, 16) for kind in kinds}
    codes = {
        scales: pipeline.sample(1, condition=wanted, guidance=scales, progress=False)[0].tobytes()
        for scales in ((1.0,), (1.0, 1.0, 1.0), (1.0, 1e5, 1.0), (1e5, 1.0, 1.0))
    }
    assert codes[(1.0,)] == codes[(1.0, 1.0, 1.0)]
    assert len(set(codes.values())) == 3
    with pytest.raises(InputError, match="guidance"):
        pipeline.sample(1, condition=wanted, guidance=(1.0, 2.0), progress=False)


@pytest.mark.parametrize("kind", ["segmentation", "coordinates"])
def test_pixelsnail_takes_conditions_too(kind, data, tokenizers, asked, tmp_path):
    shape = {"kind": "pixelsnail", "blocks": 1, "residual_blocks": 1, "width": 16, "heads": 2}
    config = run_config(data, tokenizers, tmp_path / "run", kind, prior=shape)
    pipeline = Pipeline.from_pretrained(train_prior(config))
    condition = asked(kind, 1, 16, 16)
    assert pipeline.sample(1, condition=condition, progress=False)[0].size == (16, 16)


def test_run_keeps_the_tokenizers_of_its_conditions(data, tokenizers, tmp_path):
    config = run_config(data, tokenizers, tmp_path / "run", "segmentation")
    train_prior(config)
    gone = config.model_copy(update={"condition": ("segmentation=nowhere",)})
    kept = Pipeline.from_pretrained(tmp_path / "run").condition_tokenizers["segmentation"]
    assert kept.content == LabelsContent(classes=4)
    with pytest.raises(InputError, match="nowhere does not exist"):
        train_prior(gone)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("class,coordinates", "once for each, not with commas"),
        ("segmentation", "condition segmentation needs a tokenizer: segmentation=RUN"),
        ("segmentation={}/depth", "needs a tokenizer of labels, but .* is one of depth"),
        ("class=run", "condition class has no tokenizer"),
        ("segmentatoin", "unknown condition 'segmentatoin'; did you mean 'segmentation'"),
        ("depth={}/nothing", "nothing"),
    ],
)
def test_wrong_condition_is_refused_before_anything_is_written(
    condition, message, data, tokenizers, tmp_path
):
    config = run_config(data, tokenizers, tmp_path / "run")
    config = config.model_copy(update={"condition": (condition.format(tokenizers),)})
    with pytest.raises(InputError, match=message) as caught:
        train_prior(config)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def of_maps(data, tokenizers, tmp_path_factory) -> Pipeline:
    out = tmp_path_factory.mktemp("runs") / "maps"
    return Pipeline.from_pretrained(
        train_prior(run_config(data, tokenizers, out, "segmentation", condition_drop=0.0))
    )


def grey(width: int, height: int, value: int = 1) -> Image.Image:
    return Image.new("L", (width, height), value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "this prior needs the condition segmentation"),
        ({"condition": grey(16, 16, 4)}, "label 4; allowed are 0 to 3"),
        ({"condition": grey(12, 16)}, r"size 16x12 .* is below the window of this prior, 16x16"),
        ({"condition": grey(18, 16)}, "both sides must be multiples of 4, as 16x16"),
        ({"condition": grey(16, 16), "size": 32}, "size 32x32 differs from that of the condition"),
        ({"condition": [grey(16, 16), grey(20, 16)]}, "differ in size"),
        ({"condition": {"depth": grey(16, 16)}}, "unknown condition of this prior 'depth'"),
        ({"condition": "nowhere.png"}, "nowhere.png does not exist"),
        ({"condition": grey(16, 16), "guidance": 2.0}, "guidance"),
        ({"condition": grey(20, 20), "stride": 9}, "stride"),
    ],
)
def test_wrong_wrongis_one_clear_line(of_maps, wrong, message):
    with pytest.raises(InputError, match=message) as caught:
        of_maps.sample(1, progress=False, **wrong)
    assert "\n" not in str(caught.value)
