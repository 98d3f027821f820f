"""What kinds share that are made of photographs."""

from smalti.config import InputError
from smalti.content import ContentConfig, EdgesContent, RGBContent


def require_photographs(content: ContentConfig, kind: str) -> None:
    """Refuse images that are not read from photographs.

    Raises:
        InputError: with what they are.
    """
    if not isinstance(content, RGBContent | EdgesContent):
        raise InputError(
            f"the condition {kind} is made of photographs, but the images are {content.kind}; "
            "allowed are rgb and edges"
        )
