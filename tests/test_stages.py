"""Both stages from images on disk to new images: what a run leaves, and what it refuses."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from smalti.cli.main import main
from smalti.config import InputError
from smalti.model_folder import read_tensors
from smalti.runs import data as run_data
from smalti.runs.config import PriorRunConfig, VQGANRunConfig
from smalti.runs.data import open_data
from smalti.runs.folder import open_run
from smalti.runs.prior import train_prior
from smalti.runs.settle import settle_vqgan
from smalti.runs.stored import read_run_config
from smalti.runs.vqgan import train_vqgan
from smalti.sampling.pipeline import Pipeline
from smalti.sequence.ordering import build_ordering
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.log import read_metrics
from smalti.training.prior.learner import PriorLearner
from smalti.training.vqgan.learner import VQGANLearner

TRAINING = {
    "batch_size": 4,
    "device": "cpu",
    "precision": "float32",
    "log_steps": 2,
    "total_steps": 6,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are computed fastest by one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_photos(folder: Path, count: int) -> Path:
    """Pieces of one photograph, in two classes."""
    pixels = np.asarray(data.astronaut())
    for number in range(count):
        path = folder / ("left" if number % 2 else "right") / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        top, left = 40 * (number // 8), 50 * (number % 8)
        Image.fromarray(pixels[top : top + 40, left : left + 40]).save(path)
    return folder


def vqgan_config(photos: Path, out: Path, **changes: Any) -> VQGANRunConfig:
    return VQGANRunConfig.model_validate(
        {
            "data": (str(photos),),
            "out": str(out),
            "image": {"size": 16, "resize_px": "keep"},
            "vqgan": {"channel_multipliers": (1, 1), "code_dim": 8, "codebook_size": 16},
            "discriminator": {"filters": 4, "layers": 1},
            "loss": {
                "perceptual": {"kind": "none"},
                "adversary": {"start": 2, "warmup": 1, "ramp": 2},
            },
            "training": TRAINING,
        }
        | changes
    )


def prior_config(photos: Path, vqgan: Path, out: Path, **changes: Any) -> PriorRunConfig:
    return PriorRunConfig.model_validate(
        {
            "data": (str(photos),),
            "vqgan": str(vqgan),
            "out": str(out),
            "image": {"size": 16, "resize_px": "keep"},
            "codes": {"views": 2},
            "prior": {"layers": 1, "heads": 2, "width": 16},
            "training": TRAINING,
        }
        | changes
    )


def listing(root: Path) -> dict[str, str]:
    """Every path below the root, with the hash of the files."""
    return {
        str(path.relative_to(root)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        )
        for path in root.rglob("*")
    }


def evaluated(folder: Path) -> dict[str, float]:
    """The numbers of the last evaluation."""
    return [line for line in read_metrics(folder) if line["group"] == "eval"][-1]


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), 24)


@pytest.fixture(scope="module")
def vqgan_run(photos, tmp_path_factory) -> Path:
    """A finished run of stage 1; not to be changed."""
    return train_vqgan(vqgan_config(photos, tmp_path_factory.mktemp("runs") / "vqgan"))


@pytest.fixture(scope="module")
def prior_run(photos, vqgan_run, tmp_path_factory) -> Path:
    """A finished class-conditional run of stage 2, whose tokenizer's run is gone."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(vqgan_run, folder / "vqgan")
    config = prior_config(photos, folder / "vqgan", folder / "prior", condition="class")
    run = train_prior(config)
    shutil.rmtree(folder / "vqgan")
    return run


@pytest.fixture
def no_curves(monkeypatch) -> None:
    """Drawing takes longer than training."""
    monkeypatch.setattr(run_data, "draw_curves", lambda _folder: None)


# What a run leaves


def test_stage_1_leaves_models_numbers_and_pictures(vqgan_run):
    names = {str(path.relative_to(vqgan_run)) for path in vqgan_run.rglob("*") if path.is_file()}
    checkpoint = "checkpoints/step_00000006"
    assert {
        "config.yaml",
        "env.json",
        "metrics.jsonl",
        "origin.json",
        "training_images.safetensors",
        "curves.png",
        "samples/reconstructions_00000006.png",
        "samples/codes_00000006.png",
        "samples/codes_in_context_00000006.png",
        "checkpoints/best/config.json",
        "checkpoints/best/model.safetensors",
        f"{checkpoint}/config.json",
        f"{checkpoint}/model.safetensors",
        f"{checkpoint}/training.safetensors",
        f"{checkpoint}/training.json",
    } == {name for name in names if not name.startswith("tb/")}


