"""Our VQGAN and its training step give the numbers of the released code, from the oracle."""

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor, nn

from helpers.released_losses import import_discriminator, name_discriminator
from smalti.compute import Compute
from smalti.config import InputError
from smalti.interop.taming_config import ToldVQGAN, check_released_config, released_config
from smalti.interop.taming_vqgan import export_vqgan, import_vqgan, released_name
from smalti.losses.build import choose_perceptual
from smalti.losses.config import AdaptiveWeightConfig, PerceptualConfig
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.config import GumbelQuantizerConfig, VectorQuantizerConfig
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.config import OptimizerConfig
from smalti.training.ema import EMA
from smalti.training.optim import ScheduledAdamW
from smalti.training.vqgan.adversary import Adversary
from smalti.training.vqgan.config import AdversaryConfig, VQGANLossConfig
from smalti.training.vqgan.step import VQGANState, VQGANStepConfig, vqgan_step

LEVELS = 3
PREFIXES = {"out": "in.x", "out_48x40": "in.x_48x40"}

# The released code's beta is 0.25; "legacy" puts it on the codebook's side.
WEIGHTINGS = {
    "legacy_true": {"codebook_weight": 0.25, "commitment_weight": 1.0},
    "legacy_false": {"codebook_weight": 1.0, "commitment_weight": 0.25},
}


def assert_like_the_oracle(actual: Tensor, expected: Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=atol)


def below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


@pytest.fixture(scope="module")
def oracle(oracle_tensors) -> dict[str, Tensor]:
    return oracle_tensors("vqmodel_tiny")


@pytest.fixture(scope="module")
def loss_oracle(oracle_tensors) -> dict[str, Tensor]:
    return oracle_tensors("discriminator_loss_tiny")


@pytest.fixture(scope="module")
def released(oracle) -> dict[str, Tensor]:
    return below(oracle, "sd.")


@pytest.fixture
def vqgan(released) -> VQGAN:
    return import_vqgan(released).vqgan


# The network


def test_shape_follows_from_the_tensors(vqgan):
    assert vqgan.config == VQGANConfig(
        channels=32,
        channel_multipliers=(1, 2, 2),
        residual_blocks=1,
        norm_groups=32,
        code_dim=16,
        codebook_size=32,
        quantizer=VectorQuantizerConfig(),
    )


@pytest.mark.parametrize(("prefix", "images"), PREFIXES.items())
def test_every_stage_of_the_autoencoder(vqgan, oracle, prefix, images):
    expected = below(oracle, f"{prefix}.")
    images = oracle[images]
    with torch.no_grad():
        assert_like_the_oracle(vqgan.encoder(images), expected["encoder_out"])
        assert_like_the_oracle(vqgan.latent(images), expected["quant_conv_out"])
        reconstructions, quantized, _ = vqgan(images)
    assert_like_the_oracle(quantized.z_q, expected["z_q"])
    assert_like_the_oracle(reconstructions, expected["decoded"])


@pytest.mark.parametrize(("prefix", "images"), PREFIXES.items())
def test_codes_are_exactly_the_released_ones(vqgan, oracle, prefix, images):
    codes = vqgan.encode(oracle[images])
    assert torch.equal(codes.flatten(), oracle[f"{prefix}.indices"])


@pytest.mark.parametrize("prefix", PREFIXES)
def test_images_from_codes(vqgan, oracle, prefix):
    expected = below(oracle, f"{prefix}.")
    batch, _, height, width = expected["codebook_entry"].shape
    codes = expected["indices"].view(batch, height, width)
    assert torch.equal(vqgan.quantizer.embed(codes), expected["codebook_entry"])
    assert_like_the_oracle(vqgan.decode(codes), expected["decoded_from_codes"].clamp(-1, 1))


@pytest.mark.parametrize(("prefix", "images"), PREFIXES.items())
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_embedding_loss_of_both_weightings(vqgan, oracle, prefix, images, weighting):
    weights = WEIGHTINGS[weighting]
    quantized = vqgan(oracle[images]).quantized
    loss = (
        weights["codebook_weight"] * quantized.codebook_loss
        + weights["commitment_weight"] * quantized.commitment_loss
    )
    assert_like_the_oracle(loss, oracle[f"{prefix}.embed_loss_{weighting}"])


# The code that trains


