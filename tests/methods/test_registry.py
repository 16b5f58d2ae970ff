"""The list of methods: names, classes, their settings, and that nobody else knows any method by name."""

import ast
import copy
import dataclasses
from pathlib import Path

import pytest

import stylehead
from stylehead.errors import JobError, UsageError
from stylehead.methods import Method, Stylizer, Terms, registry
from stylehead.methods.config import StylizeConfig, TeacherSettings
from stylehead.methods.contract import Needs
from stylehead.methods.registry import BUILT_IN, TABLE_ORDER, method_class, method_names, settings_class
from stylehead.settings import Positive, Weight

PACKAGE = Path(stylehead.__file__).parent


@pytest.fixture
def night():
    """A method that is defined here, and forgotten afterwards."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class NightSettings(StylizeConfig):
        learning_rate: Positive = 1e-3
        night_weight: Weight = 2.0

    class Night(Method[NightSettings]):
        name, title = "night", "Night"

        def terms(self, scene, *, rng):
            image = scene.views["single"].final()
            return Terms(losses={"night": self.config.night_weight * image.mean()})

    yield Night
    del registry._DECLARED["night"]


def literals(path: Path) -> set[str]:
    """The strings in a module."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_nothing_outside_this_room_knows_a_method_by_name():
    others = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "methods"]
    assert len(others) > 100
    assert {path: found for path in others if (found := literals(path) & BUILT_IN.keys())} == {}


def imported(path: Path) -> set[str]:
    """The modules that a module imports, wherever it does."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return names | {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}


def test_nothing_outside_this_room_imports_a_method():
    homes = {target.partition(":")[0] for target in BUILT_IN.values()}
    others = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "methods"]
    assert {path: found for path in others if (found := imported(path) & homes)} == {}


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_method_is_one_file(name):
    found = method_class(name)
    assert found.__module__ == f"stylehead.methods.{name}"
    assert (found.name, found.settings.method) == (name, name)
    assert found.settings.__module__ == found.__module__
    assert found.title
    assert settings_class(name) is found.settings


def test_the_table_has_all_of_them_in_the_paper_s_order():
    assert set(TABLE_ORDER) == set(BUILT_IN)
    assert registry.table_order()[: len(TABLE_ORDER)] == TABLE_ORDER
    assert method_names()[: len(BUILT_IN)] == tuple(BUILT_IN)


def test_a_class_in_a_notebook_is_a_method_as_soon_as_it_is_defined(night, pristine):
    assert "night" in method_names()
    config = StylizeConfig.from_dict({"prompt": "night", "method": "night", "iterations": 1})
    assert (type(config), config.learning_rate) == (night.settings, 1e-3)
    assert night.settings.from_json(config.to_json()) == config
    networks = copy.deepcopy(pristine), pristine
    assert Stylizer(*networks, config).step().losses.keys() == {"night"}
    own = night(config)
    assert Stylizer(*networks, config, method=own).method is own
    with pytest.raises(UsageError, match="other settings"):
        Stylizer(*networks, config.replace(night_weight=1.0), method=own)


def test_settings_of_one_method_are_refused_by_another(night):
    with pytest.raises(UsageError, match="`--cfg-scale` says nothing to `--method night`"):
        StylizeConfig.from_dict({"prompt": "a", "method": "night", "cfg_scale": 3.0})
    with pytest.raises(UsageError, match="must be night here"):
        night.settings.from_dict({"prompt": "a", "method": "ld"})
    with pytest.raises(UsageError, match=r"`--night-weight` .* must be at least 0"):
        StylizeConfig.from_dict({"prompt": "a", "method": "night", "night_weight": -1.0})


def test_a_method_whose_settings_do_not_fit_is_refused_when_it_is_defined(night):
    with pytest.raises(TypeError, match="needs its own"):

        class Twin(Method[night.settings]):
            name, title = "twin", "Twin"

    with pytest.raises(TypeError, match="settings of its own"):

        class Bare(Method):
            name, title = "bare", "Bare"

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Plain(StylizeConfig):
        pass

    with pytest.raises(TypeError, match="must derive from TeacherSettings"):

        class Asking(Method[Plain]):
            name, title, needs = "asking", "Asking", Needs(teacher=True)

    with pytest.raises(TypeError, match="must derive from BankSettings"):

        class Editing(Method[Plain]):
            name, title, needs = "editing", "Editing", Needs(editor=True)

    assert not {"twin", "bare", "asking", "editing"} & set(method_names())


@pytest.fixture
def bring(tmp_path, monkeypatch):
    """Put a distribution with entry points on the path."""

    def put(**points: str) -> None:
        (tmp_path / "broken_methods.py").write_text("import nothing_of_that_name\n")
        facts = tmp_path / "brought-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (facts / "entry_points.txt").write_text("\n".join(["[stylehead.methods]", *lines]) + "\n")
        monkeypatch.syspath_prepend(tmp_path)

    return put


def test_what_cannot_be_imported_is_named_and_harms_nothing_else(bring):
    bring(lost="broken_methods:Lost", number="math:pi", ld="broken_methods:Ld")
    assert {"lost", "number"} <= set(method_names())
    with pytest.raises(JobError, match=r"lost .*broken_methods:Lost.* cannot be imported: ModuleNot"):
        method_class("lost")
    with pytest.raises(JobError, match=r"number .*math:pi.* is no class derived from"):
        method_class("number")
    assert method_class("ld").__module__ == "stylehead.methods.ld"
    with pytest.raises(UsageError, match=r"`--method` .* must be one of ld, .*lost"):
        method_class("unknown")


def test_settings_of_a_teacher_s_method_name_their_sources():
    config = StylizeConfig.from_dict({"prompt": "a", "diffusion": "folder"})
    assert isinstance(config, TeacherSettings)
    assert (config.source("diffusion"), config.source("vae"), config.source("clip")) == ("folder", None, None)
