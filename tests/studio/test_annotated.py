"""The page makes maps of photographs, with a network that was named when the studio started."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("transformers", reason="the extra `annotate` is not installed")

from helpers import tiny_networks
from helpers.studio import SPATIAL, failure, make_prior, picture, result
from smalti.annotate.depth import DepthAnnotator
from smalti.annotate.segmentation import SegmentationAnnotator
from smalti.conditions.maps import DepthConfig, SegmentationConfig
from smalti.content import DepthContent, LabelsContent

CPU = torch.device("cpu")
PHOTOGRAPH = Image.radial_gradient("L").convert("RGB").resize((40, 24))
ANNOTATORS = {
    "depth": (DepthAnnotator, tiny_networks.depth),
    "segmentation": (SegmentationAnnotator, tiny_networks.segmenter),
}


@pytest.fixture(scope="module")
def annotators(tmp_path_factory):
    return {
        kind: annotator.load(
            {"model": str(tiny_networks.save(network(), tmp_path_factory.mktemp(kind)))}, CPU
        )
        for kind, (annotator, network) in ANNOTATORS.items()
    }


@pytest.fixture
def opened(runs, client):
    """Makes a prior with a condition, and returns how it is asked."""

    def opened(condition):
        make_prior(runs / "prior", condition)
        (entry,) = client.get("/api/library").json()["entries"]
        return lambda name, **options: client.post(f"/api/prior/{entry['id']}/{name}", **options)

    return opened


def photograph() -> bytes:
    written = io.BytesIO()
    PHOTOGRAPH.save(written, "PNG")
    return written.getvalue()


def address(kind: str) -> str:
    return f"condition?kind={kind}&height=24&width=40&photograph=1"


def test_the_depth_of_a_photograph_is_that_of_the_command(opened, annotators):
    ask = opened(DepthConfig(content=DepthContent(), **SPATIAL))
    found = picture(result(ask(address("depth"), content=photograph()))["file"])
    (made,) = annotators["depth"].annotate([PHOTOGRAPH])
    expected = ((made[0] + 1) * 32767.5).round().numpy()
    np.testing.assert_allclose(np.array(found), expected, atol=1)


def test_a_label_map_of_a_photograph_can_be_painted_on(opened, annotators):
    names = tiny_networks.CLASS_NAMES
    ask = opened(SegmentationConfig(content=LabelsContent(classes=3, class_names=names), **SPATIAL))
    found = result(ask(address("segmentation"), content=photograph()))
    (made,) = annotators["segmentation"].annotate([PHOTOGRAPH])
    assert np.array(picture(found["file"])).tolist() == made.tolist()
    assert found["labels"]


@pytest.mark.parametrize(
    "content",
    [LabelsContent(classes=4), LabelsContent(classes=3, class_names=("cat", "dog", "cow"))],
)
def test_a_network_of_other_classes_is_refused(opened, content):
    ask = opened(SegmentationConfig(content=content, **SPATIAL))
    said = failure(ask(address("segmentation"), content=photograph()))
    assert "the classes of this prior are not the 3 of the network" in said


@pytest.mark.browser
def test_the_page_makes_the_depth_of_a_photograph(runs, visit, annotators, tmp_path):
    make_prior(runs / "prior", DepthConfig(content=DepthContent(), **SPATIAL))
    PHOTOGRAPH.save(tmp_path / "photo.png")
    page = visit().page
    panel = page.locator("#panel-make")
    panel.get_by_label("Depth from a photograph").set_input_files(tmp_path / "photo.png")
    panel.get_by_alt_text("the condition depth").wait_for()
    panel.get_by_role("button", name="make four").click()
    panel.locator(".stage .drawn button:enabled").first.wait_for()
