"""Downloading models of the hub: which files, which revision, and what is said."""

import logging
from pathlib import Path

import pytest
import torch

from helpers.hub import StandInHub
from smalti import VQGAN, Pipeline, hub, model_download
from smalti.config import InputError
from smalti.model_download import model_files
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT
from smalti.sampling.prior_model import PriorModelConfig
from smalti.tokenizer.config import VQGANConfig

TINY = VQGANConfig(
    channels=32, channel_multipliers=(1, 1), residual_blocks=1, codebook_size=16, code_dim=8
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    hub.announce.cache_clear()
    model_download._say_commit.cache_clear()


def save(folder: Path, seed: int = 0) -> VQGAN:
    torch.manual_seed(seed)
    vqgan = VQGAN(TINY)
    vqgan.save_pretrained(folder)
    return vqgan


def same(one: VQGAN, other: VQGAN) -> bool:
    return torch.equal(one.to_code.weight, other.to_code.weight)


def test_of_an_uploaded_run_only_the_best_model_comes():
    run = [
        "config.yaml",
        "metrics.jsonl",
        "curves.png",
        "training_images.safetensors",
        *(f"checkpoints/{folder}/config.json" for folder in ("best", "step_00000020")),
        *(f"checkpoints/{folder}/model.safetensors" for folder in ("best", "step_00000020")),
        "checkpoints/step_00000020/training.safetensors",
        "codes/0.safetensors",
        "tokenizer/config.json",
        "tokenizer/model.safetensors",
        "conditions/depth/model.safetensors",
    ]
    tokenizers = run[-3:]
    assert model_files(run) == [
        "training_images.safetensors",
        "checkpoints/best/config.json",
        "checkpoints/best/model.safetensors",
        *tokenizers,
    ]
    without_best = [path for path in run if "best" not in path]
    assert "checkpoints/step_00000020/model.safetensors" in model_files(without_best)
    assert "checkpoints/step_00000020/training.safetensors" not in model_files(without_best)


def test_of_a_model_folder_pictures_and_other_folders_stay_away():
    paths = ["README.md", "config.json", "model.safetensors", "samples.png", "other/config.json"]
    assert model_files(paths) == ["config.json", "model.safetensors"]
    assert model_files(paths, "other") == ["other/config.json"]


@pytest.mark.parametrize("name", ["owner/name", "hf://owner/name"])
def test_model_comes_with_the_commit_in_words(
    tmp_path, stand_in_hub: StandInHub, caplog, name
) -> None:
    caplog.set_level(logging.INFO, "smalti")
    made = save(tmp_path / "model")
    (tmp_path / "model" / "picture.png").touch()
    commit = stand_in_hub.add("owner/name", tmp_path / "model")
    assert same(VQGAN.from_pretrained(name), made)
    assert caplog.messages[-1] == f"from the hub: owner/name at {commit}"
    assert sorted(stand_in_hub.downloaded) == ["config.json", "model.safetensors"]


def test_revision_is_that_of_the_name_or_of_the_argument(tmp_path, stand_in_hub):
    first, second = save(tmp_path / "a", 1), save(tmp_path / "b", 2)
    stand_in_hub.add("owner/name", tmp_path / "a", ref="refs/pr/1")
    stand_in_hub.add("owner/name", tmp_path / "b")
    assert same(VQGAN.from_pretrained("owner/name@refs/pr/1"), first)
    assert same(VQGAN.from_pretrained("hf://owner/name", revision="refs/pr/1"), first)
    assert same(VQGAN.from_pretrained("owner/name"), second)
    with pytest.raises(InputError, match="owner/name has no revision 'v9'"):
        VQGAN.from_pretrained("owner/name@v9")
    with pytest.raises(InputError, match="names another revision than 'v2'"):
        VQGAN.from_pretrained("owner/name@v1", revision="v2")


def test_subfolder(tmp_path, stand_in_hub):
    made = save(tmp_path / "model")
    stand_in_hub.add("owner/name", tmp_path / "model", inside="f2/vqgan/")
    assert same(VQGAN.from_pretrained("owner/name", subfolder="f2/vqgan"), made)
    with pytest.raises(InputError, match="no folder 'f4' with a model"):
        VQGAN.from_pretrained("owner/name", subfolder="f4")


def test_without_a_connection_earlier_downloads_count(tmp_path, stand_in_hub, monkeypatch):
    made = save(tmp_path / "model")
    stand_in_hub.add("owner/name", tmp_path / "model")
    with pytest.raises(InputError, match="it was not downloaded before"):
        VQGAN.from_pretrained("owner/name", local_files_only=True)
    VQGAN.from_pretrained("owner/name")
    stand_in_hub.commits.clear()
    assert same(VQGAN.from_pretrained("owner/name", local_files_only=True), made)
    with pytest.raises(InputError, match="it was not downloaded before"):
        VQGAN.from_pretrained("owner/name", local_files_only=True, cache_dir=tmp_path / "empty")
    monkeypatch.setattr(hub, "is_reachable", lambda: False)
    assert same(VQGAN.from_pretrained("owner/name"), made)


def test_private_model_needs_the_token_which_is_not_shown(tmp_path, stand_in_hub, caplog):
    caplog.set_level(logging.DEBUG)
    made = save(tmp_path / "model")
    stand_in_hub.add("owner/name", tmp_path / "model")
    stand_in_hub.private["owner/name"] = "hf_secret"
    assert same(VQGAN.from_pretrained("owner/name", token="hf_secret"), made)
    assert set(stand_in_hub.tokens) == {"hf_secret"}
    with pytest.raises(InputError, match="there is no owner/name, or it is private") as refusal:
        VQGAN.from_pretrained("owner/name", token="hf_wrong")
    assert "\n" not in str(refusal.value)
    assert "hf_" not in str(refusal.value) + caplog.text


def test_prior_comes_with_its_tokenizer(tmp_path, stand_in_hub):
    config = PriorModelConfig(
        codebook_size=16,
        prior=GPT2Config(layers=1, heads=1, width=8, dropout=0),
        vocab_size=17,
        max_length=4,
        grid_height=2,
        grid_width=2,
    )
    pipeline = Pipeline(VQGAN(TINY), GPT(config.prior, config.sizes), config)
    pipeline.save_pretrained(tmp_path / "prior")
    stand_in_hub.add("owner/prior", tmp_path / "prior")
    loaded = Pipeline.from_pretrained("owner/prior", device="cpu")
    made, again = (one.sample(1, progress=False)[0].tobytes() for one in (pipeline, loaded))
    assert made == again


def test_device_of_a_loaded_model(tmp_path):
    save(tmp_path / "model")
    assert VQGAN.from_pretrained(tmp_path / "model", device="meta").to_code.weight.is_meta
