"""Whatever a user gets wrong is one line, exit code 2, and nothing changed on disk."""

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import torch
import yaml
from huggingface_hub.errors import LocalEntryNotFoundError
from PIL import Image

KMEANS = "--vqgan.quantizer.kind ema --vqgan.quantizer.kmeans_start true"
DiskUsage = namedtuple("DiskUsage", "total used free")


@pytest.fixture
def train(refused, world):
    """Trains a tokenizer with options that must be refused."""

    def run(options, *words, data=world.photos):
        command = ["train", "vqgan", "--data", data, "--out", "out", *world.tiny]
        refused([*command, *options.split()], *words)

    return run


@pytest.fixture
def train_prior(refused, world):
    def run(options, *words, data=world.photos):
        command = ["train", "prior", "--data", data, "--vqgan", world.vqgan, "--out", "out"]
        refused([*command, *world.tiny_prior, *options.split()], *words)

    return run


@pytest.fixture
def cut_short(world, here):
    """Copies a run and cuts the weights of all its models short."""

    def make(run: Path) -> Path:
        copy = here / "cut"
        shutil.copytree(run, copy)
        for weights in copy.glob("checkpoints/*/model.safetensors"):
            os.truncate(weights, weights.stat().st_size // 2)
        return copy

    return make


# Commands and options


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("trian vqgan", ["unknown command 'trian'", "did you mean 'train'", "reconstruct"]),
        ("zzz", ["unknown command 'zzz'.", "Known: annotate"]),
        ("train vqga", ["unknown stage 'vqga'", "did you mean 'vqgan'"]),
        ("sample", ["sample: needs model;"]),
        ("sample run --temprature 1", ["--temprature; did you mean '--temperature'? See"]),
        ("sample run -n many", ["-n", "'many'"]),
        ("train vqgan", ["--data is required"]),
        ("train vqgan --data", ["--data", "at least one"]),
        ("train vqgan --out x --data", ["--data", "at least one"]),
        ("train prior --data x", ["--vqgan RUN (the tokenizer) or --init MODEL is required"]),
        ("train vqgan --data x extra --seed", ["--seed", "one value"]),
        ("train vqgan --data x --preset vqgan-dmo", ["'vqgan-dmo'", "did you mean 'vqgan-demo'"]),
        ("train vqgan --data x --preset=prior-demo", ["'prior-demo'", "vqgan-cifar10"]),
        ("train vqgan --data x --image.siez 3", ["--image.siez", "did you mean '--image.size'"]),
        ("train vqgan --data x --config none.yaml", ["none.yaml does not exist"]),
        ("train vqgan --data x --config .", ["config . is no file"]),
        ("train vqgan --data x --config", ["--config", "one value"]),
        (
            "train prior --data x --auto-remedy",
            ["unknown option --auto-remedy; it belongs to `smalti train vqgan`"],
        ),
        ("train vqgan --data x --batch-size 3", ["did you mean '--training.batch-size'?"]),
        ("train vqgan --data x --foo 3", ["unknown option --foo. `smalti train vqgan --help"]),
        (
            "sample run --temp=1",
            ["unknown option --temp; did you mean '--temperature'? See smalti sample --help"],
        ),
        ("sample run --foo", ["unknown option --foo; see smalti sample --help"]),
        ("presets nonsense", ["no preset has the word 'nonsense'. `smalti presets` lists all"]),
    ],
)
def test_wrong_command_line(refused, line, words):
    refused(line.split(), *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--training.total-steps many", ["training.total-steps", "whole number", "many"]),
        ("--training.total-steps 0", ["training.total-steps", "at least 1", "got 0"]),
        ("--training.accumulation-steps 5", ["accumulation-steps 5", "batch-size 4"]),
        ("--image.size big", ["image.size", "whole number above 0", "HEIGHTxWIDTH", "big"]),
        ("--image.size [1,2,3]", ["image.size", "[1,2,3]"]),
        ("--image.flip maybe", ["image.flip", "true or false", "maybe"]),
        ("--loss.pixel l3", ["loss.pixel", "l1, l2 or", "l3"]),
        ("--optimizer.learning-rate 0", ["optimizer.learning-rate", "above 0", "got 0"]),
        ("--held-out 1", ["held-out", "below 1", "got 1"]),
        ("--seed -1", ["seed", "at least 0", "got -1"]),
        ("--vqgan.channels 33", ["vqgan", "channels 33", "multiple of norm-groups 8"]),
        (
            "--vqgan.channel-multipliers [1]",
            ["vqgan.channel-multipliers", "2 to 6 whole numbers", "[1]"],
        ),
        ("--vqgan.codebook-size 1", ["vqgan.codebook-size", "at least 2", "got 1"]),
        ("--data-weights x", ["data-weights", "numbers above 0", "got 'x'"]),
        ("--data-weights [1,2]", ["2 weights for 1 data sets"]),
        (f"{KMEANS} --vqgan.codebook-size 257", ["codebook-size 257", "the 256 vectors"]),
        ("--vqgan.quantizer.kind fsq --vqgan.codebook_size 17", ["17", "16 or 18"]),
        ("--image.size 15", ["15x15", "multiples of 2"]),
        ("--image.size 4 --discriminator.layers 3", ["image.size 4", "3 layers", "24 pixels"]),
        ("--loss.adversary.start 3", ["start is step 3", "ends at step 3", "kind to none"]),
        ("--loss.adversary.start 1.5", ["loss.adversary.start", "0 to below 1", "got 1.5"]),
        ("--loss.adversary.start 1.0", ["loss.adversary.start", "0 to below 1", "got 1.0"]),
        ("--loss.adversary.ramp -1", ["loss.adversary.ramp", "of at least 0", "got -1"]),
        ("--image.size 64", ["20x24", "64x64", "image.small"]),
        ("--training.device nodevice", ["'nodevice'", "'auto'"]),
    ],
)
def test_wrong_value_of_a_tokenizers_run(train, options, words):
    train(options, *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--image.size 15", ["15x15", "multiples of 2"]),
        ("--condition clas", ["unknown condition 'clas'", "did you mean 'class'"]),
        ("--prior.heads 3", ["prior", "width 16", "heads 3"]),
        ("--condition-drop 1", ["condition-drop", "below 1"]),
        ("--vqgan nowhere", ["nowhere does not exist"]),
    ],
)
def test_wrong_value_of_a_priors_run(train_prior, options, words):
    train_prior(options, *words)


