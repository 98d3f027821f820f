"""Reads `--condition KIND=TOKENIZER`: the kinds of a run and the tokenizers that they need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smalti.conditions import CONDITIONS, ConditionConfig, Setup
from smalti.config import InputError
from smalti.data.dataset import ImageDataset
from smalti.data.pairing.base import Paired
from smalti.data.pairing.matching import Pairing, match
from smalti.data.sources.base import ImageSource
from smalti.model_download import CONDITIONS_FOLDER
from smalti.registry import unknown_name
from smalti.tokenizer.base import Tokenizer
from smalti.tokenizer.load import load_tokenizer


@dataclass(frozen=True)
class RunConditions:
    """The kinds of conditions of a run, in their order, and the tokenizers that they need."""

    kinds: Sequence[str]
    tokenizers: Mapping[str, Tokenizer]
    """The tokenizers of the conditions that need one, by kind."""
    former: Sequence[ConditionConfig] = ()
    """Configs of the conditions of the prior that the run begins with; empty for a new prior."""

    @property
    def need_classes(self) -> bool:
        """Whether the data set must have classes."""
        return any(CONDITIONS[kind].needs_classes for kind in self.kinds)

    def pairs(self, setup: Setup) -> list[Paired]:
        """Kinds of paired data that each image of the data set is read with."""
        pairs = (CONDITIONS[kind].pair(self._setup_of(kind, setup)) for kind in self.kinds)
        return [pair for pair in pairs if pair is not None]

    def configs(self, setup: Setup, dataset: ImageDataset) -> tuple[ConditionConfig, ...]:
        """Make the config of each condition in a run on the training images.

        Raises:
            InputError: the data or the setup lacks what a condition needs.
        """
        if self.former:
            return tuple(CONDITIONS.build(one).config_for(dataset) for one in self.former)
        return tuple(
            CONDITIONS[kind].configure(self._setup_of(kind, setup), dataset) for kind in self.kinds
        )

    def _setup_of(self, kind: str, setup: Setup) -> Setup:
        former = next((config for config in self.former if config.kind == kind), None)
        return replace(setup, tokenizer=self.tokenizers.get(kind), former=former)


def condition_folder(folder: Path, kind: str) -> Path:
    """Folder of a condition's tokenizer in the folder of a run or of a pipeline."""
    return folder / CONDITIONS_FOLDER / kind


def open_conditions(specs: Sequence[str], run: Path, of_images: Tokenizer) -> RunConditions:
    """Open the conditions that the option `condition` names.

    Args:
        specs: `KIND` or `KIND=TOKENIZER` each; without any there is only a start token.
        run: folder of the run; its copies of the tokenizers are preferred.
        of_images: tokenizer of the images.

    Raises:
        InputError: a kind is unknown or named twice, needs a tokenizer, cannot have one, or the
            tokenizer has another content.
    """
    tokenizers: dict[str, Tokenizer] = {}
    kinds: list[str] = []
    for spec in specs:
        kind, _, path = spec.partition("=")
        if "," in kind:
            raise InputError(f"condition {spec!r}: give --condition once for each, not with commas")
        if kind not in CONDITIONS or kind == "none":
            raise unknown_name("condition", kind, set(CONDITIONS) - {"none"})
        if kind in kinds:
            raise InputError(f"the condition {kind} is given twice")
        kinds.append(kind)
        if CONDITIONS[kind].content_kind is not None:
            copy = condition_folder(run, kind)
            tokenizers[kind] = (
                load_tokenizer(copy) if copy.is_dir() else open_tokenizer(spec, of_images)
            )
        elif path:
            raise InputError(f"the condition {kind} has no tokenizer; write {kind} alone")
    return RunConditions(kinds or ["none"], tokenizers)


def open_tokenizer(spec: str, of_images: Tokenizer) -> Tokenizer:
    """Load the tokenizer that `KIND=TOKENIZER` names.

    Args:
        spec: spec of a kind that needs a tokenizer.
        of_images: tokenizer of the images, which some kinds use if no other is named.

    Raises:
        InputError: no tokenizer is named or found, or it has another content than the kind needs.
    """
    kind, _, path = spec.partition("=")
    content_kind = CONDITIONS[kind].content_kind
    if not path and CONDITIONS[kind].shares_tokenizer:
        return of_images
    if not path:
        raise InputError(
            f"the condition {kind} needs a tokenizer: {kind}=RUN, where RUN comes from `smalti "
            f"train vqgan --vqgan.content.kind {content_kind} --vqgan.quantizer.kind fsq`"
        )
    tokenizer = load_tokenizer(path)
    if tokenizer.content.kind != content_kind:
        raise InputError(
            f"the condition {kind} needs a tokenizer of {content_kind}, but {path} is one of "
            f"{tokenizer.content.kind}"
        )
    return tokenizer


def pairings_of(images: ImageSource) -> dict[str, Pairing]:
    """Match the files beside a source of images with the images, for each kind."""
    files = {kind: CONDITIONS[kind].files for kind in CONDITIONS}
    return {
        kind: match(images, pair.partners(images))
        for kind, pair in files.items()
        if pair is not None and pair.part in images.parts
    }
