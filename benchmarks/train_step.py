"""Stage 1's training step: the autoencoder against diffusers, the whole against two forwards.

    python benchmarks/train_step.py [--batch B] [--sizes PX...] [--channels C] [--rounds R]
        [--threads T...] [--device D] [--clock processor]

Every size is measured with every number of threads.

autoencoder: forward, L1 and latent losses, backward and AdamW. It is compared with diffusers'
    VQModel of the same shape.
stage 1: our whole step with perceptual loss and adversary. It is compared with the scheme of the
    paper's released code, with the same networks, losses, optimizers and average: a forward pass of
    the autoencoder for each of the two updates, the adaptive weight by two backward passes to the
    last layer, three passes of the discriminator. (Its repeated perceptual forward is left out.)

Peak memory is that of a process that takes two such steps of the first size, over what it held
before; on a graphics card, that of the card.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Mapping

import torch
from diffusers import VQModel
from measure import CLOCKS, Timings, peak_mb_of, peak_rss_mb, synchronized, take_turns
from torch import Tensor, nn

from smalti.compute import Compute
from smalti.losses.adversarial import (
    adaptive_weight,
    hinge_discriminator_loss,
    hinge_generator_loss,
)
from smalti.losses.build import choose_perceptual
from smalti.losses.config import PatchDiscriminatorConfig, PerceptualConfig
from smalti.losses.discriminator import PatchDiscriminator
from smalti.losses.reconstruction import l1_loss
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.config import VectorQuantizerConfig
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.config import OptimizerConfig
from smalti.training.ema import EMA
from smalti.training.optim import ScheduledAdamW
from smalti.training.vqgan.adversary import Adversary
from smalti.training.vqgan.config import AdversaryConfig, VQGANLossConfig
from smalti.training.vqgan.step import VQGANState, VQGANStepConfig, vqgan_step

MULTIPLIERS = (1, 2, 2, 4)
CODE_DIM = 64
CODEBOOK_SIZE = 512
NORM_GROUPS = 8
OPTIMIZER, STEPS = OptimizerConfig(warmup_steps=0), 10**6

Step = Callable[[Tensor], object]


# The autoencoder part


def our_autoencoder(channels: int) -> VQGAN:
    """Our VQGAN with the plain quantizer, as diffusers has it."""
    return VQGAN(
        VQGANConfig(
            channels=channels,
            channel_multipliers=MULTIPLIERS,
            residual_blocks=1,
            norm_groups=NORM_GROUPS,
            code_dim=CODE_DIM,
            codebook_size=CODEBOOK_SIZE,
            quantizer=VectorQuantizerConfig(),
        )
    )


def diffusers_autoencoder(channels: int) -> VQModel:
    """The same shape as diffusers builds it."""
    levels = len(MULTIPLIERS)
    return VQModel(
        block_out_channels=tuple(channels * multiplier for multiplier in MULTIPLIERS),
        down_block_types=("DownEncoderBlock2D",) * (levels - 1) + ("AttnDownEncoderBlock2D",),
        up_block_types=("AttnUpDecoderBlock2D",) + ("UpDecoderBlock2D",) * (levels - 1),
        layers_per_block=1,
        norm_num_groups=NORM_GROUPS,
        latent_channels=CODE_DIM,
        num_vq_embeddings=CODEBOOK_SIZE,
        vq_embed_dim=CODE_DIM,
    )


def our_autoencoder_step(channels: int, device: torch.device) -> Step:
    """Forward, backward and AdamW of our autoencoder."""
    vqgan = our_autoencoder(channels).to(device)
    optimizer = ScheduledAdamW(vqgan, OPTIMIZER, STEPS)

    def step(images: Tensor) -> None:
        reconstructions, quantized, _ = vqgan(images)
        latent_loss = 0.25 * quantized.codebook_loss + quantized.commitment_loss
        (l1_loss(images, reconstructions).mean() + latent_loss).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def diffusers_autoencoder_step(channels: int, device: torch.device) -> Step:
    """The same with diffusers' autoencoder, whose quantizer has this very latent loss."""
    model = diffusers_autoencoder(channels).to(device)
    optimizer = ScheduledAdamW(model, OPTIMIZER, STEPS)

    def step(images: Tensor) -> None:
        output = model(images)
        (l1_loss(images, output.sample).mean() + output.commit_loss.mean()).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


