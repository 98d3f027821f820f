"""`smalti import`: writes another program's tokenizer or prior as a model folder of smalti."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smalti.cli.arguments import Parser, expanded_path
from smalti.cli.places import output_folder

if TYPE_CHECKING:
    from smalti.interop.exchange import Imported
    from smalti.interop.taming_net2net import ImportedPrior
    from smalti.tokenizer.maskgit import MaskGITVQGAN
    from smalti.tokenizer.vqgan import VQGAN


def run(arguments: Sequence[str]) -> None:
    """Read a model, print what it is, and write it."""
    options = parser().read(arguments)
    out = output_folder(options.out, must_be_new=True)

    from smalti.interop.taming_net2net import ImportedPrior
    from smalti.interop.tokenizers import import_model

    imported = import_model(
        Path(options.model),
        options.config and Path(options.config),
        options.size,
        options.tokenizer_only,
        options.weights,
    )
    if isinstance(imported, ImportedPrior):
        _keep_prior(imported, out)
    else:
        _keep_tokenizer(imported, out)


def _keep_tokenizer(imported: "Imported[VQGAN] | Imported[MaskGITVQGAN]", out: Path) -> None:
    from smalti.tokenizer.vqgan import VQGAN

    print(f"tokenizer: {_shape(imported.vqgan)}; shape from {imported.shape_from}")
    _report_tensors(imported)
    imported.vqgan.save_pretrained(out)
    print(f"done: {out}")
    print(f"next: smalti reconstruct {out} PHOTO --out reconstruction.png")
    if isinstance(imported.vqgan, VQGAN):
        print(f"      smalti train vqgan --data PHOTOS --init {out}")
    else:
        print(f"      smalti train prior --data PHOTOS --vqgan {out} --out RUN")


def _keep_prior(imported: "ImportedPrior", out: Path) -> None:
    from smalti.sampling.pipeline import Pipeline

    pipeline = Pipeline(
        imported.tokenizer, imported.prior, imported.config, imported.condition_tokenizers
    )
    _report_prior(imported, pipeline.size)
    _report_tensors(imported)
    pipeline.save_pretrained(out)
    print(f"done: {out}")
    picture = " --condition FILE" if imported.condition_tokenizers else ""
    print(f"next: smalti sample {out}{picture} --out samples")
    height, width = pipeline.size
    size = str(height) if height == width else f"{height}x{width}"
    keep = f" --token-keep {imported.token_keep:g}" if imported.token_keep < 1 else ""
    print(
        f"      smalti train prior --data PHOTOS --init {out} --image.size {size}{keep} --out RUN"
    )
    if keep:
        print(f"trained with pkeep {imported.token_keep:g}: continue with{keep}")


def _report_prior(imported: "ImportedPrior", size_px: tuple[int, int]) -> None:
    from smalti.weights import count_parameters

    config = imported.config
    (condition,) = config.build_conditioning().conditions
    print(
        f"prior: {config.prior.in_words}, {count_parameters(imported.prior):,} parameters; "
        f"{config.vocab_size} tokens shared by codes and condition, {config.max_length} positions"
    )
    print(
        f"images: {size_px[0]}x{size_px[1]} pixels, {config.grid_height}x{config.grid_width} codes "
        f"in the order {config.ordering}"
    )
    print(f"tokenizer: {_shape(imported.tokenizer)}")
    print(f"condition: {condition}")
    for kind, vqgan in imported.condition_tokenizers.items():
        content = ", ".join(f"{name} {value}" for name, value in vqgan.content)
        print(f"tokenizer of {kind}: {_shape(vqgan)}; content {content}")
    for line in imported.assumed:
        print(f"not told, taken as: {line}")


def _shape(vqgan: "VQGAN | MaskGITVQGAN") -> str:
    from smalti.weights import count_parameters

    return (
        f"f = {vqgan.downsampling_factor}, K = {vqgan.codebook_size}, "
        f"D = {vqgan.config.code_dim}, {count_parameters(vqgan):,} parameters; "
        f"quantizer {_quantizer(vqgan)}"
    )


def _quantizer(vqgan: "VQGAN | MaskGITVQGAN") -> str:
    kind = vqgan.config.quantizer.kind
    chosen = {
        "vector": "the nearest entry",
        "ema": "the nearest entry",
        "gumbel": "the entry with the best score",
        "ibq": "the entry with the largest inner product",
    }[kind]
    if getattr(vqgan.config.quantizer, "l2_normalised", False):
        chosen += " by direction"
    return f"{kind} ({chosen})"


def _report_tensors(
    imported: "Imported[VQGAN] | Imported[MaskGITVQGAN] | ImportedPrior",
) -> None:
    for weights in imported.taken:
        print(f"weights: {weights}")
    others = ", ".join(f"{part} ({count})" for part, count in imported.passed_over.items())
    print(f"tensors: {imported.used} used, none missing; passed over: {others or 'none'}")


def parser() -> Parser:
    """The options of the command."""
    parser = Parser(
        "import",
        "Another program's tokenizer or prior -> a model folder. Nothing that a file names is run.",
    )
    parser.add_argument(
        "model",
        type=expanded_path,
        help="checkpoint (.ckpt, .pt, .safetensors, or the index of its shards) of "
        "taming-transformers (a tokenizer, or a transformer with its tokenizers), "
        "latent-diffusion, IBQ, LlamaGen, Janus, Chameleon or MaskGIT (its PyTorch form); or a "
        "folder of diffusers with a VQModel, or of open-muse",
    )
    parser.add_argument(
        "--out",
        type=expanded_path,
        required=True,
        help="folder of the model, new or empty",
    )
    parser.add_argument(
        "--config",
        type=expanded_path,
        help="YAML that came with a checkpoint: must agree with its tensors, and tells what they "
        "do not: how codes are chosen; of a transformer its heads, condition and start token",
    )
    parser.add_argument(
        "--weights",
        choices=("ema", "raw"),
        help="of a checkpoint with the averages of training beside the raw weights, the weights to "
        "take; without this option the averages, where it has them",
    )
    parser.add_size(
        "size in pixels of a transformer's images, as 256 or 256x384, where it is not told"
    )
    parser.add_argument(
        "--tokenizer-only",
        action="store_true",
        help="of a transformer's checkpoint, import the tokenizer of its images alone",
    )
    return parser
