"""The measuring networks: identity encoder, image-text encoder, style classifier."""

from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTokenizer

from stylehead.images import on_colour
from stylehead.mini.captions import STYLES
from stylehead.mini.tokens import MAX_TOKENS, write_tokenizer
from stylehead.perception.embedded import (
    IDENTITY_SIZE,
    IdentityEncoder,
    ImageTextEncoder,
    StyleClassifier,
    blurred,
)
from stylehead.perception.image_text import IMAGE_TEXT_TOKENIZER
from stylehead.world.recipes.chance import for_some, one_each, without_detail
from stylehead.world.recipes.computing import device_of, in_bfloat16, rng_on
from stylehead.world.recipes.data import Renders, facing
from stylehead.world.recipes.training_pictures import PictureSource
from stylehead.world.recipes.warm_start import copy_saved

_TEMPERATURE = 0.07
_PIXEL = 0.237  # width of the picture at unit distance: 1 / focal length
_SAME_VIEW = 0.15  # part of the pairs in which nothing differs but the augmentation
_CHANGED = 0.5  # part of the pictures that are seen in another light, under plaster or behind paint
_SIDE = 0.25  # cosine of the angle to the front up to which a view shows enough of a face
_STYLED = 0.5  # part of the people in a step of whom one picture is in a style


