"""The page of a run: curves, previews and settings in one HTML file, kept up to date while it trains.

The page carries its pictures and asks no server for anything; while the run goes on, it loads itself again.
"""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from stylehead import __version__
from stylehead.files import atomic_write
from stylehead.runs import RunDirectory
from stylehead.units import format_duration

PAGE = "index.html"
MOST_PREVIEWS = 24
MOST_CURVES = 8
_POINTS = 300
_WIDTH, _HEIGHT, _LEFT, _BELOW = 460, 200, 70, 24
_REFRESH_S = 10
_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c20; --faint: #66666e; --line: #d8d8de; --paper: #fff;
        --curve: #2f62c4 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececf0; --faint: #a0a0aa; --line: #3c3c44; --paper: #18181b; --curve: #86aef8 }
}
body { margin: 0 auto; padding: 1.5rem; max-width: 72rem; font: 16px/1.5 system-ui, sans-serif;
       color: var(--ink); background: var(--paper) }
h1 { font-size: 1.6rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
p { margin: .3rem 0 } .faint, figcaption, text { color: var(--faint); fill: var(--faint) }
progress { width: 100%; height: .8rem }
figure { margin: 0 } img { max-width: 100%; height: auto; background: #fff; border-radius: 4px }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); gap: 1rem }
.small { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); gap: .8rem }
svg { width: 100%; height: auto; font-size: 12px } table { border-collapse: collapse; width: 100% }
td { border-top: 1px solid var(--line); padding: .2rem .6rem .2rem 0; overflow-wrap: anywhere;
     vertical-align: top }
td:first-child { white-space: nowrap; color: var(--faint); width: 30% }
"""


def write_page(run: RunDirectory) -> Path:
    """Write `index.html` into the folder of a run, atomically; returns its path."""
    path = run.path / PAGE
    atomic_write(path, page(run))
    return path


def page(run: RunDirectory) -> str:
    """Write the page of a run as it is now."""
    manifest, events = run.manifest(), run.events()
    running = manifest.get("outcome") == "running"
    again = f'<meta http-equiv="refresh" content="{_REFRESH_S}">\n' if running else ""
    title = str(manifest.get("prompt") or run.path.name)
    body = [
        _head(title, manifest, events),
        _curves(events),
        _previews(run.path),
        _settings(manifest),
        f'<footer><p class="faint">Made by stylehead {__version__}.</p></footer>',
    ]
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n{again}'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body>\n</html>\n"
    )


# ------------------------------------------------------------------------------------------------------ parts


def _head(title: str, manifest: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> str:
    step = int(events[-1].get("step", 0)) if events else 0
    total = (manifest.get("config") or {}).get("iterations")
    facts = [str(manifest.get("outcome", "running")), f"step {step}" + (f" of {total}" if total else "")]
    elapsed = events[-1].get("elapsed_s") if events else None
    if isinstance(elapsed, int | float):
        facts.append(format_duration(elapsed))
    facts += [str(manifest[key]) for key in ("method", "preset", "device") if manifest.get(key)]
    bar = f'<progress max="{total}" value="{step}" aria-label="steps done"></progress>' if total else ""
    why = manifest.get("error")
    error = f"<p>{escape(str(why))}</p>" if why else ""
    line = f'<p class="faint">{escape(", ".join(facts))}</p>'
    return f"<header><h1>{escape(title)}</h1>{line}{bar}{error}</header>"


def _curves(events: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for event in events for name in measured_numbers(event)))[:MOST_CURVES]
    drawn = [_curve(name, _points(events, name)) for name in names]
    whole = "\n".join(part for part in drawn if part)
    return f'<h2>Curves</h2>\n<div class="curves">{whole}</div>' if whole else ""


def measured_numbers(event: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """What an event measured but times, by name: finite numbers, groups joined with a slash."""
    found: dict[str, float] = {}
    for key, value in event.items():
        if key in _CLOCKS:
            continue
        if isinstance(value, Mapping):
            found |= measured_numbers(value, f"{prefix}{key}/")
        elif _is_number(value):
            found[f"{prefix}{key}"] = float(value)
    return found


_CLOCKS = ("step", "time", "elapsed_s", "seconds")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _points(events: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    """Steps and values of one number, thinned to what can be told apart."""
    every = [(float(event.get("step", 0)), measured_numbers(event)) for event in events]
    points = [(step, values[name]) for step, values in every if name in values]
    thinned = points[:: max(1, len(points) // _POINTS)]
    return thinned if not points or thinned[-1] == points[-1] else [*thinned, points[-1]]


def _curve(name: str, points: Sequence[tuple[float, float]]) -> str:
    """One number over the steps, as a drawing with its ends labelled."""
    if len(points) < 2:
        return ""
    (first, last), values = (points[0][0], points[-1][0]), [value for _, value in points]
    low, high = min(values), max(values)
    across, up = (last - first) or 1.0, (high - low) or 1.0
    places = " ".join(
        f"{_LEFT + (step - first) / across * (_WIDTH - _LEFT - 8):.1f},"
        f"{8 + (high - value) / up * (_HEIGHT - _BELOW - 8):.1f}"
        for step, value in points
    )
    floor = _HEIGHT - _BELOW
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(name)} over the steps: from {values[0]:.4g} to {values[-1]:.4g}">'
        f'<path d="M{_LEFT} 8V{floor}H{_WIDTH - 8}" fill="none" stroke="var(--line)"/>'
        f'<polyline points="{places}" fill="none" stroke="var(--curve)" stroke-width="2"/>'
        f'<text x="{_LEFT - 6}" y="14" text-anchor="end">{high:.3g}</text>'
        f'<text x="{_LEFT - 6}" y="{floor}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 8}">{first:g}</text>'
        f'<text x="{_WIDTH - 8}" y="{_HEIGHT - 8}" text-anchor="end">{last:g}</text></svg>'
        f"<figcaption>{escape(name)}</figcaption></figure>"
    )


def _previews(folder: Path) -> str:
    """The newest preview large, the others small, newest first."""
    found = sorted((folder / "previews").glob("step_*.jpg"))
    if not found:
        return ""
    *earlier, newest = found
    every = max(1, math.ceil(len(earlier) / MOST_PREVIEWS))
    small = "".join(_picture(path, 420) for path in reversed(earlier[::every]))
    rest = f'<h2>Earlier</h2>\n<div class="small">{small}</div>' if small else ""
    return f"<h2>Newest preview</h2>\n{_picture(newest)}\n{rest}"


def _picture(path: Path, width: int | None = None) -> str:
    """A picture inside the page, smaller if it is to be."""
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except OSError:  # a picture that somebody has damaged costs the page no more than itself
        return ""
    if width is not None and image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    held = io.BytesIO()
    image.save(held, "JPEG", quality=86)
    name = f"step {int(path.stem.partition('_')[2] or 0)}"
    data = base64.b64encode(held.getvalue()).decode()
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" width="{image.width}" height="{image.height}" '
        f'alt="Heads before and at {name}"><figcaption>{name}</figcaption></figure>'
    )


def _settings(manifest: Mapping[str, Any]) -> str:
    config = manifest.get("config") or {}
    rows = [(key, str(value)) for key, value in config.items() if value is not None]
    rows = [
        ("command", str(manifest.get("command", ""))),
        ("licence", str(manifest.get("licence", ""))),
        *rows,
    ]
    cells = "".join(
        f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>" for key, value in rows if value
    )
    return f"<h2>Settings</h2>\n<table><tbody>{cells}</tbody></table>"
