"""The table of haircuts: thickness in metres, length, texture."""

from dataclasses import dataclass
from typing import Literal

from stylehead.world.heads.traits import HairStyle


@dataclass(frozen=True)
class Fall:
    """How long hair hangs down.

    Attributes:
        length: Metres below the eyes.
        spread: Metres for each standard deviation of `Identity.hair_length`.
        shortest: Limit of those standard deviations.
        longest: The other limit.
        taper: How fast hair follows the head inwards again below its widest point (metres a metre).
        wave: Depth of the waves, metres.
    """

    length: float
    spread: float
    shortest: float
    longest: float
    taper: float = 0.10
    wave: float = 0.0


@dataclass(frozen=True)
class Haircut:
    """One haircut.

    Attributes:
        sides: Thickness all over.
        crown: Added towards the crown.
        front: Added above the forehead.
        front_shape: Where the front is thick: all of it, swept to the left, or standing up at its edge.
        parting: x of a parting that is pressed into the hair.
        volume_gain: How much `Identity.hair_volume` acts.
        length_adds: Thickness for each standard deviation of `Identity.hair_length`.
        length_scales: Share of the thickness for the same.
        thickest: Limit of the thickness.
        lumps: Unevenness, as a share of the thickness.
        frizz: Fine part of the unevenness.
        streaks: Whether strands form ridges from the crown down.
        edge: Over which length the hair thins out at the hairline.
        rounded_edge: Whether it thins out in a circle instead of a slope.
        own_hairline: (azimuth in degrees, height) points instead of the person's hairline.
        fall: For hair that hangs.
        tied: What is left over is tied at the back, or on top.
        strand_wave: How wavy strands are drawn.
        curl: How curly they are drawn.
    """

    sides: float
    crown: float
    front: float = 0.0
    front_shape: Literal["all", "left", "edge"] = "all"
    parting: float | None = None
    volume_gain: float = 1.0
    length_adds: float = 0.0
    length_scales: float = 0.0
    thickest: float = 1.0
    lumps: float = 0.05
    frizz: float = 0.0
    streaks: bool = False
    edge: float = 0.020
    rounded_edge: bool = False
    own_hairline: tuple[tuple[float, float], ...] | None = None
    fall: Fall | None = None
    tied: Literal["ponytail", "bun"] | None = None
    strand_wave: float = 0.25
    curl: float = 0.0


_AFRO_HAIRLINE = (
    (0, 0.080), (20, 0.082), (38, 0.076), (50, 0.06), (60, 0.035), (70, 0.01), (80, -0.02), (100, -0.03),
    (120, -0.05), (180, -0.075),
)  # fmt: skip

HAIRCUTS: dict[HairStyle, Haircut] = {
    "buzz": Haircut(0.0035, 0.0, volume_gain=0.0, edge=0.006, curl=0.9),
    "short": Haircut(0.009, 0.013, 0.004, lumps=0.22, streaks=True),
    "sidepart": Haircut(0.009, 0.018, 0.008, front_shape="left", parting=0.032, lumps=0.16, streaks=True),
    "quiff": Haircut(0.007, 0.012, 0.022, front_shape="edge", lumps=0.22),
    "curly": Haircut(0.016, 0.020, length_scales=0.10, lumps=0.24, frizz=0.7, strand_wave=1.0, curl=0.8),
    "bob": Haircut(0.014, 0.010, lumps=0.12, streaks=True, fall=Fall(0.105, 0.022, -1.6, 1.4, taper=0.16)),
    "long": Haircut(0.014, 0.010, lumps=0.12, streaks=True, fall=Fall(0.235, 0.03, -1.5, 1.5)),
    "wavy": Haircut(
        0.014, 0.010, lumps=0.2, streaks=True, fall=Fall(0.18, 0.035, -1.6, 1.5, wave=0.007), strand_wave=1.0
    ),
    "afro": Haircut(
        0.032, 0.020, length_adds=0.010, thickest=0.066, frizz=0.5, edge=0.03, rounded_edge=True,
        own_hairline=_AFRO_HAIRLINE, curl=1.0,
    ),
    "ponytail": Haircut(0.007, 0.005, volume_gain=0.3, tied="ponytail"),
    "bun": Haircut(0.007, 0.005, volume_gain=0.3, tied="bun"),
}  # fmt: skip
"""Every cut but bald, which has no hair."""
