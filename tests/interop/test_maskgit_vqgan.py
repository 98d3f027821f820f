"""The VQGAN of MaskGIT: equal to an independent forward pass of its published tensors.

Axes: B batch, C channels, D code dimension, H/W image size in pixels, h/w latent grid.
"""

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from smalti.config import InputError
from smalti.interop.tokenizers import import_model
from smalti.tokenizer.config import MaskGITVQGANConfig
from smalti.tokenizer.load import load_tokenizer
from smalti.tokenizer.maskgit import MaskGITVQGAN

WIDTHS = (32, 32, 64)
BLOCKS = 2
CODE_DIM = 8
CODES = 24


class Published:
    """Both networks as plain functions; what is first asked for is drawn at random.

    Pixels are in [0, 1]. No convolution of a block has a bias, nor has the first one. Where a
    block changes the number of channels, its input is dropped.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.entries = 0.5 * torch.randn(CODES, CODE_DIM)
        self.encode(torch.zeros(1, 3, 8, 8))
        self.decode(torch.zeros(1, CODE_DIM, 2, 2))
        self.tensors["quantize.embedding.weight"] = self.entries

    def encode(self, images: Tensor) -> Tensor:
        """z (B, D, h, w) of images (B, 3, H, W) in [0, 1]."""
        x = self._conv("encoder.conv_in", images, WIDTHS[0])
        for level, width in enumerate(WIDTHS):
            x = self._blocks(f"encoder.down.{level}.block", x, width)
            if level < len(WIDTHS) - 1:
                x = (
                    x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]
                ) / 4
        x = F.silu(self._norm("encoder.norm_out", self._blocks("encoder.mid", x, WIDTHS[-1])))
        return self._conv("encoder.conv_out", x, CODE_DIM, side=1, bias=True)

    def decode(self, z_q: Tensor) -> Tensor:
        """Images (B, 3, H, W), about in [0, 1], of z_q (B, D, h, w)."""
        x = self._conv("decoder.conv_in", z_q, WIDTHS[-1], bias=True)
        x = self._blocks("decoder.mid", x, WIDTHS[-1])
        for level in reversed(range(len(WIDTHS))):
            x = self._blocks(f"decoder.up.{level}.block", x, WIDTHS[level])
            if level > 0:
                x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
                x = self._conv(f"decoder.up.{level}.upsample_conv", x, WIDTHS[level], bias=True)
        x = F.silu(self._norm("decoder.norm_out", x))
        return self._conv("decoder.conv_out", x, 3, bias=True)

    def reconstruct(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (B, h, w), and images in [0, 1], of images (B, 3, H, W) in [0, 1]."""
        z = self.encode(images).movedim(1, 3)
        codes = (z[..., None, :] - self.entries).square().sum(-1).argmin(-1)
        return codes, self.decode(self.entries[codes].movedim(3, 1)).clamp(0, 1)

    def _blocks(self, name: str, x: Tensor, width: int) -> Tensor:
        for block in range(BLOCKS):
            part = f"{name}.{block}"
            change = self._conv(f"{part}.conv1", F.silu(self._norm(f"{part}.norm1", x)), width)
            change = F.silu(self._norm(f"{part}.norm2", change))
            change = self._conv(f"{part}.conv2", change, width)
            if x.shape[1] != width:
                x = self._conv(f"{part}.nin_shortcut", change, width, side=1)
            x = x + change
        return x

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight = self._made(f"{name}.weight", (x.shape[1],), 1.0)
        return F.group_norm(x, 32, weight, self._made(f"{name}.bias", (x.shape[1],)), eps=1e-6)

    def _conv(self, name: str, x: Tensor, width: int, side: int = 3, bias: bool = False) -> Tensor:
        weight = self._made(f"{name}.weight", (width, x.shape[1], side, side))
        offset = self._made(f"{name}.bias", (width,)) if bias else None
        return F.conv2d(x, weight, offset, padding=side // 2)

    def _made(self, name: str, shape: tuple[int, ...], mean: float = 0.0) -> Tensor:
        if name not in self.tensors:
            spread = 0.2 if len(shape) == 1 else (shape[1] * shape[2] * shape[3]) ** -0.5
            self.tensors[name] = mean + spread * torch.randn(shape)
        return self.tensors[name]


@pytest.fixture(scope="module")
def published():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Published()


@pytest.fixture
def file(published, tmp_path):
    """As 1d-tokenizer has it: a state dict in a `.bin`."""
    torch.save(published.tensors, tmp_path / "maskgit-vqgan-imagenet-f16-256.bin")
    return tmp_path / "maskgit-vqgan-imagenet-f16-256.bin"


@pytest.fixture(scope="module")
def images():
    """Pixels in [0, 1]."""
    return torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(1))


