"""`smalti annotate`: from photographs to files that the training reads."""

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

pytest.importorskip("transformers", reason="the extra `annotate` is not installed")

from helpers import tiny_networks
from smalti.cli.train_config import read_config
from smalti.data.sources import open_source
from smalti.runs.config import VQGANRunConfig
from smalti.runs.settle import settle_vqgan

PHOTOGRAPHS = 4
CPU = ("--device", "cpu")


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("networks")
    for name in ("depth", "segmenter", "pose", "detector"):
        tiny_networks.save(getattr(tiny_networks, name)(), root / name)
    return root


def write_photographs(folder: Path) -> Path:
    folder.mkdir(parents=True)
    whole = Image.fromarray(data.astronaut())
    for number in range(PHOTOGRAPHS):
        whole.crop((9 * number, 0, 9 * number + 40, 32)).save(folder / f"{number}.jpg")
    return folder


@pytest.fixture
def photographs(here) -> Path:
    """A folder of photographs of a data set, below the working folder."""
    write_photographs(here / "scenes" / "images")
    return Path("scenes/images")


@pytest.fixture
def commands(networks):
    """Arguments of the command for each kind."""
    return {
        "depth": ["--depth", "--model", networks / "depth", *CPU],
        "segmentation": ["--segmentation", "--model", networks / "segmenter", *CPU],
        "keypoints": [
            "--keypoints",
            *("--model", networks / "pose", "--detector", networks / "detector", *CPU),
        ],
    }


def next_commands(out: str) -> list[list[str]]:
    """The commands that are printed to be typed next, without `smalti`."""
    lines = [line for line in out.splitlines() if line.startswith("next: smalti ")]
    return [shlex.split(line)[2:] for line in lines]