# Config files


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image: {siez: 3}", ["'image.siez'", "did you mean 'image.size'"]),
        ("training: {total_steps: many}", ["config.yaml: training.total-steps must be", "many"]),
        ("vqgan.quantizer.kind: vektor", ["config.yaml: unknown vqgan.quantizer.kind 'vektor'"]),
        ("vqgan.quantizer: {kind: fsq, decay: 1}", ["config.yaml: vqgan.quantizer: fsq has no"]),
        ("prior: {layers: 3}", ["unknown key 'prior'; it belongs to `smalti train prior`"]),
        ("seed: 1\ntraining:\n\tworkers: 1", ["config.yaml, line 3,", "'workers: 1'; indent with"]),
        ("image:\n  size: 'x\nseed: 1", ["config.yaml, line 2,", '"size: \'x"; perhaps']),
        ("training: 3", ["training is a section of options; set those, got '3'"]),
        ("!!python/object/apply:os.system ['touch evil']", ["cannot be read as YAML", "python"]),
        ("seed: !!python/name:os.system", ["cannot be read as YAML", "only plain"]),
        ("_target_: os.system", ["'_target_'"]),
        ("vqgan: {_target_: os.system}", ["'vqgan._target_'"]),
        ("vqgan: {kind: os.system}", ["vqgan.kind", "must be vqgan", "os.system"]),
        ("data: [" + "x" * 2**20 + "]", ["larger than 1048576 bytes"]),
        ("seed: [", ["cannot be read as YAML: 'seed: ['; perhaps a bracket"]),
        ("- seed", ["must hold options"]),
        ("", ["must hold options"]),
        ("[" * 500, ["cannot be read as YAML"]),
    ],
    ids=range(18),
)
def test_config_file_that_is_not_one(train, here, text, words):
    (here / "config.yaml").write_text(text, encoding="utf-8")
    train("--config config.yaml", "config.yaml" if "bytes" in words[0] else "", *words)
    train("--config=config.yaml", *words)


