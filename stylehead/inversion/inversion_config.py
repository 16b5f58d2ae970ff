"""Settings of an inversion."""

from dataclasses import dataclass, replace

from stylehead.errors import UsageError

PEOPLE = 8
"""Of the embedded world, who differ by their hair, among whom the nearest to a photograph is looked for."""


@dataclass(frozen=True)
class InversionConfig:
    """How a picture is projected. Distances are per picture, latents in units of their own spread."""

    steps: int = 80
    """Steps of the one start that is kept: the first at the raw resolution, the others on whole pictures."""
    starts: int = 4
    """Starts that are tried for a few steps at a low resolution."""
    coarse_steps: int = 12
    """Those steps."""
    raw_share: float = 0.4
    """Part of the steps on raw renders, with one style vector for all layers."""
    pose_share: float = 0.5
    """Part of the steps on whole pictures in which the pose still moves."""
    learning_rate: float = 0.1
    """Of latents, in units of their spread a step."""
    pose_rate: float = 0.1
    """Of poses, in units of how far they are trusted."""
    noise: float = 0.05
    """Noise on the latent at the start, fading until three quarters of the steps are done."""
    mask_weight: float = 1.0
    """Weight of the squared difference between the rendered and the found outline."""
    perceptual_weight: float = 0.3
    """Weight of the perceptual distance."""
    identity_weight: float = 0.1
    """Weight of one minus the identity similarity."""
    latent_weight: float = 0.03
    """Weight of the mean squared distance to the mean head."""
    people: int = 0
    """Likely people of whom the nearest is where to start from if the camera is known, and what latents are
    held near to instead; 0: none."""
    layer_weight: float = 0.1
    """Weight of the mean squared distance between the layers' style vectors and their common one."""
    pose_weight: float = 0.004
    """Weight of the squared distance to where the pose started, in units of how far it is trusted."""
    seed: int = 0
    """Of the noise."""

    def __post_init__(self) -> None:
        for name, low in (("steps", 1), ("starts", 1), ("coarse_steps", 0), ("seed", 0)):
            if getattr(self, name) < low:
                raise UsageError(f"`{name}` (={getattr(self, name)}) must be at least {low}.")
        for name in ("raw_share", "pose_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"`{name}` (={getattr(self, name)}) must be between 0 and 1.")

    def for_photograph(self, *, camera_known: bool) -> "InversionConfig":
        """The same for the real world on embedded models: the nearest head, not a fit of pixels.

        Heads are held near to somebody, or the mean head, and their layers together, since no latent
        reproduces a photograph and what comes closest by pixels is no head: half a beard for a shadow.
        Feature maps of the embedded world count little, its identity encoder not at all: it can judge.

        Args:
            camera_known: Whether people can be compared with the photograph as they are.
        """
        return replace(
            self,
            identity_weight=0.0,
            perceptual_weight=self.perceptual_weight / 6,
            latent_weight=(1000 if camera_known else 8) * self.latent_weight,
            layer_weight=200 * self.layer_weight,
            people=PEOPLE if camera_known else 0,
        )


def ramp(progress: float, *, up: float = 0.05, down: float = 0.25) -> float:
    """Learning-rate factor: linear warm-up, then 1, then a cosine down to 0 (published schedule).

    Args:
        progress: 0 at the first step, 1 after the last.
        up: Share of the warm-up.
        down: Share of the way down.
    """
    import math

    falling = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - progress) / down))
    return min(1.0, progress / up) * falling if up > 0 else falling


def noise_scale(progress: float, strength: float) -> float:
    """Noise on the latent: fades quadratically and is gone after three quarters (published schedule)."""
    return strength * max(0.0, 1 - progress / 0.75) ** 2
