"""Plans: what varies, how it is written, and what is wrong with it."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylehead.config_files import read_config_file
from stylehead.errors import JobError, UsageError
from stylehead.jobs.sweep_arguments import SweepArguments, read_sweep
from stylehead.methods.config import StylizeConfig
from stylehead.sweeps.plan import Axis, axes_of_file, make_plan, prompts_axis, typed, values_of


def settle(given: dict[str, object]) -> StylizeConfig:
    return StylizeConfig.from_dict({"prompt": "joker", "preset": "mini", **given})


def axis(name: str, *values: object) -> Axis:
    return Axis(name, values, ("",) * len(values))


def test_every_value_meets_every_other_one() -> None:
    plan = make_plan([axis("seed", 0, 1), axis("prompt", "a", "b"), axis("method", "ld", "sds")], settle)
    found = [(run.config.prompt, run.config.method, run.config.seed) for run in plan]
    assert found == [(p, m, s) for p in "ab" for m in ("ld", "sds") for s in (0, 1)]
    assert plan[1].column() == "ld, seed 1"
    assert dict(plan[1].varied) == {"prompt": "a", "method": "ld", "seed": 1}


AXES = st.fixed_dictionaries(
    {
        "prompt": st.lists(
            st.text("ab cé/.", min_size=1).filter(str.strip), min_size=1, max_size=3, unique=True
        )
    },
    optional={
        "seed": st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
        "learning_rate": st.lists(st.floats(1e-6, 0.1), min_size=1, max_size=3, unique=True),
        "mirror": st.lists(st.booleans(), min_size=1, max_size=2, unique=True),
    },
)


@settings(deadline=None)
@given(AXES)
def test_runs_have_names_of_their_own_that_stay(axes: dict[str, list[object]]) -> None:
    made = [axis(name, *values) for name, values in axes.items()]
    plan = make_plan(made, settle)
    assert len(plan) == math.prod(len(values) for values in axes.values())
    names = [run.name for run in plan]
    assert len(set(names)) == len(names)
    assert all(len(name) < 100 and name.isascii() and "/" not in name for name in names)
    assert names == [run.name for run in make_plan(made, settle)]
    alone = make_plan([Axis(one.name, one.values[:1], one.places[:1]) for one in made], settle)
    assert alone[0].name == names[0]


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("learning_rate", "1e-3", 1e-3),
        ("learning_rate", 0.02, 0.02),
        ("iterations", "12", 12),
        ("mirror", "no", False),
        ("mirror", True, True),
        ("step_range", "28-49", (28, 49)),
        ("step_range", [3, "9"], (3, 9)),
        ("rank_weights", "1 0.5 0.25 0", (1.0, 0.5, 0.25, 0.0)),
        ("psi_cutoff", "none", None),
        ("psi_cutoff", "3", 3),
        ("background", "white", "white"),
    ],
)
def test_values_are_read_as_their_settings_want_them(name: str, written: object, value: object) -> None:
    from stylehead.methods.ld import LdSettings

    assert typed(LdSettings, name, written, "") == value


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("seed", "0-2,7", ["0", "1", "2", "7"]),
        ("learning_rate", "1e-3,4e-3", ["1e-3", "4e-3"]),
        ("step_range", "0-2,3-9", ["0-2", "3-9"]),
        ("prompt", "1-2", ["1-2"]),
    ],
)
def test_lists_and_ranges(name: str, text: str, values: list[str]) -> None:
    assert values_of(name, text) == values


def test_prompts_are_lines(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes("\ufeff# ours\nPixar character\n\n  Joker, smiling \r\n".encode())
    found = prompts_axis(path)
    assert found.values == ("Pixar character", "Joker, smiling")
    assert found.places[1] == f"{path}, line 4"


# -------------------------------------------------------------------------------------------- files

GOOD = """
base:
  iterations: 3
  profile: paper
vary:
  prompt: [Pixar character, Joker]
  method:
    - ld
    - sds
  seed: 0-1
  learning_rate: [1e-3, 0.002]