def test_config_file_of_aliases_of_aliases(train, here):
    levels = ["&a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"&a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (here / "bomb.yaml").write_text(f"data: [{', '.join(levels)}]", encoding="utf-8")
    train("--config bomb.yaml", "bomb.yaml", "alias")


def test_config_file_that_is_no_text(train, here):
    (here / "config.yaml").write_bytes(bytes(range(256)))
    train("--config config.yaml", "config.yaml is not UTF-8 text", "save it as UTF-8")


# Data


def test_data_that_does_not_exist(train):
    train("", "'nowhere' does not exist", "a folder of images", data="nowhere")


def test_name_that_is_not_utf_8(call, here):
    """Of an old disk, or met in a locale of another encoding."""
    (here / "phot\udcf6s").mkdir()
    result = call("train", "vqgan", "--data", "phot\udcf6s")
    assert result.code == 2
    assert result.err == (
        "smalti: phot\\udcf6s is not UTF-8, so that no config can name it; rename the file or "
        "folder, or set the locale to UTF-8, as by LC_ALL=C.UTF-8\n"
    )


def test_folder_without_images(train, here):
    (here / "notes").mkdir()
    (here / "notes" / "a.txt").write_text("text", encoding="utf-8")
    train("", "no images in notes", ".png", data="notes")


def test_folder_of_broken_images(train, here):
    (here / "broken").mkdir()
    for name in ("a.png", "b.jpg"):
        (here / "broken" / name).write_text("text", encoding="utf-8")
    train("", "all 2 images are broken", "broken/", data="broken")


def test_inspecting_a_data_set_of_broken_images(refused, here):
    (here / "broken").mkdir()
    (here / "broken" / "a.png").write_text("text", encoding="utf-8")
    refused(["inspect", "broken"], "broken: the only image is broken, as", "a.png")


def test_one_picture_as_data(train, world):
    train("", "give the folder it lies in", data=world.picture)


def test_networks_that_cannot_be_compiled_here(train, train_prior, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    for trained in (train, train_prior):
        for also in ("", " --dry-run"):
            options = f"--training.compile true --training.device cpu{also}"
            trained(options, "compiler no-such-compiler is not there", "leave training.compile")


def test_classes_of_data_without(train_prior, world):
    train_prior("--condition class", "no sub-folder", data=world.photos / "cat")


def test_data_set_of_the_hub_that_is_out_of_reach(train, monkeypatch):
    datasets = pytest.importorskip("datasets")

    def fail(*_, **__):
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    train("", "owner/name", "no route to the hub", data="hf://owner/name")


# Runs and models


def test_out_of_another_kind_of_run(refused, world):
    prior = ["train", "prior", "--data", world.photos, "--vqgan", world.vqgan, *world.tiny_prior]
    refused([*prior, "--out", world.vqgan], "stage 'vqgan'", "'prior'", "--out")


def test_out_of_a_run_with_another_config(refused, world):
    command = ["train", "vqgan", "--data", world.photos, "--out", world.vqgan, *world.tiny]
    refused([*command, "--seed", "9"], "another config", "seed (was 0, now 9)")


def test_out_that_holds_other_files(train, here):
    (here / "papers").mkdir()
    (here / "papers" / "a.txt").write_text("text", encoding="utf-8")
    train("--out papers", "papers is not empty and not a run")


def test_folder_of_codes_that_holds_other_files(train_prior, here):
    (here / "papers").mkdir()
    (here / "papers" / "a.txt").write_text("text", encoding="utf-8")
    train_prior("--codes.folder papers", "papers is not empty and not a cache of codes")


def test_prior_where_a_tokenizer_is_needed(refused, world):
    words = "holds a prior", "a tokenizer is needed"
    for command in ("reconstruct", "encode"):
        refused([command, world.prior, world.picture], *words)
    refused(["decode", world.prior, _codes_file("codes.safetensors")], *words)
    prior = ["train", "prior", "--data", world.photos, "--out", "out", *world.tiny_prior]
    refused([*prior, "--vqgan", world.prior], *words)


def test_tokenizer_where_a_prior_is_needed(refused, world):
    refused(["sample", world.vqgan], "holds a vqgan", "a prior is needed")


def test_model_that_does_not_exist(refused, world):
    for command in (["sample", "nowhere"], ["reconstruct", "nowhere", world.picture]):
        refused(command, "nowhere does not exist", "hub id")


def test_folder_or_file_that_is_no_model(refused, world):
    refused(["sample", world.photos], "not a model or run")
    refused(["reconstruct", world.picture, world.picture], "is a file")


def test_model_of_the_hub_that_is_out_of_reach(refused, monkeypatch):
    def fail(*_, **__):
        raise LocalEntryNotFoundError("no route to the hub")

    monkeypatch.setattr(huggingface_hub, "HfApi", fail)
    refused(["sample", "hf://owner/name"], "owner/name", "no route to the hub")


def test_checkpoint_cut_short(refused, world, cut_short):
    cut = cut_short(world.vqgan)
    words = "model.safetensors", "cut short"
    for command in ("reconstruct", "encode"):
        refused([command, cut, world.picture], *words)
    refused(["inspect", cut], *words)
    prior = ["train", "prior", "--data", world.photos, "--out", "out", *world.tiny_prior]
    refused([*prior, "--vqgan", cut], *words)


def test_prior_cut_short(refused, world, cut_short):
    refused(["sample", cut_short(world.prior)], "model.safetensors", "cut short")


def test_run_whose_only_checkpoint_is_cut_short_is_not_resumed(refused, world, cut_short):
    cut = cut_short(world.vqgan)
    command = ["train", "vqgan", "--data", world.photos, "--out", cut, *world.tiny]
    refused(command, "no checkpoint", "is whole", "cut short")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"kind": "vq', ["not a model's config"]),
        ("[]", ["not a model's config"]),
        ('{"kind": "vqgan", "config": {"channelz": 3}}', ["channelz", "got 3"]),
        (
            '{"kind": "vqgan", "config": {"channels": 33}}',
            ["channels 33", "multiple of norm-groups 8"],
        ),
        ('{"kind": "vqgan", "config": {"channels": 64}}', ["do not fit"]),
    ],
)
def test_damaged_config_of_a_model(refused, world, here, text, words):
    shutil.copytree(world.vqgan / "checkpoints" / "best", here / "model")
    (here / "model" / "config.json").write_text(text, encoding="utf-8")
    refused(["reconstruct", "model", world.picture], "model", *words)
    refused(["inspect", "model"], "model", *words)