def test_stage_1_tells_of_each_term_once_its_network_learns(vqgan_run):
    train = {line["step"]: line for line in read_metrics(vqgan_run) if line["group"] == "train"}
    assert list(train) == [2, 4, 6]
    assert "discriminator_loss" not in train[2]
    assert {"discriminator_loss", "adaptive_weight", "codebook_loss"} <= train[6].keys()
    assert {"psnr_db", "ssim", "pixel_loss", "code_use"} <= evaluated(vqgan_run).keys()


def test_trained_tokenizer_loads_from_the_run(vqgan_run):
    vqgan = VQGAN.from_pretrained(vqgan_run)
    codes = vqgan.encode(torch.zeros(1, 3, 16, 16))
    assert codes.shape == (1, 8, 8)
    assert vqgan.decode(codes).shape == (1, 3, 16, 16)


def test_the_average_is_what_is_kept(vqgan_run):
    checkpoint = vqgan_run / "checkpoints" / "step_00000006"
    kept, state = (
        read_tensors(checkpoint / name) for name in ("model.safetensors", "training.safetensors")
    )
    name = "decoder.conv_out.bias"
    assert torch.equal(kept[name], state[f"average/{name}"])
    assert not torch.equal(kept[name], state[f"vqgan/{name}"])


def test_stage_2_keeps_its_own_tokenizer_and_makes_images_with_it(prior_run):
    pictures = Pipeline.from_pretrained(prior_run).sample(2, progress=False)
    assert [(picture.mode, picture.size) for picture in pictures] == [("RGB", (16, 16))] * 2


def test_classes_are_the_sub_folders(prior_run):
    pipeline = Pipeline.from_pretrained(prior_run)
    assert pipeline.config.conditioners[0].class_names == ("left", "right")
    by_name, by_number = (
        pipeline.sample_codes(pipeline.request(2, condition), progress=False)
        for condition in ("right", 1)
    )
    assert torch.equal(by_name, by_number)


def test_stage_2_tells_its_likelihood_beside_that_of_knowing_nothing(prior_run):
    numbers = evaluated(prior_run)
    assert numbers["nll_uniform"] == pytest.approx(np.log(16))
    assert numbers["bits_per_dimension"] == pytest.approx(
        numbers["nll"] / np.log(2) * 64 / (3 * 16 * 16)
    )
    assert (prior_run / "samples" / "samples_00000006.png").is_file()
    assert (prior_run / "curves.png").is_file()


def test_stage_2_without_classes_ignores_the_sub_folders(photos, vqgan_run, tmp_path, no_curves):
    run = train_prior(prior_config(photos, vqgan_run, tmp_path / "prior"))
    pipeline = Pipeline.from_pretrained(run)
    assert pipeline.config.conditioners[0].kind == "none"
    assert len(pipeline.sample(1, progress=False)) == 1


# Held-out images


@pytest.mark.parametrize("count", [20, 19])
def test_held_out_images_are_never_trained_on_and_exist_from_20_images_on(
    tmp_path, monkeypatch, no_curves, count
):
    trained, looked_at = set(), set()
    step, evaluate = VQGANLearner.step, VQGANLearner.evaluate

    def spy_step(stage, batch):
        trained.update(batch.keys)
        return step(stage, batch)

    def spy_evaluate(stage):
        looked_at.update(*(batch.keys for batch in stage._evaluated_batches()))
        return evaluate(stage)

    monkeypatch.setattr(VQGANLearner, "step", spy_step)
    monkeypatch.setattr(VQGANLearner, "evaluate", spy_evaluate)
    photos = write_photos(tmp_path / "photos", count)
    training = TRAINING | {"total_steps": 5}
    train_vqgan(vqgan_config(photos, tmp_path / "run", training=training, held_out=0.2))
    if count == 20:
        assert looked_at
        assert trained.isdisjoint(looked_at)
    else:
        assert len(looked_at) == count


