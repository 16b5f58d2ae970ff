"""Failures of foreign packages are named by their cause, with the one command that mends them."""

import pytest

from stylehead.errors import JobError
from stylehead.jobs.failures import explain


@pytest.mark.parametrize(
    "cause",
    [
        "operator torchvision::nms does not exist",
        "/venv/lib/torchvision/_C.so: undefined symbol: _ZN3c104impl",
        "Couldn't load custom C++ ops from torchvision/extension.py",
    ],
)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_torchvision_of_another_build_is_named(cause: str, depth: int) -> None:
    error: BaseException = RuntimeError(cause)
    for _ in range(depth):
        outer = ModuleNotFoundError(
            "Could not import module 'PreTrainedModel'. Are this object's requirements there?"
        )
        outer.__cause__, error = error, outer
    failure = explain(error)
    assert failure.exit_code == 3
    assert failure.message.startswith("The torchvision ")
    assert "does not fit the torch 2." in failure.message
    assert str(failure.hint).startswith("pip uninstall torchvision")


def test_a_library_that_the_system_lacks_is_named_with_its_package() -> None:
    said = "libGL.so.1: cannot open shared object file: No such file or directory"
    failure = explain(ImportError(said))
    assert failure.exit_code == 3
    assert "libGL.so.1 is missing" in failure.message
    assert "apt-get install libgl1" in str(failure.hint)
    assert explain(ImportError(said.replace("libGL", "libfoo"))).hint is None
    assert explain(ImportError("cannot import name x")).exit_code == 1


def test_other_failures_stay_what_they_are() -> None:
    assert explain(JobError("no", "yes")) == ("no", "yes", 1)
    assert explain(RuntimeError("something else")).exit_code == 1