class OneStep:
    """One whole `vqgan_step` in eval mode: its scalars, and the gradients the optimizers got."""

    def __init__(
        self,
        vqgan: VQGAN,
        loss_oracle: dict[str, Tensor],
        weighting: str,
        start_step: int = 0,
    ) -> None:
        discriminator = import_discriminator(below(loss_oracle, "sd.")).eval()
        optimizer = OptimizerConfig(clip_norm=1e9)
        adversary = AdversaryConfig(
            start=start_step,
            warmup=0,
            ramp=0,
            weight=1.0,
            lecam_weight=0.0,
            adaptive=AdaptiveWeightConfig(delta=1e-4, factor=0.8),
        )
        self.loss = VQGANLossConfig(
            perceptual=PerceptualConfig(kind="none"), adversary=adversary, **WEIGHTINGS[weighting]
        )
        state = VQGANState(
            vqgan=vqgan,
            forward=vqgan,
            perceptual=choose_perceptual(self.loss.perceptual),
            average=EMA(vqgan, 0.0),
            optimizer=ScheduledAdamW(vqgan, optimizer, 1000),
            adversary=Adversary(adversary, discriminator, optimizer, total_steps=1000),
            compute=Compute(torch.device("cpu"), torch.float32),
        )
        self.gradients: dict[str, Tensor] = {}
        self._keep_gradients(state.optimizer, vqgan)
        self._keep_gradients(state.adversary.optimizer, discriminator)
        config = VQGANStepConfig(
            loss=self.loss,
            accumulation_steps=1,
        )
        self.scalars = vqgan_step(state, loss_oracle["in.real"], config)

    def _keep_gradients(self, optimizer: torch.optim.Optimizer, module: nn.Module) -> None:
        def keep(*_: object) -> None:
            for name, parameter in module.named_parameters():
                if parameter.grad is not None:
                    self.gradients[name] = parameter.grad.clone()

        optimizer.register_step_pre_hook(keep)

    @property
    def latent_loss(self) -> Tensor:
        return (
            self.loss.codebook_weight * self.scalars["codebook_loss"]
            + self.loss.commitment_weight * self.scalars["commitment_loss"]
        )


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_generator_step_without_adversary(vqgan, oracle, loss_oracle, weighting):
    step = OneStep(vqgan, loss_oracle, weighting, start_step=100)
    expected = below(oracle, f"grad_{weighting}.")
    total = step.scalars["reconstruction_loss"] + step.latent_loss
    assert_like_the_oracle(total, expected.pop("loss"))
    gradients = {released_name(name, LEVELS): g for name, g in step.gradients.items()}
    assert len(expected) == 8
    for name, gradient in expected.items():
        assert_like_the_oracle(gradients[name], gradient, atol=1e-6)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_step_before_the_adversary_starts(vqgan, loss_oracle, weighting):
    step = OneStep(vqgan, loss_oracle, weighting, start_step=100)
    full = below(loss_oracle, f"full_{weighting}.")
    total = step.scalars["reconstruction_loss"] + step.latent_loss
    assert_like_the_oracle(total, full["total_loss_before_disc_start"])
    # The released code has a discriminator loss of 0 here; ours does not run the discriminator.
    assert full["disc_loss_before_disc_start"] == 0
    assert "discriminator_loss" not in step.scalars
    assert not any(name.startswith("stem") for name in step.gradients)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_scalars_of_a_step_with_adversary(vqgan, loss_oracle, weighting):
    step = OneStep(vqgan, loss_oracle, weighting)
    full = below(loss_oracle, f"full_{weighting}.")
    ours = {
        "nll_loss": step.scalars["reconstruction_loss"],
        "rec_loss": step.scalars["pixel_loss"],
        "quant_loss": step.latent_loss,
        "g_loss": step.scalars["generator_loss"],
        "d_weight": step.scalars["adaptive_weight"],
        "d.disc_loss": step.scalars["discriminator_loss"],
        "d.logits_real": step.scalars["real_logits"],
        "d.logits_fake": step.scalars["fake_logits"],
    }
    for name, value in ours.items():
        assert_like_the_oracle(value, full[name])
    total = ours["nll_loss"] + ours["quant_loss"] + ours["d_weight"] * ours["g_loss"]
    assert_like_the_oracle(total, full["total_loss"])


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_gradients_of_a_step_with_adversary(vqgan, loss_oracle, weighting):
    """At the last layer the step's gradient is that of the nll plus d_weight times g_loss's."""
    step = OneStep(vqgan, loss_oracle, weighting)
    full = below(loss_oracle, f"full_{weighting}.")
    norms = step.scalars["reconstruction_gradient_norm"], step.scalars["generator_gradient_norm"]
    assert_like_the_oracle(norms[0], full["norm_grad_nll"])
    assert_like_the_oracle(norms[1], full["norm_grad_g"])
    expected = full["grad_nll_last_layer"] + full["d_weight"] * full["grad_g_last_layer"]
    assert_like_the_oracle(step.gradients["decoder.conv_out.weight"], expected)


