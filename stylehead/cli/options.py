"""Options that commands share, and those that mirror `StylizeConfig` field by field.

The names, types, defaults and help texts of the latter are read from the dataclass: there is one source.
"""

import dataclasses
import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

from stylehead.methods.config import StylizeConfig
from stylehead.methods.registry import BUILT_IN, DEFAULT, method_names, settings_class
from stylehead.settings import field_help, flag
from stylehead.weights.presets import PresetName

PRINTED = "What is printed"

JsonOption = Annotated[
    bool,
    typer.Option("--json", help="One JSON document on stdout.", rich_help_panel=PRINTED, metavar=""),
]
QuietOption = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Only the primary result.", rich_help_panel=PRINTED, metavar=""),
]

PANELS: dict[str, tuple[str, ...]] = {
    "What to make": ("prompt", "method", "preset", "seed"),
    "The teacher": ("diffusion", "controlnet_canny", "controlnet_depth", "vae", "depth_estimator", "clip"),
    "How long, how large": (
        "iterations",
        "time_budget_minutes",
        "learning_rate",
        "learning_rate_end",
        "weight_average",
        "batch",
        "views",
        "precision",
        "memory",
        "checkpoint_every",
        "preview_every",
        "max_non_finite",
    ),
    "Score": (
        "score",
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
    "ControlNets": ("canny", "canny_scale", "canny_channel", "depth", "depth_scale"),
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

THE_RUN = "The run"
_OTHER = "Other settings"
_TYPES: dict[str, Any] = {"prompt": str | None, "preset": PresetName}


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the `**settings` of a command by an option for each field of `StylizeConfig`.

    The command's own options keep their order within their panels; panels come in that of `PANELS`.
    """
    signature = inspect.signature(command, eval_str=True)
    own = [item for item in signature.parameters.values() if item.kind is not item.VAR_KEYWORD]
    parameters = sorted([*own, *_setting_parameters()], key=_place)
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return command


def given_settings(context: typer.Context, settings: dict[str, Any]) -> dict[str, Any]:
    """Keep the settings that the user typed; defaults are left to the profile."""
    return {
        name: value
        for name, value in settings.items()
        if (source := context.get_parameter_source(name)) is not None and source.name != "DEFAULT"
    }


def _setting_parameters() -> list[inspect.Parameter]:
    """One option for every field that any method has; those of the default method come first."""
    found: dict[str, inspect.Parameter] = {"method": _method_parameter()}
    for kind in _kinds():
        hints, texts = get_type_hints(kind), field_help(kind)
        for field in dataclasses.fields(kind):
            parameter = inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None if field.default is dataclasses.MISSING else field.default,
                annotation=_annotation(field.name, hints[field.name], texts.get(field.name, "")),
            )
            found.setdefault(field.name, parameter)
    return list(found.values())


def _kinds() -> list[Any]:
    """The settings whose options are offered; other commands do without the methods, which need torch."""
    if "torch" in sys.modules or "stylize" in sys.argv:
        return [settings_class(name) for name in BUILT_IN]
    return [StylizeConfig]


def _method_parameter() -> inspect.Parameter:
    text = "Which system trains: ld (the paper's), its plain relatives sds and csd, or a rival of its table."
    option = typer.Option(
        "--method", help=text, rich_help_panel=_panel("method"), metavar=f"<{'|'.join(method_names())}>"
    )
    annotation = Annotated[str, option]
    return inspect.Parameter("method", inspect.Parameter.KEYWORD_ONLY, default=DEFAULT, annotation=annotation)


def _annotation(name: str, hint: Any, text: str) -> Any:
    """An annotated type as typer wants it."""
    names = (f"{flag(name)}/--no-{flag(name)[2:]}",) if hint is bool else (flag(name),)
    if hint == tuple[float, ...]:
        option = typer.Option(
            *names, help=text, rich_help_panel=_panel(name), parser=parse_numbers, metavar="A,B,…"
        )
        return Annotated[Any, option]
    metavar = "" if hint is bool else None  # a switch takes no value
    option = typer.Option(*names, help=text, rich_help_panel=_panel(name), metavar=metavar)
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
    names = PANELS.get(panel, ())
    return (order.index(panel), names.index(parameter.name) if parameter.name in names else len(names))
