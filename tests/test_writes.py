"""One module owns every write: nothing else puts, moves or removes a file of the user's."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "stylehead"
OWNERS = {"files.py", "folders.py", "checkpoints.py"}
GIVERS = {"atomic_path", "together", "replaced", "TemporaryDirectory", "BytesIO", "StringIO"}
"""What gives a name that may be written to: it takes its place as a whole, or is never seen."""
ALWAYS = {
    "write_text", "write_bytes", "touch", "unlink", "rmdir", "rename", "symlink_to", "hardlink_to", "chmod",
    "rmtree", "copy", "copy2", "copyfile", "copytree", "move", "removedirs", "renames", "truncate",
    "imwrite", "imsave", "mimsave", "save_file", "savez", "savez_compressed", "savetxt", "tofile",
    "extractall", "extract", "make_archive", "unpack_archive",
}  # fmt: skip
"""Names of functions and methods that write, whatever they belong to."""
OF_MODULES = {
    "os": {"replace", "remove", "unlink", "rename", "rmdir", "truncate", "link", "symlink", "open"},
    "np": {"save"}, "numpy": {"save"}, "torch": {"save"}, "shutil": {"copyfileobj"},
    "json": {"dump"}, "pickle": {"dump"}, "iio": {"imopen"}, "imageio": {"get_writer"},
}  # fmt: skip
OURS = {"averaged", "found", "guess", "rendered", "self", "source", "load_source", "saved", "recipe"}
"""Objects of this package with a `save` or `export` of their own, which is looked at where it is defined."""
WRITING = set("wax+")


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, set[str]]]:
    """Every call, with the names around it that may be written to."""

    def walk(node: ast.AST, given: set[str]) -> Iterator[tuple[ast.Call, set[str]]]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = given | _given_in(node)
        if isinstance(node, ast.Call):
            yield node, given
        for child in ast.iter_child_nodes(node):
            yield from walk(child, given)

    yield from walk(tree, set())


def _given_in(function: ast.AST) -> set[str]:
    """Names in a function that come from one of the givers, or are made from such a name."""
    names: set[str] = {"part"}  # by convention a parameter: what a caller was given
    for _ in range(3):
        for node in ast.walk(function):
            if isinstance(node, ast.With):
                pairs = [(item.context_expr, item.optional_vars) for item in node.items]
            elif isinstance(node, ast.Assign):
                pairs = [(node.value, node.targets[0])]
            elif isinstance(node, ast.For):
                pairs = [(node.iter, node.target)]
            else:
                continue
            for value, target in pairs:
                if isinstance(target, ast.Name) and (_is_given(value) or _roots(value) & names):
                    names.add(target.id)
    return names


def _is_given(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and _name(value.func) in GIVERS


def _roots(value: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def writes(call: ast.Call) -> bool:
    """Whether a call writes to a file."""
    name = _name(call.func)
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    if "devnull" in ast.unparse(call) or ast.unparse(call.func) in ("dataclasses.replace", "copy.copy"):
        return False
    if isinstance(owner, ast.Name) and name in OF_MODULES.get(owner.id, ()):
        return True
    if name == "open":
        return any(_is_writing_mode(value) for value in (*call.args, *(k.value for k in call.keywords)))
    if name in ("save", "export") and owner is not None:  # of a picture or a mesh; ours take a path as well
        return bool(call.args) and _last_name(owner) not in OURS
    if name == "replace" and owner is not None:
        return len(call.args) == 1  # of a path; that of a text takes two
    if name == "copy" and not call.args:
        return False  # of an array or a dictionary
    return name in ALWAYS


def _last_name(owner: ast.expr) -> str:
    return _name(owner.func) if isinstance(owner, ast.Call) else _name(owner)


def _is_writing_mode(value: ast.expr) -> bool:
    return (
        isinstance(value, ast.Constant)
        and isinstance(value.value, str)
        and 0 < len(value.value) <= 4
        and bool(WRITING & set(value.value))
        and set(value.value) <= set("rwaxbt+")
    )


def unowned(code: str) -> list[str]:
    """Return the lines of a module that write to something that was not given to be written to."""
    return [
        f"{call.lineno}: {ast.unparse(call)}"
        for call, given in calls(ast.parse(code))
        if writes(call) and not _roots(call) & given
    ]


MODULES = [
    path for path in sorted(PACKAGE.rglob("*.py")) if path.name not in OWNERS or path.parent != PACKAGE
]


def test_nothing_is_written_past_the_modules_that_own_it() -> None:
    found = {str(path.relative_to(PACKAGE)): unowned(path.read_text(encoding="utf-8")) for path in MODULES}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "open(path, 'w')", "open(path, mode='ab')", "path.open('r+b')", "path.write_text('x')",
        "(path / 'a').write_bytes(b'')", "os.replace(a, path)", "path.replace(other)", "path.rename(other)",
        "shutil.copy(a, path)", "shutil.rmtree(path)", "path.unlink()", "np.savez(path, a=a)",
        "np.save(path, a)", "torch.save(state, path)", "save_file(tensors, path)",
        "json.dump(a, path.open())", "image.save(path)", "Image.fromarray(pixels).save(path)",
        "mesh.export(path)", "cv2.imwrite(path, a)", "archive.extractall(path)", "os.remove(path)",
        "path.touch()",
    ],
)  # fmt: skip
def test_a_planted_write_is_found(line: str) -> None:
    assert len(unowned(f"def f(path):\n    {line}")) == 1
    assert unowned(f"def f(final):\n    with atomic_path(final) as path:\n        {line}") == []


@pytest.mark.parametrize(
    "line",
    [
        "open(path)", "open(path, 'rb')", "path.open()", "text.replace('a', 'w')", "copy.copy(a)", "a.copy()",
        "dataclasses.replace(a, b=1)", "os.open(os.devnull, os.O_WRONLY)", "averaged.save(path, {})",
    ],
)  # fmt: skip
def test_what_does_not_write_is_let_go(line: str) -> None:
    assert unowned(f"def f(path):\n    {line}") == []
