"""The model card of a run: what it is, how it was made, how to use it, under which terms."""

from stylehead import __version__
from stylehead.methods.config import StylizeConfig


def model_card(config: StylizeConfig, *, name: str, steps: int, preset: str, licence: str) -> str:
    """Write the README of a run.

    Args:
        config: Settings of the run.
        name: Name of the run folder.
        steps: Steps that were done.
        preset: Weights that it started from.
        licence: Licence of those weights.
    """
    changed = _changes(config)
    settings = "\n".join(f"| {key} | {value} |" for key, value in changed.items())
    return f"""# {config.prompt}

A style for 3D heads, made with stylehead {__version__}: every head of the `{preset}` generator, restyled by
the prompt "{config.prompt}" and still the same person.

![source above, stylised below](contact_sheet.jpg)

## Use it

```
stylehead render --seed 42 --yaw-steps 36 --style {name}/style.safetensors
stylehead render --seed 42 --style {name}/style.safetensors --strength 0.6 --mesh head.glb
```

## How it was made

| setting | value |
|---|---|
{settings}

`stylehead info {name} --as-command` prints the command that makes it again.

{steps} steps were done. Every setting is in `config.json`; versions, timings and hashes of the weights are in
`run.json`; what every step did is in `events.jsonl`.

## Terms

Derived from the `{preset}` weights, whose terms it inherits: {licence}.
"""


def _changes(config: StylizeConfig) -> dict[str, object]:
    """The settings that matter to a reader: a few always, others when they are not the defaults."""
    always = ("method", "iterations", "seed", "score", "learning_rate")
    default = type(config)(prompt=config.prompt).to_dict()
    values = config.to_dict()
    return {key: value for key, value in values.items() if key in always or value != default[key]}
