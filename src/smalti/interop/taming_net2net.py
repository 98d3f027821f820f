"""Imports transformers of taming-transformers, with the VQGANs of their images and conditions.

A checkpoint of the released two-stage model ("Net2NetTransformer") holds the GPT, the VQGAN of the
images (first stage), a second VQGAN if the condition is a picture, and the ordering if it is not
row major. The GPT has one vocabulary for the tokens of image and condition.

Axes: h/w latent grid.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import ValidationError
from torch import Tensor

from smalti.config import InputError, describe
from smalti.interop.exchange import Imported, check_numbers, naming
from smalti.interop.net2net_condition import CondStage, read_condition
from smalti.interop.net2net_config import (
    ORDERINGS,
    Net2NetConfig,
    Transformer,
    read_net2net_config,
    unmasked,
)
from smalti.interop.taming_config import ToldVQGAN, check_released_config
from smalti.interop.taming_gpt import import_gpt
from smalti.interop.taming_vqgan import FIRST_STAGE, import_vqgan
from smalti.prior.gpt.model import GPT
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sequence.ordering import ORDERINGS as OUR_ORDERINGS
from smalti.sequence.ordering import build_ordering
from smalti.tokenizer.vqgan import VQGAN

TRANSFORMER = "transformer."
CONDITION_STAGE = "cond_stage_model."
PERMUTER = "permuter."
FORWARD = "forward_shuffle_idx"
BACKWARD = "backward_shuffle_idx"
MASK = ".attn.mask"
HEADS = 16  # of every released model; the tensors do not tell
LARGEST_SIDE_CELLS = 1024  # where the search for the grid ends


@dataclass(frozen=True, slots=True)
class ImportedPrior:
    """A prior and its tokenizers made of another program's tensors, and how those were used."""

    tokenizer: VQGAN
    """Tokenizer of the images."""
    condition_tokenizers: Mapping[str, VQGAN]
    """Tokenizer of the condition by its kind, if the condition is a picture."""
    prior: GPT
    """The prior, in eval mode, as the tokenizers are."""
    config: PriorModelConfig
    """How the prior reads codes and condition."""
    token_keep: float
    """Share of the image tokens that training left as they were; 1 if the config does not tell."""
    assumed: Sequence[str]
    """A line for each assumption about what neither tensors nor config tell."""
    used: int
    """Number of tensors that became weights or told the ordering."""
    passed_over: Mapping[str, int]
    """Number of other tensors (losses, masks), by part."""
    taken: Sequence[str] = ()
    """Text for messages on which weights were taken; see `Imported`."""