# The whole stage


def stage1_state(channels: int, device: torch.device) -> tuple[VQGANState, VQGANStepConfig]:
    """Networks and losses of both schemes, the adversary at full weight."""
    vqgan = our_autoencoder(channels).to(device)
    discriminator = PatchDiscriminator(PatchDiscriminatorConfig(filters=32, layers=2)).to(device)
    adversary = AdversaryConfig(start=0, warmup=0, ramp=0)
    loss = VQGANLossConfig(perceptual=PerceptualConfig(kind="efficientnet"), adversary=adversary)
    state = VQGANState(
        vqgan=vqgan,
        forward=vqgan,
        perceptual=choose_perceptual(loss.perceptual).to(device),
        average=EMA(vqgan, decay=0.995),
        optimizer=ScheduledAdamW(vqgan, OPTIMIZER, STEPS),
        adversary=Adversary(adversary, discriminator, OPTIMIZER, STEPS),
        compute=Compute(device, torch.float32),
    )
    return state, VQGANStepConfig(loss, accumulation_steps=1)


def our_stage1_step(channels: int, device: torch.device) -> Step:
    """The step that trains."""
    state, config = stage1_state(channels, device)
    return lambda images: vqgan_step(state, images, config)


def two_forward_step(channels: int, device: torch.device) -> Step:
    """The released code's scheme."""
    state, config = stage1_state(channels, device)
    assert state.adversary is not None
    discriminator, optimizer = state.adversary.discriminator, state.adversary.optimizer

    def step(images: Tensor) -> None:
        generator_loss_of_all_terms(state, images, config.loss).backward()
        state.optimizer.update(state.step)
        state.average.update(state.vqgan, state.step)

        reconstructions = state.vqgan(images).reconstructions
        real, fake = discriminator(images), discriminator(reconstructions.detach())
        optimizer.zero_grad(set_to_none=True)
        hinge_discriminator_loss(real, fake).backward()
        optimizer.update(state.step)
        state.step += 1

    return step


def generator_loss_of_all_terms(
    state: VQGANState, images: Tensor, config: VQGANLossConfig
) -> Tensor:
    """One sum, weighted by two extra backward passes to the last layer."""
    reconstructions, quantized, _ = state.vqgan(images)
    reconstruction_loss = (
        l1_loss(images, reconstructions).mean() + state.perceptual(images, reconstructions).mean()
    )
    generator_loss = hinge_generator_loss(state.adversary.discriminator(reconstructions))
    weight = last_layer_weight(
        reconstruction_loss, generator_loss, state.vqgan.decoder.conv_out.weight, config
    )
    return (
        reconstruction_loss
        + weight * generator_loss
        + config.codebook_weight * quantized.codebook_loss
        + config.commitment_weight * quantized.commitment_loss
    )


def last_layer_weight(
    reconstruction_loss: Tensor,
    generator_loss: Tensor,
    last_layer: nn.Parameter,
    config: VQGANLossConfig,
) -> Tensor:
    """The adaptive weight, each gradient from its loss down to the layer."""
    pulls = [
        torch.autograd.grad(loss, last_layer, retain_graph=True)[0]
        for loss in (reconstruction_loss, generator_loss)
    ]
    adaptive = config.adversary.adaptive
    ratio = adaptive_weight(*pulls, adaptive.delta, adaptive.max_weight)
    return config.adversary.weight * adaptive.factor * ratio


CONTENDERS: dict[str, Callable[[int, torch.device], Step]] = {
    "autoencoder, ours": our_autoencoder_step,
    "autoencoder, diffusers": diffusers_autoencoder_step,
    "stage 1, ours": our_stage1_step,
    "stage 1, two forwards": two_forward_step,
}


# Measuring


