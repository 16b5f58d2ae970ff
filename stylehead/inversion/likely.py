"""Whom a photograph of the real world may show in the embedded one: read first, then drawn and compared.

The attribute encoder reads measures and choices. Which haircut it is, it cannot always tell: the likeliest
ones are drawn, and the encoder looks at the drawings as it looked at the photograph. Where skin, hair and
clothes are should then be the same, and `tints.py` sees to their colours. Beard, baldness, glasses and a
ponytail, which nobody sees from the front, are believed only where they are sure: somebody with a beard that
they have not is a stranger, somebody without theirs is shaved.
"""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from stylehead.generator import PanoHead, RenderOptions
from stylehead.images import resize
from stylehead.inversion.identity_to_w import IDENTITY_TO_W, IdentityToW
from stylehead.inversion.tints import Tints, matched, tints
from stylehead.inversion.unknown import is_grey
from stylehead.perception.attributes import ATTRIBUTES_FILE, PARTS_EDGE, AttributeEncoder, Attributes

SURE = 0.75
"""From what probability on an option that is doubted is believed."""
PLACES_WEIGHT = 50.0
"""Of the mean squared difference of the parts' probabilities, beside the log-probability of a haircut: on 160
procedural people anything from 0 to 75 does (80 to 83 % of the haircuts right), 400 does not (71 %)."""
_SCALES, _SHIFTS = (0.93, 1.0, 1.08), ((0.0, 0.0), (0.04, 0.0), (-0.04, 0.0), (0.0, 0.05), (0.0, -0.05))