def is_net2net(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a checkpoint holds a transformer, alone or with its VQGANs."""
    return any(name.startswith(TRANSFORMER) for name in tensors)


def import_net2net(
    tensors: Mapping[str, Tensor],
    released_config: Path | None = None,
    size_px: tuple[int, int] | None = None,
) -> ImportedPrior:
    """Build the prior and the tokenizers of a released two-stage model.

    Args:
        tensors: tensors by released name, as `transformer.tok_emb.weight`.
        released_config: YAML that came with the tensors and must agree with them.
        size_px: height and width of the images, or of the window for larger images; None takes
            what the ordering, the config or the length of the sequence tells.

    Raises:
        InputError: a part is missing, left over or not known here, or the config differs.
    """
    told = Net2NetConfig() if released_config is None else read_net2net_config(released_config)
    parts = _split(tensors)
    if not parts.first_stage:
        raise InputError("it is a transformer without its tokenizer (first_stage_model.)")
    first = import_vqgan(parts.first_stage, ToldVQGAN(None, told.first_stage_config.quantizer))
    gpt = _import_gpt(parts.transformer, told.transformer)
    with naming(Path(CONDITION_STAGE.rstrip("."))):
        condition = read_condition(parts.condition_stage, told, first.vqgan)
    assumed = [*condition.assumed]
    if told.transformer.n_head is None:
        assumed.append(f"{HEADS} attention heads, as the released models have")
    if released_config is not None:
        _check_stages(released_config, told, first.vqgan, condition)
    size_px = size_px or _size_px(parts.permuter, told, first.vqgan, condition, gpt, assumed)
    config = _model_config(gpt, first.vqgan, condition, size_px, parts.permuter, told)
    if told.condition is None and not parts.condition_stage:
        _check_start_token(config)
    passed_over = _passed_over(parts, first, condition)
    return ImportedPrior(
        tokenizer=first.vqgan,
        condition_tokenizers=condition.tokenizers,
        prior=gpt,
        config=config,
        token_keep=told.pkeep,
        assumed=assumed,
        used=len(tensors) - passed_over.total(),
        passed_over=passed_over,
        taken=first.taken,
    )


class _Parts(NamedTuple):
    """Tensors of a checkpoint by part, without its prefix."""

    transformer: dict[str, Tensor]
    first_stage: dict[str, Tensor]
    condition_stage: dict[str, Tensor]
    permuter: dict[str, Tensor]
    others: Counter[str]


def _split(tensors: Mapping[str, Tensor]) -> _Parts:
    prefixes = (TRANSFORMER, FIRST_STAGE, CONDITION_STAGE, PERMUTER)
    transformer, first_stage, condition_stage, permuter = (
        {name.removeprefix(p): t for name, t in tensors.items() if name.startswith(p)}
        for p in prefixes
    )
    others = Counter(name.partition(".")[0] for name in tensors if not name.startswith(prefixes))
    return _Parts(transformer, first_stage, condition_stage, permuter, others)


def _passed_over(parts: _Parts, first: Imported[VQGAN], condition: CondStage) -> Counter[str]:
    return (
        parts.others
        + Counter(masks=sum(name.endswith(MASK) for name in parts.transformer))
        + Counter({FIRST_STAGE + part: n for part, n in first.passed_over.items()})
        + Counter({CONDITION_STAGE + part: n for part, n in condition.passed_over.items()})
    )


def _import_gpt(tensors: Mapping[str, Tensor], told: Transformer) -> GPT:
    check_numbers({TRANSFORMER + name: t for name, t in tensors.items() if not name.endswith(MASK)})
    mask = tensors.get(f"blocks.0{MASK}")
    if mask is not None:
        later = mask.reshape(mask.shape[-2:]).triu(1)
        if later.any():
            raise InputError(unmasked(int(later[0].count_nonzero()) + 1))
    try:
        gpt = import_gpt(tensors, told.n_head or HEADS)
    except InputError as error:
        hint = "" if told.n_head else "; --config tells the number of heads"
        raise InputError(f"transformer: {error}{hint}") from error
    found = {
        "vocab_size": gpt.sizes.vocab_size,
        "block_size": gpt.sizes.max_length,
        "n_layer": gpt.config.layers,
        "n_embd": gpt.config.width,
    }
    for name, value in found.items():
        in_config = getattr(told, name)
        if in_config not in (None, value):
            raise InputError(f"the config says {name} {in_config}, but the tensors have {value}")
    return gpt


def _check_start_token(config: PriorModelConfig) -> None:
    """Refuse to assume that there is no condition if the sequence has room for one.

    Classes need one token more, as a start token does, but coordinates one for each code.
    """
    codes, positions = config.layout.image_length, config.max_length
    if positions > codes + 1:
        raise InputError(
            f"{positions} positions are more than {codes} codes and a start token need, and it has "
            "no condition stage: give --config with the YAML that came with the checkpoint, which "
            "tells the condition"
        )


def _check_stages(path: Path, told: Net2NetConfig, first: VQGAN, condition: CondStage) -> None:
    if told.first_stage_config.params:
        check_released_config(path, first.config)
    stage = told.cond_stage_config
    if stage is not None and "ddconfig" in stage.params:
        for vqgan in condition.tokenizers.values():
            check_released_config(path, vqgan.config, "cond_stage_config")


def _size_px(
    permuter: Mapping[str, Tensor],
    told: Net2NetConfig,
    first: VQGAN,
    condition: CondStage,
    gpt: GPT,
    assumed: list[str],
) -> tuple[int, int]:
    """Height and width in pixels of square images, from the most reliable source."""
    f = first.downsampling_factor
    if FORWARD in permuter:
        side = round(permuter[FORWARD].numel() ** 0.5) * f
    elif told.resolution_px is not None:
        side = told.resolution_px
    else:
        side = _side_px(f, condition, gpt.sizes.max_length)
        assumed.append(f"images of {side}x{side} pixels, by the {gpt.sizes.max_length} positions")
    return side, side


def _side_px(f: int, condition: CondStage, positions: int) -> int:
    """Side of the square images whose sequence fills all positions, but perhaps the last."""
    for side in range(f, LARGEST_SIDE_CELLS * f, f):
        # The last token is only ever predicted.
        length = (side // f) ** 2 + condition.length(side, side)
        if length in (positions, positions + 1):
            return side
        if length > positions:
            break
    raise InputError(
        f"{positions} positions and {condition.description} do not tell the size of square images; "
        "give --size, or --config with the YAML that came with the checkpoint"
    )


def _model_config(
    gpt: GPT,
    first: VQGAN,
    condition: CondStage,
    size_px: tuple[int, int],
    permuter: Mapping[str, Tensor],
    told: Net2NetConfig,
) -> PriorModelConfig:
    height_px, width_px = size_px
    for f in (first.downsampling_factor, condition.cell_px or 1):
        if height_px % f or width_px % f:
            raise InputError(
                f"images of {height_px}x{width_px} pixels do not divide into codes: both sides "
                f"must be multiples of {f}; see --size"
            )
    height, width = (side // first.downsampling_factor for side in size_px)
    ordering = _ordering(permuter, told, height, width)
    try:
        return PriorModelConfig(
            prior=gpt.config,
            vocab_size=gpt.sizes.vocab_size,
            max_length=gpt.sizes.max_length,
            codebook_size=first.codebook_size,
            conditioners=(condition.config(height_px, width_px),),
            vocabulary="shared",
            ordering=ordering,
            grid_height=height,
            grid_width=width,
        )
    except ValidationError as error:
        raise InputError(
            f"images of {height_px}x{width_px} pixels and {condition.description} do not fit the "
            f"transformer: {describe(error)}; see --size"
        ) from error


def _ordering(permuter: Mapping[str, Tensor], told: Net2NetConfig, height: int, width: int) -> str:
    """Our name of the ordering, by its permutation or, without one, by the config."""
    in_config = None if told.permuter_config is None else ORDERINGS[told.permuter_config.name]
    if not permuter:
        return in_config or "row_major"
    if permuter.keys() != {FORWARD, BACKWARD}:
        raise InputError(f"its ordering has {', '.join(sorted(permuter))}; needed is {FORWARD}")
    forward = permuter[FORWARD].flatten()
    if forward.numel() != height * width:
        raise InputError(
            f"its ordering is one of {forward.numel()} cells, but the images have {height}x{width} "
            "codes; see --size"
        )
    names = [name for name, order in _orderings(height, width) if torch.equal(order, forward)]
    if not names:
        raise InputError(f"its ordering is none of {', '.join(OUR_ORDERINGS)}")
    if in_config is not None and in_config not in names:
        raise InputError(f"the config says ordering {in_config}, but the tensors have {names[0]}")
    return in_config or names[0]


def _orderings(height: int, width: int) -> Iterator[tuple[str, Tensor]]:
    """Name and permutation of each ordering that is defined on a grid."""
    for name in OUR_ORDERINGS:
        try:
            yield name, build_ordering(name, height, width).forward
        except InputError:
            continue
