"""Options that commands share, and those that mirror `StylizeConfig` field by field.

The names, types, defaults and help texts of the latter are read from the dataclass: there is one source.
"""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, get_type_hints

import typer

from stylehead.cli.help import Command
from stylehead.config_files import read_config_file
from stylehead.errors import StyleheadError
from stylehead.methods.config import StylizeConfig, TeacherSettings
from stylehead.methods.registry import BUILT_IN, DEFAULT, EMBEDDED_DEFAULT, method_names, settings_class
from stylehead.settings import field_help, flag
from stylehead.weights.presets import PresetName

PRINTED = "What is printed"
WHERE = "Where: auto, cpu, cuda, cuda:1."

JsonOption = Annotated[
    bool,
    typer.Option("--json", help="One JSON document on stdout.", rich_help_panel=PRINTED, metavar=""),
]
QuietOption = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Only the primary result.", rich_help_panel=PRINTED, metavar=""),
]

KeepCheckpointsOption = Annotated[
    int, typer.Option(min=0, help="Checkpoints that stay at the end.", rich_help_panel="The run")
]
LogWithOption = Annotated[
    Literal["tensorboard", "wandb"] | None,
    typer.Option(
        help="Also log every step there; wandb may use the network.",
        show_default=False,
        rich_help_panel="The run",
    ),
]
ProbeOption = Annotated[
    bool,
    typer.Option(
        "--probe",
        hidden=True,
        help="Let --dry-run time a few steps of large models, too, not estimate.",
        rich_help_panel="The run",
        metavar="",
    ),
]

PANELS: dict[str, tuple[str, ...]] = {
    "What to make": ("prompt", "method", "preset", "seed"),
    "The teacher": (
        "teacher",
        "diffusion",
        "lora",
        "controlnet_canny",
        "controlnet_depth",
        "vae",
        "depth_estimator",
        "clip",
    ),
    "How long, how large": (
        "iterations",
        "time_budget_minutes",
        "learning_rate",
        "learning_rate_end",
        "weight_average",
        "batch",
        "views",
        "precision",
        "vae_precision",
        "generator_precision",
        "compile",
        "reference_heads",
        "memory",
        "checkpoint_every",
        "preview_every",
        "full_style",
        "max_non_finite",
    ),
    "Score": (
        "score",
        "score_limit",
        "cfg_scale",
        "ddim_steps",
        "step_range",
        "step_window",
        "alpha_lookup",
        "gradient_scale",
        "gradient_clamp",
        "posterior",
    ),
    "Mirror, grid, rank weights, mask": (
        "mirror",
        "base_weight",
        "mirror_weight",
        "grid",
        "grid_mode",
        "grid_weight",
        "grid_mirror",
        "grid_step_range",
        "rank",
        "rank_weights",
        "rank_renormalise",
        "mask",
    ),
    "Edits": (
        "bank",
        "people",
        "bank_views",
        "editor",
        "instruction",
        "negative_prompt",
        "text_scale",
        "picture_scale",
        "edit_steps",
        "refresh",
        "refresh_noise",
        "square_weight",
        "absolute_weight",
        "detail_weight",
        "raw_weight",
        "critic_weight",
        "matching_weight",
        "critic_rate",
        "critic_from",
        "outline_weight",
        "depth_weight",
        "side_weight",
        "back_weight",
        "train_maps",
        "patience",
    ),
    "ControlNets": ("canny", "canny_scale", "canny_channel", "canny_bytes", "depth", "depth_scale"),
    "Regularisers": (
        "tweedie_weight",
        "perceptual_weight",
        "relative_distance_weight",
        "relative_distance_axis",
        "relative_distance_floor",
        "relative_distance_limit",
        "alpha_weight",
        "latent_weight",
        "latent_colour",
    ),
    "Rivals": (
        "source_prompt",
        "adaptive_layers",
        "adaptive_heads",
        "rms_rescale",
        "direction_weight",
        "reconstruction_weight",
        "clip_weight",
        "offset_weight",
        "identity_weight",
    ),
    "Heads, cameras, background": (
        "psi",
        "psi_cutoff",
        "yaw_deg",
        "grid_yaw_deg",
        "pitch_deg",
        "conditioning_pitch_deg",
        "background",
        "noise_mode",
        "ray_jitter",
    ),
}
"""Settings by help panel, in the order in which they are shown; new settings come in a last panel."""

