"""`smalti push`: what goes to the hub, what the card tells, and what is refused."""

import json

import pytest
import torch
import yaml
from huggingface_hub import ModelCard

from smalti import VQGAN, Pipeline, hub
from smalti.report.push import push_to_hub


@pytest.fixture
def card(succeed, world, stand_in_hub):
    """Push a run, and read its card."""

    def push(run, *options):
        succeed("push", run, "owner/name", "--license", "mit", *options)
        return ModelCard(stand_in_hub.files("owner/name")["README.md"].decode())

    return push


def test_pushed_tokenizer_is_loaded_from_the_hub(card, world, stand_in_hub, here):
    card(world.vqgan)
    pushed, made = VQGAN.from_pretrained("owner/name"), VQGAN.from_pretrained(world.vqgan)
    assert torch.equal(pushed.to_code.weight, made.to_code.weight)
    assert set(stand_in_hub.files("owner/name")) == {
        "README.md",
        "config.json",
        "model.safetensors",
        "metrics.jsonl",
        "curves.png",
        "reconstructions.png",
    }


def test_pushed_prior_makes_the_same_pictures(card, world, stand_in_hub, here):
    card(world.prior)
    pushed, made = (Pipeline.from_pretrained(name) for name in ("owner/name", world.prior))
    one, other = (each.sample(1, progress=False)[0].tobytes() for each in (pushed, made))
    assert one == other
    assert "samples.png" in stand_in_hub.files("owner/name")


def test_metadata_of_the_card(card, world):
    data = card(world.prior).data
    assert (data.library_name, data.license) == ("smalti", "mit")
    assert data.pipeline_tag == "unconditional-image-generation"
    assert {"vqgan", "prior"} <= set(data.tags)
    assert data.eval_results[0].dataset_name.endswith("images")
    assert "class" in card(world.classes).data.tags


def test_card_has_a_command_whose_options_are_those_of_the_run(card, world):
    text = card(world.vqgan).text
    assert "    smalti train vqgan --data IMAGES --config options.yaml" in text
    options = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    assert options["vqgan"]["codebook_size"] == 16
    assert "data" not in options
    assert "Versions: smalti 0." in text
    assert "--condition class" in card(world.classes).text


def test_nothing_names_a_place_of_the_users_disk(card, world, stand_in_hub):
    for run in (world.vqgan, world.classes):
        card(run)
        for name, content in stand_in_hub.files("owner/name").items():
            assert str(world.root).encode() not in content, name


def test_figures_of_an_evaluation_name_their_network(card, world, here):
    figures = {"fid": {"label": "Inception FID", "value": 12.5}}
    (here / "figures.json").write_text(json.dumps({"figures": figures}), encoding="utf-8")
    shown = card(world.vqgan, "--figures", "figures.json")
    assert "| Inception FID | 12.5 |" in shown.text
    assert [(one.metric_name, one.metric_value) for one in shown.data.eval_results] == [
        ("Inception FID", 12.5)
    ]


def test_figures_of_another_model_are_refused(card, refused, world, here):
    figures = {"nll": {"label": "NLL, nats a token", "value": 5.5}}
    file = here / "figures.json"
    for model, other in ((world.prior, world.vqgan), (world.vqgan, world.prior)):
        file.write_text(json.dumps({"model": str(model), "figures": figures}), encoding="utf-8")
        command = ["push", other, "owner/name", "--license", "mit", "--figures", file, "--dry-run"]
        refused(command, f"figures.json holds figures of {model}, not of {other}")
        assert "| NLL, nats a token | 5.5 |" in card(model, "--figures", file).text
    file.write_text(json.dumps({"model": "gone", "figures": figures}), encoding="utf-8")
    assert "| NLL, nats a token | 5.5 |" in card(world.vqgan, "--figures", file).text


def test_dry_run_needs_no_connection(succeed, world, stand_in_hub, monkeypatch, here):
    monkeypatch.setattr(hub, "is_reachable", lambda: False)
    shown = succeed("push", world.prior, "owner/name", "--license", "cc-by-4.0", "--dry-run").out
    assert "tokenizer/model.safetensors" in shown
    assert "license: cc-by-4.0" in shown
    assert "nothing was sent" in shown
    assert stand_in_hub.tokens == []
    assert list(here.iterdir()) == []


def test_what_is_refused(refused, world, stand_in_hub, monkeypatch):
    push = ["push", world.vqgan]
    refused([*push, "owner/name"], "name the licence", "--license apache-2.0, mit")
    refused([*push, "name", "--license", "mit"], "owner/name, got 'name'")
    refused([*push, "owner/name", "--license", "My own"], "such as apache-2.0, got 'My own'")
    refused(["push", "nowhere", "owner/name", "--license", "mit"], "nowhere is no folder here")
    wrong = [*push, "owner/name", "--license", "mit", "--figures", world.picture]
    refused(wrong, "holds no figures")
    refused([*push, "another/name", "--license", "mit"], "another/name was not pushed: 403")
    monkeypatch.setattr(hub, "is_reachable", lambda: False)
    refused([*push, "owner/name", "--license", "mit"], "the hub cannot be reached")


def test_private_model_does_not_go_to_a_public_repository(refused, card, world, monkeypatch):
    """It is refused before files and card are made."""
    card(world.vqgan)
    monkeypatch.setattr("smalti.report.push.write_package", lambda *_: pytest.fail("made a card"))
    private = ["push", world.vqgan, "owner/name", "--license", "mit", "--private"]
    refused(private, "owner/name exists and is public")


def test_token_is_passed_on_and_private_models_are_loaded_with_it(world, stand_in_hub):
    given = {"license": "mit", "private": True, "token": "hf_secret"}
    address = push_to_hub(world.vqgan, "owner/hidden", **given)
    assert address.startswith("https://hub.test/owner/hidden/commit/")
    assert stand_in_hub.private["owner/hidden"] == "hf_secret"
    VQGAN.from_pretrained("owner/hidden", token="hf_secret")
    assert set(stand_in_hub.tokens) == {"hf_secret"}
