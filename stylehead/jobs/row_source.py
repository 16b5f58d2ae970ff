"""Where the pictures of a row come from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stylehead.errors import StyleheadError
from stylehead.evaluation.picture_folders import PictureFolder
from stylehead.evaluation.systems import method_title
from stylehead.jobs.experiments import FoundRun, Wanted, row_of_run


@dataclass(frozen=True)
class RowSource:
    """Where the pictures of a row come from: a run, a folder of pictures, an editor, or nothing at all."""

    label: str
    method: str
    prompt: str
    run: Path | None = None
    folder: PictureFolder | None = None
    edits: bool = False
    problem: StyleheadError | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def draws(self) -> bool:
        """Whether heads are drawn for it, one by one."""
        return self.run is not None or self.edits

    @classmethod
    def of_run(cls, run: FoundRun, label: str) -> "RowSource":
        """A finished run."""
        facts = {
            "path": run.path,
            "iterations": run.manifest.get("steps"),
            "seconds": run.manifest.get("seconds"),
        }
        return cls(label, row_of_run(run), run.config.prompt, run=run.path, facts=facts)

    @classmethod
    def of_wanted(cls, wanted: Wanted) -> "RowSource":
        """A row that was asked for; trained by now, edited soon, or not possible here."""
        facts: dict[str, Any] = {"path": wanted.path}
        if wanted.config is not None:
            facts["iterations"] = wanted.config.iterations
        return cls(
            wanted.label,
            wanted.method,
            wanted.prompt,
            run=wanted.path,
            edits=wanted.state == "edits",
            problem=wanted.why,
            facts=facts,
        )

    @classmethod
    def of_folder(cls, folder: PictureFolder) -> "RowSource":
        """Pictures that something else made."""
        label = f"{method_title(folder.method)} (pictures)"
        return cls(label, folder.method, folder.prompt, folder=folder, facts={"path": folder.path})
