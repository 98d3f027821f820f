"""Which losses fit what a tokenizer's images are."""

from collections.abc import Mapping

from smalti.config import InputError
from smalti.content import ContentConfig
from smalti.losses.config import PixelKind
from smalti.training.vqgan.config import VQGANLossConfig

PIXEL_LOSS_OF: Mapping[str, PixelKind] = {"labels": "cross_entropy", "edges": "l2"}
"""Of contents that have one only."""


def fit_loss(loss: VQGANLossConfig, content: ContentConfig) -> VQGANLossConfig:
    """The same with what is left open settled for a content.

    Label maps have the cross-entropy for pixel loss and no adversary: the discriminator would know
    them from logits at once. Edges have l2: few pixels are edges, so by l1 it is best to draw none
    wherever it is not certain that there is one, and nothing is learned. No network that learned
    from photographs compares maps.

    Raises:
        InputError: a loss is asked for that does not fit.

    Reference: arXiv:2012.09841, Sec. 4.1, for the cross-entropy.
    """
    _check_pixel(loss, content)
    if content.kind == "rgb":
        return loss
    if loss.perceptual.kind not in ("auto", "none"):
        raise InputError(
            f"loss.perceptual.kind {loss.perceptual.kind} compares photographs, not "
            f"{content.kind}; allowed are auto and none"
        )
    if content.kind == "labels" and loss.adversary.kind not in ("auto", "none"):
        raise InputError(
            f"loss.adversary.kind {loss.adversary.kind} does not fit label maps: they have no "
            "adversary; allowed are auto and none"
        )
    adversary = "none" if loss.adversary.kind == "auto" else loss.adversary.kind
    return loss.model_copy(
        update={
            "pixel": PIXEL_LOSS_OF.get(content.kind, loss.pixel),
            "perceptual": loss.perceptual.model_copy(update={"kind": "none"}),
            "adversary": loss.adversary.model_copy(update={"kind": adversary}),
        }
    )


def _check_pixel(loss: VQGANLossConfig, content: ContentConfig) -> None:
    # l1 is also what stands there when nobody asked.
    if content.kind == "labels" and loss.pixel == "l2":
        raise InputError("loss.pixel l2 does not fit label maps; they have the cross-entropy")
    if content.kind != "labels" and loss.pixel == "cross_entropy":
        raise InputError(
            f"loss.pixel cross_entropy is for label maps, not {content.kind}; allowed are l1 and l2"
        )
