"""Files of settings: what the three kinds hold, where it stands, and what is wrong with them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylehead.config_files import read_config_file
from stylehead.errors import JobError, UsageError

SAME = {
    "mine.json": '{\n "prompt": "joker",\n "vary": {\n  "seed": [0, 1]\n }\n}',
    "mine.yaml": "# heads\nprompt: joker\nvary:\n  seed:\n    - 0\n    - 1\n",
    "mine.toml": '\nprompt = "joker"\n[vary]\nseed = [0, 1]\n',
}


@pytest.mark.parametrize(("name", "line"), [("mine.json", 4), ("mine.yaml", 4), ("mine.toml", 4)])
def test_three_kinds_of_files_hold_the_same(tmp_path: Path, name: str, line: int) -> None:
    path = tmp_path / name
    path.write_text(SAME[name])
    file = read_config_file(path)
    assert file.values == {"prompt": "joker", "vary": {"seed": [0, 1]}}
    assert file.place("vary", "seed") == f"{path}, line {line}"
    assert file.place("vary", "seed", 7) == f"{path}, line {line}"
    assert file.place("nothing") == str(path)


def test_entries_of_yaml_lists_have_lines(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SAME["mine.yaml"])
    assert read_config_file(path).place("vary", "seed", 1) == f"{path}, line 6"


WRONG = [
    ("bad.json", "[1]", "holds no object"),
    ("bad.json", '{"a": 1,}', "line 1"),
    ("bad.json", "{" + '"a": {' * 5000, "cannot be read"),
    ("bad.toml", "a = 1\nb = = 2\n", "line 2"),
    ("bad.yaml", "a: 1\nb: [1, 2\nc: 3\n", "line 3"),
    ("bad.yaml", "a: 1\nb: 2\na: 3\n", "line 3: `a` stands there twice"),
    ("bad.yaml", "a: !!python/object/apply:os.system ['true']\n", "line 1"),
    ("bad.yaml", "[" * 3000, "cannot be read"),
    ("bad.yaml", "", "holds no object"),
    ("bad.toml", "\xff", "cannot be read"),
]


@pytest.mark.parametrize(("name", "text", "said"), WRONG)
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="latin-1")
    with pytest.raises(JobError, match=f"{name}.*{said}") as caught:
        read_config_file(path)
    assert "\n" not in caught.value.message


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`--config`.* is not a file"):
        read_config_file(tmp_path)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text("abc é-:#'\"{}[]\n", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_", max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abc_", min_size=1, max_size=5), PLAIN, max_size=4))
def test_any_json_is_read_as_json_reads_it(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.mktemp("json") / "any.json"
    path.write_text(json.dumps(value, indent=1))
    assert read_config_file(path).values == value