def test_same_codes_and_images_as_the_published_network(published, file, images):
    imported = import_model(file)
    ours = imported.vqgan
    codes, reconstructions = published.reconstruct(images)
    assert len(codes.unique()) > CODES / 4
    assert imported.used == len(published.tensors)
    assert torch.equal(ours.encode(2 * images - 1), codes)
    assert float(((reconstructions > 0) & (reconstructions < 1)).float().mean()) > 0.1
    torch.testing.assert_close((ours.decode(codes) + 1) / 2, reconstructions, rtol=0, atol=1e-5)


def test_shape_follows_from_the_tensors(file):
    assert import_model(file).vqgan.config == MaskGITVQGANConfig(
        channels=32,
        channel_multipliers=(1, 1, 2),
        residual_blocks=BLOCKS,
        code_dim=CODE_DIM,
        codebook_size=CODES,
    )


def test_published_shape_is_the_default():
    """Shapes of some of the published tensors, and their numbers, counted by hand."""
    with torch.device("meta"):
        vqgan = MaskGITVQGAN(MaskGITVQGANConfig())
    assert vqgan.downsampling_factor == 16
    weights = vqgan.state_dict()
    assert weights["encoder.levels.4.blocks.0.skip.weight"].shape == (512, 512, 1, 1)
    assert weights["decoder.levels.0.resample.conv.bias"].shape == (512,)
    assert weights["quantizer.codebook.weight"].shape == (1024, 256)
    assert sum(weight.numel() for weight in weights.values()) == 54_515_587


@pytest.mark.parametrize("ending", ["bin", "safetensors"])
def test_folder_of_open_muse(published, images, tmp_path, ending):
    config = {"_class_name": "MaskGitVQGAN", "_version": "0.0.1", "channel_mult": [1, 1, 2]}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write = torch.save if ending == "bin" else save_file
    write(published.tensors, tmp_path / f"pytorch_model.{ending}")
    codes, _ = published.reconstruct(images)
    assert torch.equal(import_model(tmp_path).vqgan.encode(2 * images - 1), codes)


def test_folder_of_open_muse_without_weights_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"_class_name": "MaskGitVQGAN"}', encoding="utf-8")
    words = "has neither pytorch_model.safetensors nor pytorch_model.bin"
    with pytest.raises(InputError, match=words):
        import_model(tmp_path)


def test_it_comes_back_from_disk(file, images, tmp_path):
    vqgan = import_model(file).vqgan
    vqgan.save_pretrained(tmp_path / "model")
    loaded = load_tokenizer(tmp_path / "model")
    assert isinstance(loaded, MaskGITVQGAN)
    assert torch.equal(loaded.encode(2 * images - 1), vqgan.encode(2 * images - 1))


def test_tiles_give_what_whole_images_give(file):
    vqgan = import_model(file).vqgan
    images = 2 * torch.rand(1, 3, 44, 28, generator=torch.Generator().manual_seed(2)) - 1
    codes = vqgan.encode(images)
    assert torch.equal(vqgan.encode_in_tiles(images, tile=3), codes)
    torch.testing.assert_close(
        vqgan.decode_in_tiles(codes, tile=3), vqgan.decode(codes), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"decoder.up.1.upsample_conv.bias": None}, "upsample_conv.bias is missing"),
        ({"encoder.down.2.block.0.nin_shortcut.weight": torch.zeros(64, 32, 1, 1)}, "needed is"),
        ({"encoder.conv_in.bias": torch.zeros(32)}, "encoder.conv_in.bias has no place"),
        ({"encoder.conv_in.weight": torch.zeros(16, 3, 3, 3)}, "multiple of 32, got 16"),
        ({"encoder.conv_in.weight": None}, "encoder.conv_in.weight is missing"),
        ({"decoder.mid.0.norm1.norm_layer.weight": torch.zeros(1)}, "seems to be a MoVQ"),
    ],
)
def test_what_does_not_fit_is_named(published, tmp_path, change, words):
    changed = published.tensors | change
    kept = {name: tensor for name, tensor in changed.items() if tensor is not None}
    save_file(kept, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=rf"model.safetensors: .*{words}"):
        import_model(tmp_path / "model.safetensors")


def test_config_is_not_for_it(file, tmp_path):
    with pytest.raises(InputError, match=r"tell all of MaskGIT's VQGAN; leave .*x.yaml out"):
        import_model(file, tmp_path / "x.yaml")