class IdentityRecipe:
    """Supervised contrastive learning: two views of a person agree, and differ from all other people's.

    Colours are changed at random in half of the views, so that shape has to tell people apart: a person stays
    the same person in another light. Of a part of the people one of the two pictures is in a style, for what
    fur and a snout leave of a person cannot be guessed from photographs.

    Args:
        views: Photographic renders.
        styled: The same heads in styles; not of everybody.
        people: People in a step; two pictures of each.
    """

    name = "identity"
    learning_rate = 1e-3

    def __init__(self, views: Renders, styled: Renders, *, people: int = 48) -> None:
        torch.manual_seed(0)
        self.model = _channels_last(IdentityEncoder())
        self.views = views
        self.styled = styled
        self.people = people
        row_of = {seed: row for row, seed in enumerate(views.identities.tolist())}
        self.photo_row = torch.tensor([row_of[seed] for seed in styled.identities.tolist()])

    def parameters(self) -> list[dict[str, object]]:
        """All of it."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy of finding the other view of each person among all in the step."""
        styled, rows = self._draw(rng)
        columns = facing_columns(self.views.cameras[rows], rng)
        same = torch.rand(len(rows), 1, generator=rng) < _SAME_VIEW
        columns = torch.where(same, columns[:, :1], columns)
        in_style = facing_columns(self.styled.cameras[styled], rng)[:, 0]
        photo = slice(len(styled), None)
        device = device_of(self.model)
        rng = rng_on(device, rng)
        pictures = [
            _augmented(self.views, rows, columns[:, 0], rng),
            _augmented(self.styled, styled, in_style, rng),
            _augmented(self.views, rows[photo], columns[photo, 1], rng),
        ]
        with in_bfloat16(device):
            embedded = self.model(torch.cat(pictures))
        first, second = embedded.float().cpu().chunk(2)
        logits = first @ second.t() / _TEMPERATURE
        target = torch.arange(len(rows))
        loss = functional.cross_entropy(logits, target) + functional.cross_entropy(logits.t(), target)
        found = (logits.argmax(dim=1) == target).float()
        return loss, {"rank1": float(found[photo].mean()), "styled_rank1": float(found[: len(styled)].mean())}

    def _draw(self, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows of the styled pictures in a step, and of all people's photographs: theirs come first."""
        styled = torch.randperm(len(self.styled), generator=rng)
        people = self.photo_row[styled].tolist()
        first = {person: row for row, person in zip(styled.tolist(), people, strict=True)}
        chosen = dict(list(first.items())[: round(_STYLED * self.people)])
        rest = [row for row in torch.randperm(len(self.views), generator=rng).tolist() if row not in chosen]
        rows = [*chosen, *rest[: self.people - len(chosen)]]
        return torch.tensor(list(chosen.values())), torch.tensor(rows)

    def warm_start(self, folder: Path) -> bool:
        """The embedded network."""
        return copy_saved(self.model, folder / "identity.safetensors", IdentityEncoder)

    def export(self, averaged: nn.Module, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write identity.safetensors."""
        assert isinstance(averaged, IdentityEncoder)
        averaged.save(folder / "identity.safetensors", dict(metadata))


class StyleRecipe:
    """Which style a picture shows, from single views on plain backgrounds and from views cut out of grids.

    A part of the pictures has gone through the teacher's autoencoder, which leaves no pencil stroke, least
    of all in a grid: without that the classifier goes by the strokes, which nothing that a teacher taught can
    have.

    Args:
        source: Pictures to learn from.
        vae: The teacher's autoencoder.
        batch: Pictures in a step.
    """

    name = "style"
    learning_rate = 1e-3

    def __init__(self, source: PictureSource, vae: AutoencoderKL, *, batch: int = 48) -> None:
        torch.manual_seed(1)
        self.model = _channels_last(StyleClassifier())
        self.source = source
        self.vae = vae.eval().requires_grad_(False)
        self.batch = batch

    def parameters(self) -> list[dict[str, object]]:
        """All of it."""
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress: float, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy over the styles; pictures are blurred and noisy at random, as generators' are."""
        pictures = self.source.draw(self.batch, rng)
        target = torch.tensor([STYLES.index(style) for style in pictures.styles])
        device = device_of(self.model)
        rng = rng_on(device, rng)
        images = autoencoded(pictures.images.to(device), self.vae, rng)
        logits = self.model(degraded(first_views(images, pictures.grid), rng)).cpu()
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
        device = device_of(self.model)
        text = self.model.encode_tokens(tokens.input_ids.to(device), tokens.attention_mask.to(device))
        image = self.model.encode_image(degraded(pictures.images.to(device), rng_on(device, rng)))
        logits = (image @ text.t() * self.model.log_scale.exp().clamp(max=50)).cpu()
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
        """Write image_text.safetensors and image_text_tokenizer/."""
        assert isinstance(averaged, ImageTextEncoder)
        write_tokenizer(folder / IMAGE_TEXT_TOKENIZER)
        averaged.save(folder / "image_text.safetensors", dict(metadata))


def _channels_last(network: nn.Module) -> nn.Module:
    """The memory layout in which a CPU convolves a third faster."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def facing_columns(cameras: Tensor, rng: torch.Generator) -> Tensor:
    """Two different views [N, 2] of each person's cameras [N, V, 25]: one mostly of the face, and any other.

    The other is from behind only where no other view is left.
    """
    cosine, shape = facing(cameras), cameras.shape[:2]
    first = (cosine + 0.8 * torch.rand(shape, generator=rng)).argmax(dim=1, keepdim=True)
    other = (cosine > _SIDE) + torch.rand(shape, generator=rng)
    return torch.cat([first, other.scatter(1, first, -1.0).argmax(dim=1, keepdim=True)], dim=1)


@torch.no_grad()
def autoencoded(images: Tensor, vae: AutoencoderKL, rng: torch.Generator, *, part: float = 0.4) -> Tensor:
    """Send a part of the pictures [B, 3, R, R] in -1..1 through an autoencoder."""
    chosen = torch.rand(len(images), generator=rng, device=rng.device) < part
    if not chosen.any():
        return images
    through = images.clone()
    latents = vae.encode(images[chosen]).latent_dist.mean
    through[chosen] = vae.decode(latents).sample.clamp(-1, 1)
    return through


def first_views(images: Tensor, grid: Tensor) -> Tensor:
    """Pictures [B, 3, R, R]; of those that are grids [B] only the first of four views, at the same size."""
    side = images.shape[-1]
    first = images[grid, :, : side // 2, : side // 2]
    images = images.clone()
    images[grid] = functional.interpolate(first, size=side, mode="bilinear", align_corners=False)
    return images


def degraded(images: Tensor, rng: torch.Generator) -> Tensor:
    """Blur half of the pictures a little, a third much, and add noise, so that sharpness is no clue."""
    count = len(images)
    for factor, part in ((2, 0.5), (4, 0.35)):
        amount = one_each(0, 1, count, rng) * for_some(part, count, rng)
        images = images.lerp(without_detail(images, factor), amount)
    return images + 0.05 * torch.randn(images.shape, generator=rng, device=rng.device)


def in_another_light(images: Tensor, rng: torch.Generator) -> Tensor:
    """The same heads with other colours, another tone curve, and some with nothing but local contrast.

    What is left of a person in stone, in pencil or under make-up is shape; this takes away most of the rest
    without showing any style.

    Args:
        images: [B, 3, R, R], 0..1.
        rng: Source of every choice.
    """
    count = len(images)
    colours = torch.eye(3, device=rng.device) + one_each(0, 0.5, count, rng)[..., 0] * torch.randn(
        count, 3, 3, generator=rng, device=rng.device
    )
    colours = colours / colours.sum(dim=2, keepdim=True).clamp(min=0.4)
    images = torch.einsum("bij,bjhw->bihw", colours, images).clamp(0, 1)
    images = images.lerp(images.mean(dim=1, keepdim=True).expand_as(images), for_some(0.45, count, rng))
    curve = torch.exp(0.5 * torch.randn(count, 1, 1, 1, generator=rng, device=rng.device))
    images = (images + 1e-3) ** curve
    local = one_each(0.35, 0.85, count, rng) + 1.6 * (images - without_detail(images, 12))
    return images.lerp(local, for_some(0.35, count, rng)).clamp(0, 1)


def relit(images: Tensor, masks: Tensor, depths: Tensor, rng: torch.Generator) -> Tensor:
    """The same heads under plaster: shaded by a lamp from their depth, with what is left of their colours.

    In stone, hair, brows and lips have the colour of the skin, and only light tells where they are. Half
    of the pictures stay as they are; of the rest, the paint goes to a random part.

    Args:
        images: [B, 3, R, R], 0..1.
        masks: [B, 1, R, R], 0..1.
        depths: [B, 1, R, R], distance from the camera, 0 outside the head.
        rng: Source of every choice.
    """
    count = len(images)
    lamp = torch.randn(count, 3, 1, 1, generator=rng, device=rng.device) * images.new_tensor(
        [0.5, 0.3, 0.0]
    ).view(1, 3, 1, 1)
    lamp = functional.normalize(lamp + images.new_tensor([0.0, -0.35, -0.8]).view(1, 3, 1, 1), dim=1)
    lit = (surface_normals(depths) * lamp).sum(dim=1, keepdim=True).clamp(min=0)
    ambient = one_each(0.15, 0.5, count, rng)
    shade = one_each(0.75, 1.05, count, rng) * (ambient + (1 - ambient) * lit)
    area = masks.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1)
    mean = (images * masks).sum(dim=(1, 2, 3), keepdim=True) / (3 * area)
    paint = (images / mean.clamp(min=0.01)).clamp(min=0.05) ** one_each(0, 0.7, count, rng)
    plaster = masks * (shade * paint).clamp(0, 1) + (1 - masks) * images
    return images.lerp(plaster, for_some(0.5, count, rng) * one_each(0.6, 1, count, rng))


def surface_normals(depths: Tensor) -> Tensor:
    """Unit normals [B, 3, R, R] towards the camera (-z; x right, y down) of depths [B, 1, R, R]; 0 is far.

    Depths are stored in half precision, which is coarser than the slope of a cheek from pixel to pixel: they
    are smoothed first, over the part of the surroundings that the head covers.
    """
    covered = (depths > 0).to(depths)
    smooth = blurred(depths, 1.0) / blurred(covered, 1.0).clamp(min=1e-3)
    pixel = _PIXEL * depths.amax(dim=(1, 2, 3), keepdim=True) / depths.shape[-1]
    padded = functional.pad(smooth, (1,) * 4, mode="replicate")
    slope_x = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / (2 * pixel)
    slope_y = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / (2 * pixel)
    across = torch.cat([slope_x, slope_y, -torch.ones_like(slope_x)], dim=1)
    return across * across.square().sum(dim=1, keepdim=True).rsqrt()


def painted_over(images: Tensor, masks: Tensor, rng: torch.Generator) -> Tensor:
    """The same heads behind grain, stains and patches of paint: clouds of noise of several sizes.

    Args:
        images: [B, 3, R, R], 0..1.
        masks: [B, 1, R, R], 0..1; only the head is painted on.
        rng: Source of every choice.
    """
    count, size = len(images), images.shape[-1]
    for factor, strength in ((1, 0.15), (3, 0.25), (12, 0.4)):
        grain = torch.randn(count, 1, size // factor, size // factor, generator=rng, device=rng.device)
        grain = functional.interpolate(grain, size=size, mode="bilinear", align_corners=False)
        amount = one_each(0, strength, count, rng) * for_some(0.3, count, rng)
        images = images * torch.exp(amount * masks * grain)
    cloud = torch.randn(count, 1, 6, 6, generator=rng, device=rng.device)
    cloud = functional.interpolate(cloud, size=size, mode="bicubic", align_corners=False)
    paint = torch.rand(count, 3, 1, 1, generator=rng, device=rng.device)
    cover = ((cloud - 0.8) * 4).clamp(0, 1) * masks * for_some(0.3, count, rng)
    return images.lerp(paint.expand_as(images), cover * one_each(0.5, 1, count, rng)).clamp(0, 1)


def reshaped(images: Tensor, rng: torch.Generator) -> Tensor:
    """Move, scale, stretch and bend pictures [B, 3, R, R] a little: a drawing is not to scale."""
    count = len(images)
    scale = one_each(0.93, 1.07, count, rng) * torch.exp(
        0.03 * torch.randn(count, 2, 1, 1, generator=rng, device=rng.device)
    )
    turn = torch.zeros(count, 2, 3, device=rng.device)
    turn[:, 0, 0], turn[:, 1, 1] = scale[:, 0, 0, 0], scale[:, 1, 0, 0]
    turn[:, 0, 1] = 0.02 * torch.randn(count, generator=rng, device=rng.device)
    turn[:, :, 2] = 0.03 * torch.randn(count, 2, generator=rng, device=rng.device)
    places = functional.affine_grid(turn, list(images.shape), align_corners=False)
    bend = torch.randn(count, 2, 5, 5, generator=rng, device=rng.device) * one_each(0, 0.03, count, rng)
    bend = functional.interpolate(bend, size=images.shape[-1], mode="bicubic", align_corners=False)
    places = places + bend.permute(0, 2, 3, 1)
    return functional.grid_sample(images, places, padding_mode="border", align_corners=False)


def _augmented(views: Renders, rows: Tensor, columns: Tensor, rng: torch.Generator) -> Tensor:
    images, masks = (
        functional.interpolate(x.to(rng.device) / 255.0, size=IDENTITY_SIZE, mode="bilinear", antialias=True)
        for x in (views.images[rows, columns], views.masks[rows, columns, None])
    )
    depths = functional.interpolate(
        views.depths[rows, columns, None].to(rng.device).float(), size=IDENTITY_SIZE
    )
    changed = painted_over(relit(in_another_light(images, rng), masks, depths, rng), masks, rng)
    heads = images.lerp(changed, for_some(_CHANGED, len(rows), rng)) * 2 - 1
    colours = torch.rand(len(rows), 3, generator=rng, device=rng.device) * 2 - 1
    colours[torch.rand(len(rows), generator=rng, device=rng.device) < 0.3] = 1.0
    return degraded(reshaped(on_colour(masks * heads + 1 - masks, masks, colours[..., None, None]), rng), rng)
