"""Each quantizer of others gives its own codes here, or is refused by name."""

import pytest
import torch
import torch.nn.functional as F
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from smalti.config import InputError
from smalti.interop.quantizer_kinds import find_quantizer, told_kind
from smalti.interop.taming_vqgan import export_vqgan
from smalti.interop.tokenizers import import_model
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.build import build_quantizer
from smalti.tokenizer.quantizers.config import (
    EMAQuantizerConfig,
    GumbelQuantizerConfig,
    IBQConfig,
    VectorQuantizerConfig,
)
from smalti.tokenizer.vqgan import VQGAN

CODES = 24
CODE_DIM = 8
# As SEED-Voken's configs have it.
IBQ = {
    "class_path": "src.IBQ.models.ibqgan.IBQ",
    "init_args": {
        "ddconfig": {"ch": 32, "num_res_blocks": 1, "resolution": 16, "attn_resolutions": [4]},
        "n_embed": CODES,
        "embed_dim": CODE_DIM,
        "l2_normalize": False,
        "use_ema": True,
    },
}


@pytest.fixture
def images() -> Tensor:
    return 2 * torch.rand(2, 3, 32, 16, generator=torch.Generator().manual_seed(1)) - 1


@pytest.fixture
def entries() -> Tensor:
    """As IBQ starts them; of different lengths, so that the two choices differ."""
    generator = torch.Generator().manual_seed(2)
    lengths = 0.5 + torch.rand(CODES, 1, generator=generator)
    return torch.randn(CODES, CODE_DIM, generator=generator) * lengths


@pytest.fixture
def load(tmp_path):
    """Imports tensors, with a config if there is one."""

    def run(tensors: dict[str, Tensor], config: dict | None = None, **options):
        save_file(tensors, tmp_path / "model.safetensors")
        if config is None:
            return import_model(tmp_path / "model.safetensors", **options)
        (tmp_path / "model.yaml").write_text(yaml.safe_dump({"model": config}), encoding="utf-8")
        return import_model(tmp_path / "model.safetensors", tmp_path / "model.yaml", **options)

    return run


def assert_same(vqgan: VQGAN, network, images: Tensor, codes: Tensor, z_q: Tensor) -> None:
    """Codes and pictures are those of the reference."""
    assert len(codes.unique()) > 3
    assert torch.equal(vqgan.encode(images), codes)
    expected = network.decode(z_q).clamp(-1, 1)
    torch.testing.assert_close(vqgan.decode(codes), expected, rtol=1e-4, atol=1e-4)


def test_nearest_entry(taming_network, images, entries, load):
    """A codebook in which an entry is where the released code starts it needs no config."""
    entries[5] = 0.5 / CODES
    imported = load(taming_network.tensors | {"quantize.embedding.weight": entries})
    assert imported.vqgan.config.quantizer == VectorQuantizerConfig()
    z = taming_network.encode(images)
    codes = torch.cdist(z.movedim(1, 3).flatten(0, 2), entries).argmin(1).view(2, 8, 4)
    assert_same(imported.vqgan, taming_network, images, codes, entries[codes].movedim(3, 1))


def test_nearest_entry_by_config(taming_network, images, entries, load):
    tensors = taming_network.tensors | {"quantize.embedding.weight": entries}
    config = IBQ | {"class_path": "src.IBQ.models.ibqgan.VQModel"}
    assert load(tensors, config).vqgan.config.quantizer == VectorQuantizerConfig()


def codes_of_ibq(z: Tensor, entries: Tensor) -> Tensor:
    """Codes (B, h, w) of z (B, D, h, w) as SEED-Voken has them: the most probable entries."""
    return torch.einsum("bdhw,nd->bnhw", z, entries).softmax(1).max(1).indices


def test_ibq_by_its_config(taming_network, images, entries, load):
    tensors = taming_network.tensors | {"quantize.embedding.weight": entries}
    imported = load(tensors, IBQ)
    assert imported.vqgan.config.quantizer == IBQConfig(lookup_dim=None)
    z = taming_network.encode(images)
    codes = codes_of_ibq(z, entries)
    nearest = torch.cdist(z.movedim(1, 3).flatten(0, 2), entries).argmin(1).view(2, 8, 4)
    assert not torch.equal(codes, nearest)
    assert_same(imported.vqgan, taming_network, images, codes, entries[codes].movedim(3, 1))


def test_averaged_weights_of_ibq(taming_network, images, entries, load):
    """As SEED-Voken's checkpoints keep them, below `model_ema.` without dots."""
    own = taming_network.tensors | {"quantize.embedding.weight": entries}
    averages = {"model_ema." + name.replace(".", ""): tensor for name, tensor in own.items()}
    counts = {"model_ema.decay": torch.tensor(0.999), "model_ema.num_updates": torch.tensor(9)}
    raw = {name: torch.randn_like(tensor) for name, tensor in own.items()}
    imported = load(raw | averages | counts, IBQ, choice="ema")
    assert imported.passed_over == {"model_ema": 2, "raw weights": len(own)}
    codes = codes_of_ibq(taming_network.encode(images), entries)
    assert_same(imported.vqgan, taming_network, images, codes, entries[codes].movedim(3, 1))