def test_no_more_held_out_images_than_asked_for_are_looked_at(tmp_path, no_curves, monkeypatch):
    seen = []
    evaluate = VQGANLearner.evaluate

    def spy(stage):
        seen.append(sum(len(batch.keys) for batch in stage._evaluated_batches()))
        return evaluate(stage)

    monkeypatch.setattr(VQGANLearner, "evaluate", spy)
    photos = write_photos(tmp_path / "photos", 10)
    training = TRAINING | {"total_steps": 3, "eval_images": 6}
    train_vqgan(vqgan_config(photos, tmp_path / "run", training=training))
    assert set(seen) == {6}


def test_prior_is_evaluated_on_no_more_images_than_asked_for(
    vqgan_run, tmp_path, no_curves, monkeypatch
):
    seen = []
    evaluate = PriorLearner.evaluate

    def spy(stage):
        seen.append(sum(len(batch.codes) for batch in stage._evaluation))
        return evaluate(stage)

    monkeypatch.setattr(PriorLearner, "evaluate", spy)
    photos = write_photos(tmp_path / "photos", 10)
    training = TRAINING | {"total_steps": 1, "eval_images": 6}
    train_prior(prior_config(photos, vqgan_run, tmp_path / "run", training=training))
    assert seen == [6]


def images_line(run: Path) -> dict[str, Any]:
    return next(line for line in read_metrics(run) if line["group"] == "images")


@pytest.fixture
def short() -> dict[str, Any]:
    """Options of a run whose training does not matter."""
    return {"held_out": 0.3, "training": TRAINING | {"total_steps": 3}}


@pytest.mark.parametrize("root", ["set/photos", "set"])
def test_tokenizer_holds_out_what_its_prior_does_whatever_the_root(
    tmp_path, no_curves, capsys, short, root
):
    photos = write_photos(tmp_path / "set" / "photos", 24)
    vqgan = train_vqgan(vqgan_config(photos, tmp_path / "vqgan", **short))
    prior = train_prior(prior_config(tmp_path / root, vqgan, tmp_path / "prior", **short))
    line = images_line(prior)
    assert line["held_out"] > 1
    assert line["tokenizers_saw"] == {"tokenizer": 0}
    said = f"data: the tokenizer was trained on none of the {line['held_out']} held-out images\n"
    assert said in capsys.readouterr().err


def test_held_out_images_that_the_tokenizer_was_trained_on_are_counted(
    tmp_path, no_curves, capsys, short
):
    photos = write_photos(tmp_path / "photos", 24)
    vqgan = train_vqgan(vqgan_config(photos, tmp_path / "vqgan", **short | {"held_out": 0.0}))
    config = prior_config(photos, vqgan, tmp_path / "prior", **short)
    run = train_prior(config)
    held_out = images_line(run)["held_out"]
    assert images_line(run)["tokenizers_saw"] == {"tokenizer": held_out}
    shutil.rmtree(vqgan)  # the run keeps what it knows of its tokenizer
    train_prior(config)
    words = f"the tokenizer was trained on {held_out} of the {held_out} held-out images"
    assert capsys.readouterr().err.count(f"data: {words}") == 2
    assert main(["inspect", str(run)]) == 0
    assert f"images:       {words}" in capsys.readouterr().out
    assert words in (run / "report" / "index.html").read_text(encoding="utf-8")


def test_prior_says_where_it_is_not_known_what_its_tokenizer_was_trained_on(
    photos, vqgan_run, tmp_path, no_curves, capsys, short
):
    VQGAN.from_pretrained(vqgan_run).save_pretrained(tmp_path / "model")
    run = train_prior(prior_config(photos, tmp_path / "model", tmp_path / "prior", **short))
    assert images_line(run)["tokenizers_saw"] == {"tokenizer": None}
    assert "data: which images the tokenizer was trained on is not known" in capsys.readouterr().err


# Going on


