"""What may be done next with heads that were rendered: words that a shell takes."""

import shlex
from collections.abc import Iterator

from stylehead.jobs.arguments import RenderArguments
from stylehead.jobs.named_styles import fitting_style
from stylehead.jobs.render import Rendered


def next_commands(rendered: Rendered) -> tuple[str, ...]:
    """Return what to type next: heads as they are may wear a style, one head in a style may become a mesh."""
    arguments = rendered.arguments
    if arguments.morph or arguments.mesh is not None:
        return ()
    words = ["stylehead", "render", *_head_words(arguments)]
    if not arguments.style:
        style = fitting_style(rendered.base)
        return () if style is None else (shlex.join([*words, "--style", style]),)
    if len(rendered.films) > 1:
        return ()
    return (shlex.join([*words, *_style_words(arguments), "--mesh", "head.glb"]),)


def _head_words(arguments: RenderArguments) -> Iterator[str]:
    """Return the options that name the same heads."""
    for path in arguments.latent:
        yield from ("--latent", str(path))
    if arguments.seeds is not None:
        yield from ("--seeds", arguments.seeds)
    elif not arguments.latent:
        yield from ("--seed", str(arguments.seed or 0))
    if arguments.psi != RenderArguments.psi:
        yield from ("--psi", f"{arguments.psi:g}")
    if arguments.preset != RenderArguments.preset:
        yield from ("--preset", arguments.preset)


def _style_words(arguments: RenderArguments) -> Iterator[str]:
    """Return the options that name the same styles."""
    for style in arguments.style:
        yield from ("--style", str(style))
    for strength in arguments.strength:
        yield from ("--strength", f"{strength:g}")