def check_same_shape(channels: int) -> None:
    """Both autoencoders must have as many weights."""
    counts = [
        sum(parameter.numel() for parameter in model.parameters())
        for model in (our_autoencoder(channels), diffusers_autoencoder(channels))
    ]
    assert counts[0] == counts[1], f"ours has {counts[0]} parameters, diffusers' has {counts[1]}"


def draw_images(arguments: argparse.Namespace, size: int) -> Tensor:
    """The data of all contenders."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((arguments.batch, 3, size, size), generator=generator) * 2 - 1
    return images.to(arguments.device)


def growth_mb(arguments: argparse.Namespace) -> float:
    """Peak memory of two steps of one contender over what was there before, in this process."""
    device = torch.device(arguments.device)
    images = draw_images(arguments, arguments.sizes[0])
    step = CONTENDERS[arguments.peak](arguments.channels, device)
    before = peak_rss_mb()
    step(images)
    step(images)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return peak_rss_mb() - before


def peaks_mb(arguments: argparse.Namespace) -> dict[str, float]:
    """Peak memory of every contender, each in a process of its own."""
    flags = [f"--{name}={getattr(arguments, name)}" for name in ("batch", "channels", "device")]
    flags += [f"--sizes={arguments.sizes[0]}", f"--threads={arguments.threads[0]}"]
    return {name: peak_mb_of(__file__, *flags, f"--peak={name}") for name in CONTENDERS}


def measure(arguments: argparse.Namespace, steps: Mapping[str, Step], size: int) -> Timings:
    """Time a step of every contender with images of a size."""
    images, device = draw_images(arguments, size), torch.device(arguments.device)
    contenders = {
        name: synchronized(lambda step=step: step(images), device) for name, step in steps.items()
    }
    return take_turns(contenders, arguments.rounds, clock=CLOCKS[arguments.clock])


def print_table(arguments: argparse.Namespace, size: int, timings: Timings) -> None:
    """Times, for people."""
    print(
        f"batch {arguments.batch} of {size}x{size}, {arguments.channels} channels, float32, "
        f"{arguments.device}, {torch.get_num_threads()} thread(s), median of {arguments.rounds}"
    )
    print(f"{'':24}{'ms a step':>12}{'images a second':>18}")
    for name in timings.seconds:
        seconds = timings.median(name)
        print(f"{name:24}{1000 * seconds:12.0f}{arguments.batch / seconds:18.1f}")


def ratios_of(timings: Timings) -> dict[str, float]:
    """The two ratios of a case; above 1 ours is faster."""
    return {
        "autoencoder_vs_diffusers": timings.ratio("autoencoder, diffusers", "autoencoder, ours"),
        "stage1_vs_two_forward": timings.ratio("stage 1, two forwards", "stage 1, ours"),
    }


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[64, 128], help="sides of the images in pixels"
    )
    parser.add_argument("--channels", type=int, default=32, help="multiple of 8")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="see measure.CLOCKS")
    parser.add_argument("--rounds", type=int, default=5)
    # On a busy machine two threads mostly wait for each other, and the wait is what is measured.
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peak", help=argparse.SUPPRESS)  # measure this one's memory, and end
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads[0])
    if arguments.peak:
        print(growth_mb(arguments))
        return
    check_same_shape(arguments.channels)
    device = torch.device(arguments.device)
    peaks = peaks_mb(arguments)
    steps = {name: build(arguments.channels, device) for name, build in CONTENDERS.items()}
    ratios: dict[str, float] = {}
    for size, threads in itertools.product(arguments.sizes, arguments.threads):
        torch.set_num_threads(threads)
        timings = measure(arguments, steps, size)
        print_table(arguments, size, timings)
        for name, ratio in ratios_of(timings).items():
            print(f"{name.replace('_', ' ')}: {ratio:.2f} (above 1: ours is faster)")
            ratios[f"{name}_{size}px_{threads}_threads"] = round(ratio, 3)
    print(f"peak memory at {arguments.sizes[0]} pixels, in MB:")
    for name, peak in peaks.items():
        print(f"{name:24}{peak:12.0f}")
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