@pytest.mark.parametrize("text", ["stage: [", "- a", "!!python/name:os.system"])
def test_damaged_config_of_a_run(refused, world, here, text):
    shutil.copytree(world.vqgan, here / "run")
    (here / "run" / "config.yaml").write_text(text, encoding="utf-8")
    command = ["train", "vqgan", "--data", world.photos, "--out", "run", *world.tiny]
    refused(command, "run/config.yaml")
    refused(["inspect", "run"], "run/config.yaml")


# Writing


def _writing_commands(world):
    return {
        "train": ["train", "vqgan", "--data", world.photos, *world.tiny, "--out"],
        "sample": ["sample", world.prior, "-n", "1", "--out"],
        "reconstruct": ["reconstruct", world.vqgan, world.picture, "--out"],
        "encode": ["encode", world.vqgan, world.picture, "--out"],
        "decode": ["decode", world.vqgan, _codes_file("codes.safetensors"), "--out"],
        "demo": ["demo", "--out"],
    }


SUFFIXES = {"reconstruct": ".png", "encode": ".safetensors"}
COMMANDS = ("train", "sample", "reconstruct", "encode", "decode", "demo")


@pytest.mark.parametrize("command", COMMANDS)
def test_full_disk(refused, world, monkeypatch, command):
    line = _writing_commands(world)[command]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DiskUsage(2**30, 2**30, 0))
    refused([*line, f"new{SUFFIXES.get(command, '')}"], "cannot write", "the disk is full")