EVERYDAY = {
    "prompt", "preset", "seed", "diffusion", "lora", "iterations", "time_budget_minutes", "memory",
    "preview_every", "psi",
}  # fmt: skip
"""Settings that `--help` shows, whatever the method."""
_COMMON = StylizeConfig.names()
_BY_METHOD = ("iterations", "preview_every", "psi")
"""Everyday settings whose defaults methods declare again."""
THE_RUN = "The run"
_OTHER = "Other settings"
_TYPES: dict[str, Any] = {"prompt": str | None, "preset": PresetName}


class StylizeCommand(Command):
    """The command whose options are the settings of the method that is asked for.

    They are put together when the words are read: the method is named by `--method`, or by the run of
    `--resume`, or by the file of `--config`. Its classes are imported only where its options are needed.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words after the command."""
        function = type(self).function  # not bound to this command
        assert function is not None
        built = build_command(function, choose_settings(args))
        self.params, self.callback = built.params, built.callback
        return super().parse_args(ctx, args)

    function: ClassVar[Callable[..., None] | None] = None
    """What the command calls, with the chosen settings as keywords."""


class Choice(NamedTuple):
    """Which settings become options."""

    kinds: tuple[Any, ...]
    """Settings classes; the first that has a name gives its default."""
    method: str | None
    """The method that was named, whose own settings are shown beside the everyday ones."""


def choose_settings(args: Sequence[str]) -> Choice:
    """Look which settings the words of a command need."""
    named = _named_method(args)
    helping = "-h" in args or "--help" in args
    if helping and named is None:
        return Choice((StylizeConfig, TeacherSettings), None)
    own: tuple[Any, ...] | None
    try:
        own = (settings_class(named or DEFAULT),)
    except StyleheadError:  # said when the job starts, in the form that was asked for
        own, named = None, None
    if helping:
        return Choice(own or (StylizeConfig, TeacherSettings), named)
    return Choice((*(own or ()), *(settings_class(name) for name in BUILT_IN)), named)


def _named_method(args: Sequence[str]) -> str | None:
    for index, word in enumerate(args):
        option, _, value = word.partition("=")
        value = value or (args[index + 1] if index + 1 < len(args) else "")
        if option == "--method":
            return value
        if option in ("--resume", "--config"):
            found = _method_in(Path(value))
            if found is not None:
                return found
    return None


def _method_in(path: Path) -> str | None:
    """The method of a run or of a file of settings, if it can be read; the job says what is wrong else."""
    file = path / "run.json" if path.is_dir() else path
    try:
        content = read_config_file(file).values
        settings = content.get("config") or content.get("stylize") or content
        return str(settings["method"])
    except (OSError, StyleheadError, KeyError, TypeError, AttributeError):
        return None


def build_command(function: Callable[..., None], choice: Choice) -> Any:
    """Make the command of a function whose `**settings` become options."""

    def call(**values: Any) -> None:
        function(**values)

    call.__signature__ = signature(function, choice)  # type: ignore[attr-defined]
    toy = typer.Typer(rich_markup_mode=None, add_completion=False)
    toy.command()(call)
    return typer.main.get_command(toy)


def signature(function: Callable[..., None], choice: Choice) -> inspect.Signature:
    """Return the signature of a function with an option for each setting in place of its `**settings`.

    The function's own options keep their order within their panels; panels come in that of `PANELS`.
    """
    found = inspect.signature(function, eval_str=True)
    own = [item for item in found.parameters.values() if item.kind is not item.VAR_KEYWORD]
    return found.replace(parameters=sorted([*own, *_setting_parameters(choice)], key=_place))


