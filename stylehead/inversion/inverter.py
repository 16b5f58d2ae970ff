"""The whole way from an aligned picture to a head: mask, starting points, projection."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylehead.generator import PanoHead
from stylehead.geometry import camera_from_angles
from stylehead.images import bytes_to_pm1, resize
from stylehead.inversion.guess import Guess, features_fingerprint
from stylehead.inversion.inversion_config import InversionConfig
from stylehead.inversion.latents import LatentSpace
from stylehead.inversion.likely import LikelyPeople
from stylehead.inversion.masks import MaskSource, Share, head_mask
from stylehead.inversion.photographs import Bytes
from stylehead.inversion.pose import pose, pose_of_label
from stylehead.inversion.project import Initialisation, ProjectedHead, Projection, ProjectionStep
from stylehead.inversion.search import GridConfig, PoseGrid, Start
from stylehead.inversion.similarity import ImageSimilarity, TargetImage
from stylehead.inversion.unknown import exposed, pixel_weights, with_unknown

GRID_TRUST_DEG = 8.0
GUESS_TRUST_DEG = 4.0
LANDMARKS_TRUST_DEG = 4.0


class Prepared(NamedTuple):
    """A picture ready for projection, and how its head was found."""

    target: TargetImage
    mask_source: MaskSource


@dataclass(frozen=True, eq=False)
class Camera:
    """What is known of the camera: its label [1, 25], and whether it must stay exactly so."""

    label: Tensor
    fixed: bool


class Inverter:
    """Inverts pictures with one generator; what does not depend on the picture is computed once.

    Args:
        generator: In evaluation mode; its parameters stop requiring gradients.
        similarity: Compares pictures.
        guess: A learned first guess, if there is one; left aside when it was fitted to other features.
        likely: Reads from photographs of the real world whom they may show, if there is such a reader.
        config: Settings of the projection.
        grid: Settings of the pose search.
    """

    def __init__(
        self,
        generator: PanoHead,
        similarity: ImageSimilarity,
        guess: Guess | None = None,
        *,
        likely: LikelyPeople | None = None,
        config: InversionConfig | None = None,
        grid: GridConfig | None = None,
    ) -> None:
        self.generator, self.similarity = generator.requires_grad_(False).eval(), similarity
        self.config = config or InversionConfig()
        self.space = LatentSpace.measure(generator)
        self._guess, self._likely, self._grid_config = guess, likely, grid or GridConfig()
        trunks = similarity.trunks
        self.guess_fits = (
            guess is not None and bool(trunks) and guess.features == features_fingerprint(trunks)
        )
        self._grid: PoseGrid | None = None

    def grid(self, done: Callable[[float], None] = lambda _share: None) -> PoseGrid:
        """The renders of the pose search, made at the first call."""
        if self._grid is None:
            self._grid = PoseGrid(self.generator, self.space, self._grid_config, done)
        return self._grid

    def prepare(self, pixels: Bytes, alpha: Bytes | None, camera: Camera | None = None) -> Prepared:
        """Find the head in an aligned picture and put it on white.

        Args:
            pixels: [R, R, 3].
            alpha: [R, R] of the picture, if it has any.
            camera: Tells where the head is expected.
        """
        device, size = self.space.mean.device, pixels.shape[0]
        image = bytes_to_pm1(torch.from_numpy(pixels.copy()).to(device).permute(2, 0, 1)[None])

        def expected() -> np.ndarray:
            share = self._expected_mask(image, camera)
            return np.asarray(
                resize(share[None, None], size, antialias=False)[0, 0].cpu().numpy(), dtype=np.float32
            )

        found = head_mask(pixels, alpha, expected)
        mask = torch.from_numpy(found.share)[None, None].to(device)
        return Prepared(TargetImage.make(image, mask), found.source)

    def nearest(self, pixels: Bytes, camera: Camera | None, known: Share | None) -> Tensor | None:
        """Coordinates [1, A] of the likeliest person in a photograph of the real world.

        Args:
            pixels: Of the aligned photograph with its background, [R, R, 3].
            camera: What is known of its camera.
            known: Share of each pixel that lies inside the photograph, [R, R]; None: all of it.

        Returns:
            None where nothing is known of the camera, or the generator has no reader of photographs.
        """
        if camera is None or self._likely is None or not self.config.people:
            return None
        device = self.space.mean.device
        picture = bytes_to_pm1(torch.from_numpy(pixels.copy()).to(device).permute(2, 0, 1)[None])
        seen = None if known is None else torch.from_numpy(known).to(device)
        label = camera.label.to(device)
        return self.space.coords(
            self._likely.w(self.generator, picture, seen, label, people=self.config.people)
        )

    @torch.no_grad()
    def aim(
        self,
        target: TargetImage,
        camera: Camera | None,
        known: Share | None,
        nearest: Tensor | None = None,
    ) -> TargetImage:
        """What a photograph asks for of a generator that has no such picture in its world.

        Args:
            target: The photograph on white, of `prepare`.
            camera: What is known of its camera; None: seen from the front.
            known: Share of each pixel that lies inside the photograph, [R, R]; None: all of it.
            nearest: The head of whom is where it shows nothing, [1, A]; the mean head's when None.
        """
        label = camera_from_angles(0.0).to(target.image) if camera is None else camera.label
        coords = self.space.mean.new_zeros(1, len(self.space.scales)) if nearest is None else nearest
        head = self.generator.synthesis(self.space.ws(coords), label, background="white")
        image = head.image.clamp(-1, 1)
        if nearest is not None:
            target = exposed(target, image)
        asked = with_unknown(target, image, head.mask, known)
        weight = pixel_weights(asked.mask, float(pose_of_label(label)[0, 0]))
        return replace(asked, weight=weight)

    def initialise(
        self, target: TargetImage, camera: Camera | None = None, nearest: Tensor | None = None
    ) -> Initialisation:
        """Where to start from: the learned guess, poses of the grid, or what is known.

        Args:
            target: The picture.
            camera: What is known of its camera.
            nearest: Who it is likely to be, [1, A].
        """
        if camera is not None and nearest is not None:
            return _from_camera(nearest, pose_of_label(camera.label), camera)
        guessed = self._guessed(target)
        if camera is None:
            return self._search(target, guessed)
        angles = pose_of_label(camera.label)
        heads = [coords for _, coords in guessed]
        heads.append(self.grid().head_at(target, angles[0, :2]))
        return _from_camera(torch.cat(heads), angles, camera)

    def project(
        self,
        target: TargetImage,
        initial: Initialisation,
        on_step: Callable[[ProjectionStep], None] = lambda _step: None,
    ) -> ProjectedHead:
        """Run the projection; see `Projection`."""
        return Projection(self.generator, self.space, self.similarity, target, self.config).run(
            initial, on_step
        )

    def _guessed(self, target: TargetImage) -> list[tuple[Tensor, Tensor]]:
        """Pose [1, 6] and coordinates [1, A] by the learned guess, or nothing without a fitting one."""
        if self._guess is None or not self.guess_fits:
            return []
        angles, w = self._guess(self.similarity.trunks, target.image)
        fits = self._guess.generator == self.generator.fingerprint()
        coords = self.space.coords(w) if fits else self.space.mean.new_zeros(1, len(self.space.scales))
        return [(pose(angles[:, 0], angles[:, 1]), coords)]

    def _expected_mask(self, image: Tensor, camera: Camera | None) -> Tensor:
        """How likely the head covers each pixel of a picture [1, 3, R, R], at some resolution [r, r]."""
        if self._likely is not None:
            return self._likely.expected_mask(image)
        angles = None if camera is None else pose_of_label(camera.label)[0, :2]
        return self.grid().expected_mask(angles)

    def _search(self, target: TargetImage, guessed: list[tuple[Tensor, Tensor]]) -> Initialisation:
        found = self.grid().starts(target, max(1, self.config.starts - len(guessed)))
        start = Start(
            torch.cat([*(poses for poses, _ in guessed), found.poses]),
            torch.cat([*(coords for _, coords in guessed), found.coords]),
        )
        trust = [GUESS_TRUST_DEG] * len(guessed) + [GRID_TRUST_DEG] * len(found.poses)
        return Initialisation(start, torch.deg2rad(torch.tensor(trust)))


def _from_camera(coords: Tensor, angles: Tensor, camera: Camera) -> Initialisation:
    """Starts of heads [K, A], all from the camera that is known, [1, 6]."""
    start = Start(angles.expand(len(coords), -1), coords)
    trust = torch.full((len(coords),), math.radians(LANDMARKS_TRUST_DEG))
    return Initialisation(start, trust, camera.label if camera.fixed else None)
