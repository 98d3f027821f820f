"""The page makes maps and poses of photographs, with networks that are named at the start."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("transformers", reason="the extra `annotate` is not installed")

from helpers import tiny_networks
from helpers.studio import SPATIAL, failure, make_prior, picture, result
from smalti.annotate.depth import DepthAnnotator
from smalti.annotate.keypoints import KeypointsAnnotator
from smalti.annotate.segmentation import SegmentationAnnotator
from smalti.conditions.keypoints import Keypoints, KeypointsConfig
from smalti.conditions.maps import DepthConfig, SegmentationConfig
from smalti.content import DepthContent, LabelsContent
from smalti.data.decode import PixelSize
from smalti.sampling.pipeline import Pipeline
from smalti.studio.condition_files import NOBODY, decoded

CPU = torch.device("cpu")
PHOTOGRAPH = Image.radial_gradient("L").convert("RGB").resize((40, 24))
ANNOTATORS = {
    "depth": (DepthAnnotator, tiny_networks.depth),
    "segmentation": (SegmentationAnnotator, tiny_networks.segmenter),
}
JOINTS = ("nose", "left_eye", "right_eye")
POSE = KeypointsConfig(joints=JOINTS, height_px=8, width_px=8, positions=4)


@pytest.fixture(scope="module")
def annotators(tmp_path_factory):
    def saved(network):
        return str(tiny_networks.save(network, tmp_path_factory.mktemp("network")))

    poses = {"model": saved(tiny_networks.pose()), "detector": saved(tiny_networks.detector())}
    return {
        kind: annotator.load({"model": saved(network())}, CPU)
        for kind, (annotator, network) in ANNOTATORS.items()
    } | {"keypoints": KeypointsAnnotator.load(poses, CPU)}


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


def test_the_pose_of_a_photograph_is_that_of_the_command_in_the_fitted_picture(opened, annotators):
    ask = opened(POSE)
    found = result(
        ask("condition?kind=keypoints&height=8&width=8&photograph=1", content=photograph())
    )
    (person,) = annotators["keypoints"].annotate([PHOTOGRAPH])
    expected = person.fitted(PixelSize(40, 24), PixelSize(8, 8)).joints
    (written,) = json.loads(decoded(found["file"]))["annotations"]
    assert written["keypoints"] == pytest.approx(expected)
    assert [v for v in expected[2::3] if v], "a joint is seen"
    assert picture(found["shown"]).size == (8, 8)


def test_the_pose_of_a_photograph_makes_what_the_command_makes_of_its_file(opened, runs, tmp_path):
    ask = opened(POSE)
    file = result(ask(address("keypoints"), content=photograph()))["file"]
    (tmp_path / "keypoints.json").write_bytes(decoded(file))
    wanted = {"n": 1, "seed": 0, "size": [24, 40], "conditions": {"keypoints": file}}
    (made,) = result(ask("make", json=wanted))["images"]
    (expected,) = Pipeline.from_pretrained(runs / "prior").sample(
        1, condition=str(tmp_path / "keypoints.json"), size=(24, 40), progress=False
    )
    assert picture(made).tobytes() == expected.tobytes()


def test_a_photograph_without_a_person_is_said_to_have_none(opened, annotators, monkeypatch):
    monkeypatch.setattr(annotators["keypoints"], "annotate", lambda pictures: [None])
    found = result(opened(POSE)(address("keypoints"), content=photograph()))
    assert found["note"] == NOBODY
    assert Keypoints(POSE).read(decoded(found["file"]), "file").tolist() == [[0.0] * 3] * 3


def test_a_network_of_other_joints_is_refused(opened):
    ask = opened(POSE.model_copy(update={"joints": ("nose", "tail")}))
    said = failure(ask(address("keypoints"), content=photograph()))
    assert "the pose has the 3 joints nose, left_eye, right_eye; wanted are the 2 joints" in said


@pytest.mark.browser
def test_the_page_makes_the_pose_of_a_photograph(runs, visit, tmp_path):
    make_prior(runs / "prior", POSE)
    PHOTOGRAPH.save(tmp_path / "photo.png")
    page = visit().page
    panel = page.locator("#panel-make")
    panel.get_by_label("Pose from a photograph").set_input_files(tmp_path / "photo.png")
    panel.get_by_alt_text("the condition keypoints").wait_for()
    with page.expect_download() as started:
        panel.get_by_role("button", name="save JSON").click()
    assert started.value.suggested_filename == "keypoints.json"
    panel.get_by_role("button", name="make four").click()
    panel.locator(".stage .drawn button:enabled").first.wait_for()
    panel.get_by_text("--condition keypoints.json").wait_for()


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
