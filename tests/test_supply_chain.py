"""What is depended on may be depended on, and can be listed for others to check."""

import importlib.util
import json
import subprocess
import sys
from email.message import Message
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("licences", ROOT / ".ci" / "licences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["licences"] = module
    spec.loader.exec_module(module)
    return module


licences = load()


class Planted(Distribution):
    """A package as its metadata describe it."""

    def __init__(self, name: str, *requires: str, **fields: str | list[str]) -> None:
        self._fields = {"Name": name, "Version": "1", "Requires-Dist": list(requires), **fields}

    @property
    def metadata(self) -> Any:
        message = Message()
        for key, value in self._fields.items():
            for entry in [value] if isinstance(value, str) else value:
                message[key.replace("_", "-")] = entry
        return message

    def read_text(self, filename: str) -> str | None:
        return str(self.metadata) if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize("extra", [None, *licences.extras()])
def test_every_licence_of_the_base_and_of_each_extra_is_allowed(extra: str | None) -> None:
    packages = licences.tree(licences.requirements(extra))
    assert [package for package in packages if not package.fine] == []
    if extra is None:
        known = {package.name: package.licence for package in packages}
        assert known["typer"] == "MIT"
        assert known["markdown-it-py"] == "MIT"  # rich's need, not ours


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"License_Expression": "GPL-3.0-or-later"}, "GPL-3.0-or-later"),
        ({"License": "AGPLv3"}, "AGPLv3"),
        ({"Classifier": ["License :: OSI Approved :: GNU General Public License v3 (GPLv3)"]}, "GNU General"),
        ({"License_Expression": "MIT AND GPL-2.0-only"}, "GPL-2.0-only"),
        (
            {
                "Classifier": [
                    "License :: OSI Approved :: MIT License",
                    "License :: Other/Proprietary License",
                ]
            },
            "Proprietary",
        ),
        ({}, ""),
        ({"License": "Copyright (c) somebody\nAll rights reserved"}, ""),
    ],
)
def test_a_planted_licence_fails_however_deep_it_is(fields: dict[str, Any], found: str) -> None:
    shelf = {"good": Planted("good", "deep>=1", License="MIT"), "deep": Planted("deep", **fields)}
    packages = licences.tree(["good"], shelf.__getitem__)
    assert [package.name for package in packages if not package.fine] == ["deep"]
    assert found in packages[0].licence
    assert packages[0].needed_by == "good"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"License_Expression": "GPL-3.0-only OR MIT"}, "GPL-3.0-only OR MIT"),
        ({"License": "Apache License, Version 2.0"}, "Apache-2.0"),
        ({"License": "MIT License\n\nCopyright (c) somebody"}, "MIT"),
        ({"License": "3-Clause BSD License"}, "BSD-3-Clause"),
        ({"Classifier": ["License :: OSI Approved", "License :: OSI Approved :: MIT License"]}, "MIT"),
        ({"License": "UNKNOWN\nsee file", "Classifier": ["License :: OSI Approved :: BSD License"]}, "BSD"),
    ],
)
def test_names_of_the_same_licence_are_one(fields: dict[str, Any], said: str) -> None:
    (package,) = licences.tree(["one"], {"one": Planted("one", **fields)}.__getitem__)
    assert (package.licence, package.fine) == (said, True)


def test_extras_and_markers_decide_what_is_looked_at() -> None:
    root = Planted("root", 'all-right; extra == "good"', 'bad; extra == "bad"', 'other; python_version < "3"')
    shelf = {"root": root, "all-right": Planted("all-right", "gone", License="MIT")}

    def find(name: str) -> Distribution:
        if name not in shelf:
            raise PackageNotFoundError(name)
        return shelf[name]

    root._fields["License"] = "MIT"
    packages = licences.tree(["root[good]"], find)
    assert [(package.name, package.version) for package in packages] == [
        ("all-right", "1"),
        ("gone", None),
        ("root", "1"),
    ]


def test_the_report_fails_as_a_command_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert licences.main(["mesh"]) == 0
    assert "trimesh" in capsys.readouterr().out
    monkeypatch.setattr(licences, "ALLOWED", licences.ALLOWED - {"MIT"})
    assert licences.main(["mesh"]) == 1
    assert "typer is needed by stylehead, and its licence is not allowed: MIT" in capsys.readouterr().err


BILL = ("environment", "--pyproject", "pyproject.toml", "--output-file")


def test_the_bill_of_materials_is_one_documented_command() -> None:
    page = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"`cyclonedx-py {' '.join(BILL)} stylehead.cdx.json`" in page


@pytest.mark.slow
def test_the_bill_of_materials_lists_what_is_installed_and_what_needs_what(tmp_path: Path) -> None:
    pytest.importorskip("cyclonedx_py", reason="needs the extra `supply`")
    words = [*BILL, str(tmp_path / "sbom.json")]
    subprocess.run([sys.executable, "-m", "cyclonedx_py", *words], cwd=ROOT, check=True, capture_output=True)
    bill = json.loads((tmp_path / "sbom.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "stylehead"
    parts = {part["name"]: part for part in bill["components"]}
    assert parts["torch"]["version"]
    assert parts["typer"]["licenses"]
    needed = {entry["ref"]: entry.get("dependsOn", []) for entry in bill["dependencies"]}
    assert parts["markdown-it-py"]["bom-ref"] in needed[parts["rich"]["bom-ref"]]
