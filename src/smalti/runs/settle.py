"""Settles a run's config: options that are `auto` are decided once, before the run begins.

The settled config is stored with the run, so that a resumed run decides nothing anew. Only the
device and the precision stay `auto`, for they depend on the machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from smalti.config import InputError
from smalti.content import ContentConfig, LabelsContent
from smalti.data.label_names import read_label_names
from smalti.health.run_images import RunImages
from smalti.losses.build import resolve_perceptual
from smalti.losses.config import PixelKind
from smalti.runs.config import PriorRunConfig, VQGANRunConfig
from smalti.runs.folder import begun_config
from smalti.runs.origin import check_same_init, has_begun
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.vqgan.config import VQGANLossConfig
from smalti.words import counted

T = TypeVar("T")

PIXEL_LOSS_OF: Mapping[str, PixelKind] = {"labels": "cross_entropy", "edges": "l2"}
"""Pixel loss of each content that allows only one."""

SMALL = 5_000  # training images below which a data set is small
LARGE = 50_000
# Crops and flips of all images together: a prior of default size learns fewer by heart.
ENOUGH_VIEWS = 5_000
FEWEST_VIEWS, MOST_VIEWS = 8, 128  # of each image; each is a file, and must be encoded


def settled(option: T | Literal["auto"]) -> T:
    """An option of a settled config, which is not `auto`."""
    assert option != "auto", "the config was not settled"
    return option


def _unless_auto(option: T | Literal["auto"], instead: T) -> T:
    return instead if option == "auto" else option


# Stage 1


def settle_vqgan(user_config: VQGANRunConfig) -> VQGANRunConfig:
    """Settle the config of a run of stage 1: the tokenizer's shape and the losses.

    A run keeps those that it began with, even if the model of `init` or the weights on the machine
    change.

    Raises:
        InputError: there is no model to begin with, it has another shape than the config, or a
            loss does not fit the content of the images.
    """
    begun = begun_config(user_config)
    vqgan = (
        user_config.vqgan
        if user_config.init is None
        else _initial_shape(user_config, user_config.init, begun)
    )
    vqgan = vqgan.model_copy(update={"content": _with_class_names(user_config, vqgan, begun)})
    loss = fit_loss(user_config.loss, vqgan.content)
    perceptual = loss.perceptual
    if begun is None:
        perceptual = resolve_perceptual(perceptual)
    elif perceptual.kind == "auto":
        perceptual = perceptual.model_copy(update={"kind": begun.loss.perceptual.kind})
    loss = loss.model_copy(update={"perceptual": perceptual})
    return user_config.model_copy(update={"loss": loss, "vqgan": vqgan})


def _initial_shape(
    user_config: VQGANRunConfig, init: str, begun: VQGANRunConfig | None
) -> VQGANConfig:
    """Shape of the model that a run begins with; a config with another shape is refused."""
    if begun is not None and begun.init == init:
        shape = begun.vqgan
    else:
        model = VQGAN.from_pretrained(init)
        shape = model.config
        if begun is not None and begun.init is not None and has_begun(user_config):
            check_same_init(user_config, begun.init, init, model)
    for name, default in VQGANConfig():
        option, of_model = getattr(user_config.vqgan, name), getattr(shape, name)
        if name == "content":
            option, of_model = _without_class_names(option), _without_class_names(of_model)
        if option not in (default, of_model):
            raise InputError(
                f"vqgan.{name} is {option}, but the model of --init {init} has {of_model}; leave "
                "vqgan's options out, they come from the model"
            )
    return shape


def _with_class_names(
    user_config: VQGANRunConfig, vqgan: VQGANConfig, begun: VQGANRunConfig | None
) -> ContentConfig:
    """The content of a tokenizer's images; label maps get the names of their classes, where known.

    They are those of the config, else of the data, else of the model or run that is gone on with.
    """
    content = vqgan.content
    if not isinstance(content, LabelsContent):
        return content
    known = [one.content for one in (user_config.vqgan, vqgan, *([begun.vqgan] if begun else []))]
    names = [one.class_names for one in known if isinstance(one, LabelsContent)]
    names.insert(1, read_label_names(user_config.data, content))
    found = next((one for one in names if one is not None), None)
    return content.model_copy(update={"class_names": found})


def _without_class_names(content: ContentConfig) -> ContentConfig:
    return content.model_copy(update={"class_names": None}) if content.kind == "labels" else content


def fit_loss(loss: VQGANLossConfig, content: ContentConfig) -> VQGANLossConfig:
    """Settle the losses of stage 1 for a content.

    Label maps have the cross-entropy as pixel loss and no adversary, since the discriminator would
    tell them from logits at once. Edges have l2: few pixels are edges, so with l1 it would be best
    to draw none unless an edge is certain, and nothing would be learned. Maps have no perceptual
    loss, whose networks were trained on photographs.

    Raises:
        InputError: the config has a loss that does not fit.

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
    adversary = _unless_auto(loss.adversary.kind, "none")
    return loss.model_copy(
        update={
            "pixel": PIXEL_LOSS_OF.get(content.kind, loss.pixel),
            "perceptual": loss.perceptual.model_copy(update={"kind": "none"}),
            "adversary": loss.adversary.model_copy(update={"kind": adversary}),
        }
    )


