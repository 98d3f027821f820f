import json
from importlib.metadata import version

import pytest
from pydantic import ValidationError

from smalti.evaluation.protocol import Protocol, ReferenceRecord, versions


def test_comes_back_from_json(images, extractor):
    protocol = Protocol(
        images=images,
        reference=ReferenceRecord(source="stats.npz", fingerprint="b" * 64, images=None),
        extractor=extractor.record,
        sampling={"temperature": 1.0, "top_k": 100, "guidance": [2.0]},
        seed=3,
        versions=versions(),
    )
    text = protocol.model_dump_json()
    assert Protocol.model_validate_json(text) == protocol
    assert json.loads(text)["images"]["antialias"] is True


def test_nothing_may_be_left_unsaid(images):
    with pytest.raises(ValidationError, match="antialias"):
        type(images)(**images.model_dump(exclude={"antialias"}))


def test_versions_are_those_of_what_is_installed():
    assert versions()["torch"] == version("torch")
    assert versions()["smalti"] == version("smalti")
