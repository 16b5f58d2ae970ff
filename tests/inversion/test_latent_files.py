"""Heads in the files of other programs: read as they are, or refused with what is wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stylehead.errors import JobError, UsageError
from stylehead.inversion.latent_files import find_latents, read_heads, read_latent

SHAPE = {"num_ws": 4, "w_dim": 3}
WS = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)


def write(path: Path, value: Any, name: str = "w") -> Path:
    """Write an array as the ending of the path says; `.pt` as a tensor, `.pth` as a dictionary."""
    if path.suffix == ".npz":
        np.savez(path, **{name: value})
    elif path.suffix == ".npy":
        np.save(path, value)
    else:
        tensor = torch.from_numpy(np.array(value))
        torch.save(tensor if path.suffix == ".pt" else {name: tensor, "step": 3, "of": "me"}, path)
    return path


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".pt", ".pth"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_kind_of_file_gives_the_same_head(suffix: str, dtype: Any, tmp_path: Path) -> None:
    path = write(tmp_path / f"me{suffix}", WS[None].astype(dtype))
    (head,) = read_heads(path, **SHAPE)
    assert (head.name, head.path) == ("me", path)
    assert head.ws.dtype == np.float32
    assert np.array_equal(head.ws, WS.astype(dtype).astype(np.float32))


@pytest.mark.parametrize("name", ["ws", "w_plus", "latent", "projected_w"])
@pytest.mark.parametrize("suffix", [".npz", ".pth"])
def test_other_programs_call_it_otherwise(name: str, suffix: str, tmp_path: Path) -> None:
    (head,) = read_heads(write(tmp_path / f"me{suffix}", WS, name), **SHAPE)
    assert np.array_equal(head.ws, WS)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (1, 1, 3)])
def test_one_vector_serves_all_layers(shape: tuple[int, ...], tmp_path: Path) -> None:
    (head,) = read_heads(write(tmp_path / "me.npy", WS[0].reshape(shape)), **SHAPE)
    assert np.array_equal(head.ws, np.tile(WS[0], (4, 1)))


def test_a_file_of_several_heads_numbers_them(tmp_path: Path) -> None:
    heads = read_heads(write(tmp_path / "us.npy", np.stack([WS, WS + 1])), **SHAPE)
    assert [head.name for head in heads] == ["us-1", "us-2"]
    assert np.array_equal(heads[1].ws, WS + 1)
    several = read_heads(write(tmp_path / "z.npy", np.stack([WS[:1], WS[1:2]])), **SHAPE)
    assert np.array_equal(several[1].ws, np.tile(WS[1], (4, 1)))


def test_the_latent_of_a_run_is_called_after_the_run(tmp_path: Path) -> None:
    (tmp_path / "me-12ab").mkdir()
    (head,) = read_heads(write(tmp_path / "me-12ab" / "latent.npz", WS), **SHAPE)
    assert head.name == "me-12ab"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (WS[None, :3], "has shape [1, 3, 3]; this generator takes [1, 4, 3]"),
        (WS.T, "has shape [3, 4]"),
        (np.zeros((0, 4, 3), np.float32), "has shape [0, 4, 3]"),
        (np.float32(1), "has shape []"),
        (np.ones((4, 3), np.int64), "holds int64, not floating-point numbers"),
        (np.full((4, 3), np.nan, np.float32), "not finite"),
    ],
)
@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_what_is_no_head_of_this_generator_is_refused(
    value: Any, says: str, suffix: str, tmp_path: Path
) -> None:
    with pytest.raises(JobError) as caught:
        read_heads(write(tmp_path / f"me{suffix}", value), **SHAPE)
    assert says in str(caught.value)


def test_damaged_and_dangerous_files_are_refused(tmp_path: Path) -> None:
    for suffix in (".npz", ".npy", ".pt"):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(b"PK garbage")
        with pytest.raises(JobError, match=r"a\.(npz|npy|pt) is (damaged or )?not a latent file"):
            read_latent(path)
        whole = write(tmp_path / f"b{suffix}", WS).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(JobError, match="not a latent file"):
            read_latent(path)
    torch.save({"w": torch.nn.Linear(2, 2)}, tmp_path / "c.pt")
    with pytest.raises(JobError, match=r"nothing in it was run: it names torch\.nn\.modules\.linear\.Linear"):
        read_latent(tmp_path / "c.pt")
    np.save(tmp_path / "d.npy", np.array([{"w": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(JobError, match="damaged or not a latent file"):
        read_latent(tmp_path / "d.npy")
    np.savez(tmp_path / "e.npz", other=WS)
    with pytest.raises(JobError, match="it has no `w`"):
        read_latent(tmp_path / "e.npz")


def test_a_folder_means_the_latents_in_it_in_order(tmp_path: Path) -> None:
    for name in ("b.npz", "a.npy", "c.pt"):
        write(tmp_path / name, WS)
    (tmp_path / "notes.txt").write_text("mine")
    assert [path.name for path in find_latents(tmp_path)] == ["a.npy", "b.npz", "c.pt"]
    assert find_latents(tmp_path / "b.npz") == [tmp_path / "b.npz"]


def test_a_folder_of_runs_means_the_latents_of_the_runs(tmp_path: Path) -> None:
    for name in ("you", "me"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "latent.npz", WS)
    assert [path.parent.name for path in find_latents(tmp_path)] == ["me", "you"]


def test_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        find_latents(tmp_path / "no.npz")
    with pytest.raises(UsageError, match=r"is a folder without a latent file \(\.npz, \.npy"):
        find_latents(tmp_path)
