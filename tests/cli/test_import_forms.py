"""`smalti import` finds the weights in whatever form people have them."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from smalti.interop.taming_vqgan import released_name
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.config import VectorQuantizerConfig
from smalti.tokenizer.vqgan import VQGAN

TINY = VQGANConfig(
    channels=32,
    channel_multipliers=(1, 1),
    norm_groups=32,
    code_dim=4,
    codebook_size=16,
    quantizer=VectorQuantizerConfig(),
)


@pytest.fixture(scope="module")
def vqgan():
    torch.manual_seed(0)
    return VQGAN(TINY).eval()


@pytest.fixture
def released(vqgan):
    """State dict of a tiny VQGAN under the released names."""
    return {released_name(name, 2): tensor.clone() for name, tensor in vqgan.state_dict().items()}


@pytest.fixture
def imported(here, succeed, vqgan):
    """Imports a checkpoint that must become the tiny VQGAN; what the command printed."""

    def run(path, *options) -> str:
        out = succeed("import", path, *options, "--out", "model").out
        found, expected = VQGAN.from_pretrained("model"), vqgan.state_dict()
        assert found.config == TINY
        assert all(
            torch.equal(weight, expected[name]) for name, weight in found.state_dict().items()
        )
        return out

    return run


def zeros(tensors):
    return {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize(
    "name",
    ["state_dict", "model", "ema", "params", "params_ema", "model_state_dict", "generator", "mine"],
)
def test_weights_under_a_name(imported, released, name, new_format):
    content = {name: released, "epoch": 3, "optimizer": {"state": {0: {"step": torch.zeros(1)}}}}
    torch.save(content, "last.pt", _use_new_zipfile_serialization=new_format)
    assert f"weights: under {name}\n" in imported("last.pt")


def test_weights_within_several_names(imported, released):
    torch.save({"model": {"module": {"state_dict": released}}}, "last.pt")
    assert "weights: under model.module.state_dict\n" in imported("last.pt")


@pytest.mark.parametrize(
    ("averaged", "raw"), [("ema", "model"), ("params_ema", "params"), ("model_ema", "state_dict")]
)
def test_averaged_weights_are_preferred(imported, released, averaged, raw):
    torch.save({raw: zeros(released), averaged: released, "steps": 7}, "last.pt")
    assert f"weights: under {averaged} (also there: {raw})\n" in imported("last.pt")


def test_counts_of_an_average_are_no_weights(imported, released):
    counts = {"decay": torch.tensor(0.999), "updates": torch.tensor(7)}
    torch.save({"ema": counts, "model": released}, "last.pt")
    assert "weights: under model\n" in imported("last.pt")


def test_average_as_torch_keeps_it(imported, released, vqgan):
    tensors = {f"module.{name}": tensor for name, tensor in released.items()}
    torch.save(
        {"ema": tensors | {"n_averaged": torch.tensor(7)}, "model": zeros(released)}, "last.pt"
    )
    out = imported("last.pt")
    assert "weights: under ema (also there: model)\n" in out
    assert "passed over: n_averaged (1)" in out


def test_averaged_weights_within_the_state_dict(imported, released):
    """As Lightning's checkpoints keep them: under names without dots."""
    averages = {"model_ema." + name.replace(".", ""): t for name, t in released.items()}
    averages["model_ema.decay"] = torch.tensor(0.999)
    save_file(zeros(released) | averages, "last.safetensors")
    out = imported("last.safetensors")
    assert "weights: averaged weights (model_ema) instead of the raw ones\n" in out
    assert f"passed over: model_ema (1), raw weights ({len(released)})" in out


def test_averages_of_another_network_are_passed_over(imported, released):
    others = {"model_ema.diffusion_modelout0weight": torch.zeros(1)}
    prefixed = {f"first_stage_model.{name}": tensor for name, tensor in released.items()}
    save_file(prefixed | others, "ldm.safetensors")
    assert "passed over: model_ema (1)" in imported("ldm.safetensors")


@pytest.mark.parametrize("new_format", [True, False])
def test_either_weights_are_chosen(imported, released, new_format):
    """As LlamaGen's checkpoints have them; the wrong ones would be zeros."""
    form = {"_use_new_zipfile_serialization": new_format}
    torch.save({"model": zeros(released), "ema": released, "steps": 7}, "averaged.pt", **form)
    said = "weights: under ema (also there: model)\n"
    assert said in imported("averaged.pt", "--weights", "ema")
    shutil.rmtree("model")
    torch.save({"model": released, "ema": zeros(released), "steps": 7}, "raw.pt", **form)
    said = "weights: under model (also there: ema)\n"
    assert said in imported("raw.pt", "--weights", "raw")


