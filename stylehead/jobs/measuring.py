"""From runs and folders of pictures to rows of the table: heads are rendered and measured, style by style."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from stylehead.errors import MissingError, StyleheadError, UsageError
from stylehead.evaluation.baselines import edit_portraits, open_portrait_editor
from stylehead.evaluation.columns import all_columns, measure_row
from stylehead.evaluation.comparison import Comparison, EncodedPortraits, Reference, Target
from stylehead.evaluation.numbers import NotMeasured
from stylehead.evaluation.picture_folders import read_folder, read_set
from stylehead.evaluation.portraits import Portraits, render_portraits
from stylehead.evaluation.systems import ORACLE, TRUE, UNTOUCHED
from stylehead.evaluation.table import Row, Table
from stylehead.evaluation.truth import TruthSet
from stylehead.export.views import latent_from_seed
from stylehead.generator import PanoHead, load_style, remove_styles
from stylehead.jobs import environment
from stylehead.jobs.arguments import EvaluateArguments
from stylehead.jobs.experiments import STYLE_FILE
from stylehead.jobs.references import PHOTO_PROMPT, check_reference, paint_prompt
from stylehead.jobs.report import ProgressView, Report
from stylehead.jobs.row_source import RowSource
from stylehead.methods.config import StylizeConfig
from stylehead.mini.captions import PHOTO, STYLES, place_prompt
from stylehead.perception.loading import EncoderFiles, open_perception
from stylehead.perception.roles import Encoders
from stylehead.runs import slugify
from stylehead.teacher.sources import local_folder
from stylehead.weights.presets import Preset, resolve_preset

_THE_TRUTH = MissingError("This row is what the others are compared with.")


class MeasuredTable(NamedTuple):
    """The table, and the pictures of its rows by number, where they were kept."""

    table: Table
    pictures: dict[int, Portraits]


@dataclass(frozen=True, eq=False)
class Setting:
    """What all rows share; see `Setting.open`."""

    generator: PanoHead
    weights: Preset
    encoders: Encoders
    arguments: EvaluateArguments
    psi: float
    truth: TruthSet | None
    why_no_truth: MissingError | None

    @classmethod
    def open(cls, generator: PanoHead, weights: Preset, arguments: EvaluateArguments) -> "Setting":
        """Load the encoders, where the generator is, and find out whether the truth is known.

        Raises:
            UsageError: `--reference` asks for something that is not there.
            StyleheadError: An encoder or a network of the teacher that is asked for cannot be used.
        """
        device = str(next(generator.parameters()).device)
        encoders = open_perception(weights, files=_encoder_files(arguments), device=device)
        truth, why = check_reference(weights, arguments)
        usual = StylizeConfig.psi if truth is None else truth.psi
        psi = usual if arguments.psi is None else arguments.psi
        return cls(generator, weights, encoders, arguments, psi, truth, why)

    @property
    def device(self) -> str:
        """Where the generator is: `cpu`, or such as `cuda:0`."""
        return str(next(self.generator.parameters()).device)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Who is measured."""
        return tuple(range(self.arguments.identities))

    def latents(self) -> dict[int, Tensor]:
        """Their style vectors."""
        return {seed: latent_from_seed(self.generator, seed, psi=self.psi) for seed in self.seeds}

    def encoded(self, portraits: Portraits) -> EncodedPortraits:
        """Pictures in front of the encoders."""
        return EncodedPortraits(portraits, self.encoders, batch=self.arguments.batch)

    def style_of(self, prompt: str) -> str:
        """Return the name by which rows are grouped; see the function of that name."""
        return style_of(prompt, self.weights)

    def facts(self) -> dict[str, Any]:
        """What the whole table shares, for programs."""
        return {
            "preset": self.weights.name,
            "generator": self.generator.fingerprint(),
            "identities": self.arguments.identities,
            "yaws_deg": list(self.arguments.yaws_deg),
            "psi": self.psi,
            "interval": "95 % percentile bootstrap over identities",
            "encoders": self.encoders.names(),
            "reference": self.arguments.reference,
        }


def load_setting(arguments: EvaluateArguments) -> Setting:
    """Load what all rows share, the generator too."""
    weights, _ = resolve_preset(arguments.preset)
    generator = PanoHead.load(weights.require_generator(), environment.choose_device(arguments.device))
    return Setting.open(generator, weights, arguments)


