"""Style files: what training changed in a generator, to be laid over the same base at any strength.

A small file holds low-rank factors of the changes (`stylehead.generator.low_rank`), a full one the tensors
as trained. A style of StyleCLIP changes nothing in it: its file holds a mapper that moves style vectors
beforehand.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from stylehead import __version__
from stylehead.errors import JobError, UsageError
from stylehead.generator import checkpoint
from stylehead.generator.latent_mapper import LatentMapper
from stylehead.generator.low_rank import Change
from stylehead.generator.panohead import PanoHead

FULL_FORMAT, SMALL_FORMAT = "style-1", "style-2"
MAPPER_PREFIX = "latent_mapper."
"""Where a mapper of style vectors stands among the names of a style file."""
_BASE_KEY = "stylehead.base"
_WHOLE, _LEFT, _RIGHT = ".change", ".left", ".right"
"""What follows a tensor's name in small files."""


@dataclass(frozen=True, eq=False)
class Style:
    """The tensors that training changed: as trained, or what was added to them.

    Attributes:
        tensors: Trained values by state-dict name; those of a mapper after `MAPPER_PREFIX`.
        base: Fingerprint of the generator that training started from.
        metadata: All header entries of the file.
        changes: What a small file adds to tensors, by state-dict name.
    """

    tensors: Mapping[str, Tensor]
    base: str
    metadata: Mapping[str, str]
    changes: Mapping[str, Change] = field(default_factory=dict)

    @property
    def changed(self) -> frozenset[str]:
        """Return the names of the generator's tensors that it changes."""
        whole = {name for name in self.tensors if not name.startswith(MAPPER_PREFIX)}
        return frozenset(whole | self.changes.keys())

    def trained(self, name: str, base: Tensor) -> Tensor:
        """Return a tensor as trained.

        Args:
            name: One of `changed`.
            base: The tensor before training.

        Raises:
            JobError: It has another shape.
        """
        if not _fits(self, name, base):
            raise _unfitting(name)
        if name in self.changes:
            return base + self.changes[name].whole(base.shape).to(base)
        return self.tensors[name].to(base)

    def apply(self, generator: PanoHead, strength: float = 1.0) -> None:
        """Set a generator's weights to `base + strength (trained - base)`, in place.

        What a mapper adds to style vectors is multiplied by the strength instead.

        Styles that were applied before are taken off first, so the strength can be changed by applying again.

        Args:
            generator: The base that the style was trained on.
            strength: 0 is the base and 1 the trained generator, both exactly; beyond 1 exaggerates.

        Raises:
            JobError: The generator is another one, or has no such tensor.
        """
        StyleMix(((self, 1.0),)).apply(generator, strength)


@dataclass(frozen=True, eq=False)
class StyleMix:
    """Several styles of one base with their shares: `base + sum share (trained - base)`."""

    parts: tuple[tuple[Style, float], ...]

    def apply(self, generator: PanoHead, strength: float = 1.0) -> None:
        """Lay the mix over its base; every share is multiplied by the strength. See `Style.apply`."""
        shares = [(style, share * strength) for style, share in self.parts]
        if not all(math.isfinite(share) for _, share in shares):
            raise UsageError("A style's strength must be a finite number.")
        remove_styles(generator)
        for style, _ in shares:
            _check_base(style, generator)
        state = generator.state_dict()
        generator.latent_edits = tuple(
            (mapper, share) for style, share in shares for mapper in _mappers(style, generator)
        )
        names = sorted({name for style, _ in shares for name in style.changed})
        generator.unstyled = {name: state[name].clone() for name in names}
        for name in names:
            trained = [
                (style.trained(name, state[name]), share) for style, share in shares if name in style.changed
            ]
            state[name].copy_(_blend(state[name], trained))


def mix_styles(parts: Sequence[tuple[Style, float]]) -> StyleMix:
    """Combine styles linearly.

    Args:
        parts: Styles and their shares; shares need not add up to 1.

    Raises:
        UsageError: There is none.
        JobError: They were trained on different generators.
    """
    if not parts:
        raise UsageError("A mix needs at least one style.")
    if len({style.base for style, _ in parts}) > 1:
        raise JobError("These styles were trained on different generators and cannot be mixed.")
    return StyleMix(tuple(parts))


def remove_styles(generator: PanoHead) -> None:
    """Put back the weights from before the last applied style, if any."""
    state = generator.state_dict()
    for name, tensor in generator.unstyled.items():
        state[name].copy_(tensor)
    generator.unstyled = {}
    generator.latent_edits = ()


def save_style(
    path: str | os.PathLike[str],
    generator: PanoHead,
    reference: PanoHead,
    metadata: Mapping[str, str],
    changes: Mapping[str, Change] | None = None,
) -> None:
    """Write what makes a trained generator of the one it started from, atomically.

    Args:
        path: File to write.
        generator: After training.
        reference: Before training.
        metadata: Header entries, all strings: prompt, method, iterations, seed, preset, licence note.
        changes: What is to be stored of the changed tensors; when None, all of them, as trained.

    Raises:
        JobError: The two differ in architecture, or the file cannot be written.
    """
    stored = changed_tensors(generator, reference) if changes is None else _named(changes)
    header = {
        checkpoint.FORMAT_KEY: FULL_FORMAT if changes is None else SMALL_FORMAT,
        _BASE_KEY: reference.fingerprint(),
        "stylehead.version": __version__,
    }
    mapper = {name: tensor.detach() for name, tensor in mapper_parameters(generator).items()}
    checkpoint.write_tensors(path, {**stored, **mapper}, {**metadata, **header})


