"""No module imports one that imports it in turn, not even inside a function; types alone may look back."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import stylehead

ROOT = Path(stylehead.__file__).parent
MODULES = {
    ".".join(("stylehead", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}


def imported(tree: ast.AST) -> Iterator[str]:
    """Modules of the package that a file imports wherever it stands, but for those that only types name."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                yield whole if whole in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        yield from imported(node)


def test_no_module_is_imported_by_what_it_imports() -> None:
    stairs = {
        name: {
            other
            # The package itself is its version and a door that opens when a name in it is used.
            for other in imported(ast.parse(path.read_text(encoding="utf-8")))
            if other in MODULES and other not in (name, "stylehead")
        }
        for name, path in MODULES.items()
        if name != "stylehead"
    }
    circle: list[str] = []
    try:
        TopologicalSorter(stairs).prepare()
    except CycleError as error:
        circle = error.args[1]
    assert circle == []
    assert len(stairs["stylehead.jobs.stylize"]) > 10