def _encoder_files(asked: EvaluateArguments) -> EncoderFiles:
    """Return the files of the encoders that were named."""

    def folder(source: str | None, flag: str) -> Path | None:
        return None if source is None else local_folder(source, flag)

    return EncoderFiles(
        folder(asked.clip, "--clip"),
        folder(asked.faces, "--faces"),
        folder(asked.depth_model, "--depth-model"),
        asked.inception,
    )


def style_of(prompt: str, weights: Preset) -> str:
    """Return a style of the embedded world, or else the prompt."""
    if weights.vocabulary is not None:
        with contextlib.suppress(UsageError):
            return place_prompt(prompt)
    return prompt.strip().lower()


def measure_table(
    setting: Setting, sources: Sequence[RowSource], report: Report, *, keep: bool
) -> MeasuredTable:
    """Render and measure all rows.

    Args:
        setting: What they share.
        sources: Rows beside the untouched generator and the true pictures.
        report: For progress and warnings.
        keep: Keep the pictures, for the report.
    """
    people = setting.arguments.identities
    rendered = sum(source.draws for source in sources)
    with report.progress(total=people * (1 + rendered), label="Measuring", unit="head") as shown:
        builder = TableBuilder(setting, shown, keep=keep)
        for style, group in by_style(setting.style_of, setting.weights, sources):
            builder.add_style(style, group)
    return MeasuredTable(Table(builder.rows, setting.facts()), builder.pictures)


class StyleScene(NamedTuple):
    """What the rows of a style share.

    Attributes:
        style: Its name.
        prompt: In words.
        group: The rows that are neither the untouched heads nor the true ones.
        untouched: The heads before.
        target: How they should look.
        drawn: Rows of the group that are drawn already, by number.
    """

    style: str
    prompt: str
    group: tuple[RowSource, ...]
    untouched: EncodedPortraits
    target: Target
    drawn: dict[int, EncodedPortraits]

    @property
    def places(self) -> int:
        """Return how many rows there can be."""
        return len(self.group) + 2


class TableBuilder:
    """Collects rows; counts rendered heads for the progress."""

    def __init__(self, setting: Setting, shown: ProgressView, *, keep: bool) -> None:
        self.setting, self.rows, self.pictures = setting, list[Row](), dict[int, Portraits]()
        self._shown, self._keep, self._heads = shown, keep, 0
        self._latents = setting.latents()

    def render(self, generator: PanoHead) -> Portraits:
        """Render all people from all sides."""
        return render_portraits(
            generator, self._latents, self.setting.arguments.yaws_deg, done=self._counter()
        )

    def _counter(self) -> Callable[[int], None]:
        before = self._heads

        def done(count: int) -> None:
            self._heads = before + count
            self._shown.update(self._heads)

        return done

    @functools.cached_property
    def untouched(self) -> EncodedPortraits:
        """All people as the untouched generator draws them."""
        return self.setting.encoded(self.render(self.setting.generator))

    def add_style(self, style: str, group: Sequence[RowSource]) -> None:
        """The rows of a style: untouched, the methods, and the truth where it is known."""
        scene = self.open_style(style, group)
        for place in range(scene.places):
            self.add_row(scene, place)

    def open_style(self, style: str, group: Sequence[RowSource]) -> "StyleScene":
        """Prepare what all rows of a style are compared with."""
        setting, untouched = self.setting, self.untouched
        prompt = group[0].prompt if group else PHOTO_PROMPT
        target = _target(setting, style, prompt, untouched.portraits)
        drawn: dict[int, EncodedPortraits] = {}
        for number, source in enumerate(group):
            if source.method == ORACLE and source.problem is None and target.oracle is None:
                drawn[number] = setting.encoded(self._portraits(source, untouched.portraits))
                target = dataclasses.replace(target, oracle=drawn[number])
        return StyleScene(style, prompt, tuple(group), untouched, target, drawn)

    def add_row(self, scene: "StyleScene", place: int) -> None:
        """Measure one row of a style: the untouched heads come first, the true ones last if there are any."""
        setting, style, prompt, target = self.setting, scene.style, scene.prompt, scene.target
        force = setting.arguments.force_fid
        if place == 0:
            case = Comparison(scene.untouched, scene.untouched, target, force)
            self._add("untouched", _source(UNTOUCHED, prompt), style, case)
        elif place <= len(scene.group):
            number = place - 1
            self._add_source(scene.group[number], style, scene.untouched, target, scene.drawn.get(number))
        elif setting.truth is not None and target.truth is not None and style != PHOTO:
            photo = setting.encoded(_true_portraits(setting, setting.truth, PHOTO))
            alone = Target(prompt, style, why={"truth": _THE_TRUTH, "reference": _THE_TRUTH})
            self._add("true", _source(TRUE, prompt), style, Comparison(target.truth, photo, alone, force))

    def _add_source(
        self,
        source: RowSource,
        style: str,
        untouched: EncodedPortraits,
        target: Target,
        drawn: EncodedPortraits | None = None,
    ) -> None:
        heads = self._heads
        try:
            if source.problem is not None:
                raise source.problem
            stylised = drawn or self.setting.encoded(self._portraits(source, untouched.portraits))
            own = dataclasses.replace(target, prompt=source.prompt)
            force = self.setting.arguments.force_fid
            self._add("method", source, style, Comparison(stylised, untouched, own, force))
        except StyleheadError as error:
            cells = {column.name: NotMeasured(error.message, error.hint) for column in all_columns()}
            facts = {**source.facts, "problem": error.message}
            self.rows.append(Row("method", source.label, source.method, style, source.prompt, cells, facts))
            if source.draws:
                self._heads = heads + self.setting.arguments.identities
                self._shown.update(self._heads)

    def _portraits(self, source: RowSource, untouched: Portraits) -> Portraits:
        if source.folder is not None:
            return read_folder(source.folder, self.setting.seeds, self.setting.arguments.yaws_deg)
        if source.edits:
            editor = open_portrait_editor(source.method, self.setting.weights, self.setting.device)
            return edit_portraits(editor, untouched, source.prompt, done=self._counter())
        assert source.run is not None
        try:
            load_style(source.run / STYLE_FILE).apply(self.setting.generator)
            return self.render(self.setting.generator)
        finally:
            remove_styles(self.setting.generator)

    def _add(self, kind: Any, source: RowSource, style: str, case: Comparison) -> None:
        if self._keep:
            self.pictures[len(self.rows)] = case.stylised.portraits
        cells = measure_row(case, all_columns())
        self.rows.append(Row(kind, source.label, source.method, style, source.prompt, cells, source.facts))