def given_settings(context: typer.Context, settings: dict[str, Any]) -> dict[str, Any]:
    """Keep the settings that the user typed; defaults are left to the profile."""
    return {
        name: value
        for name, value in settings.items()
        if (source := context.get_parameter_source(name)) is not None and source.name != "DEFAULT"
    }


def _setting_parameters(choice: Choice) -> list[inspect.Parameter]:
    """One option for every field that one of the classes has."""
    found: dict[str, inspect.Parameter] = {"method": _method_parameter()}
    for kind in choice.kinds:
        hints, texts = get_type_hints(kind), field_help(kind)
        for field in dataclasses.fields(kind):
            if field.name in found:
                continue
            own = choice.method if field.name not in _COMMON and kind is choice.kinds[0] else None
            found[field.name] = inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None if field.default in (dataclasses.MISSING, ()) else field.default,
                annotation=_annotation(
                    field.name,
                    hints[field.name],
                    texts.get(field.name, ""),
                    own,
                    general=kind is StylizeConfig,
                ),
            )
    return list(found.values())


def _method_parameter() -> inspect.Parameter:
    names = ", ".join(method_names())
    text = f"Which method trains: {names}. With --help its settings are shown."
    usual = f"{EMBEDDED_DEFAULT}/{DEFAULT}"  # embedded, and at full scale
    option = typer.Option(
        "--method", help=text, rich_help_panel=_panel("method"), metavar="NAME", show_default=usual
    )
    annotation = Annotated[str, option]
    return inspect.Parameter("method", inspect.Parameter.KEYWORD_ONLY, default=DEFAULT, annotation=annotation)


def _annotation(name: str, hint: Any, text: str, method: str | None, *, general: bool) -> Any:
    """An annotated type as typer wants it; `method` is the one that it belongs to, where that is shown.

    A `general` setting is that of no method in particular, which has no default of its own.
    """
    panel = _panel(name) if method is None else f"Settings of --method {method}"
    shown: dict[str, Any] = {"help": text, "rich_help_panel": panel}
    shown["hidden"] = method is None and name not in EVERYDAY
    if general and name in _BY_METHOD:
        shown["show_default"] = "by method"
    names = (f"{flag(name)}/--no-{flag(name)[2:]}",) if hint is bool else (flag(name),)
    if hint == tuple[float, ...]:
        option = typer.Option(*names, parser=parse_numbers, metavar="A,B,...", **shown)
        return Annotated[Any, option]
    if hint == tuple[str, ...]:
        option = typer.Option(*names, metavar="FILE[:STRENGTH]", **shown)
        return Annotated[list[str] | None, option]
    metavar = "" if hint is bool else None  # a switch takes no value
    option = typer.Option(*names, metavar=metavar, **shown)
    return Annotated[_TYPES.get(name, hint), option]


def parse_numbers(text: str | tuple[float, ...]) -> tuple[float, ...]:
    """Read "1,0.5,0.25"."""
    if isinstance(text, tuple):
        return text
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of numbers like 1,0.75,0.5,0.25") from None


def _panel(name: str) -> str:
    return next((panel for panel, names in PANELS.items() if name in names), _OTHER)


def _place(parameter: inspect.Parameter) -> tuple[int, int]:
    """Sort key: the rank of a parameter's panel, then its place in it."""
    if parameter.annotation is typer.Context:
        return (-1, 0)
    panel = parameter.annotation.__metadata__[0].rich_help_panel or _OTHER
    order = [*list(PANELS)[:1], THE_RUN, *list(PANELS)[1:], _OTHER, PRINTED]
    if panel not in order:  # that of a method
        order.insert(order.index(_OTHER), panel)
    names = PANELS.get(panel, ())
    return (order.index(panel), names.index(parameter.name) if parameter.name in names else len(names))
