"""What a job needs, as values: weights with their places, licences and problems, and the list of them all."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylehead.errors import StyleheadError
from stylehead.methods.config import StylizeConfig
from stylehead.methods.registry import method_class
from stylehead.teacher.sources import local_tokenizer
from stylehead.units import format_bytes
from stylehead.weights import Preset
from stylehead.weights.catalogue import CATALOGUE

if TYPE_CHECKING:
    from stylehead.teacher import TeacherPaths
    from stylehead.teacher.lora import Lora


@dataclass(frozen=True)
class Need:
    """Weights that a job needs."""

    role: str
    """What for: `generator`, `diffusion`, `controlnet_canny`, `controlnet_depth`, `vae`, `depth_estimator`,
    `clip`, `faces`, `features` or `editor`."""
    name: str
    """As in the catalogue, or as the user named them."""
    folder: Path | None
    """Folder or file, or None when they are not here."""
    licence: str
    """Terms, as far as they are known."""
    problem: StyleheadError | None = None
    """Why they are missing or refused; None when the job can read them."""
    size: int | None = None
    """Bytes on the disk, or to download; None when nobody knows."""

    @property
    def path(self) -> Path:
        """Return where they are.

        Raises:
            StyleheadError: They are missing or refused.
        """
        if self.problem is not None:
            raise self.problem
        assert self.folder is not None, "what has no problem is somewhere"
        return self.folder

    @property
    def state(self) -> str:
        """Say for people what there is, or what to do."""
        size = "size not known" if self.size is None else format_bytes(self.size)
        if self.problem is None:
            return f"{self.name}  {size}, here"
        if self.folder is not None:
            return f"{self.name}  {self.problem.message}"
        hint = self.problem.hint
        if self.by_hand:
            return f"{self.name}  {size} to get by hand: {hint}"
        return f"{self.name}  {size} to fetch: {hint}" if hint else f"{self.name}  {size}, not here"

    @property
    def by_hand(self) -> bool:
        """Whether no program may fetch them."""
        return any(entry.id == self.name and entry.by_hand for entry in CATALOGUE.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the same for programs."""
        problem = self.problem
        return {
            "role": self.role,
            "name": self.name,
            "folder": self.folder,
            "bytes": self.size,
            "licence": self.licence,
            "fetch": None if problem is None else problem.hint,
            "problem": None if problem is None else problem.message,
            "here": problem is None,
        }


@dataclass(frozen=True)
class Inventory:
    """All that a job needs, the generator first; see `list_needs`."""

    config: StylizeConfig
    preset: Preset
    every: tuple[Need, ...]

    def find(self, role: str) -> Need | None:
        """Return the need of a role, or None when the job has none."""
        return next((need for need in self.every if need.role == role), None)

    def path(self, role: str) -> Path | None:
        """Return where the weights of a role are, or None when the job needs none.

        Raises:
            StyleheadError: They are missing or refused.
        """
        need = self.find(role)
        return None if need is None else need.path

    @property
    def networks(self) -> tuple[Need, ...]:
        """Return the frozen networks beside the generator."""
        return tuple(need for need in self.every if need.role != "generator")

    @property
    def problems(self) -> tuple[StyleheadError, ...]:
        """Return what is missing or refused, in the order in which a run would meet it."""
        return tuple(need.problem for need in self.every if need.problem is not None)

    def require(self) -> "Inventory":
        """Return this, if everything is here and may be used.

        Raises:
            MissingError: Weights are not here.
            LicenseError: Their licence is not accepted.
            JobError: They are not what their place says.
        """
        for problem in self.problems:
            raise problem
        return self

    def rows(self) -> list[tuple[str, str]]:
        """Say for people which weights are needed, and which are here."""
        return [(need.role.replace("_", " "), need.state) for need in self.every]

    def hints(self) -> tuple[str, ...]:
        """Say what to type to bring what is missing."""
        return tuple(
            dict.fromkeys(
                need.problem.hint or f"bring {need.name} here"
                for need in self.every
                if need.problem is not None
            )
        )

    def teacher_paths(self) -> "TeacherPaths | None":
        """Return the folders as the teacher's loader wants them, or None for a job without a teacher."""
        return teacher_paths(self.every, self.config)

    def lost_words(self) -> str | None:
        """Return the end of the prompt that the teacher does not read; None when it reads all of it."""
        paths = None if self.problems else self.teacher_paths()
        if paths is None:
            return None
        from stylehead.teacher.prompts import load_tokenizer, lost_part

        return lost_part(self.config.prompt, load_tokenizer(paths.tokenizer_folder))

    def licence(self) -> str:
        """Say under which licences a job's result stands: the preset's, and those of what is not its own."""
        own = self.preset.licence
        others = [f"{need.name}: {need.licence}" for need in self.networks if need.licence != own]
        return "; ".join([own, *others])


def teacher_paths(needs: tuple[Need, ...], config: StylizeConfig) -> "TeacherPaths | None":
    """Return the folders of a teacher among needs that are here, or None where there is none."""
    from stylehead.teacher import TeacherPaths

    places = {need.role: need.path for need in needs}
    base = places.get("diffusion")
    canny, depth, vae = (places.get(role) for role in ("controlnet_canny", "controlnet_depth", "vae"))
    if base is None:
        return None
    tokenizer = local_tokenizer() if base.is_file() else None
    edits = method_class(config.method).needed(config).editing
    return TeacherPaths(base, canny, depth, vae, tokenizer, parse_loras(config), edits)


def parse_loras(config: StylizeConfig) -> "tuple[Lora, ...]":
    """Return the LoRAs that the settings name, each with its strength."""
    from stylehead.teacher.lora import parse_lora

    return tuple(parse_lora(text) for text in getattr(config, "lora", ()))