# --------------------------------------------------------------------------------------------------- targets


def _target(setting: Setting, style: str, prompt: str, untouched: Portraits) -> Target:
    why: dict[str, MissingError] = {}
    if setting.why_no_truth is not None:
        why["truth"] = setting.why_no_truth
    truth = None
    if setting.truth is not None and style not in setting.truth.styles:
        why["truth"] = MissingError("The embedded world has no such style.")
    elif setting.truth is not None:
        truth = setting.encoded(_true_portraits(setting, setting.truth, style))
        if not truth.portraits.seeds or not truth.portraits.yaws_deg:
            truth, why["truth"] = None, MissingError("The true pictures show none of these people and sides.")
    reference = _reference(setting, style, prompt, untouched, truth)
    if reference is None:
        why["reference"] = MissingError(
            "There are no reference pictures.", "--reference teacher, or a folder of pictures"
        )
    return Target(prompt, style, truth, reference, why)


def _true_portraits(setting: Setting, truth: TruthSet, style: str) -> Portraits:
    return truth.portraits(style, seeds=setting.seeds, yaws_deg=setting.arguments.yaws_deg)


def _reference(
    setting: Setting, style: str, prompt: str, untouched: Portraits, truth: EncodedPortraits | None
) -> Reference | None:
    asked = setting.arguments.reference
    if asked in ("auto", "truth"):
        return None if truth is None else Reference(truth, paired=True, name="the true pictures")
    if asked == "teacher":
        return Reference(
            setting.encoded(paint_prompt(setting.weights, setting.device, prompt, untouched)),
            True,
            "the teacher's pictures",
        )
    folder = Path(asked)
    inside = folder / slugify(style)
    chosen = inside if inside.is_dir() else folder
    return Reference(setting.encoded(read_set(chosen)), paired=False, name=str(chosen))


def by_style(
    style_of: Callable[[str], str], weights: Preset, sources: Sequence[RowSource]
) -> Iterator[tuple[str, list[RowSource]]]:
    """Sources by style: the embedded world's in its own order, others as they come; a photograph if none."""
    groups: dict[str, list[RowSource]] = {}
    for source in sources:
        groups.setdefault(style_of(source.prompt), []).append(source)
    if not groups:
        groups[PHOTO if weights.vocabulary is not None else UNTOUCHED] = []

    def place(style: str) -> int:
        return STYLES.index(style) if style in STYLES else len(STYLES)

    for style in sorted(groups, key=place):
        yield style, groups[style]


def _source(label: str, prompt: str) -> RowSource:
    return RowSource(label, "", prompt)
