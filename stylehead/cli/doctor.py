"""`stylehead doctor`: what this machine has, whether it works, and what a preset would need."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stylehead.cli.options import WHERE, JsonOption, QuietOption
from stylehead.cli.output import Output, reporting
from stylehead.jobs.report import Result
from stylehead.weights.presets import PresetName, find_preset

if TYPE_CHECKING:
    from stylehead.jobs.doctor import Check
    from stylehead.jobs.forecast import Forecast
    from stylehead.jobs.inventory import Inventory

EPILOG = """
[bold]Examples[/bold]

  [cyan]stylehead doctor[/cyan]

  [cyan]stylehead doctor --preset panohead[/cyan]   what full scale needs: downloads, memory, time

  [cyan]stylehead doctor --json --no-smoke[/cyan]   quick, for scripts

Exit code 0 when everything that was looked at works, 1 when something does not, 3 when weights that
--preset needs are missing.
"""
PROMPT = "Portrait of a werewolf"


def doctor(
    preset: Annotated[
        PresetName, typer.Option(help="Also say what this preset needs on this machine.")
    ] = "auto",
    device: Annotated[str, typer.Option(help=WHERE, metavar="DEVICE")] = "auto",
    smoke: Annotated[
        bool,
        typer.Option(
            "--smoke/--no-smoke", help="Train, save, apply and render a style in one step.", metavar=""
        ),
    ] = True,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Look at this machine: packages, GPU, weights and licences; write a film, and train one step."""
    with reporting(as_json=as_json, quiet=quiet) as output:
        checks = list(_examine(device, smoke=smoke, output=output))
        needs = _needs(preset, output) if preset != "auto" else None
        forecasts = [] if needs is None else _forecasts(needs, device, output)
        code = _exit_code(checks, needs)
        _show(checks, needs, forecasts, output, code)
        if code:
            raise typer.Exit(code)


def _examine(device: str, *, smoke: bool, output: Output) -> Iterator["Check"]:
    from stylehead.jobs import doctor as checks
    from stylehead.jobs.environment import choose_device

    yield from checks.machine()
    yield from checks.system()
    yield checks.run_check("libraries", checks.libraries)
    found = checks.run_check("gpu", lambda: checks.gpu(device))
    yield found
    chosen = "cpu" if found.state != "ok" or device == "cpu" else choose_device(device)
    yield checks.run_check("computes", lambda: checks.computes(chosen))
    yield checks.run_check("preset mini", checks.embedded_weights)
    yield from checks.catalogued()
    yield checks.run_check("film", checks.encode)
    if smoke:
        output.note("Training one step of the embedded models (--no-smoke leaves it out).")
        yield checks.run_check("smoke", lambda: checks.smoke(chosen))


def _needs(preset: str, output: Output) -> "Inventory":
    from stylehead.jobs.needs import list_needs
    from stylehead.methods.config import StylizeConfig

    chosen, why = find_preset(preset)
    output.note(why)
    needs = list_needs(StylizeConfig.from_dict({"prompt": PROMPT, "preset": preset}), chosen)
    for problem in needs.problems:
        output.warn(problem.message)
    return needs


def _forecasts(needs: "Inventory", device: str, output: Output) -> "list[tuple[str, Forecast]]":
    """Estimate every tier on a GPU, and on a machine without one what it would do itself."""
    from stylehead.cost import measure_rates
    from stylehead.jobs.blueprint import blueprint
    from stylehead.jobs.environment import choose_device
    from stylehead.jobs.forecast import forecast
    from stylehead.memory import TIERS

    output.note("Estimating memory and time from the shapes of the networks.")
    here, found = choose_device(device), []
    for place in dict.fromkeys(("cuda", here.partition(":")[0])):
        networks = blueprint(needs, place)
        rates = measure_rates(here, networks.dtypes) if here.startswith(place) else None
        own = needs.config.tier("cpu", largest_image=networks.largest_image)
        tiers = list(TIERS.values()) if place == "cuda" else [own]
        found += [(place, forecast(networks, needs.config, tier, rates)) for tier in tiers]
    return found


def _exit_code(checks: "list[Check]", needs: "Inventory | None") -> int:
    if any(check.state == "failed" for check in checks):
        return 1
    return 3 if needs is not None and needs.problems else 0


def _show(
    checks: "list[Check]",
    needs: "Inventory | None",
    forecasts: "list[tuple[str, Forecast]]",
    output: Output,
    code: int,
) -> None:
    marks = {"ok": "ok", "note": "--", "failed": "FAILED", "missing": "MISSING"}
    rows = [(check.name, f"{marks[check.state]:<7} {check.said}") for check in checks]
    data: dict[str, Any] = {
        "ok": code == 0,
        "exit_code": code,
        "checks": [check._asdict() for check in checks],
    }
    if needs is not None:
        from stylehead.jobs.dry_run import forecast_rows

        rows += [(f"{needs.preset.name}: {name}", said) for name, said in needs.rows()]
        for place, found in forecasts:
            words = " | ".join(said for name, said in forecast_rows(found)[1:])
            rows.append((f"--memory {found.tier.name}, {place}", words))
        data["preset"] = {
            "name": needs.preset.name,
            "licence": needs.preset.licence,
            "weights": [need.to_dict() for need in needs.every],
            "estimates": [{"device": place, **found.to_dict()} for place, found in forecasts],
        }
    verdict = "works" if code == 0 else "missing weights" if code == 3 else "does not work"
    output.result(Result(primary=(verdict,), rows=tuple(rows), data=data))
    for check in checks:
        if check.state == "failed" and check.hint:
            output.next(check.hint)
    for hint in () if needs is None else needs.hints():
        output.next(hint)
