from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from smalti.config import InputError
from smalti.evaluation.reference import read_reference, reference_of, write_reference
from smalti.files import sha256
from smalti.metrics.moments import FeatureMoments


@pytest.fixture
def features(generator) -> torch.Tensor:
    return torch.rand(9, 3, generator=generator)


@pytest.fixture
def written(tmp_path, features, images, extractor) -> Path:
    path = tmp_path / "reference.safetensors"
    write_reference(path, reference_of(features, images), extractor.record)
    return path


def test_a_written_reference_comes_back_with_where_it_is_from(written, features, images, extractor):
    found = read_reference(written, extractor, 4, (4, 6))
    expected = FeatureMoments(3).add(features).gaussian()
    assert torch.equal(found.gaussian.mean, expected.mean)
    assert torch.equal(found.gaussian.covariance, expected.covariance)
    assert torch.equal(found.features, features)
    assert found.record.model_dump() == {
        "source": str(written),
        "fingerprint": sha256(written),
        "images": images.model_dump(),
    }


def test_a_reference_of_images_tells_their_fingerprint(features, images):
    record = reference_of(features, images).record
    assert (record.source, record.fingerprint) == ("photos/", "a" * 64)


def test_a_reference_of_another_size_is_refused(written, extractor):
    with pytest.raises(InputError, match="images of 4x6 pixels, but those to be judged have 6x4"):
        read_reference(written, extractor, 4, (6, 4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Inception"}, "its name is 'Colours', not 'Inception'"),
        ({"fingerprint": "0" * 64}, "its fingerprint is 'ffff"),
        ({"resize": "to 299"}, "its resize is 'none', not 'to 299'"),
    ],
)
def test_a_reference_of_another_extractor_is_refused(written, extractor, change, message):
    for name, value in change.items():
        setattr(extractor, name, value)
    with pytest.raises(InputError, match=message):
        read_reference(written, extractor, 4, (4, 6))


def test_statistics_of_other_evaluators_are_read(tmp_path, extractor):
    path = tmp_path / "stats.npz"
    mean, covariance = np.array([1.0, 2.0, 3.0], np.float32), np.diag([1.0, 4.0, 9.0])
    np.savez(path, mu=mean, sigma=covariance)
    found = read_reference(path, extractor, 4, (2, 5))
    assert found.gaussian.mean.tolist() == [1.0, 2.0, 3.0]
    assert found.gaussian.covariance.diagonal().tolist() == [1.0, 4.0, 9.0]
    assert found.gaussian.mean.dtype == torch.float64
    assert found.features is None
    assert found.record.images is None


@pytest.fixture
def pictures() -> np.ndarray:
    values = np.zeros((4, 2, 5, 3), np.uint8)
    values[1], values[2, ..., 0], values[3, ..., 2] = 255, 255, 51
    return values


def test_images_of_a_batch_file_are_described(tmp_path, extractor, pictures):
    path = tmp_path / "batch.npz"
    np.savez(path, pictures)
    found = read_reference(path, extractor, 3, (2, 5))
    expected = torch.tensor([[-1.0, -1, -1], [1, 1, 1], [1, -1, -1], [-1, -1, -0.6]])
    torch.testing.assert_close(found.features, expected)
    torch.testing.assert_close(found.gaussian.mean.float(), expected.mean(0))
    assert found.record.images.count == 4
    assert found.record.fingerprint == sha256(path)


def test_images_of_another_size_are_refused_before_they_are_described(
    tmp_path, extractor, pictures, monkeypatch
):
    path = tmp_path / "batch.npz"
    np.savez(path, pictures)
    monkeypatch.setattr(extractor, "of_batches", None)
    with pytest.raises(InputError, match="2x5 pixels"):
        read_reference(path, extractor, 3, (5, 2))


def test_stored_statistics_go_before_those_of_the_images_beside_them(tmp_path, extractor, pictures):
    """The images of ADM's references are a part of the set that their statistics are of."""
    path = tmp_path / "reference.npz"
    np.savez(path, pictures, mu=np.ones(3), sigma=np.eye(3), mu_s=np.ones(7), sigma_s=np.eye(7))
    found = read_reference(path, extractor, 2, (2, 5))
    assert found.gaussian.mean.tolist() == [1.0, 1.0, 1.0]
    assert found.features.shape == (4, 3)
    np.savez(path, pictures, mu=np.ones(7), sigma=np.eye(7))  # of another network
    found = read_reference(path, extractor, 2, (2, 5))
    torch.testing.assert_close(found.gaussian.mean.float(), found.features.mean(0))


def pickled(path: Path) -> None:
    np.savez(path, mu=np.array([{}], dtype=object), sigma=np.eye(3))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b"text"), "no .npz file"),
        (pickled, "allow_pickle=False"),
        (lambda path: np.savez(path, other=np.ones(3)), "neither mu and sigma nor images"),
        (lambda path: np.savez(path, mu=np.ones(3)), r"it has \(3,\) and None"),
        (
            lambda path: np.savez(path, mu=np.ones(4), sigma=np.eye(4)),
            r"not of Colours, whose mean is \(3,\) .* it has \(4,\) and \(4, 4\)",
        ),
        (lambda path: np.savez(path, mu=np.ones(3), sigma=np.eye(3) * np.nan), "holds NaN"),
        (lambda path: np.savez(path, mu=np.array(["a"]), sigma=np.eye(3)), "no .npz file of numb"),
        (lambda path: np.savez(path, np.zeros((1, 2, 5, 3), np.uint8)), "at least 2 images, got 1"),
    ],
)
def test_files_of_others_that_do_not_fit_are_one_line(tmp_path, extractor, write, message):
    path = tmp_path / "stats.npz"
    write(path)
    with pytest.raises(InputError, match=message):
        read_reference(path, extractor, 4, (2, 5))


def test_other_files_are_one_line(tmp_path, extractor, features, images):
    path = tmp_path / "some.safetensors"
    save_file({"mean": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="no reference that smalti wrote"):
        read_reference(path, extractor, 4, (2, 5))
    save_file({"mean": torch.zeros(3)}, path, {"smalti_reference": '{"images": null}'})
    with pytest.raises(InputError, match="no reference of this version"):
        read_reference(path, extractor, 4, (2, 5))
    path.write_bytes(b"cut")
    with pytest.raises(InputError, match="damaged or cut short"):
        read_reference(path, extractor, 4, (2, 5))
    with pytest.raises(InputError, match=r"allowed are \.safetensors and \.npz"):
        read_reference(tmp_path / "some.txt", extractor, 4, (2, 5))
    with pytest.raises(InputError, match=r"to a \.safetensors file, not to"):
        write_reference(tmp_path / "a.npz", reference_of(features, images), extractor.record)