def test_longer_run_keeps_the_adversary_that_it_began_with(photos, tmp_path, no_curves):
    """Its start is a share of the whole run, and would move."""
    loss = {"perceptual": {"kind": "none"}, "adversary": {"start": 0.4}}
    for total_steps in (5, 10):
        training = TRAINING | {"total_steps": total_steps, "log_steps": 1}
        train_vqgan(vqgan_config(photos, tmp_path / "run", loss=loss, training=training))
    learns = [
        line["step"] for line in read_metrics(tmp_path / "run") if "discriminator_loss" in line
    ]
    assert learns == [3, 4, 5, 6, 7, 8, 9, 10]


def test_resumed_run_keeps_the_perceptual_loss_that_it_began_with(photos, tmp_path):
    """Weights of VGG16 may come or go meanwhile."""
    for kind in ("lpips", "efficientnet"):
        run = tmp_path / kind
        config = vqgan_config(photos, run, loss={"perceptual": {"kind": "auto"}})
        assert settle_vqgan(config).loss.perceptual.kind in ("lpips", "efficientnet")
        begun = vqgan_config(photos, run, loss={"perceptual": {"kind": kind}})
        with open_run(run, begun):
            assert settle_vqgan(config).loss.perceptual.kind == kind


def test_prior_goes_on_with_its_own_tokenizer(photos, vqgan_run, tmp_path, no_curves):
    """The run that it came from may be trained further meanwhile, or deleted."""
    source = shutil.copytree(vqgan_run, tmp_path / "vqgan")
    run = train_prior(prior_config(photos, source, tmp_path / "prior"))
    before = listing(run / "tokenizer") | listing(run / "codes")
    shutil.rmtree(source)
    train_prior(prior_config(photos, source, run, training=TRAINING | {"total_steps": 7}))
    assert listing(run / "tokenizer") | listing(run / "codes") == before
    assert evaluated(run)["step"] == 7


def test_a_prior_knows_its_ordering(photos, vqgan_run, tmp_path, no_curves):
    changes = {"ordering": "random", "ordering_seed": 3, "image": {"size": (10, 14)}}
    run = train_prior(prior_config(photos, vqgan_run, tmp_path / "prior", **changes))
    ordering = Pipeline.from_pretrained(run).ordering
    assert torch.equal(ordering.forward, build_ordering("random", 5, 7, seed=3).forward)


def test_runs_of_the_same_data_share_their_codes(
    photos, vqgan_run, tmp_path, no_curves, monkeypatch
):
    codes = {"views": 2, "folder": str(tmp_path / "codes")}
    train_prior(prior_config(photos, vqgan_run, tmp_path / "a", codes=codes))
    before = listing(tmp_path / "codes")
    monkeypatch.setattr("smalti.training.prior.code_cache.encode_shard", None)  # it is not called
    train_prior(prior_config(photos, vqgan_run, tmp_path / "b", codes=codes))
    assert listing(tmp_path / "codes") == before
    assert not (tmp_path / "b" / "codes").exists()


def test_prior_says_and_keeps_what_it_does_against_over_fitting(
    photos, vqgan_run, tmp_path, no_curves, capsys
):
    run = train_prior(prior_config(photos, vqgan_run, tmp_path / "prior", token_keep=0.8))
    line = (
        "small data set (22 images): dropout 0.2, token keep 0.8, 2 views, early stop after "
        "5 evaluations without gain"
    )
    assert line in capsys.readouterr().err.splitlines()
    stored = read_run_config(run)
    assert (stored["token_keep"], stored["prior"]["dropout"]) == (0.8, 0.2)
    assert Pipeline.from_pretrained(run).config.prior.dropout == 0.2


def test_prior_without_held_out_images_does_not_stop_early(
    vqgan_run, tmp_path, no_curves, monkeypatch, capsys
):
    evaluate = PriorLearner.evaluate
    monkeypatch.setattr(PriorLearner, "evaluate", lambda stage: evaluate(stage) | {"score": 1.0})
    photos = write_photos(tmp_path / "photos", 10)
    training = TRAINING | {"total_steps": 4, "eval_steps": 1, "early_stop": 1}
    run = train_prior(prior_config(photos, vqgan_run, tmp_path / "run", training=training))
    assert evaluated(run)["step"] == 4
    assert "no early stop, since no images are held out" in capsys.readouterr().err


# What is refused, with nothing changed