def test_codes_of_ibq_in_a_large_codebook():
    """The choice before and after the softmax is the same in the released shape, D 256."""
    generator = torch.Generator().manual_seed(0)
    size, dim = 2**14, 256
    entries = torch.randn(size, dim, generator=generator)
    quantizer = build_quantizer(IBQConfig(lookup_dim=None), size, dim)
    quantizer.codebook.weight.data.copy_(entries)
    z = torch.randn(2, dim, 8, 8, generator=generator)
    assert torch.equal(quantizer.encode(z), codes_of_ibq(z, entries))


def test_ibq_without_a_config_is_refused(taming_network, entries, load):
    with pytest.raises(InputError, match=r"fit two quantizers.*IBQ.*give --config with the YAML"):
        load(taming_network.tensors | {"quantize.embedding.weight": entries})


@pytest.mark.parametrize(
    ("codes", "dim"), [(1024, 256), (8192, 256), (64, 8), (32, 16), (16, 4), (16384, 64)]
)
def test_entries_as_ibq_starts_them_do_not_pass_as_nearest(codes, dim):
    entries = torch.randn(codes, dim, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="fit two quantizers"):
        find_quantizer({"quantize.embedding.weight": entries}, None)


def test_entries_that_an_inner_product_never_chooses_are_nearest_ones():
    """Few dimensions and many codes, as latent-diffusion's: the longest would win everywhere."""
    entries = torch.rand(4096, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = find_quantizer({"quantize.embedding.weight": entries}, None)
    assert found.config == VectorQuantizerConfig()


def test_llamagen_compares_directions(llamagen_network, images, entries, load):
    tensors = llamagen_network.tensors | {
        "quantize.embedding.weight": entries,
        "quantize.codebook_used": torch.zeros(64),
    }
    imported = load(tensors)
    assert imported.vqgan.config.quantizer == VectorQuantizerConfig(l2_normalised=True)
    assert imported.used == len(tensors) - 1
    assert imported.passed_over == {"quantize": 1}
    z = F.normalize(llamagen_network.encode(images), dim=1)
    unit = F.normalize(entries, dim=1)
    codes = torch.cdist(z.movedim(1, 3).flatten(0, 2), unit).argmin(1).view(2, 8, 4)
    assert_same(imported.vqgan, llamagen_network, images, codes, unit[codes].movedim(3, 1))


def test_codebook_of_moving_averages(taming_network, images, entries, load):
    tensors = taming_network.tensors | {
        "quantize.embedding.weight": entries,
        "quantize.embedding.cluster_size": torch.rand(CODES),
        "quantize.embedding.embed_avg": torch.randn(CODES, CODE_DIM),
    }
    imported = load(tensors)
    assert imported.vqgan.config.quantizer == EMAQuantizerConfig(
        lookup_dim=None, l2_normalised=False, kmeans_start=False
    )
    assert imported.passed_over == {"quantize": 2}
    z = taming_network.encode(images)
    codes = torch.cdist(z.movedim(1, 3).flatten(0, 2), entries).argmin(1).view(2, 8, 4)
    assert_same(imported.vqgan, taming_network, images, codes, entries[codes].movedim(3, 1))
    quantizer = imported.vqgan.quantizer
    assert quantizer.counts.tolist() == [1.0] * CODES
    assert torch.equal(quantizer.sums, entries)


def test_gumbel_takes_the_best_score(taming_network, images, entries, load):
    scores = torch.randn(CODES, CODE_DIM, 1, 1, generator=torch.Generator().manual_seed(3))
    tensors = taming_network.tensors | {
        "quantize.embed.weight": entries,
        "quantize.proj.weight": scores,
        "quantize.proj.bias": torch.zeros(CODES),
    }
    imported = load(tensors)
    assert imported.vqgan.config.quantizer == GumbelQuantizerConfig()
    codes = F.conv2d(taming_network.encode(images), scores).argmax(1)
    assert_same(imported.vqgan, taming_network, images, codes, entries[codes].movedim(3, 1))


@pytest.mark.parametrize("told", ["vector", "ibq", "ema"])
def test_config_and_tensors_that_differ_are_refused(told, entries):
    tensors = {"quantize.embed.weight": entries, "quantize.proj.weight": entries}
    with pytest.raises(InputError, match=f"config says quantizer {told}, but .* have gumbel"):
        find_quantizer(tensors, told)


@pytest.mark.parametrize(
    ("target", "params", "words"),
    [
        ("src.Open_MAGVIT2.models.lfqgan.VQModel", {}, "its quantizer is LFQ"),
        (
            "taming.models.vq.VQModel",
            {"quantconfig": {"target": "taming.modules.vqvae.quantize.SimVQ"}},
            "its quantizer is taming.modules.vqvae.quantize.SimVQ",
        ),
        ("src.IBQ.models.ibqgan.IBQ", {"l2_normalize": True}, "l2_normalize is True"),
        ("mine.Vae", {}, "its class mine.Vae is not known"),
    ],
)
def test_class_whose_codes_are_not_known_is_refused(target, params, words):
    with pytest.raises(InputError, match=words):
        told_kind(target, params)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("quantize.embedding_proj.weight", "a SimVQ"),
        ("quantize.codebook_used", "after LlamaGen's"),
        ("quantize.embedding.initted", "started by k-means"),
        ("quantize.used", "remapped codes"),
        ("quantize.project_in.weight", "projections of its own"),
        ("quantize.quant_resi.qresi_ls.0.weight", r"VAR's tokenizer \(residual"),
        ("quantize._codebook.embed", "vector-quantize-pytorch"),
        ("quantize.layers.0._codebook.embed", "residual quantizer of vector-quantize-pytorch"),
        ("quantizer.codebooks.0.weight", "an RQ-VAE"),
        ("quantize.mask", "LFQ or FSQ"),
        ("quantizer.embedding.weight", "other names than the released ones"),
        ("encoder.mid_block.0.norm1.weight", "Open-MAGVIT2's tokenizer"),
        ("decoder.mid.block_1.norm1.norm_layer.weight", "a MoVQ"),
    ],
)
def test_other_quantizer_or_network_is_named(taming_network, entries, load, name, words):
    tensors = taming_network.tensors | {"quantize.embedding.weight": entries}
    with pytest.raises(InputError, match=rf"it seems to be .*{words}.*imported are"):
        load(tensors | {name: torch.zeros(CODES)})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("encoder.transformer.layers.0.0.norm.weight", "a ViT-VQGAN"),
        ("pre_quant.weight", "a ViT-VQGAN"),
        ("latent_tokens", "TiTok"),
        ("enc_b.blocks.0.weight", "a VQ-VAE-2"),
        ("encoder.blocks.group_1.block_1.id_path.w", "DALL-E"),
        ("generator.blocks.0.weight", "CodeFormer"),
        ("encoder.model.0.weight", "dome272"),
        ("encoder.levels.0.blocks.0.conv1.weight", "a model of smalti"),
    ],
)
def test_tokenizer_of_another_network_is_named(load, name, words):
    with pytest.raises(InputError, match=rf"it seems to be .*{words}"):
        load({f"module.{name}": torch.zeros(2)})


