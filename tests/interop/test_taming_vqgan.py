"""Our VQGAN and its training step give the numbers of the released code, from the oracle."""

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from smalti.interop.taming_losses import import_discriminator, name_discriminator
from smalti.interop.taming_vqgan import import_vqgan, name_vqgan
from smalti.losses.adversarial import AdaptiveWeightConfig
from smalti.losses.perceptual import PerceptualConfig, choose_perceptual
from smalti.tokenizer.quantizers import VectorQuantizerConfig
from smalti.tokenizer.vqgan import VQGAN, VQGANConfig
from smalti.training.adversary import Adversary, AdversaryConfig
from smalti.training.ema import EMA
from smalti.training.optim import OptimizerConfig, build_optimizer
from smalti.training.precision import Compute
from smalti.training.vqgan_step import (
    VQGANLossConfig,
    VQGANState,
    VQGANStepConfig,
    vqgan_step,
)
from smalti.types import InputError

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
def oracle(shared_dir) -> dict[str, Tensor]:
    return load_file(shared_dir / "oracle" / "vqmodel_tiny.safetensors")


@pytest.fixture(scope="module")
def loss_oracle(shared_dir) -> dict[str, Tensor]:
    return load_file(shared_dir / "oracle" / "discriminator_loss_tiny.safetensors")


@pytest.fixture(scope="module")
def released(oracle) -> dict[str, Tensor]:
    return below(oracle, "sd.")


@pytest.fixture
def vqgan(released) -> VQGAN:
    return import_vqgan(released)


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
            optimizer=build_optimizer(vqgan, optimizer),
            adversary=Adversary.build(adversary, discriminator, optimizer, total_steps=1000),
            compute=Compute(torch.device("cpu"), torch.float32),
        )
        self.gradients: dict[str, Tensor] = {}
        self._keep_gradients(state.optimizer, vqgan)
        self._keep_gradients(state.adversary.optimizer, discriminator)
        config = VQGANStepConfig(
            loss=self.loss,
            optimizer=optimizer,
            discriminator_optimizer=optimizer,
            total_steps=1000,
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
    expected = name_vqgan(expected, LEVELS)
    assert len(expected) == 8
    for name, gradient in expected.items():
        assert_like_the_oracle(step.gradients[name], gradient, atol=1e-6)


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


def test_every_weight_of_ours_gets_a_released_one(vqgan, released):
    named = name_vqgan(released, LEVELS)
    assert {k: v.shape for k, v in named.items()} == {
        k: v.shape for k, v in vqgan.state_dict().items()
    }
    assert len(named) == len(released)


def test_shape_of_the_f16_model_is_read_from_meta_tensors():
    """The released names of the paper's model: five levels, two residual blocks each."""
    config = VQGANConfig(
        channels=128,
        channel_multipliers=(1, 1, 2, 2, 4),
        residual_blocks=2,
        norm_groups=32,
        code_dim=256,
        codebook_size=1024,
        quantizer=VectorQuantizerConfig(),
    )
    with torch.device("meta"):
        ours = VQGAN(config).state_dict()
    released = {_released_name(name, levels=5): tensor for name, tensor in ours.items()}
    assert len(released) == len(ours)
    with torch.device("meta"):
        assert import_vqgan(released).config == config


def _released_name(name: str, levels: int) -> str:
    """The inverse map, written as plain replacements."""
    parts = name.split(".")
    if parts[:2] == ["decoder", "levels"]:
        parts[2] = str(levels - 1 - int(parts[2]))
    name = ".".join(parts)
    resample = "downsample" if name.startswith("encoder") else "upsample"
    for ours, theirs in {
        "encoder.levels": "encoder.down",
        "decoder.levels": "decoder.up",
        "attentions": "attn",
        "blocks": "block",
        "middle.block": "mid.block_",
        "middle.attention": "mid.attn_1",
        "resample": resample,
        "skip": "nin_shortcut",
        "query": "q",
        "key": "k",
        "value": "v",
        "project.": "proj_out.",
        "to_code": "quant_conv",
        "from_code": "post_quant_conv",
        "quantizer.codebook": "quantize.embedding",
    }.items():
        name = name.replace(ours, theirs)
    return name


def test_losses_in_the_state_dict_are_passed_over(released):
    tensors = released | {"loss.discriminator.main.0.bias": torch.zeros(1)}
    assert import_vqgan(tensors).config == import_vqgan(released).config


def test_unknown_name_is_named(released):
    tensors = released | {"quantize.counts.weight": torch.zeros(1)}
    with pytest.raises(InputError, match=r"'quantize.counts.weight' is no weight"):
        import_vqgan(tensors)


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("decoder.up.1.upsample.conv.bias", r"decoder\.levels\.1\.resample\.conv\.bias"),
        ("encoder.mid.attn_1.q.weight", r"encoder\.middle\.attention\.query\.weight"),
        ("encoder.conv_in.weight", r"encoder\.conv_in\.weight"),
    ],
)
def test_missing_weight_is_named(released, missing, reason):
    tensors = {name: tensor for name, tensor in released.items() if name != missing}
    with pytest.raises(InputError, match=f"not a whole VQGAN: .*{reason}"):
        import_vqgan(tensors)


def test_attention_at_another_level_is_refused(released):
    block = below(released, "encoder.down.2.attn.0.")
    tensors = released | {f"encoder.down.1.attn.0.{name}": t for name, t in block.items()}
    with pytest.raises(InputError, match=r"lowest resolution \(level 2\) only.*at: 1, 2"):
        import_vqgan(tensors)


def test_model_without_attention_in_its_levels_is_refused(released):
    tensors = {name: tensor for name, tensor in released.items() if ".attn." not in name}
    with pytest.raises(InputError, match="at: none"):
        import_vqgan(tensors)


def test_channels_that_group_norm_cannot_divide_are_refused(released):
    tensors = released | {"encoder.conv_in.weight": torch.zeros(24, 3, 3, 3)}
    with pytest.raises(InputError, match="channels 24 is not a multiple of norm_groups 32"):
        import_vqgan(tensors)
