"""The measuring networks: identity encoder, image-text encoder, style classifier."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTokenizer

from stylehead.mini.captions import STYLES
from stylehead.mini.encoders import IdentityEncoder, ImageTextEncoder, StyleClassifier
from stylehead.mini.recipes.data import Views, on_background
from stylehead.mini.recipes.embedded import copy_saved
from stylehead.mini.recipes.pictures import PictureSource
from stylehead.mini.tokens import MAX_TOKENS, write_tokenizer

_TEMPERATURE = 0.07


class IdentityRecipe:
    """Supervised contrastive learning: two views of a person agree, and differ from everybody else's.

    Colours are changed at random in each view, so that shape has to tell people apart: a person stays the
    same person in another light, and (nobody is shown one in training) as a statue.

    Args:
        views: Photographic renders.
        people: People in a step; two views of each.
    """

    name = "identity"
    learning_rate = 1e-3

    def __init__(self, views: Views, *, people: int = 48) -> None:
        torch.manual_seed(0)
        self.model = _channels_last(IdentityEncoder())
        self.views = views
        self.people = people

    def parameters(self) -> list[dict[str, object]]:
        """All of it."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy of finding the other view of each person among all in the step."""
        rows = torch.randperm(len(self.views), generator=rng)[: self.people]
        columns = facing_columns(self.views.cameras[rows], rng)
        pictures = [_augmented(self.views, rows, columns[:, i], rng) for i in range(2)]
        first, second = self.model(torch.cat(pictures)).chunk(2)
        logits = first @ second.t() / _TEMPERATURE
        target = torch.arange(len(rows))
        loss = functional.cross_entropy(logits, target) + functional.cross_entropy(logits.t(), target)
        rank1 = (logits.argmax(dim=1) == target).float().mean()
        return loss, {"rank1": float(rank1)}

    def warm_start(self, folder: Path) -> bool:
        """The embedded network."""
        return copy_saved(self.model, folder / "identity.safetensors", IdentityEncoder)

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write identity.safetensors."""
        assert isinstance(averaged, IdentityEncoder)
        averaged.save(folder / "identity.safetensors", dict(metadata))


class StyleRecipe:
    """Which style a picture shows, from single views on plain backgrounds."""

    name = "style"
    learning_rate = 1e-3

    def __init__(self, source: PictureSource, *, batch: int = 48) -> None:
        torch.manual_seed(1)
        self.model = _channels_last(StyleClassifier())
        self.source = source
        self.batch = batch

    def parameters(self) -> list[dict[str, object]]:
        """All of it."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy over the styles; pictures are blurred and noisy at random, as generators' are."""
        pictures = self.source.draw(self.batch, rng)
        target = torch.tensor([STYLES.index(style) for style in pictures.styles])
        logits = self.model(degraded(pictures.images, rng))
        accuracy = (logits.argmax(dim=1) == target).float().mean()
        return functional.cross_entropy(logits, target), {"accuracy": float(accuracy)}

    def warm_start(self, folder: Path) -> bool:
        """The embedded network."""
        return copy_saved(self.model, folder / "style_classifier.safetensors", StyleClassifier)

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write style_classifier.safetensors."""
        assert isinstance(averaged, StyleClassifier)
        averaged.save(folder / "style_classifier.safetensors", dict(metadata))


class ImageTextRecipe:
    """Contrastive learning of pictures and captions; captions of one style are not each other's negatives."""

    name = "image_text"
    learning_rate = 1e-3

    def __init__(self, source: PictureSource, work: Path, *, batch: int = 48) -> None:
        write_tokenizer(work / "tokenizer")
        self.tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer", local_files_only=True)
        torch.manual_seed(2)
        self.model = _channels_last(ImageTextEncoder(len(self.tokenizer)))
        self.source = source
        self.batch = batch

    def parameters(self) -> list[dict[str, object]]:
        """All of it."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Soft cross entropy between pictures and captions, matching where the styles are the same."""
        assert isinstance(self.model, ImageTextEncoder)
        pictures = self.source.draw(self.batch, rng)
        tokens = self.tokenizer(
            pictures.captions,
            padding="max_length",
            max_length=MAX_TOKENS,
            truncation=True,
            return_tensors="pt",
        )
        text = self.model.encode_tokens(tokens.input_ids, tokens.attention_mask)
        image = self.model.encode_image(degraded(pictures.images, rng))
        logits = image @ text.t() * self.model.log_scale.exp().clamp(max=50)
        styles = torch.tensor([STYLES.index(style) for style in pictures.styles])
        same = (styles[:, None] == styles[None, :]).float()
        target = same / same.sum(dim=1, keepdim=True)
        loss = functional.cross_entropy(logits, target) + functional.cross_entropy(logits.t(), target)
        found = same.gather(1, logits.argmax(dim=1, keepdim=True)).mean()
        return loss, {"style_found": float(found)}

    def warm_start(self, folder: Path) -> bool:
        """The embedded network."""
        return copy_saved(self.model, folder / "image_text.safetensors", ImageTextEncoder)

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write image_text.safetensors."""
        assert isinstance(averaged, ImageTextEncoder)
        averaged.save(folder / "image_text.safetensors", dict(metadata))


def _channels_last(network: nn.Module) -> nn.Module:
    """The memory layout in which a CPU convolves a third faster."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def facing_columns(cameras: Tensor, rng: torch.Generator) -> Tensor:
    """Two different views [N,2] of each person's cameras [N,V,25], preferably of the face."""
    facing = cameras[..., 11] / cameras[..., 3:12:4].norm(dim=-1)  # cosine of the angle to the front
    noise = torch.rand(facing.shape, generator=rng) * 0.8
    return (facing + noise).topk(2, dim=1).indices