def test_discriminator_gradients_of_a_step(vqgan, loss_oracle):
    step = OneStep(vqgan, loss_oracle, "legacy_true")
    expected = name_discriminator(below(loss_oracle, "grad_hinge."), layers=2)
    assert expected.keys() == {"stem.weight", "head.weight"}
    for name, gradient in expected.items():
        assert_like_the_oracle(step.gradients[name], gradient, atol=1e-6)


# The names


def test_every_tensor_is_used(released):
    imported = import_vqgan(released)
    assert imported.used == len(released) == len(imported.vqgan.state_dict())
    assert imported.passed_over == {}


F16 = VQGANConfig(
    channels=128,
    channel_multipliers=(1, 1, 2, 2, 4),
    residual_blocks=2,
    norm_groups=32,
    code_dim=256,
    codebook_size=1024,
    quantizer=VectorQuantizerConfig(),
)
# Shapes of latent-diffusion's first stages, the paper's of the same family, and a deeper one.
SHAPES = {
    "f16": {},
    "vq-f4": {
        "channel_multipliers": (1, 2, 4),
        "attention_levels": (),
        "code_dim": 3,
        "codebook_size": 8192,
    },
    "vq-f4-noattn": {
        "channel_multipliers": (1, 2, 4),
        "attention_levels": (),
        "middle_attention": False,
        "code_dim": 3,
        "codebook_size": 8192,
    },
    "vq-f8": {"channel_multipliers": (1, 2, 2, 4), "code_dim": 4, "codebook_size": 16384},
    "vq-f16": {"code_dim": 8, "codebook_size": 16384},
    "two levels of attention": {"attention_levels": (2, 4)},
    "narrow codes": {"code_dim": 4, "latent_channels": 256},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_is_inferred_for_every_family(shape):
    """On the meta device: names and shapes only."""
    config = VQGANConfig.model_validate(F16.model_dump() | SHAPES[shape])
    with torch.device("meta"):
        ours = VQGAN(config).state_dict()
    levels = len(config.channel_multipliers)
    released = {released_name(name, levels): tensor for name, tensor in ours.items()}
    assert len(released) == len(ours)
    with torch.device("meta"):
        assert import_vqgan(released, ToldVQGAN(quantizer="vector")).vqgan.config == config


def test_first_stage_of_a_larger_model(released):
    tensors = {f"first_stage_model.{name}": tensor for name, tensor in released.items()}
    tensors |= {
        "first_stage_model.loss.discriminator.main.0.bias": torch.zeros(1),
        "model.diffusion_model.out.weight": torch.zeros(1),
        "model_ema.decay": torch.zeros(1),
        "cond_stage_model.embedding.weight": torch.zeros(1),
    }
    imported = import_vqgan(tensors)
    assert imported.vqgan.config == import_vqgan(released).vqgan.config
    assert imported.used == len(released)
    assert imported.passed_over == {"loss": 1, "model": 1, "model_ema": 1, "cond_stage_model": 1}


def test_losses_in_the_state_dict_are_passed_over_and_counted(released):
    imported = import_vqgan(released | {"loss.discriminator.main.0.bias": torch.zeros(1)})
    assert imported.used == len(released)
    assert imported.passed_over == {"loss": 1}


def test_gumbel_checkpoint_chooses_the_code_with_the_best_score(released, oracle):
    """As the released code without noise: argmax of a 1x1 convolution, then a look-up."""
    tensors = {name: t for name, t in released.items() if not name.startswith("quantize.")}
    projection, embed = torch.nn.Conv2d(16, 20, 1), torch.nn.Embedding(20, 16)
    tensors |= {f"quantize.proj.{name}": t for name, t in projection.state_dict().items()}
    tensors |= {"quantize.embed.weight": embed.weight.detach()}
    imported = import_vqgan(tensors)
    assert imported.used == len(tensors)
    vqgan = imported.vqgan
    assert vqgan.config.quantizer == GumbelQuantizerConfig()
    with torch.no_grad():
        expected = projection(oracle["out.quant_conv_out"]).argmax(1)
        codes = vqgan.encode(oracle["in.x"])
        assert torch.equal(codes, expected)
        assert torch.equal(vqgan.quantizer.embed(codes), embed(codes).permute(0, 3, 1, 2))


def test_half_precision_becomes_float32(released):
    halves = {name: tensor.half() for name, tensor in released.items()}
    weights = import_vqgan(halves).vqgan.state_dict().values()
    assert {weight.dtype for weight in weights} == {torch.float32}


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"quantize.counts.weight": torch.zeros(1)}, "quantize.counts.weight has no place"),
        ({"a.b": torch.zeros(1), "a.c": torch.zeros(1)}, "a.b has no place, and 1 more"),
        ({"encoder.down.1.attn.0.q.weight": torch.zeros(1)}, "down.1.attn.0.norm.weight is miss"),
        ({"encoder.conv_in.weight": torch.zeros(24, 3, 3, 3)}, "32 channels, no multiple of .* 24"),
        ({"encoder.conv_in.weight": torch.zeros(8, 3, 3, 3)}, "channels 8 is not a multiple of"),
        (
            {"encoder.conv_in.weight": torch.zeros(32, 9, 3, 3)},
            "9 channels; imported are photographs",
        ),
        (
            {"encoder.conv_in.bias": torch.zeros(31)},
            r"conv_in.bias has the shape \(31,\).* \(32,\)",
        ),
        ({"quantize.embedding.weight": torch.zeros(3)}, r"embedding.weight has the shape \(3,\)"),
        ({"encoder.conv_in.weight": torch.tensor(1.0)}, r"conv_in.weight has the shape \(\)"),
        ({"encoder.conv_in.weight": torch.zeros(0, 3, 3, 3)}, r"has the shape \(0, 3, 3, 3\)"),
        ({"quantize.proj.weight": torch.zeros(1)}, "quantize.embed.weight is missing"),
        ({"encoder.down_blocks.0.a": torch.zeros(1)}, "names of diffusers: give the folder"),
    ],
)
def test_what_does_not_fit_is_named(released, extra, words):
    with pytest.raises(InputError, match=words):
        import_vqgan(released | extra)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("decoder.up.1.upsample.conv.bias", r"decoder\.up\.1\.upsample\.conv\.bias is missing"),
        ("encoder.mid.attn_1.k.weight", r"encoder\.mid\.attn_1\.k\.weight is missing"),
        ("encoder.conv_out.weight", r"encoder\.conv_out\.weight is missing"),
        ("encoder.conv_in.weight", r"no VQGAN: encoder\.conv_in\.weight is missing; it holds"),
        ("quantize.embedding.weight", "without a codebook"),
    ],
)
def test_missing_weight_is_named(released, missing, words):
    tensors = {name: tensor for name, tensor in released.items() if name != missing}
    with pytest.raises(InputError, match=words):
        import_vqgan(tensors)