@pytest.mark.parametrize("kind", ["depth", "segmentation", "keypoints"])
def test_a_data_set_pairs_what_is_made(kind, photographs, commands, succeed):
    out = succeed("annotate", photographs, *commands[kind]).out
    assert f"{kind}: {PHOTOGRAPHS} files made, 0 kept" in out
    assert f"{kind}: {PHOTOGRAPHS} of {PHOTOGRAPHS} images in scenes" in out
    assert f"{kind}:" in succeed("inspect", "scenes").out
    record = json.loads(Path("scenes/annotated.json").read_text(encoding="utf-8"))
    assert len(record[kind]["networks"][0]["sha256"]) == 64
    assert Path("scenes/annotated.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("kind", ["depth", "segmentation"])
def test_the_printed_command_trains_the_tokenizer_of_maps(
    kind, photographs, commands, succeed, world
):
    printed = next_commands(succeed("annotate", photographs, *commands[kind]).out)
    of_maps = [words for words in printed if "--vqgan.content.kind" in words]
    assert len(of_maps) == 1
    tiny = [word for word in world.tiny if "codebook_size" not in word]
    assert "parameters" in succeed(*of_maps[0], *tiny, "--dry-run").out


def test_the_printed_command_trains_a_prior_of_poses(photographs, commands, succeed, world):
    printed = next_commands(succeed("annotate", photographs, *commands["keypoints"]).out)
    words = printed[-1]
    words[words.index("runs/images")] = str(world.vqgan)
    assert words[:2] == ["train", "prior"]
    assert "3 conditioning + 64" in succeed(*words, *world.tiny_prior, "--dry-run").out


def test_names_of_classes_reach_the_tokenizer(photographs, commands, succeed, world):
    out = succeed("annotate", photographs, *commands["segmentation"]).out
    named = Path("scenes/segmentations/classes.txt").read_text(encoding="utf-8").split()
    assert tuple(named) == tiny_networks.CLASS_NAMES
    words = next(words for words in next_commands(out) if "--vqgan.content.kind" in words)
    assert words[words.index("--vqgan.content.classes") + 1] == "3"
    tiny = [word for word in world.tiny if "codebook_size" not in word]
    settled = settle_vqgan(read_config(VQGANRunConfig, [*words[2:], *tiny]))
    assert settled.vqgan.content.class_names == tiny_networks.CLASS_NAMES


def test_depth_is_stretched_over_16_bits_in_the_size_of_the_photograph(
    photographs, commands, succeed
):
    succeed("annotate", photographs, *commands["depth"])
    with Image.open("scenes/depths/0.png") as picture:
        values = np.array(picture)
    assert values.dtype == np.uint16
    assert values.shape == (32, 40)
    assert (values.min(), values.max()) == (0, 65535)


def test_a_pose_has_joints_named_as_in_coco_where_they_are_in_the_picture(
    photographs, commands, succeed
):
    succeed("annotate", photographs, *commands["keypoints"])
    pose = json.loads(Path("scenes/keypoints/0.json").read_text(encoding="utf-8"))
    assert pose["categories"][0]["keypoints"] == ["nose", "left_eye", "right_eye"]
    (person,) = pose["annotations"]
    joints = np.array(person["keypoints"]).reshape(3, 3)
    assert (joints[:, 2] == 2).any()
    seen = joints[joints[:, 2] > 0, :2]
    assert (seen >= 0).all()
    assert (seen <= [39, 31]).all()


def test_a_photograph_without_a_person_has_a_file_without_one(
    photographs, commands, networks, succeed, tmp_path_factory
):
    unsure = tmp_path_factory.mktemp("unsure")
    tiny_networks.save(tiny_networks.detector(is_sure=False), unsure)
    words = [unsure if word == networks / "detector" else word for word in commands["keypoints"]]
    out = succeed("annotate", photographs, *words).out
    assert f"nothing found in {PHOTOGRAPHS} photographs" in out
    pose = json.loads(Path("scenes/keypoints/0.json").read_text(encoding="utf-8"))
    assert pose["annotations"] == []


def test_a_second_call_makes_what_is_missing(photographs, commands, succeed):
    succeed("annotate", photographs, *commands["depth"])
    made, lost = Path("scenes/depths/0.png"), Path("scenes/depths/1.png")
    before = made.stat().st_mtime_ns
    lost.unlink()
    assert "1 file made, 3 kept" in succeed("annotate", photographs, *commands["depth"]).out
    assert made.stat().st_mtime_ns == before
    assert lost.is_file()


def test_other_weights_make_their_files_anew(photographs, commands, succeed, tmp_path_factory):
    succeed("annotate", photographs, *commands["depth"])
    before = Path("scenes/depths/0.png").read_bytes()
    other = tiny_networks.save(tiny_networks.depth(seed=1), tmp_path_factory.mktemp("other"))
    out = succeed("annotate", photographs, "--depth", "--model", other, *CPU).out
    assert "4 files made, 0 kept" in out
    assert Path("scenes/depths/0.png").read_bytes() != before


def test_files_of_another_origin_stay(photographs, commands, succeed):
    own = Path("scenes/segmentations/2.png")
    own.parent.mkdir()
    Image.new("L", (40, 32), 1).save(own)
    (own.parent / "classes.txt").write_text("mine\n", encoding="utf-8")
    before = own.read_bytes()
    out = succeed("annotate", photographs, *commands["segmentation"]).out
    assert "3 files made, 0 kept, 1 of another origin left as they were" in out
    assert own.read_bytes() == before
    assert (own.parent / "classes.txt").read_text(encoding="utf-8") == "mine\n"


def test_a_broken_photograph_is_named_and_skipped(photographs, commands, succeed):
    (photographs / "0.jpg").write_bytes(b"no picture")
    result = succeed("annotate", photographs, *commands["depth"])
    assert "skipped scenes/images/0.jpg: it is not a JPEG" in result.err
    assert "3 files made, 0 kept, 1 photograph broken" in result.out
    assert not Path("scenes/depths/0.png").exists()


def test_photographs_of_any_folder_become_a_data_set_with_a_link(here, commands, succeed):
    write_photographs(here / "flowers" / "roses")
    out = succeed("annotate", "flowers", *commands["depth"]).out
    assert "4 of 4 images in flowers-annotated" in out
    assert Path("flowers-annotated/depths/roses/0.png").is_file()
    assert Path("flowers-annotated/images").resolve() == (here / "flowers").resolve()
    assert "4 of 4" in succeed("inspect", "flowers-annotated").out
    assert sorted(path.name for path in (here / "flowers").iterdir()) == ["roses"]
    assert "0 files made, 4 kept" in succeed("annotate", "flowers", *commands["depth"]).out


def test_files_go_beside_each_folder_of_photographs(here, commands, succeed):
    for part in ("train", "val"):
        write_photographs(here / "scenes" / part / "photos")
    out = succeed("annotate", "scenes", *commands["depth"]).out
    assert "8 of 8 images in scenes" in out
    assert Path("scenes/train/depths/0.png").is_file()
    assert Path("scenes/val/depths/0.png").is_file()


def test_the_data_set_itself_may_be_named(photographs, commands, succeed):
    succeed("annotate", "scenes", *commands["depth"])
    out = succeed("annotate", "scenes", *commands["segmentation"]).out
    assert "4 files made" in out
    assert set(open_source("scenes", False).parts) == {"images", "depths", "segmentations"}


def test_a_photograph_that_exif_turns_has_an_upright_map(photographs, commands, succeed):
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (40, 32)).save(photographs / "0.jpg", exif=exif)
    succeed("annotate", photographs, *commands["depth"])
    with Image.open("scenes/depths/0.png") as picture:
        assert picture.size == (32, 40)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["photos"], ["--depth, --segmentation, --keypoints"]),
        (["photos", "--depth", "--keypoints", "--model", "m"], ["--model m", "once for each"]),
        (["photos", "--depth", "--detector", "m"], ["--detector m", "--keypoints"]),
        (["nowhere", "--depth"], ["nowhere does not exist"]),
        (["photos/0.jpg", "--depth"], ["0.jpg is no folder of pictures"]),
        (
            ["photos", "--depth", "--model", "typo"],
            ["typo does not exist", "must hold config.json"],
        ),
        (["photos", "--depth", "--out", "photos/maps"], ["inside of the photographs"]),
    ],
)
def test_wrong_words_are_refused(arguments, words, here, refused):
    write_photographs(here / "photos")
    refused(["annotate", *arguments], *words)


