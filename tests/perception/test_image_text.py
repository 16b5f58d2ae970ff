"""Spaces of pictures and texts: unit vectors, gradients, and what is missing."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import CLIPModel

from stylehead.errors import JobError, MissingError
from stylehead.perception.embedded import ImageTextEncoder
from stylehead.perception.image_text import MEAN, STD, Clip, EmbeddedImageText
from stylehead.perception.roles import ImageText


@pytest.fixture(scope="module")
def folder(clip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP and a random embedded encoder, with the embedded tokenizer."""
    folder = tmp_path_factory.mktemp("spaces") / "models"
    shutil.copytree(clip_folder, folder)
    with torch.random.fork_rng():
        torch.manual_seed(4)
        ImageTextEncoder().save(folder / "image_text.safetensors", {})
    return folder


@pytest.fixture(scope="module", params=["clip", "embedded"])
def space(request: pytest.FixtureRequest, folder: Path) -> ImageText:
    if request.param == "clip":
        return Clip.load(folder)
    return EmbeddedImageText.load(folder / "image_text.safetensors", folder)


def pictures() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8


def test_pictures_and_texts_become_unit_vectors_of_one_length(space: ImageText) -> None:
    texts = ["a werewolf", "a marble statue", "a werewolf"]
    seen, read = space.images(pictures()), space.texts(texts)
    assert seen.shape[1] == read.shape[1]
    for vectors in (seen, read):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)))
    torch.testing.assert_close(read[0], read[2])
    assert not torch.allclose(read[0], read[1], atol=1e-3)
    torch.testing.assert_close(read[1], space.texts(texts[1:2])[0])  # whatever stands beside it
    torch.testing.assert_close(seen[1], space.images(pictures()[1:])[0])
    assert all(template.count("{}") == 1 for template in space.templates)


def test_gradients_reach_the_pictures_and_nothing_else(space: ImageText) -> None:
    image = pictures()[:1].requires_grad_()
    goal = space.texts(["a werewolf"])[0]

    def likeness(picture: torch.Tensor) -> torch.Tensor:
        return space.images(picture)[0] @ goal

    (gradient,) = torch.autograd.grad(likeness(image), image)
    way = gradient / gradient.norm()
    far = 0.05
    with torch.no_grad():
        slope = (likeness(image + far * way) - likeness(image - far * way)) / (2 * far)
    assert gradient.norm() > 1e-4
    assert slope.item() == pytest.approx(gradient.norm().item(), rel=0.1)
    assert not any(parameter.requires_grad for parameter in space.network.parameters())  # type: ignore[attr-defined]


def test_clip_sees_pictures_as_it_was_trained(folder: Path) -> None:
    space, network = Clip.load(folder), CLIPModel.from_pretrained(folder).eval()
    mean, std = (torch.tensor(c).reshape(1, 3, 1, 1) for c in (MEAN, STD))
    with torch.no_grad():
        tokens = space.tokenizer("a werewolf", return_tensors="pt")
        whole = network(pixel_values=((pictures() + 1) / 2 - mean) / std, **tokens)
        torch.testing.assert_close(space.images(pictures()), whole.image_embeds, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(space.texts(["a werewolf"]), whole.text_embeds, atol=1e-5, rtol=1e-5)
    assert space.name == "CLIP ViT-32/8-32"


def test_clip_is_loaded_without_the_library_s_chatter(
    folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    Clip.load(folder)
    written = capfd.readouterr()
    assert (written.out, written.err, caplog.text) == ("", "", "")


def test_spaces_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no CLIP folder"):
        Clip.load(tmp_path / "nothing")
    with pytest.raises(JobError, match="does not hold a CLIP"):
        Clip.load(tmp_path)
    with pytest.raises(MissingError):
        EmbeddedImageText.load(tmp_path / "image_text.safetensors", tmp_path)
    ImageTextEncoder().save(tmp_path / "image_text.safetensors", {})
    with pytest.raises(MissingError, match="image_text_tokenizer"):
        EmbeddedImageText.load(tmp_path / "image_text.safetensors")