class LikelyPeople:
    """Reads photographs for one generator.

    Args:
        encoder: Predicts attributes and parts.
        identity_to_w: Of the generator.
    """

    def __init__(self, encoder: AttributeEncoder, identity_to_w: IdentityToW) -> None:
        self._encoder, self._identity_to_w = encoder, identity_to_w

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> "LikelyPeople":
        """Load both networks from a folder of embedded models.

        Raises:
            MissingError: One is not there.
            JobError: One is damaged.
        """
        encoder = AttributeEncoder.load(folder / ATTRIBUTES_FILE).to(device)
        return cls(encoder, IdentityToW.load(folder / IDENTITY_TO_W, device))

    @torch.no_grad()
    def w(
        self, generator: PanoHead, picture_pm1: Tensor, known: Tensor | None, label: Tensor, *, people: int
    ) -> Tensor:
        """The style vector [1, w_dim] of the likeliest person.

        Args:
            generator: In evaluation mode; its parameters must not require gradients.
            picture_pm1: The aligned photograph with its background, [1, 3, R, R].
            known: Share of each pixel that lies inside the photograph, [R, R]; None: all of it.
            label: Its camera, [1, 25].
            people: How many are drawn.
        """
        found = self.read(picture_pm1)
        seen = picture_pm1.new_ones(1, 1, PARTS_EDGE, PARTS_EDGE)
        if known is not None:
            seen = resize(known[None, None], PARTS_EDGE)
        wanted = found.parts.softmax(dim=1)
        numbers, log_odds = self.candidates(found.scores, people)
        drawn = self._draw(generator, numbers, label)
        places = self._encoder(drawn.clamp(-1, 1)).parts.softmax(dim=1)
        best = int((PLACES_WEIGHT * _difference(places, wanted, seen) - log_odds).argmin())
        person = numbers[best : best + 1]
        if not is_grey(picture_pm1):
            person = self._coloured(
                generator, person, label, places[best, 1:], tints(picture_pm1, (wanted * seen)[0, 1:])
            )
        return self._identity_to_w(person)

    def _coloured(
        self, generator: PanoHead, person: Tensor, label: Tensor, parts: Tensor, wanted: Tints
    ) -> Tensor:
        """A person [1, 128] in the colours of a photograph."""
        encoder = self._encoder

        def draw(learned: Tensor) -> Tensor:
            return self._draw(generator, encoder.meant(learned), label, raw=True)

        return encoder.meant(matched(encoder.learned(person), encoder.tint, draw, parts, wanted))

    def _draw(self, generator: PanoHead, numbers: Tensor, label: Tensor, *, raw: bool = False) -> Tensor:
        """Pictures [K, 3, R, R] of identities on white, one after the other; raw ones are small."""
        w = self._identity_to_w(numbers)
        pictures = []
        for ws in w[:, None].expand(-1, generator.num_ws, -1).split(1):
            grid = generator.prepare(generator.planes(ws))
            if raw:
                options = RenderOptions(resolution=PARTS_EDGE, raw_mask=True)
                small = generator.render_raw(grid, ws, label, background="white", options=options)
                pictures.append(small.image_raw)
            else:
                pictures.append(generator.render(grid, ws, label, background="white").image)
        return torch.cat(pictures)

    @torch.no_grad()
    def expected_mask(self, picture_pm1: Tensor) -> Tensor:
        """How likely a head covers each pixel of a picture [1, 3, R, R], at a quarter of its size."""
        return 1 - self.read(picture_pm1).parts.softmax(dim=1)[0, 0]

    @torch.no_grad()
    def read(self, picture_pm1: Tensor) -> Attributes:
        """Scores [V, 128] of moved and mirrored views of a picture [1, 3, R, R], and its parts."""
        both = self._encoder(torch.cat([picture_pm1, picture_pm1.flip(-1)]))
        parts = (both.parts[:1] + both.parts[1:].flip(-1)) / 2
        return Attributes(self._encoder(_moved(picture_pm1)).scores, parts)

    def candidates(self, scores: Tensor, people: int) -> tuple[Tensor, Tensor]:
        """Identities in numbers [K, 128] that differ by their hair, and their log-probabilities [K].

        Args:
            scores: Of the encoder, from several views [V, 128]; their means count.
            people: The largest K.
        """
        hair, *others = self._encoder.choices()
        numbers = self._encoder.numbers(scores.mean(dim=0, keepdim=True))
        for options in others:
            numbers[:, options] = _one_hot(self._believed(scores, options).argmax()[None], options)
        believed = self._believed(scores, hair)
        likely = believed.topk(min(people, int((believed > 0).sum())))
        numbers = numbers.repeat(len(likely.indices), 1)
        numbers[:, hair] = _one_hot(likely.indices, hair)
        return numbers, likely.values.log()

    def _believed(self, scores: Tensor, options: Tensor) -> Tensor:
        """Mean probabilities of the options of a choice, 0 for those that are doubted and not sure."""
        chances = scores[:, options].softmax(dim=1).mean(dim=0)
        return torch.where((self._encoder.doubted[options] > 0) & (chances < SURE), 0.0, chances)


def _one_hot(chosen: Tensor, options: Tensor) -> Tensor:
    """[K, O] for indices [K] among as many options as a mask [128] has."""
    return functional.one_hot(chosen, int(options.sum())).float()


def _difference(places: Tensor, wanted: Tensor, seen: Tensor) -> Tensor:
    """Squared differences [K] of parts [K, P, r, r] from those that are wanted, as far as seen [1, 1, r, r].

    They are not divided by how much is seen: who sees little knows little.
    """
    squared = (places - wanted).square().sum(dim=1, keepdim=True)
    return (squared * seen).mean(dim=(1, 2, 3))


def _moved(picture: Tensor) -> Tensor:
    """A picture [1, 3, R, R] at several sizes and places, and all of them mirrored."""
    views = []
    for scale in _SCALES:
        for right, down in _SHIFTS:
            matrix = picture.new_tensor([[[scale, 0, right], [0, scale, down]]])
            places = functional.affine_grid(matrix, list(picture.shape), align_corners=False)
            views.append(functional.grid_sample(picture, places, padding_mode="border", align_corners=False))
    moved = torch.cat(views)
    return torch.cat([moved, moved.flip(-1)])