def refuse(train, config, root: Path, match: str) -> None:
    before = listing(root)
    with pytest.raises(InputError, match=match):
        train(config)
    assert listing(root) == before


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"data": ("/nowhere",)}, "/nowhere"),
        ({"image": {"size": 15}}, "image.size 15x15 does not divide .* multiples of 2"),
        ({"image": {"size": 64}}, "40x40 pixels, smaller than the crop of 64x64"),
        ({"discriminator": {"layers": 4}}, "image.size 16 is too small for a discriminator"),
        (
            {"image": {"size": 12}, "loss": {"perceptual": {"kind": "efficientnet"}}},
            "image.size 12 is too small for the perceptual loss efficientnet, which needs 16",
        ),
        ({"image": {"size": 10}}, "image.size 10 is too small for SSIM in evaluation"),
        ({"training": {"device": "cuda:99"}}, "device 'cuda:99' is not there"),
    ],
    ids=["data", "size", "crop", "discriminator", "perceptual", "ssim", "device"],
)
def test_stage_1_refuses_before_it_writes(photos, tmp_path, changes, match):
    refuse(train_vqgan, vqgan_config(photos, tmp_path / "run", **changes), tmp_path, match)


def test_small_image_behind_the_first_held_out_batch_is_found_before_writing(tmp_path):
    config = vqgan_config(write_photos(tmp_path / "photos", 24), tmp_path / "run", held_out=0.5)
    held_out = open_data(config, classes=False, content=config.vqgan.content).held_out
    assert held_out is not None
    assert len(held_out) > config.training.batch_size
    name = held_out.name(len(held_out) - 1)
    Image.new("RGB", (8, 8)).save(tmp_path / "photos" / name)
    refuse(train_vqgan, config, tmp_path, f"{name} is 8x8 pixels")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"image": {"size": 15}}, "image.size 15x15 does not divide .* multiples of 2"),
        ({"ordering": "z-curve"}, "unknown ordering 'z-curve'; did you mean 'z_curve'"),
        (
            {"ordering": "subsample", "image": {"size": 14, "resize_px": "keep"}},
            "ordering subsample is not defined on a grid of 7 x 7: both sides must be even",
        ),
    ],
    ids=["size", "ordering", "grid"],
)
def test_stage_2_refuses_before_it_writes(photos, vqgan_run, tmp_path, changes, match):
    config = prior_config(photos, vqgan_run, tmp_path / "run", **changes)
    refuse(train_prior, config, tmp_path, match)


def test_tokenizer_that_does_not_exist_is_refused(photos, tmp_path):
    config = prior_config(photos, tmp_path / "nowhere", tmp_path / "run")
    refuse(train_prior, config, tmp_path, "nowhere does not exist")


def test_classes_that_the_data_has_not_are_refused(vqgan_run, tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    config = prior_config(tmp_path, vqgan_run, tmp_path / "run", condition="class")
    refuse(train_prior, config, tmp_path, "lies in no sub-folder")


def test_prior_for_another_prior_is_refused(photos, prior_run, tmp_path):
    config = prior_config(photos, prior_run, tmp_path / "run")
    refuse(train_prior, config, tmp_path, "holds a prior, but a tokenizer is needed here")


def test_run_of_another_stage_is_refused(photos, vqgan_run):
    refuse(train_prior, prior_config(photos, vqgan_run, vqgan_run), vqgan_run, "run of stage")


def test_nan_ends_the_command_with_exit_code_2_and_the_last_checkpoint(
    photos, tmp_path, monkeypatch, capsys
):
    step = VQGANLearner.step

    def poison(stage, batch):
        scale = float("nan") if stage.training.step == 3 else 1.0
        return {name: value * scale for name, value in step(stage, batch).items()}

    monkeypatch.setattr(VQGANLearner, "step", poison)
    config = vqgan_config(photos, tmp_path / "run", training=TRAINING | {"save_steps": 3})
    (tmp_path / "config.json").write_text(
        json.dumps(config.model_dump(mode="json")), encoding="utf-8"
    )
    assert main(["train", "vqgan", "--config", str(tmp_path / "config.json")]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "became nan at step 4; batch: " in last
    assert last.count(".png") == 4
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step_00000003"]