@pytest.mark.parametrize("command", COMMANDS)
def test_no_permission(refused, world, here, monkeypatch, command):
    line = _writing_commands(world)[command]
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    refused([*line, f"new{SUFFIXES.get(command, '')}"], "cannot write", "no permission")


@pytest.mark.parametrize("command", COMMANDS)
def test_file_in_the_path_of_out(refused, world, here, command):
    line = _writing_commands(world)[command]
    (here / "note").write_text("text", encoding="utf-8")
    refused([*line, f"note/new{SUFFIXES.get(command, '')}"], "note is a file, not a folder")


@pytest.mark.parametrize("command", ["sample", "decode", "train", "demo"])
def test_file_where_out_is_a_folder(refused, world, here, command):
    line = _writing_commands(world)[command]
    (here / "note").write_text("text", encoding="utf-8")
    refused([*line, "note"], "note is a file, not a folder")


@pytest.mark.parametrize("command", ["reconstruct", "encode"])
def test_wrong_ending_or_folder_where_out_is_a_file(refused, world, here, command):
    line = _writing_commands(world)[command]
    refused([*line, "out.doc"], "out.doc must end in", SUFFIXES[command])
    folder = here / f"folder{SUFFIXES[command]}"
    folder.mkdir()
    refused([*line, folder], "is a folder, not a file")


@pytest.mark.parametrize("command", ["sample", "reconstruct", "decode"])
def test_disk_that_fills_up_while_pictures_are_written(
    call, contents, world, here, monkeypatch, command
):
    line = _writing_commands(world)[command]
    save = Image.Image.save

    def half(picture, path, *arguments, **options):
        save(picture, path, *arguments, **options)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Image.Image, "save", half)
    before = contents(here)
    result = call(*line, f"new{SUFFIXES.get(command, '')}")
    assert result.code == 2
    assert "the disk is full" in result.error_lines[-1]
    new = contents(here).keys() - before.keys()
    codes = {str(here / "new"), str(here / "new/unfinished.safetensors")}  # no need to draw again
    assert new == (codes if command == "sample" else set())


def test_disk_that_fills_up_while_codes_are_written(refused, world, monkeypatch):
    def fail(*_, **__):
        message = "Error while serializing: I/O error: No space left on device (os error 28)"
        raise safetensors.SafetensorError(message)

    line = _writing_commands(world)["encode"]
    monkeypatch.setattr(safetensors.torch, "save_file", fail)
    refused([*line, "new.safetensors"], "the disk is full")


# Sampling


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("-n 0", ["-n", "at least 1", "got 0"]),
        ("--seed -1", ["--seed", "at least 0", "got -1"]),
        ("--batch-size 0", ["--batch-size", "at least 1", "got 0"]),
        ("--top-k -1", ["--top-k", "at least 0", "got -1"]),
        ("--temperature -1", ["temperature", "at least 0", "got -1"]),
        ("--temperature nan", ["temperature", "finite", "got nan"]),
        ("--top-p 0", ["top-p", "above 0", "got 0"]),
        ("--top-p 2", ["top-p", "at most 1", "got 2"]),
        ("--guidance 2", ["guidance 2.0", "with a condition"]),
        ("--guidance -1", ["guidance", "at least 0", "got [-1]"]),
        ("--condition cat", ["knows no condition", "'cat'"]),
        ("--device nodevice", ["'nodevice'", "'auto'"]),
    ],
)
def test_wrong_value_in_sampling(refused, world, options, words):
    refused(["sample", world.prior, *options.split()], *words)


@pytest.mark.parametrize("options", ["--guidance 2", "--stride 99"])
def test_what_the_prior_cannot_sample_with_is_told_before_anything_else(call, here, world, options):
    result = call("sample", world.prior, *options.split())
    assert (result.code, result.out) == (2, "")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cta", ["'cta'", "did you mean 'cat'", "cat, person"]),
        ("7", ["class 7", "0 to 1"]),
        ("-1", ["'-1'", "cat, person"]),
    ],
)
def test_class_that_does_not_exist(refused, world, name, words):
    refused(["sample", world.classes, "--condition", name], *words)


