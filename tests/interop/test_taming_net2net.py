"""Released two-stage models give their recorded numbers after the import, and are trained on."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from smalti.compute import Compute
from smalti.config import InputError
from smalti.content_images import content_images
from smalti.interop.taming_net2net import ImportedPrior
from smalti.interop.tokenizers import import_model
from smalti.metrics.nll import nats_per_token
from smalti.prior.gpt.model import GPT
from smalti.sampling.canvas import Canvas
from smalti.sampling.config import SamplingConfig
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.sliding_window import sample_canvas
from smalti.sequence.ordering import build_ordering
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.config import OptimizerConfig
from smalti.training.ema import EMA
from smalti.training.optim import ScheduledAdamW
from smalti.training.prior.code_batch import CodeBatch
from smalti.training.prior.step import PriorState, PriorStepConfig, prior_step

K = 32
GRID = (8, 8)
GREEDY = SamplingConfig(temperature=0, top_k=0)
WORDS = {"cond": "__is_first_stage__", "uncond": "__is_unconditional__"}
COORD_STAGE = "taming.modules.misc.coord.CoordStage"
MODELS = ("cond", "uncond", "uncond_spiral_out")
FIRST_START_TOKEN = {"cond": 2, "uncond": 21, "uncond_spiral_out": 21}
"""Where the released greedy tokens first hold number 32, which is no code."""


def below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


@pytest.fixture(scope="module")
def oracle(oracle_tensors) -> dict[str, Tensor]:
    return oracle_tensors("net2net_tiny")


@pytest.fixture(scope="module")
def vqgan(oracle_tensors) -> dict[str, Tensor]:
    """The released first stage's state dict."""
    return below(oracle_tensors("vqmodel_tiny"), "sd.")


def released_config(word: str) -> dict:
    params = {
        "transformer_config": {
            "target": "taming.modules.transformer.mingpt.GPT",
            "params": {"vocab_size": 33, "block_size": 512, "n_layer": 2, "n_head": 2},
        },
        "first_stage_config": {
            "target": "taming.models.vqgan.VQModel",
            "params": {
                "embed_dim": 16,
                "n_embed": K,
                "ddconfig": {"resolution": 32, "attn_resolutions": [8], "ch": 32},
            },
        },
        "cond_stage_config": word,
        "cond_stage_key": "image",
        "sos_token": 32,
        "pkeep": 0.9,
    }
    return {"model": {"params": params}}


@dataclass
class Released:
    """A checkpoint and its config, as they were released, to change before they are imported."""

    folder: Path
    tensors: dict[str, Tensor]
    config: dict
    with_config: bool = True
    arguments: dict[str, object] = field(default_factory=dict)

    @property
    def params(self) -> dict:
        return self.config["model"]["params"]

    def load(self) -> ImportedPrior:
        checkpoint, config = self.folder / "last.ckpt", self.folder / "project.yaml"
        torch.save({"state_dict": self.tensors, "global_step": 7}, checkpoint)
        config.write_text(yaml.safe_dump(self.config), encoding="utf-8")
        imported = import_model(checkpoint, config if self.with_config else None, **self.arguments)
        assert isinstance(imported, ImportedPrior)
        return imported


@pytest.fixture
def released(oracle, vqgan, tmp_path) -> Callable[[str], Released]:
    def build(model: str) -> Released:
        mask = torch.ones(1, 1, 512, 512).tril()
        tensors = under("transformer.", below(oracle, "sd.") | {"blocks.0.attn.mask": mask})
        tensors |= under("first_stage_model.", vqgan)
        if model == "cond":
            tensors |= under("cond_stage_model.", vqgan)
        if model == "uncond_spiral_out":
            order = build_ordering("spiral_out", *GRID)
            shuffle = {
                "forward_shuffle_idx": order.forward,
                "backward_shuffle_idx": order.forward.argsort(),
            }
            tensors |= under("permuter.", shuffle)
        return Released(tmp_path, tensors, deepcopy(released_config(WORDS[model[:6].strip("_")])))

    return build


@pytest.fixture
def pipeline(released, tmp_path) -> Callable[[str], Pipeline]:
    """Imports a model, and loads it again from disk."""

    def load(model: str) -> Pipeline:
        found = released(model).load()
        written = Pipeline(found.tokenizer, found.prior, found.config, found.condition_tokenizers)
        written.save_pretrained(tmp_path / "model")
        return Pipeline.from_pretrained(tmp_path / "model")

    return load