def test_raw_weights_beside_averages_without_dots(imported, released):
    averages = {"model_ema." + name.replace(".", ""): t for name, t in zeros(released).items()}
    save_file(released | averages, "last.safetensors")
    out = imported("last.safetensors", "--weights", "raw")
    assert "weights: raw weights instead of the averaged ones (model_ema)\n" in out
    assert f"passed over: model_ema ({len(released)})" in out


def test_raw_model_beside_the_averaged_one(imported, released):
    tensors = {f"ema_model.{name}": tensor for name, tensor in zeros(released).items()}
    tensors |= {f"online_model.{name}": tensor for name, tensor in released.items()}
    save_file(tensors, "last.safetensors")
    out = imported("last.safetensors", "--weights", "raw")
    assert "weights: names without online_model.\n" in out


def test_weights_that_are_not_there_are_refused(here, refused, released):
    torch.save({"model": released}, "raw.pt")
    torch.save({"model": released, "ema": {"decay": torch.tensor(0.999)}}, "counts.pt")
    others = {"model_ema.diffusion_modelout0weight": torch.zeros(1)}
    save_file(
        {f"first_stage_model.{name}": tensor for name, tensor in released.items()} | others,
        "ldm.safetensors",
    )
    words = ["it has no averaged weights of the model", "under ema, ", "leave --weights out"]
    for name in ("raw.pt", "counts.pt", "ldm.safetensors"):
        refused(["import", name, "--weights", "ema", "--out", "model"], f"{name}: ", *words)
    torch.save({"ema": released}, "averaged.pt")
    refused(
        ["import", "averaged.pt", "--weights", "raw", "--out", "model"],
        "averaged.pt: it has averaged weights only; leave --weights out",
    )


def test_wrong_words_about_weights_are_refused(here, refused, released):
    torch.save({"ema": released}, "last.pt")
    Path("vqvae").mkdir()
    for file, value, words in (
        ("last.pt", "average", "--weights must be ema or raw, got 'average'"),
        ("vqvae", "ema", "vqvae is a folder, with one set of weights; leave --weights out"),
    ):
        refused(["import", file, "--weights", value, "--out", "model"], words)


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "_orig_mod.",
        "module._orig_mod.",
        "first_stage_model.",
        "module.first_stage_model._orig_mod.",
    ],
)
def test_wrappers_are_left_out(imported, released, prefix):
    save_file({prefix + name: tensor for name, tensor in released.items()}, "last.safetensors")
    assert "weights:" not in imported("last.safetensors")


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("model.", "model."),
        ("vqgan.", "vqgan."),
        ("_orig_mod.model.module.vqgan.", "model.vqgan."),
        ("model.first_stage_model.", "model."),
        ("gen_vision_model.", "gen_vision_model."),
    ],
)
def test_part_of_a_larger_model_is_found_and_said(imported, released, prefix, said):
    tensors = {prefix + name: tensor for name, tensor in released.items()}
    save_file(tensors | {"language_model.head.weight": torch.zeros(1)}, "last.safetensors")
    out = imported("last.safetensors")
    assert f"weights: names without {said}\n" in out
    assert "passed over: language_model (1)" in out


def test_averaged_model_beside_the_raw_one(imported, released):
    tensors = {f"ema_model.{name}": tensor for name, tensor in released.items()}
    tensors |= {f"online_model.{name}": tensor for name, tensor in zeros(released).items()}
    save_file(tensors, "last.safetensors")
    out = imported("last.safetensors")
    assert "weights: names without ema_model.\n" in out
    assert f"passed over: online_model ({len(released)})" in out


def test_two_models_are_refused(here, refused, released):
    save_file(
        {f"{part}.{name}": t.clone() for part in "ab" for name, t in released.items()},
        "two.safetensors",
    )
    refused(
        ["import", "two.safetensors", "--out", "model"], "it holds several models, under a. and b."
    )


def test_checkpoint_without_tensors_is_refused(here, refused):
    torch.save({"epoch": 1}, "none.pt")
    torch.save({"model": torch.nn.Linear(1, 1)}, "whole.pt")
    for name in ("none.pt", "whole.pt"):
        words = [f"{name} holds no tensors", "state_dict, model", "pickled whole"]
        refused(["import", name, "--out", "model"], *words)