def test_a_default_that_cannot_be_reached_is_named(photographs, refused, monkeypatch):
    monkeypatch.setattr("smalti.hub.is_reachable", lambda: False)
    refused(
        ["annotate", photographs, "--depth"],
        "depth-anything/Depth-Anything-V2-Small-hf is neither a folder here",
        "it cannot be reached; a folder must hold config.json",
    )


def test_a_missing_extra_gives_the_command(photographs, refused, monkeypatch):
    monkeypatch.setattr("smalti.annotate.networks.find_spec", lambda name: None)
    refused(["annotate", photographs, "--depth"], "pip install 'smalti[annotate]'")


def test_a_network_of_another_task_is_refused(photographs, networks, refused):
    refused(
        ["annotate", photographs, "--depth", "--model", networks / "pose"],
        "'vitpose'",
        "no AutoModelForDepthEstimation",
    )


def test_a_folder_without_weights_is_refused(photographs, networks, refused, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare") / "depth"
    shutil.copytree(networks / "depth", folder)
    (folder / "model.safetensors").unlink()
    refused(["annotate", photographs, "--depth", "--model", folder], "has no model.safetensors")


def test_a_detector_that_knows_no_persons_is_refused(
    photographs, networks, refused, tmp_path_factory
):
    cats = tiny_networks.save(tiny_networks.detector("cat"), tmp_path_factory.mktemp("cats"))
    words = ["--keypoints", "--model", networks / "pose", "--detector", cats]
    refused(["annotate", photographs, *words], "no class 'person'")


def test_photographs_that_differ_in_their_ending_are_refused(photographs, commands, refused):
    Image.new("RGB", (40, 32)).save(photographs / "0.png")
    refused(["annotate", photographs, *commands["depth"]], "0.jpg and 0.png", "rename one")


def test_label_maps_in_a_folder_of_another_name_are_not_mixed(photographs, commands, refused):
    Path("scenes/masks").mkdir()
    Image.new("L", (40, 32)).save("scenes/masks/0.png")
    refused(["annotate", "scenes", *commands["segmentation"]], "segmentations in masks/ already")


def test_photographs_that_are_all_broken_are_refused(photographs, commands, call):
    for path in photographs.iterdir():
        path.write_bytes(b"")
    result = call("annotate", photographs, *commands["depth"])
    assert result.code == 2
    assert "all 4 photographs are broken" in result.error_lines[-1]
    assert not Path("scenes/depths").exists()