# Its config, and the way back


def test_config_that_agrees_is_accepted(vqgan, tmp_path):
    path = tmp_path / "config.yaml"
    content = released_config(vqgan.config)
    # The oracle's own: other places of attention only by the size that they are counted in.
    content["model"]["params"]["ddconfig"] |= {"resolution": 32, "attn_resolutions": [8]}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    check_released_config(path, vqgan.config)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ch_mult", [1, 2, 4], r"ch_mult \[1, 2, 4\], but the tensors have \[1, 2, 2\]"),
        ("attn_resolutions", [256], r"attn_resolutions \[0\], but the tensors have \[2\]"),
        ("z_channels", 8, "z_channels 8, but the tensors have 16"),
        ("attn_resolutions", None, "attn_resolutions a list, got 256 and None"),
        ("resolution", "large", "resolution must be a whole number .* got 'large'"),
    ],
)
def test_config_that_differs_is_refused(vqgan, tmp_path, name, value, words):
    content = released_config(vqgan.config)
    content["model"]["params"]["ddconfig"][name] = value
    # As latent-diffusion has it: the tokenizer is a part of the model.
    content = {"model": {"params": {"first_stage_config": content["model"]}}}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(InputError, match=words):
        check_released_config(path, vqgan.config)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- 1", "is no released config of a VQGAN"),
        ("model: {params: {}}", "is no released config of a VQGAN"),
        ("model: 3", "is no released config of a VQGAN"),
        ("{", "cannot be read as YAML"),
        ("\0", "cannot be read as YAML"),
        ("[" * 9999, "cannot be read as YAML"),
    ],
    ids=range(6),
)
def test_what_is_no_released_config_is_named(vqgan, tmp_path, text, words):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"config.yaml {words}"):
        check_released_config(path, vqgan.config)


def test_export_gives_the_released_tensors_back(vqgan, released, tmp_path):
    export_vqgan(vqgan, tmp_path / "out")
    written = load_file(tmp_path / "out" / "vqgan.safetensors")
    assert written.keys() == released.keys()
    assert all(torch.equal(written[name], released[name]) for name in released)
    check_released_config(tmp_path / "out" / "config.yaml", vqgan.config)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"norm_groups": 8}, "norm_groups is 8; taming has 32"),
        ({"middle_attention": False}, "middle_attention is false"),
    ],
)
def test_what_the_released_code_cannot_express_is_named(vqgan, tmp_path, change, words):
    other = VQGAN(vqgan.config.model_copy(update=change))
    with pytest.raises(InputError, match=words):
        export_vqgan(other, tmp_path / "out")
    assert not list(tmp_path.iterdir())