def test_every_command_points_to_the_import(here, refused, released, world):
    torch.save({"state_dict": released}, "last.ckpt")
    data = ["--data", world.photos]
    for command in (
        ["reconstruct", "last.ckpt", world.picture, "--out", "r.png"],
        ["encode", "last.ckpt", world.picture.parent, "--size", "16", "--out", "codes.safetensors"],
        ["evaluate", "last.ckpt", *data],
        ["train", "vqgan", *data, "--init", "last.ckpt", "--out", "run"],
        ["train", "prior", *data, "--init", "last.ckpt", "--out", "run"],
        ["train", "prior", *data, "--vqgan", "last.ckpt", "--out", "run"],
        ["sample", "last.ckpt", "--out", "samples"],
        ["inspect", "last.ckpt"],
        ["export", "last.ckpt", "--out", "out"],
    ):
        refused(command, "last.ckpt is another program's model", "smalti import last.ckpt --out")


def _shards(released, suffix, save):
    names = sorted(released)
    files = {f"model-0000{n}-of-00002{suffix}": names[n - 1 :: 2] for n in (1, 2)}
    for file, part in files.items():
        save({name: released[name] for name in part}, file)
    weight_map = {name: file for file, part in files.items() for name in part}
    Path(f"model{suffix}.index.json").write_text(
        json.dumps({"weight_map": weight_map}), encoding="utf-8"
    )


@pytest.mark.parametrize(("suffix", "save"), [(".safetensors", save_file), (".bin", torch.save)])
def test_shards_are_read_by_their_index(imported, refused, released, suffix, save):
    _shards(released, suffix, save)
    shard = f"model-00001-of-00002{suffix}"
    refused(
        ["import", shard, "--out", "model"],
        f"{shard} is one of 2 shards; give model{suffix}.index.json",
    )
    refused(
        ["import", ".", "--out", "model"], f"give the checkpoint file: model{suffix}.index.json"
    )
    imported(f"model{suffix}.index.json")


def test_nothing_in_a_shard_is_run(imported, released):
    class Payload:
        def __reduce__(self):
            return os.system, ("touch marker",)

    _shards(released, ".bin", lambda part, file: torch.save(part | {"evil": Payload()}, file))
    imported("model.bin.index.json")
    assert not Path("marker").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "no index of shards"),
        ('{"weight_map": {}}', "names none"),
        ('{"weight_map": {"a": "../secret.bin"}}', "'../secret.bin', which is no file beside it"),
        ('{"weight_map": {"a": "a.bin"}}', "'a.bin', which is no file beside it"),
        ('{"weight_map": [1]}', "no index of shards"),
        ("\x00", "no index of shards"),
    ],
)
def test_bad_index_is_refused(here, refused, content, words):
    Path("model.safetensors.index.json").write_text(content, encoding="utf-8")
    refused(["import", "model.safetensors.index.json", "--out", "model"], words)


def test_tokenizer_without_a_decoder_is_refused(here, refused, released):
    """As transformers has Chameleon's."""
    tensors = {
        f"model.vqmodel.{name}": tensor
        for name, tensor in released.items()
        if not name.startswith("decoder.")
    }
    _shards(tensors | {"lm_head.weight": torch.zeros(2)}, ".safetensors", save_file)
    words = ["index.json: its tokenizer has no decoder, as Chameleon's in transformers; give the"]
    refused(["import", "model.safetensors.index.json", "--out", "model"], *words)


def test_archive_of_files_is_refused_with_what_it_holds(here, refused, released):
    torch.save(released, "last.ckpt")
    with zipfile.ZipFile("vqgan.zip", "w") as archive:
        archive.write("last.ckpt", "logs/checkpoints/last.ckpt")
        archive.writestr("logs/configs/model.yaml", "model:")
    with zipfile.ZipFile("vqvae.zip", "w") as archive:
        archive.write("last.ckpt", "vqvae/diffusion_pytorch_model.bin")
        archive.writestr("vqvae/config.json", "{}")
    with zipfile.ZipFile("photos.zip", "w") as archive:
        archive.writestr("1.png", "")
    refused(
        ["import", "vqgan.zip", "--out", "model"],
        "vqgan.zip is an archive of files; unpack it and give logs/checkpoints/last.ckpt",
    )
    refused(["import", "vqvae.zip", "--out", "model"], "unpack it and give the folder vqvae")
    refused(["import", "photos.zip", "--out", "model"], "none of them a checkpoint")