workers: 2
identities: 0
"""


def read(tmp_path: Path, text: str, name: str = "sweep.yaml", **words: object) -> list[StylizeConfig]:
    path = tmp_path / name
    path.write_text(text)
    return [run.config for run in read_sweep(SweepArguments(file=path, **words)).plan]


def test_a_file_says_all_of_it(tmp_path: Path) -> None:
    plan = read(tmp_path, GOOD)
    assert len(plan) == 2 * 2 * 2 * 2
    assert {config.iterations for config in plan} == {3}
    assert {config.learning_rate for config in plan} == {1e-3, 2e-3}
    assert {config.preset for config in plan} == {"mini"}
    asked = read_sweep(SweepArguments(file=tmp_path / "sweep.yaml", workers=1)).arguments
    assert (asked.profile, asked.workers, asked.identities) == ("paper", 1, 0)


def test_words_win_over_the_file(tmp_path: Path) -> None:
    plan = read(tmp_path, GOOD, seed="5", method="nada", settings=("iterations=4",))
    assert {(config.seed, config.method, config.iterations) for config in plan} == {(5, "nada", 4)}


def test_the_config_of_a_run_is_a_base(tmp_path: Path) -> None:
    config = settle({"learning_rate": 0.003, "method": "sds"})
    (tmp_path / "config.json").write_text(f'{{"stylize": {config.to_json()}, "generator": {{}}}}')
    plan = read_sweep(SweepArguments(config=tmp_path / "config.json", seed="0-1")).plan
    assert [run.config for run in plan] == [config, config.replace(seed=1)]


WRONG = [
    (
        "vary:\n  prompt: joker\n  seeds: 0-2\n",
        r"line 3: there is no setting `seeds`",
        "did you mean `seed`?",
    ),
    ("vary:\n  prompt: joker\nworker: 2\n", r"line 3: there is no `worker`", "did you mean `workers`?"),
    (
        "vary:\n  prompt: joker\n  learning_rate: [1e-3, fast]\n",
        r"line 3: `learning_rate` \(=fast\) must be a finite number",
        None,
    ),
    (
        "vary:\n  prompt: joker\n  learning_rate:\n    - 1e-3\n    - 7\n",
        r"line 5: `learning_rate` \(=7",
        None,
    ),
    ("vary:\n  prompt: joker\nbase:\n  iterations: 0\n", r"line 4: `iterations` \(=0\)", None),
    ("vary:\n  prompt: joker\n  method: [ld, lb]\n", r"line 3: .*`method` \(=lb\)", None),
    (
        "vary:\n  prompt: joker\n  method: ld, sds\n  people: 3\n",
        r"line 4: `people` says nothing to",
        None,
    ),
    ("vary:\n  prompt: []\n", r"line 2: `prompt` has no values", None),
    ("vary: 3\n", r"line 1: `vary` is no object", None),
    ("base: x\nvary: {prompt: joker}\n", r"line 1: `base` is no object", None),
    ("vary: {prompt: joker}\nworkers: two\n", r"line 2: `workers` \(=two\) must be a whole number", None),
    ("vary: {prompts: none.txt}\n", r"line 1: `prompts` \(=.*none.txt\) is not a file", None),
    ("vary: {prompt: joker, out: x}\n", r"line 1: `out` is no setting that can vary", None),
    ("base: {seed: 1}\n", r"A sweep needs prompts", None),
    ("vary:\n  prompt: [a\nx: 1\n", r"line 3", None),
]


@pytest.mark.parametrize(("text", "said", "hint"), WRONG)
def test_a_mistake_names_its_line(tmp_path: Path, text: str, said: str, hint: str | None) -> None:
    with pytest.raises((UsageError, JobError), match=said) as caught:
        read(tmp_path, text)
    assert caught.value.hint == hint or hint is None
    assert "\n" not in caught.value.message


WRONG_WORDS = [
    (
        {"settings": ("learning_rate=1e-3,fast",)},
        "`--set learning_rate=1e-3,fast`: `learning_rate` (=fast) must be a finite number.",
    ),
    (
        {"settings": ("learning-rate=-1",)},
        "`--set learning-rate=-1`: `learning_rate` (=-1) must be above 0.",
    ),
    ({"settings": ("people=5-2",)}, "`--set people=5-2`: `people` (=5-2) must be"),
    ({"settings": ("iterations=",)}, "`--set iterations=` has no values."),
    ({"seed": "one"}, "`--seed` (=one) must be a whole number."),
    ({"seed": "3-1"}, "`--seed` (=3-1) must be values joined by commas, or a range like 0-2."),
    ({"method": "ld,lb"}, "`--method` (=lb) must be one of"),
]


@pytest.mark.parametrize(("words", "said"), WRONG_WORDS)
def test_a_mistake_names_the_option_and_what_was_given(words: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_sweep(SweepArguments(prompt=("joker",), **words))
    assert caught.value.message.startswith(said)


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    toml = '[base]\niterations = 3\n[vary]\nprompt = ["joker"]\nlearning_rate = [1e-3, 2e-3]\n'
    json = '{"base": {"iterations": 3}, "vary": {"prompt": ["joker"], "learning_rate": [1e-3, 2e-3]}}'
    assert read(tmp_path, toml, "a.toml") == read(tmp_path, json, "a.json")
    with pytest.raises(UsageError, match=r"a.toml, line 4: `learning_rate` \(=x\) must be a finite number"):
        read(tmp_path, '[base]\n[vary]\nprompt = ["joker"]\nlearning_rate = ["x"]\n', "a.toml")


def test_too_many_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too long"):
        make_plan([axis("seed", *range(1000)), axis("iterations", *range(1, 1000))], settle)


def test_axes_keep_the_lines_of_their_entries(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("vary:\n  prompt:\n    - a\n    - b\n")
    assert axes_of_file(read_config_file(path), tmp_path)[0].places == (f"{path}, line 3", f"{path}, line 4")
