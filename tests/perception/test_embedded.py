import pytest
import torch
from skimage.filters import gaussian

from stylehead.errors import JobError, MissingError
from stylehead.mini.captions import STYLES
from stylehead.perception.embedded import (
    IdentityEncoder,
    ImageTextEncoder,
    StyleClassifier,
    local_contrast,
)

PICTURES = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("network", [IdentityEncoder, StyleClassifier, ImageTextEncoder])
def test_files_bring_the_same_network_back(network, tmp_path):
    before = network().eval()
    before.save(tmp_path / "network.safetensors", {"steps": "1"})
    after = network.load(tmp_path / "network.safetensors")
    for one, other in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
        assert not other.requires_grad


def test_a_missing_file_names_the_recipe(tmp_path):
    with pytest.raises(MissingError) as failure:
        IdentityEncoder.load(tmp_path / "identity.safetensors")
    assert "stylehead.world" in failure.value.hint


@pytest.mark.parametrize("content", [b"", b"garbage" * 100])
def test_damaged_files_are_refused(content, tmp_path):
    path = tmp_path / "identity.safetensors"
    path.write_bytes(content)
    with pytest.raises(JobError, match="IdentityEncoder"):
        IdentityEncoder.load(path)


def test_files_of_another_network_are_refused(tmp_path):
    StyleClassifier().save(tmp_path / "style.safetensors", {})
    with pytest.raises(JobError, match="IdentityEncoder"):
        IdentityEncoder.load(tmp_path / "style.safetensors")


def test_embeddings_have_unit_length_and_do_not_depend_on_the_batch():
    encoder = IdentityEncoder().eval()
    with torch.no_grad():
        together = encoder(PICTURES)
        alone = torch.cat([encoder(picture[None]) for picture in PICTURES])
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_who_it_is_does_not_depend_on_colour_or_light():
    encoder = IdentityEncoder().eval()
    grey = PICTURES.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    with torch.no_grad():
        torch.testing.assert_close(encoder(grey), encoder(PICTURES), rtol=1e-3, atol=1e-4)
        darker = torch.nn.functional.cosine_similarity(encoder(0.6 * PICTURES - 0.3), encoder(PICTURES))
    assert darker.min() > 0.99


def test_local_contrast_is_the_difference_from_the_surroundings():
    luma = torch.rand(2, 1, 40, 40, generator=torch.Generator().manual_seed(1))
    contrast = local_contrast(luma, radius=2.0)
    torch.testing.assert_close(local_contrast(luma + 0.3, radius=2.0), contrast, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(local_contrast(-luma, radius=2.0), -contrast)
    assert local_contrast(torch.full((1, 1, 20, 20), 0.4), radius=2.0).abs().max() < 1e-4
    blurred = torch.from_numpy(gaussian(luma[0, 0].numpy(), 2.0, truncate=2.0, mode="nearest"))
    assert torch.equal(contrast[0, 0] > 0, luma[0, 0] > blurred)


def test_pictures_of_any_size_are_taken():
    with torch.no_grad():
        assert StyleClassifier().eval()(torch.zeros(1, 3, 512, 512)).shape == (1, len(STYLES))