def changed_tensors(generator: PanoHead, reference: PanoHead) -> dict[str, Tensor]:
    """Return the tensors in which a trained generator differs from the one it started from, as trained.

    Raises:
        JobError: The two differ in architecture.
    """
    if generator.config != reference.config:
        raise JobError("The trained generator and its reference have different configurations.")
    before = reference.state_dict()
    return {
        name: tensor
        for name, tensor in generator.state_dict().items()
        if not torch.equal(tensor, before[name].to(tensor.device))
    }


def load_style(path: str | os.PathLike[str]) -> Style:
    """Read a style file.

    Raises:
        StyleheadError: The file is missing, damaged, or no style file.
    """
    tensors, metadata = checkpoint.read_with_header(path)
    form = metadata.get(checkpoint.FORMAT_KEY)
    if form not in (FULL_FORMAT, SMALL_FORMAT) or _BASE_KEY not in metadata:
        raise JobError(f"{path} is not a style file that this version can read.")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise JobError(f"`{name}` in {path} holds numbers that are not finite.")
    changes = _read_changes(path, tensors) if form == SMALL_FORMAT else {}
    return Style(
        {name: tensor.float() for name, tensor in tensors.items()}, metadata[_BASE_KEY], metadata, changes
    )


def _named(changes: Mapping[str, Change]) -> dict[str, Tensor]:
    """Name the parts of changes as small files do."""
    stored: dict[str, Tensor] = {}
    for name, change in changes.items():
        if change.right is None:
            stored[name + _WHOLE] = change.left
        else:
            stored |= {name + _LEFT: change.left, name + _RIGHT: change.right}
    return stored


def _read_changes(path: str | os.PathLike[str], tensors: dict[str, Tensor]) -> dict[str, Change]:
    """Take the changes out of a small file's tensors; a mapper's are left.

    Raises:
        JobError: Half of a change is missing, or there is something else.
    """
    changes: dict[str, Change] = {}
    for stored in sorted(name for name in tensors if not name.startswith(MAPPER_PREFIX)):
        name, dot, kind = stored.rpartition(".")
        if dot + kind == _WHOLE:
            changes[name] = Change(tensors.pop(stored))
        elif dot + kind == _LEFT and name + _RIGHT in tensors:
            changes[name] = Change(tensors.pop(stored), tensors.pop(name + _RIGHT))
        elif stored in tensors:
            raise JobError(f"{path} is damaged: `{stored}` is no change of a tensor.")
    return changes


def _check_base(style: Style, generator: PanoHead) -> None:
    actual = generator.fingerprint()
    if actual != style.base:
        raise JobError(
            "The style was trained on another generator "
            f"(fingerprint {style.base[:12]}, this one is {actual[:12]})."
        )
    state = generator.state_dict()
    for name in sorted(style.changed):
        if name not in state or not _fits(style, name, state[name]):
            raise _unfitting(name)


def _fits(style: Style, name: str, base: Tensor) -> bool:
    if name in style.changes:
        return style.changes[name].fits(base.shape)
    return style.tensors[name].shape == base.shape


def _unfitting(name: str) -> JobError:
    return JobError(f"The style changes `{name}`, which this generator does not have in that shape.")


def _mappers(style: Style, generator: PanoHead) -> list[LatentMapper]:
    """Build a style's mapper of style vectors, if it has one, on the generator's device."""
    state = {
        name.removeprefix(MAPPER_PREFIX): tensor
        for name, tensor in style.tensors.items()
        if name.startswith(MAPPER_PREFIX)
    }
    if not state:
        return []
    mapper = LatentMapper.of_state(generator.config.w_dim, state)
    return [mapper.requires_grad_(False).to(next(generator.parameters()).device)]


def _blend(base: Tensor, changes: Sequence[tuple[Tensor, float]]) -> Tensor:
    if len(changes) == 1:
        trained, share = changes[0]
        return base.lerp(trained, share)  # exact at 0 and at 1
    return base + torch.stack([share * (trained - base) for trained, share in changes]).sum(dim=0)


# ----------------------------------------------------------------------------------- what training may change


def trainable_parameters(generator: PanoHead) -> list[tuple[str, nn.Parameter]]:
    """Name what distillation trains: tri-grid synthesis and super-resolution, without any bias."""
    prefixes = ("backbone.synthesis.", "superresolution.")
    return [
        (name, parameter)
        for name, parameter in generator.named_parameters()
        if name.startswith(prefixes) and not name.endswith(".bias")
    ]


def mapper_parameters(generator: PanoHead) -> dict[str, nn.Parameter]:
    """Name the parameters of the mapper of style vectors that stands before a generator, if one does."""
    return {
        f"{MAPPER_PREFIX}{name}": parameter
        for mapper, _ in generator.latent_edits
        for name, parameter in mapper.named_parameters()
    }