def degraded(images: Tensor, rng: torch.Generator) -> Tensor:
    """Blur half of the pictures a little, a third much, and add noise, so that sharpness is no clue."""
    count = len(images)
    for size, part in ((3, 0.5), (9, 0.35)):
        around = functional.pad(images, (size // 2,) * 4, mode="replicate")
        amount = torch.rand(count, 1, 1, 1, generator=rng)
        amount = amount * (torch.rand(count, 1, 1, 1, generator=rng) < part)
        images = images.lerp(functional.avg_pool2d(around, size, stride=1), amount)
    return images + 0.05 * torch.randn(images.shape, generator=rng)


def in_another_light(images: Tensor, rng: torch.Generator) -> Tensor:
    """The same heads with other colours, another tone curve, and some with nothing but local contrast.

    What is left of a person in stone, in pencil or under make-up is shape; this takes away most of the rest
    without showing any style.

    Args:
        images: [B,3,R,R], 0..1.
        rng: Source of every choice.
    """
    count = len(images)

    def chance(part: float) -> Tensor:
        return (torch.rand(count, 1, 1, 1, generator=rng) < part).float()

    colours = torch.eye(3) + 0.5 * torch.rand(count, 1, 1, generator=rng) * torch.randn(
        count, 3, 3, generator=rng
    )
    colours = colours / colours.sum(dim=2, keepdim=True).clamp(min=0.4)
    images = torch.einsum("bij,bjhw->bihw", colours, images).clamp(0, 1)
    images = images.lerp(images.mean(dim=1, keepdim=True).expand_as(images), chance(0.45))
    curve = torch.exp(0.5 * torch.randn(count, 1, 1, 1, generator=rng))
    images = (images + 1e-3) ** curve
    around = functional.avg_pool2d(images, 17, stride=1, padding=8, count_include_pad=False)
    local = 0.35 + 0.5 * torch.rand(count, 1, 1, 1, generator=rng) + 1.6 * (images - around)
    return images.lerp(local, chance(0.35)).clamp(0, 1)


def _augmented(views: Views, rows: Tensor, columns: Tensor, rng: torch.Generator) -> Tensor:
    masks = views.masks[rows, columns].float()[:, None] / 255
    heads = in_another_light(views.images[rows, columns].float() / 255, rng) * 2 - 1
    colours = torch.rand(len(rows), 3, generator=rng) * 2 - 1
    colours[torch.rand(len(rows), generator=rng) < 0.3] = 1.0
    return degraded(on_background(masks * heads + 1 - masks, masks, colours), rng)
