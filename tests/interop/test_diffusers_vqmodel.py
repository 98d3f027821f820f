"""Tokenizers of diffusers and ours are the same network, in both directions."""

import json
import logging

import pytest
import torch
from safetensors.torch import load_file, save_file

from smalti.config import InputError
from smalti.content import DepthContent
from smalti.interop.diffusers_vqmodel import WEIGHTS_FILE, export_vqmodel
from smalti.interop.tokenizers import import_model
from smalti.model_folder import CONFIG_FILE
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.config import VectorQuantizerConfig
from smalti.tokenizer.vqgan import VQGAN

BASE = VQGANConfig(
    channels=32,
    channel_multipliers=(1, 2, 2),
    residual_blocks=1,
    norm_groups=32,
    code_dim=16,
    codebook_size=64,
    quantizer=VectorQuantizerConfig(),
)
SHAPES = {
    "attention at the lowest level": {},
    "attention elsewhere": {"attention_levels": (0, 2), "residual_blocks": 2},
    "attention in the middle only": {"attention_levels": (), "code_dim": 3},
    "no attention": {"attention_levels": (), "middle_attention": False},
    "other groups": {"norm_groups": 8, "channels": 24},
    "pixels in [0, 1]": {"unit_range": True},
    "narrow codes": {"code_dim": 4, "latent_channels": 16, "channel_multipliers": (1, 1, 2, 4)},
}


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    """Diffusers advises to install more while it loads."""
    logger = logging.getLogger("diffusers")
    before, logger.level = logger.level, logging.ERROR
    yield
    logger.setLevel(before)


def vqmodel_class():
    from diffusers import VQModel

    return VQModel


def shaped(shape: str) -> VQGANConfig:
    return VQGANConfig.model_validate(BASE.model_dump() | SHAPES[shape])