def test_autoencoder_without_a_codebook_is_named(taming_network, load):
    """KL, LFQ and FSQ keep no tensors of a quantizer."""
    with pytest.raises(InputError, match="autoencoder without a codebook"):
        load(taming_network.tensors)


@pytest.mark.parametrize("shape", [(0, 8), (24, 0), (24,)])
def test_codebook_of_no_shape_is_named(taming_network, load, shape):
    with pytest.raises(InputError, match=r"quantize.embedding.weight has the shape"):
        load(taming_network.tensors | {"quantize.embedding.weight": torch.zeros(shape)})


def test_codebook_that_is_no_number_is_named(taming_network, entries, load):
    entries[:, 3] = torch.nan
    with pytest.raises(InputError, match=r"quantize.embedding.weight holds NaN or infinity"):
        load(taming_network.tensors | {"quantize.embedding.weight": entries})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weight_that_is_no_number_is_named(taming_network, entries, load, value):
    entries[0] = 0.0
    tensors = taming_network.tensors | {"quantize.embedding.weight": entries}
    tensors["decoder.mid.block_2.conv1.weight"][3, 1, 0, 2] = value
    words = r"model.safetensors: decoder.mid.block_2.conv1.weight holds NaN or infinity"
    with pytest.raises(InputError, match=words):
        load(tensors)


def test_integers_are_no_weights(taming_network, entries, load):
    entries[0] = 0.0
    tensors = taming_network.tensors | {"quantize.embedding.weight": entries}
    tensors["quant_conv.weight"] = torch.zeros_like(tensors["quant_conv.weight"], dtype=torch.int8)
    with pytest.raises(InputError, match=r"quant_conv.weight holds torch.int8, not floating"):
        load(tensors)


def test_exported_tokenizer_gives_the_same_codes_there(taming_network, images, tmp_path):
    """Read as the released code reads it."""
    ours = VQGAN(
        VQGANConfig(
            channels=32,
            channel_multipliers=(1, 1, 2),
            norm_groups=32,
            latent_channels=16,
            code_dim=CODE_DIM,
            codebook_size=CODES,
            quantizer=VectorQuantizerConfig(),
        )
    ).eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    export_vqgan(ours, tmp_path / "out")
    tensors = load_file(tmp_path / "out" / "vqgan.safetensors")
    assert taming_network.tensors.keys() < tensors.keys()
    taming_network.tensors = tensors
    entries = tensors["quantize.embedding.weight"]
    z = taming_network.encode(images)
    codes = torch.cdist(z.movedim(1, 3).flatten(0, 2), entries).argmin(1).view(2, 8, 4)
    assert_same(ours, taming_network, images, codes, entries[codes].movedim(3, 1))
