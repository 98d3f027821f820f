"""The quantizer against the full distance matrix, as the paper's released code forms it.

    python benchmarks/quantizer.py [--vectors N] [--codes K] [--dim D] [--rounds R]

Both run the forward pass of training: codes, latent and both losses, with the graph for the
backward pass. Peak memory is over the inputs (vectors and codebook), each in a process of its own.

Axes: N vectors, K codes, D code dimension.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from measure import peak_mb_of, peak_rss_mb, take_turns
from torch import Tensor, nn

from smalti.tokenizer.quantizers.config import VectorQuantizerConfig
from smalti.tokenizer.quantizers.vector import VectorQuantizer

GRID = 64  # side of the latent grid that the vectors come from
MATRICES = 3  # N x K matrices that the full way holds at its peak


def full_matrix(z: Tensor, codebook: nn.Embedding) -> tuple[Tensor, Tensor]:
    """Latent (B, D, h, w) and loss, with all N x K distances at once."""
    z = z.permute(0, 2, 3, 1).contiguous()
    vectors = z.view(-1, z.shape[-1])
    distances = (
        vectors.square().sum(1, keepdim=True)
        + codebook.weight.square().sum(1)
        - 2 * torch.einsum("nd,kd->nk", vectors, codebook.weight)
    )
    z_q = codebook(distances.argmin(1)).view(z.shape)
    loss = (z_q.detach() - z).square().mean() + 0.25 * (z_q - z.detach()).square().mean()
    z_q = z + (z_q - z).detach()
    return z_q.permute(0, 3, 1, 2).contiguous(), loss


def contenders(vectors: int, codes: int, dim: int) -> dict[str, Callable[[], object]]:
    """Both ways over the same inputs."""
    torch.manual_seed(0)
    quantizer = VectorQuantizer(VectorQuantizerConfig(), codes, dim)
    z = torch.randn(vectors // GRID**2, dim, GRID, GRID).div_(codes).requires_grad_()
    return {
        "ours": lambda: quantizer(z),
        "full matrix": lambda: full_matrix(z, quantizer.codebook),
    }


def growth_mb(arguments: argparse.Namespace) -> float:
    """Peak memory of one way over that of its inputs, in this process."""
    run = contenders(arguments.vectors, arguments.codes, arguments.dim)[arguments.peak]
    before = peak_rss_mb()
    run()
    return peak_rss_mb() - before


def available_bytes() -> int:
    """Memory that new processes may use."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    line = next(line for line in lines if line.startswith("MemAvailable:"))
    return int(line.split()[1]) * 1024


def fitting_vectors(vectors: int, codes: int) -> int:
    """`vectors`, halved until the full way fits into the memory of this machine."""
    fitting = vectors
    while fitting > GRID**2 and fitting * codes * 4 * (MATRICES + 0.5) > available_bytes():
        fitting //= 2
    if fitting < vectors:
        print(f"The full matrix of {vectors} vectors does not fit here: measuring {fitting}.")
    return fitting


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=65_536, help=f"N, multiple of {GRID**2}")
    parser.add_argument("--codes", type=int, default=16_384, help="K")
    parser.add_argument("--dim", type=int, default=256, help="D")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak", help=argparse.SUPPRESS)  # measure this one's memory, and end
    arguments = parser.parse_args()
    if arguments.vectors < GRID**2 or arguments.vectors % GRID**2:
        parser.error(f"--vectors must be a multiple of {GRID**2}, got {arguments.vectors}")
    return arguments


def main() -> None:
    """Measure and print."""
    arguments = parse_arguments()
    if arguments.peak:
        print(growth_mb(arguments))
        return
    vectors = fitting_vectors(arguments.vectors, arguments.codes)
    size = {"--vectors": vectors, "--codes": arguments.codes, "--dim": arguments.dim}
    flags = [str(part) for pair in size.items() for part in pair]
    peaks = {name: peak_mb_of(__file__, *flags, "--peak", name) for name in ("ours", "full matrix")}
    both = contenders(vectors, arguments.codes, arguments.dim)
    take_turns(contenders(GRID**2, arguments.codes, arguments.dim), rounds=1)  # warm up
    timings = take_turns(both, arguments.rounds, warmup_rounds=0)

    print(
        f"{vectors} vectors, {arguments.codes} codes, dimension {arguments.dim}, float32, "
        f"{torch.get_num_threads()} threads, median of {arguments.rounds}"
    )
    print(f"{'':12}{'seconds':>10}{'peak MB over inputs':>22}")
    for name in both:
        print(f"{name:12}{timings.median(name):10.2f}{peaks[name]:22.0f}")
    ratio = timings.ratio("ours", "full matrix")
    print(f"time, ours / full matrix: {ratio:.3f} (lower is better for ours)")
    print(json.dumps({"time_vs_full_matrix": round(ratio, 3), "peak_mb": round(peaks["ours"])}))


if __name__ == "__main__":
    main()