def lively(model: torch.nn.Module) -> torch.nn.Module:
    """Every weight away from its start value, so that a swapped or forgotten one shows."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def their_model(config: VQGANConfig) -> torch.nn.Module:
    """What diffusers builds from its own options."""
    levels = len(config.channel_multipliers)
    attention = (levels - 1,) if config.attention_levels is None else config.attention_levels
    prefix = ["Attn" if level in attention else "" for level in range(levels)]
    return lively(
        vqmodel_class()(
            down_block_types=tuple(f"{name}DownEncoderBlock2D" for name in prefix),
            up_block_types=tuple(f"{name}UpDecoderBlock2D" for name in reversed(prefix)),
            block_out_channels=tuple(config.channels * m for m in config.channel_multipliers),
            layers_per_block=config.residual_blocks,
            latent_channels=config.latent_channels or config.code_dim,
            num_vq_embeddings=config.codebook_size,
            norm_num_groups=config.norm_groups,
            vq_embed_dim=config.code_dim,
            mid_block_add_attention=config.middle_attention,
            lookup_from_codebook=config.unit_range,
        )
    )


@torch.no_grad()
def assert_equal_networks(ours: VQGAN, theirs: torch.nn.Module) -> None:
    images = 2 * torch.rand(2, 3, 48, 32, generator=torch.Generator().manual_seed(1)) - 1
    in_unit_range = ours.config.unit_range
    z = theirs.encode((images + 1) / 2 if in_unit_range else images).latents
    torch.testing.assert_close(ours.latent(images), z, rtol=1e-4, atol=1e-4)
    _, _, (_, _, indices) = theirs.quantize(z)
    codes = ours.encode(images)
    assert len(codes.unique()) > 1
    assert torch.equal(codes.flatten(), indices)
    decoded = theirs.decode(z).sample
    decoded = 2 * decoded - 1 if in_unit_range else decoded
    torch.testing.assert_close(ours.decode(codes), decoded.clamp(-1, 1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_import_of_a_folder_that_diffusers_wrote(shape, tmp_path):
    theirs = their_model(shaped(shape))
    theirs.save_pretrained(tmp_path)
    imported = import_model(tmp_path)
    assert imported.vqgan.config == shaped(shape)
    assert imported.used == len(theirs.state_dict())
    assert imported.shape_from == CONFIG_FILE
    assert_equal_networks(imported.vqgan, theirs)


@pytest.mark.parametrize("shape", SHAPES)
def test_diffusers_loads_what_we_export(shape, tmp_path):
    ours = lively(VQGAN(shaped(shape)))
    export_vqmodel(ours, tmp_path / "out")
    theirs = vqmodel_class().from_pretrained(tmp_path / "out", low_cpu_mem_usage=False)
    assert_equal_networks(ours, theirs.eval())


AMUSED = {
    "_class_name": "AmusedPipeline",
    "vqvae": ["diffusers", "VQModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "text_encoder": ["transformers", "CLIPTextModelWithProjection"],
    "transformer": ["diffusers", "UVit2DModel"],
    "scheduler": ["diffusers", "AmusedScheduler"],
}


def test_pipeline_of_amused(tmp_path):
    """Five levels, no attention, pixels in [0, 1], and `decode` takes codes in place of latents."""
    theirs = lively(
        vqmodel_class()(
            down_block_types=("DownEncoderBlock2D",) * 5,
            up_block_types=("UpDecoderBlock2D",) * 5,
            block_out_channels=(8, 16, 16, 32, 48),
            layers_per_block=2,
            latent_channels=16,
            num_vq_embeddings=64,
            norm_num_groups=8,
            mid_block_add_attention=False,
            lookup_from_codebook=True,
            force_upcast=True,
        )
    )
    theirs.save_pretrained(tmp_path / "vqvae")
    (tmp_path / "model_index.json").write_text(json.dumps(AMUSED), encoding="utf-8")
    for name, kind in {"transformer": "UVit2DModel", "scheduler": "AmusedScheduler"}.items():
        (tmp_path / name).mkdir()
        config = json.dumps({"_class_name": kind})
        (tmp_path / name / CONFIG_FILE).write_text(config, encoding="utf-8")
    vqgan = import_model(tmp_path).vqgan
    assert vqgan.config == import_model(tmp_path / "vqvae").vqgan.config
    assert vqgan.config.unit_range
    assert_equal_networks(vqgan, theirs)
    codes = torch.randint(64, (1, 3, 2))
    with torch.no_grad():
        decoded = theirs.decode(codes, force_not_quantize=True, shape=(1, 3, 2, 16)).sample
    expected = (2 * decoded - 1).clamp(-1, 1)
    torch.testing.assert_close(vqgan.decode(codes), expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def folder(tmp_path):
    """An exported folder, to be changed by a test."""
    torch.manual_seed(0)
    export_vqmodel(VQGAN(BASE), tmp_path / "model")
    return tmp_path / "model"


def rewrite(folder, **changes):
    path = folder / CONFIG_FILE
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8"
    )


def test_former_names_of_attention_and_pickled_weights(folder):
    """What folders of the first releases have."""
    expected = import_model(folder).vqgan.state_dict()
    tensors = load_file(folder / WEIGHTS_FILE)
    for now, then in {
        "to_q": "query",
        "to_k": "key",
        "to_v": "value",
        "to_out.0": "proj_attn",
    }.items():
        tensors = {name.replace(f".{now}.", f".{then}."): t for name, t in tensors.items()}
    assert any(".proj_attn." in name for name in tensors)
    (folder / WEIGHTS_FILE).unlink()
    torch.save(tensors, folder / "diffusion_pytorch_model.bin")
    found = import_model(folder).vqgan.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"_class_name": "AutoencoderKL"}, "that of AutoencoderKL, needed is a VQModel"),
        ({"norm_type": "spatial"}, "norm_type: .*'group', got 'spatial'"),
        ({"act_fn": "relu"}, "act_fn: .*got 'relu'"),
        ({"in_channels": 4}, "in_channels: .*3, got 4"),
        ({"block_out_channels": [32, 48, 64]}, r"\(32, 48, 64\) are no multiples of the first"),
        ({"block_out_channels": [32, 64]}, "must pair up"),
        ({"block_out_channels": [0, 64, 64]}, "must be above 0, got 0"),
        ({"norm_num_groups": 5}, "channels 32 is not a multiple of norm-groups 5"),
        ({"down_block_types": ["AttnDownEncoderBlock2D"] * 3}, r"types differ: .*\(0, 1, 2\)"),
        ({"down_block_types": ["DownBlock2D"] * 3}, "down_block_types.0: .*'DownBlock2D'"),
        ({"layers_per_block": 2}, "is missing, and .* more"),
        ({"num_vq_embeddings": 65}, r"embedding.weight has the shape \(64, 16\).*\(65, 16\)"),
        ({"mid_block_add_attention": False}, "mid_block.attentions.0.* has no place"),
    ],
)
def test_what_of_a_config_does_not_fit_is_named(folder, changes, words):
    rewrite(folder, **changes)
    with pytest.raises(InputError, match=rf"model.*{words}"):
        import_model(folder)


def test_folder_of_something_else_is_named(tmp_path):
    with pytest.raises(
        InputError, match=r"no config.json of a VQModel, so it is no folder of diff"
    ):
        import_model(tmp_path)


def test_folder_of_another_program_asks_for_the_checkpoint(tmp_path):
    """As taming-transformers writes a run."""
    for name in ("configs", "checkpoints"):
        (tmp_path / name).mkdir()
    save_file({"a": torch.zeros(1)}, tmp_path / "checkpoints" / "last.ckpt")
    with pytest.raises(InputError, match=r"give the checkpoint file: .*checkpoints/last.ckpt$"):
        import_model(tmp_path)
    for number in range(4):
        save_file({"a": torch.zeros(1)}, tmp_path / "checkpoints" / f"{number}.ckpt")
    with pytest.raises(InputError, match=r"0.ckpt, .*1.ckpt, .*2.ckpt or 2 more$"):
        import_model(tmp_path)


def test_model_folder_of_ours_is_not_imported(tmp_path):
    VQGAN(BASE).save_pretrained(tmp_path / "ours" / "checkpoints" / "step_00000001")
    for folder in ("ours", "ours/checkpoints/step_00000001"):
        with pytest.raises(InputError, match=rf"{folder}: it is a model or run of smalti already"):
            import_model(tmp_path / folder)


# Forms of a folder


@pytest.mark.parametrize("name", ["vqvae", "movq", "vae"])
def test_tokenizer_of_a_pipeline_is_found(tmp_path, name):
    ours = lively(VQGAN(BASE))
    export_vqmodel(ours, tmp_path / "pipeline" / name)
    unet = tmp_path / "pipeline" / "unet"
    unet.mkdir()
    (unet / CONFIG_FILE).write_text(json.dumps({"_class_name": "UNet2DModel"}), encoding="utf-8")
    index = {name: ["diffusers", "VQModel"], "unet": ["diffusers", "UNet2DModel"]}
    (tmp_path / "pipeline" / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    imported = import_model(tmp_path / "pipeline")
    assert imported.shape_from == f"{name}/config.json"
    assert imported.taken == (f"{name}/{WEIGHTS_FILE}",)
    expected = ours.state_dict()
    found = imported.vqgan.state_dict()
    assert all(torch.equal(found[key], tensor) for key, tensor in expected.items())


def test_pipeline_without_a_codebook_is_named(tmp_path):
    (tmp_path / "model_index.json").write_text(
        json.dumps({"vae": ["diffusers", "AutoencoderKL"]}), encoding="utf-8"
    )
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / CONFIG_FILE).write_text(
        json.dumps({"_class_name": "AutoencoderKL"}), encoding="utf-8"
    )
    words = r"a pipeline without a VQModel; it has vae \(AutoencoderKL\)"
    with pytest.raises(InputError, match=words):
        import_model(tmp_path)


def test_several_tokenizers_ask_for_one(folder, tmp_path):
    export_vqmodel(VQGAN(BASE), tmp_path / "other")
    with pytest.raises(InputError, match=r"several VQModels; give one: .*model, .*other$"):
        import_model(tmp_path)


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("variant", ["fp16", None])
@pytest.mark.parametrize("sharded", [True, False])
def test_every_form_that_diffusers_writes(tmp_path, safe, variant, sharded):
    theirs = their_model(BASE)
    size = "1MB" if sharded else "1GB"
    theirs.save_pretrained(tmp_path, safe_serialization=safe, variant=variant, max_shard_size=size)
    assert len(list(tmp_path.iterdir())) > 3 if sharded else len(list(tmp_path.iterdir())) == 2
    imported = import_model(tmp_path)
    assert_equal_networks(imported.vqgan, theirs)
    (taken,) = imported.taken
    assert ("fp16" in taken, ".bin" in taken) == (variant == "fp16", not safe)


def test_all_numbers_are_preferred_to_a_variant(folder):
    tensors = load_file(folder / WEIGHTS_FILE)
    halves = {name: tensor.half() for name, tensor in tensors.items()}
    save_file(halves, folder / "diffusion_pytorch_model.fp16.safetensors")
    torch.save(halves, folder / "diffusion_pytorch_model.bin")
    assert import_model(folder).taken == (WEIGHTS_FILE,)
    (folder / WEIGHTS_FILE).unlink()
    assert import_model(folder).taken == ("diffusion_pytorch_model.bin",)
    (folder / "diffusion_pytorch_model.bin").unlink()
    imported = import_model(folder)
    assert imported.taken == ("diffusion_pytorch_model.fp16.safetensors",)
    expected = tensors["encoder.conv_in.weight"].half().float()
    assert torch.equal(imported.vqgan.encoder.conv_in.weight, expected)


def test_config_alone_asks_for_its_folder(folder):
    with pytest.raises(
        InputError, match=r"config.json holds no weights; give its folder, .*model$"
    ):
        import_model(folder / CONFIG_FILE)


def test_folder_without_weights_is_named(folder):
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(InputError, match=rf"{WEIGHTS_FILE} does not exist"):
        import_model(folder)


def test_weights_alone_ask_for_their_folder(folder, tmp_path):
    save_file(load_file(folder / WEIGHTS_FILE), tmp_path / "alone.safetensors")
    with pytest.raises(InputError, match=r"alone.safetensors: .*give the folder"):
        import_model(tmp_path / "alone.safetensors")


def test_released_config_is_not_for_a_folder(folder, tmp_path):
    with pytest.raises(InputError, match=r"has its own config; leave .*vqgan.yaml out"):
        import_model(folder, tmp_path / "vqgan.yaml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"content": DepthContent()}, "content is depth; diffusers is written for rgb only"),
        ({"channel_multipliers": (2, 2, 2)}, "channel_multipliers begin with 2"),
    ],
)
def test_what_diffusers_cannot_express_is_named(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        export_vqmodel(VQGAN(BASE.model_copy(update=changes)), tmp_path / "out")
    assert not list(tmp_path.iterdir())