def _check_pixel(loss: VQGANLossConfig, content: ContentConfig) -> None:
    # l1 is also the default, so it is no wish of the user.
    if content.kind == "labels" and loss.pixel == "l2":
        raise InputError("loss.pixel l2 does not fit label maps; they have the cross-entropy")
    if content.kind != "labels" and loss.pixel == "cross_entropy":
        raise InputError(
            f"loss.pixel cross_entropy is for label maps, not {content.kind}; allowed are l1 and l2"
        )


# Stage 2


def settle_prior(user_config: PriorRunConfig, images: RunImages) -> PriorRunConfig:
    """Settle the options against over-fitting of a run of stage 2.

    They follow from the number of training images; a run keeps those that it began with, even if it
    has more images later. Other options follow from the model of `init`, see `adopt_options`.
    """
    auto = _begun_regularisation(user_config) or regularisation_for(images.training)
    dropout = _unless_auto(user_config.prior.dropout, auto.dropout)
    views = _unless_auto(user_config.codes.views, auto.views)
    # Without held-out images, evaluations say nothing of over-fitting.
    early_stop = _unless_auto(user_config.training.early_stop, auto.early_stop)
    early_stop = early_stop if images.held_out else None
    update = {
        "token_keep": _unless_auto(user_config.token_keep, auto.token_keep),
        "prior": user_config.prior.model_copy(update={"dropout": dropout}),
        "codes": user_config.codes.model_copy(update={"views": views}),
        "training": user_config.training.model_copy(update={"early_stop": early_stop}),
    }
    return user_config.model_copy(update=update)


@dataclass(frozen=True, slots=True)
class Regularisation:
    """Values of the options against over-fitting, which are called the same in the config."""

    dropout: float
    token_keep: float
    views: int
    early_stop: int | None


def regularisation_for(images: int) -> Regularisation:
    """Values of auto for a number of training images; fewer images get more regularisation."""
    if images < SMALL:
        return Regularisation(dropout=0.2, token_keep=0.9, views=_views_for(images), early_stop=5)
    if images < LARGE:
        return Regularisation(dropout=0.1, token_keep=1.0, views=8, early_stop=None)
    # Short runs see each of them a few times only.
    return Regularisation(dropout=0.0, token_keep=1.0, views=4, early_stop=None)


def _views_for(images: int) -> int:
    """The lowest power of two that gives enough views, within bounds."""
    views = FEWEST_VIEWS
    while views < MOST_VIEWS and views * images < ENOUGH_VIEWS:
        views *= 2
    return views


def _begun_regularisation(user_config: PriorRunConfig) -> Regularisation | None:
    """Regularisation of the run in the folder of a config, or None if no run has begun there."""
    begun = begun_config(user_config)
    if begun is None:
        return None
    dropout, token_keep = begun.prior.dropout, begun.token_keep
    views, early_stop = begun.codes.views, begun.training.early_stop
    if dropout == "auto" or token_keep == "auto" or views == "auto" or early_stop == "auto":
        return None  # a run of before these were settled
    return Regularisation(dropout, token_keep, views, early_stop)


def regularisation_in_words(config: PriorRunConfig, images: RunImages) -> str:
    """A line for people on what a run does against over-fitting, by its settled config."""
    count, early_stop = images.training, settled(config.training.early_stop)
    size = "small" if count < SMALL else "middle-sized" if count < LARGE else "large"
    words = [
        f"dropout {settled(config.prior.dropout):g}",
        f"token keep {settled(config.token_keep):g}",
        counted(settled(config.codes.views), "view"),
    ]
    if early_stop is not None:
        words.append(f"early stop after {counted(early_stop, 'evaluation')} without gain")
    elif images.held_out:
        words.append("no early stop")
    else:
        words.append("no early stop, since no images are held out")
    return f"{size} data set ({counted(count, 'image')}): {', '.join(words)}"