# Pictures and codes


def test_picture_that_is_none(refused, world, here):
    (here / "note.txt").write_text("text", encoding="utf-8")
    (here / "note.md").write_text("text", encoding="utf-8")
    (here / "empty").mkdir()
    for command in ("reconstruct", "encode"):
        refused([command, world.vqgan, "gone.png"], "'gone.png' does not exist")
        refused([command, world.vqgan, "note.md"], "note.md", "not a JPEG")
        refused([command, world.vqgan, "note.txt"], "the only picture is broken")
        refused([command, world.vqgan, "empty"], "no images in empty")


def test_size_of_a_picture_that_has_no_codes(refused, world, here):
    Image.new("RGB", (15, 16)).save("odd.png")
    refused(["encode", world.vqgan, "odd.png"], "odd.png", "16x15", "multiples of 2", "--size")
    refused(
        ["encode", world.vqgan, world.picture, "--size", "15"], "--size 15x15", "multiples of 2"
    )
    refused(["encode", world.vqgan, world.picture, "--size", "0"], "--size", "at least 1, got 0")
    refused(["encode", world.vqgan, world.picture, "--size", "64"], "20x24", "64x64", "--small")


def test_longest_side_of_nothing(refused, world):
    refused(["reconstruct", world.vqgan, world.picture, "--longest-px", "0"], "at least 1, got 0")


def _codes_file(name, grid=None, **metadata):
    """Write a file of one grid of codes; returns its name."""
    grid = torch.zeros(4, 4, dtype=torch.int32) if grid is None else grid
    safetensors.torch.save_file({"a": grid}, name, metadata or None)
    return name


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        (torch.full((4, 4), 99), ["'a'", "[0, 16)", "99"]),
        (torch.full((4, 4), -1), ["'a'", "[0, 16)", "-1"]),
        (torch.zeros(4, 4), ["'a'", "integer grid", "float32"]),
        (torch.zeros(4, dtype=torch.int32), ["'a'", "(h, w)", "(4,)"]),
        (torch.zeros(0, 4, dtype=torch.int32), ["'a'", "(0, 4)"]),
    ],
)
def test_codes_that_are_none(refused, world, here, grid, words):
    name = _codes_file("codes.safetensors", grid)
    refused(["decode", world.vqgan, name], "codes.safetensors", *words)


def test_file_of_codes_that_is_none(refused, world, here):
    (here / "text.safetensors").write_text("text", encoding="utf-8")
    safetensors.torch.save_file({}, "empty.safetensors")
    refused(["decode", world.vqgan, "gone.safetensors"], "gone.safetensors is no file")
    refused(["decode", world.vqgan, "text.safetensors"], "damaged, or no safetensors file; give")
    refused(["decode", world.vqgan, "empty.safetensors"], "holds no codes")


def test_codes_of_another_tokenizer(refused, succeed, world, here):
    name = _codes_file("codes.safetensors", tokenizer="another")
    refused(["decode", world.vqgan, name], "another tokenizer", "--force")
    succeed("decode", world.vqgan, name, "--force", "--out", "decoded")
    with Image.open("decoded/a.png") as picture:
        assert picture.size == (8, 8)


# Looking


def test_nothing_to_inspect(refused, here):
    (here / "empty").mkdir()
    refused(["inspect", "nowhere"], "'nowhere' does not exist")
    refused(["inspect", "empty"], "no images in empty")


def test_run_of_a_stage_that_does_not_exist(refused, world, here):
    shutil.copytree(world.vqgan, here / "run")
    config = yaml.safe_load((here / "run" / "config.yaml").read_text(encoding="utf-8"))
    (here / "run" / "config.yaml").write_text(
        yaml.safe_dump(config | {"vqgn": 1}), encoding="utf-8"
    )
    refused(["inspect", "run"], "vqgn")