def conditions(pipeline: Pipeline, oracle: dict[str, Tensor]) -> dict[str, Tensor]:
    """Codes of the recorded conditions."""
    values = {"none": torch.zeros(2, 0), "low_resolution": oracle["in.c"]}
    return pipeline.conditioning.encode(
        {kind: values[kind] for kind in pipeline.conditioning.kinds}
    )


def greedy_tokens(prior: GPT, cond_tokens: Tensor, values: int) -> Tensor:
    """64 tokens, each the likeliest of the first `values`, without a cache: the released loop."""
    tokens = cond_tokens
    with torch.no_grad():
        for _ in range(64):
            newest = prior.logits(tokens)[:, -1, :values].argmax(1, keepdim=True)
            tokens = torch.cat([tokens, newest], dim=1)
    return tokens[:, cond_tokens.shape[1] :]


# The recorded numbers


@pytest.mark.parametrize("model", MODELS)
def test_tokens_logits_and_loss(pipeline, oracle, model):
    expected, pipeline = below(oracle, f"{model}."), pipeline(model)
    codes = pipeline.tokenizer.encode(oracle["in.x"])
    image_tokens = pipeline.ordering.to_tokens(codes)
    cond_tokens = pipeline.conditioning.tokens(conditions(pipeline, oracle))
    sequence = pipeline.layout.join(cond_tokens, image_tokens)
    logits = pipeline.layout.image_logits(pipeline.prior.logits(sequence.tokens))

    assert torch.equal(image_tokens, expected["z_indices"])
    assert torch.equal(cond_tokens, expected["c_indices"])
    assert torch.equal(sequence.targets, expected["target"].view(2, 64))
    torch.testing.assert_close(logits, expected["logits"], rtol=1e-4, atol=1e-4)
    loss = nats_per_token(logits, sequence.targets).mean()
    torch.testing.assert_close(loss, expected["loss"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_greedy_grid_and_its_image(pipeline, oracle, model):
    """Over the whole vocabulary, as recorded: 32 is drawn too, read on, and made 31 at the end."""
    expected, pipeline = below(oracle, f"{model}."), pipeline(model)
    tokens = greedy_tokens(pipeline.prior, expected["c_indices"], values=K + 1)
    assert FIRST_START_TOKEN[model] == (tokens == K).nonzero()[:, 1].min()
    assert torch.equal(tokens.clamp(max=K - 1), expected["greedy_64_clamped31"])
    codes = tokens.clamp(max=K - 1)[:, pipeline.ordering.forward.argsort()].view(-1, *GRID)
    images = pipeline.tokenizer.decode(codes)
    torch.testing.assert_close(images, expected["greedy_image"].clamp(-1, 1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_greedy_grid_of_our_sampler(pipeline, oracle, model):
    """Ours draws codes only: equal up to the first 32, and to the released loop without it."""
    expected, pipeline = below(oracle, f"{model}."), pipeline(model)
    canvas = Canvas.unknown(torch.zeros(2, *GRID, dtype=torch.int64))
    values = {"none": torch.zeros(2, 0), "low_resolution": oracle["in.c"]}
    told = {kind: values[kind] for kind in pipeline.conditioning.kinds}
    codes = pipeline.encode_conditions(told)
    sample_canvas(
        pipeline.prior,
        pipeline.config,
        pipeline.conditioning,
        codes,
        canvas,
        GREEDY,
        lambda probabilities, step: probabilities.argmax(1),
    )
    tokens = pipeline.ordering.to_tokens(canvas.codes)
    alike = slice(FIRST_START_TOKEN[model])
    assert torch.equal(tokens[:, alike], expected["greedy_64_clamped31"][:, alike])
    assert torch.equal(tokens, greedy_tokens(pipeline.prior, expected["c_indices"], values=K))


@pytest.mark.parametrize("model", MODELS)
def test_training_goes_on(pipeline, oracle, model):
    pipeline = pipeline(model)
    codes = pipeline.tokenizer.encode(oracle["in.x"])
    batch = CodeBatch(["0", "1"], codes, conditions(pipeline, oracle))
    optimizer = OptimizerConfig(learning_rate=1e-3, warmup_steps=0)
    config = PriorStepConfig(
        layout=pipeline.layout,
        ordering=pipeline.ordering,
        conditioning=pipeline.conditioning,
        condition_drop=0.0,
        accumulation_steps=1,
    )
    prior = pipeline.prior
    state = PriorState(
        prior=prior,
        forward=prior,
        average=EMA(prior, 0.9),
        optimizer=ScheduledAdamW(prior, optimizer, 100),
        compute=Compute(torch.device("cpu"), None),
    )
    nll = [float(prior_step(state, batch, config)["nll"]) for _ in range(4)]
    torch.testing.assert_close(nll[0], float(oracle[f"{model}.loss"]), rtol=1e-4, atol=1e-4)
    assert nll == sorted(nll, reverse=True)


# What is found


def test_what_the_checkpoint_tells(released):
    found = released("cond").load()
    gpt = found.config.prior
    assert (gpt.layers, gpt.heads, gpt.width) == (2, 2, 32)
    assert (found.config.vocab_size, found.config.max_length) == (33, 512)
    assert (found.config.vocabulary, found.config.condition_drop) == ("shared", 0.0)
    assert found.config.conditioners[0].kind == "low_resolution"
    assert found.token_keep == 0.9
    assert found.passed_over == {"masks": 1}
    assert found.used == len(released("cond").tensors) - 1
    assert [line.split(",")[0] for line in found.assumed] == [
        "images made 8 times smaller as the condition"
    ]


def test_other_tensors_are_counted_by_part(released):
    model = released("uncond")
    model.tensors |= {
        "first_stage_model.loss.logvar": torch.zeros(1),
        "logit_scale": torch.zeros(1),
    }
    found = model.load()
    assert found.passed_over == {"logit_scale": 1, "masks": 1, "first_stage_model.loss": 1}


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model."])
def test_wrapped_model(released, prefix):
    found, model = released("cond").load(), released("cond")
    model.tensors = under(prefix, model.tensors)
    wrapped = model.load()
    assert wrapped.config == found.config
    expected = found.prior.state_dict() | found.tokenizer.state_dict()
    weights = wrapped.prior.state_dict() | wrapped.tokenizer.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize(
    "name", ["transformer.blocks.1.mlp.2.weight", "first_stage_model.decoder.conv_in.weight"]
)
def test_weight_that_is_no_number_is_named(released, name):
    model = released("uncond")
    model.tensors[name] = torch.full_like(model.tensors[name], torch.nan)
    words = name.removeprefix("first_stage_model.")
    with pytest.raises(InputError, match=rf"{words} holds NaN or infinity"):
        model.load()


def test_released_ordering_is_found_by_its_permutation(released, oracle_tensors):
    order = oracle_tensors("permuters")
    names = {
        "ZCurve": "z_curve",
        "Subsample": "subsample",
        "SpiralIn": "spiral_in",
        "AlternateParsing": "alternate",
        "Random": "random",
    }
    for theirs, ours in names.items():
        model = released("uncond_spiral_out")
        for way in ("forward", "backward"):
            model.tensors[f"permuter.{way}_shuffle_idx"] = order[f"{theirs}.8x8.{way}"]
        assert model.load().config.ordering == ours
        target = f"taming.modules.transformer.permuter.{theirs}"
        model.params["permuter_config"] = {"target": target}
        assert model.load().config.ordering == ours


def test_without_a_config_the_rest_is_assumed_and_said(released):
    model = released("cond")
    model.with_config, model.arguments = False, {"size_px": (32, 32)}
    found = model.load()
    assert found.config.prior.heads == 16
    assert any("16 attention heads" in line for line in found.assumed)
    model = released("uncond")
    model.with_config = False
    positions = model.tensors["transformer.pos_emb"][:, :65]
    model.tensors["transformer.pos_emb"] = positions
    found = model.load()
    assert (found.config.grid_height, found.config.grid_width) == GRID
    assert any("start token 0" in line for line in found.assumed)
    assert any("32x32 pixels, by the 65 positions" in line for line in found.assumed)


def test_oblong_images(released):
    model = released("cond")
    model.arguments = {"size_px": (32, 48)}
    config = model.load().config
    assert (config.grid_height, config.grid_width) == (8, 12)
    assert (config.conditioners[0].grid_height, config.conditioners[0].grid_width) == (8, 12)


def test_classes(released):
    model = released("uncond")
    target = "taming.modules.util.Labelator"
    model.params["cond_stage_config"] = {"target": target, "params": {"n_classes": 33}}
    found = model.load()
    (conditioner,) = found.config.conditioners
    assert conditioner.class_names == tuple(str(number) for number in range(33))
    pipeline = Pipeline(found.tokenizer, found.prior, found.config)
    tokens = pipeline.conditioning.tokens({"class": torch.tensor([5, 32])})
    assert torch.equal(pipeline.layout.shift(tokens), torch.tensor([[5], [32]]))
    assert len(pipeline.sample(1, condition="32", progress=False)) == 1


def with_channels(vqgan: dict[str, Tensor], channels: int) -> dict[str, Tensor]:
    """The same tokenizer of images of another number of channels."""
    torch.manual_seed(0)
    return vqgan | {
        "encoder.conv_in.weight": torch.randn(32, channels, 3, 3),
        "decoder.conv_out.weight": torch.randn(channels, 32, 3, 3),
        "decoder.conv_out.bias": torch.zeros(channels),
    }


@pytest.mark.parametrize(
    ("channels", "key", "content"),
    [
        (1, "depth", {"kind": "depth", "white_level": None}),
        (1, "edges", {"kind": "edges", "sigma": 1.0, "white_level": None}),
        (5, "segmentation", {"kind": "labels", "classes": 5, "ignore": None, "shift": False}),
        (183, "segmentation", {"kind": "labels", "classes": 183, "ignore": None, "shift": True}),
    ],
)
def test_condition_that_is_a_picture(released, vqgan, channels, key, content):
    model = released("cond")
    stage = with_channels(vqgan, channels)
    if key == "segmentation":
        stage["colorize"] = torch.zeros(3, channels, 1, 1)
    model.tensors |= under("cond_stage_model.", stage)
    target = "taming.models.vqgan.VQSegmentationModel"
    model.params.update(cond_stage_key=key, cond_stage_config={"target": target})
    found = model.load()
    (conditioner,) = found.config.conditioners
    assert conditioner.kind == key
    assert conditioner.content.model_dump() == content
    assert not found.assumed
    tokenizer = found.condition_tokenizers[key]
    weight = tokenizer.encoder.conv_in.weight
    assert torch.equal(weight, stage["encoder.conv_in.weight"])
    images = content_images(tokenizer.content).blank(2, 32, 32)
    pipeline = Pipeline(found.tokenizer, found.prior, found.config, found.condition_tokenizers)
    tokens = pipeline.conditioning.tokens(pipeline.conditioning.encode({key: images}))
    assert tokens.shape == (2, 64)


def test_vocabulary_without_room_for_a_dropped_condition(released):
    """The released models have as many tokens as codes; ours would drop conditions by one more."""
    model = released("cond")
    for name in ("tok_emb.weight", "head.weight"):
        model.tensors[f"transformer.{name}"] = model.tensors[f"transformer.{name}"][:K]
    model.params["transformer_config"]["params"]["vocab_size"] = K
    config = model.load().config
    assert config.vocab_size == K
    with pytest.raises(ValueError, match="vocab_size must be at least 33"):
        type(config).model_validate(config.model_dump() | {"condition_drop": 0.1})


@pytest.mark.parametrize("size_px", [None, (32, 32)], ids=["by positions", "told"])
def test_coordinates_of_aligned_pictures(released, size_px):
    """As the released faces: a number for each cell, in the vocabulary of the codes."""
    model = released("uncond")
    stage = {"target": COORD_STAGE, "params": {"n_embed": K, "down_factor": 4}}
    model.params.update(cond_stage_key="coord", cond_stage_config=stage, unconditional=False)
    model.arguments = {} if size_px is None else {"size_px": size_px}
    found = model.load()
    (conditioner,) = found.config.conditioners
    assert conditioner.model_dump() == {
        **{"kind": "coordinate_map", "levels": K, "cell_px": 4},
        **{"grid_height": 8, "grid_width": 8},
    }
    pipeline = Pipeline(found.tokenizer, found.prior, found.config)
    request = pipeline.request(1, size=(32, 40))
    codes = pipeline.encode_conditions(request.values)
    cells = torch.arange(32 * 40).view(8, 4, 10, 4).double().mean((1, 3)) / (32 * 40)
    assert torch.equal(codes["coordinate_map"][0], (K * cells).round().long())
    (picture,) = pipeline.sample(1, size=(32, 40), progress=False)
    assert picture.size == (40, 32)


def test_tokenizer_alone(released, vqgan):
    model = released("uncond")
    model.load()
    imported = import_model(model.folder / "last.ckpt", tokenizer_only=True)
    assert isinstance(imported.vqgan, VQGAN)
    assert imported.used == len(vqgan)


# What is refused


def refuse(model: Released, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        model.load()
    assert "\n" not in str(error.value)
    assert str(model.folder) in str(error.value)


@pytest.mark.parametrize(
    ("removed", "words"),
    [
        ("transformer.ln_f.bias", r"transformer: these tensors are not a whole GPT.*norm\.bias"),
        ("first_stage_model.encoder.conv_in.bias", r"encoder\.conv_in\.bias is missing"),
        ("cond_stage_model.decoder.conv_out.bias", r"cond_stage_model: .*conv_out.bias is missing"),
        ("first_stage_model.", "a transformer without its tokenizer"),
    ],
)
def test_hole(released, removed, words):
    model = released("cond")
    model.tensors = {k: v for k, v in model.tensors.items() if not k.startswith(removed)}
    refuse(model, words)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (
            {"cond_stage_config": {"target": COORD_STAGE, "params": {"n_embed": 32}}},
            "down_factor, the pixels of a cell, is None",
        ),
        (
            {"cond_stage_config": {"target": "taming.modules.misc.boxes.Boxes"}},
            "its condition stage is Boxes, which is not imported",
        ),
        ({"cond_stage_config": {"target": "taming.models.vqgan.VQModel"}}, "no tensors of it"),
        ({"cond_stage_config": {"target": "a.Labelator"}}, "no n_classes"),
        ({"permuter_config": {"target": "a.b.Hilbert"}}, "a.b.Hilbert, which is not imported"),
        ({"transformer_config": {"params": {"n_unmasked": 64}}}, "first 64 positions attend"),
        ({"transformer_config": {"params": {"n_head": 3}}}, "not a multiple of heads 3"),
        ({"transformer_config": {"params": {"n_layer": 3}}}, "n_layer 3, but the tensors have 2"),
        ({"transformer_config": {}}, "no transformer_config"),
        ({"sos_token": 33}, "vocab_size must be at least 34.*see --size"),
        ({"pkeep": "often"}, "project.yaml: pkeep"),
    ],
)
def test_config_that_cannot_be_followed(released, params, words):
    model = released("uncond")
    model.params.update(params)
    refuse(model, words)


def test_condition_that_is_shrunk_or_drawn_in_colours(released):
    model = released("cond")
    model.params.update(downsample_cond_size=16)
    refuse(model, "shrunk to 16 pixels")
    model.params.update(downsample_cond_size=-1, cond_stage_key="segmentation")
    refuse(model, "segmentation as pictures of three channels")


def test_condition_stage_of_another_kind(released):
    model = released("uncond")
    model.tensors["cond_stage_model.text.weight"] = torch.zeros(2)
    model.params["cond_stage_config"] = {"target": "ldm.modules.BERTEmbedder"}
    refuse(model, "its condition stage is BERTEmbedder, which is not imported")


def test_positions_that_see_later_ones(released):
    model = released("uncond")
    model.tensors["transformer.blocks.0.attn.mask"][..., :9, :9] = 1
    refuse(model, "its first 9 positions attend to each other in both directions")


def test_size_that_is_not_told(released):
    model = released("uncond")
    model.with_config = False
    refuse(model, "512 positions and a start token do not tell the size .* give --size")
    model.arguments = {"size_px": (32, 32)}
    refuse(model, "no condition stage: give --config")
    model.arguments = {"size_px": (30, 32)}
    refuse(model, "30x32 pixels do not divide")
    model.arguments = {"size_px": (128, 128)}
    refuse(model, "128x128 pixels and a start token do not fit.*max_length must be at least 1024")


def test_ordering_that_does_not_fit(released):
    model = released("uncond_spiral_out")
    model.arguments = {"size_px": (64, 32)}
    refuse(model, "ordering is one of 64 cells, but the images have 16x8 codes")
    model.arguments = {}
    model.params["permuter_config"] = {"target": "a.SpiralIn"}
    refuse(model, "says ordering spiral_in, but the tensors have spiral_out")
    model.tensors["permuter.forward_shuffle_idx"] = torch.randperm(64)
    refuse(model, "its ordering is none of row_major")
