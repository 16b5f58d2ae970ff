"""The depth estimator on a tiny random network."""

import pytest
import torch
from tiny_teacher import write_tiny_depth_estimator

from stylehead.errors import MissingError, UsageError
from stylehead.perception.depth import DepthEstimator


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_depth_estimator(tmp_path_factory.mktemp("depth"))


def test_nearness_is_the_networks_answer_to_normalised_pixels(folder):
    estimator = DepthEstimator.load(folder)
    estimator.size = 28
    pixels = torch.randint(0, 256, (2, 3, 28, 28), generator=torch.Generator().manual_seed(1))
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    inputs = (pixels / 255 - mean) / torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    with torch.no_grad():
        expected = estimator.network(pixel_values=inputs).predicted_depth
    got = estimator(pixels / 127.5 - 1)
    assert got.shape == (2, 1, 28, 28)
    torch.testing.assert_close(got[:, 0], expected, rtol=1e-4, atol=1e-5)
    assert got.std() > 0


def test_other_sizes_are_resized_and_ranges_clamped(folder):
    estimator = DepthEstimator.load(folder)
    estimator.size = 28
    image = torch.full((1, 3, 50, 50), 3.0)
    torch.testing.assert_close(estimator(image), estimator(torch.ones(1, 3, 28, 28)))


def test_the_size_is_free_as_long_as_patches_fill_it(folder):
    image = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(2)) * 2 - 1
    for size in (14, 28, 56):
        assert DepthEstimator.load(folder, size=size)(image).shape == (1, 1, size, size)
    for size in (0, 30):
        with pytest.raises(UsageError, match="multiple of 14"):
            DepthEstimator.load(folder, size=size)


def test_a_missing_folder_names_itself(tmp_path):
    with pytest.raises(MissingError, match="nowhere"):
        DepthEstimator.load(tmp_path / "nowhere")
