"""`python -m stylehead.world`: recipes and tools by their names."""

import pytest

from stylehead.world.__main__ import TOOLS, main
from stylehead.world.recipes.assembly import RECIPES


def test_help_names_every_recipe_and_every_tool(capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert not [name for name in ("all", "data", *RECIPES, *TOOLS) if name not in said]


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_has_a_help_of_its_own(tool, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main([tool, "--help"])
    assert caught.value.code == 0
    assert f"python -m stylehead.world {tool}" in capsys.readouterr().out


def test_without_renders_a_tool_says_how_they_are_drawn(tmp_path, capsys) -> None:
    assert main(["measure", "--data", str(tmp_path)]) == 3
    assert "python -m stylehead.world data" in capsys.readouterr().err
