"""The viewer without a browser: who may connect, what is shown, and a training that is followed."""

import json
import math
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
import torch
from PIL import Image

from stylehead.errors import JobError, MissingError, UsageError
from stylehead.export.frames import Look, render_frames
from stylehead.export.orbit import Shot
from stylehead.export.views import latent_from_seed
from stylehead.generator import GeneratorConfig, PanoHead, Style
from stylehead.runs import RunDirectory
from stylehead.viewer import guard
from stylehead.viewer.follow import Follower, loss_of
from stylehead.viewer.gather import ViewArguments, gather
from stylehead.viewer.shared_generator import Gaze, SharedGenerator, ShownHead, letterbox


@pytest.fixture(scope="module")
def generator() -> PanoHead:
    torch.manual_seed(0)
    return PanoHead(GeneratorConfig.tiny()).eval().requires_grad_(False)


@pytest.fixture
def style(generator: PanoHead) -> Style:
    name = "decoder.net.2.weight"
    changed = {name: generator.state_dict()[name] * 1.5 + 0.1}
    return Style(changed, generator.fingerprint(), {"stylehead.prompt": "loud"})


def front(distance: float = 2.7) -> Gaze:
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[2, 3] = distance
    return Gaze(pose)


# ------------------------------------------------------------------------------------ who may connect


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"Host": "127.0.0.1:7860"}, True),
        ({"Host": "localhost:7860"}, True),
        ({"Host": "[::1]:7860"}, True),
        ({"Host": "evil.example"}, False),
        ({"Host": "localhost.evil.example:7860"}, False),
        ({}, False),
        ({"Host": "localhost:7860", "Upgrade": "websocket"}, False),
        ({"Host": "localhost:7860", "Upgrade": "websocket", "Origin": "http://localhost:7860"}, True),
        ({"Host": "localhost:7860", "Upgrade": "WebSocket", "Origin": "http://evil.example"}, False),
        ({"Host": "localhost:7860", "Upgrade": "websocket", "Origin": "http://localhost:8000"}, False),
        ({"Host": "localhost:7860", "Upgrade": "websocket", "Origin": "null"}, False),
        ({"Host": "evil.example", "Upgrade": "websocket", "Origin": "http://evil.example"}, False),
    ],
)
def test_only_its_own_page_is_answered(headers: dict[str, str], passes: bool) -> None:
    assert (guard.refusal(headers, "127.0.0.1") is None) is passes


def test_on_another_address_only_the_origin_counts() -> None:
    own = {"Host": "box.lan:7860", "Upgrade": "websocket", "Origin": "http://box.lan:7860"}
    assert guard.refusal(own, "0.0.0.0") is None
    assert guard.refusal({**own, "Origin": "http://evil.example"}, "0.0.0.0") is not None


def test_a_taken_port_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"Port {port} is taken"):
            guard.check_port("127.0.0.1", port)


def test_an_address_of_another_machine_is_said() -> None:
    with pytest.raises(UsageError, match="cannot be had"):
        guard.check_port("192.0.2.1", 7860)


@pytest.fixture
def server() -> Iterator[Any]:
    pytest.importorskip("viser")
    opened = guard.open_server("127.0.0.1", 0)
    yield opened
    opened.stop()


def answer(server: Any, **headers: str) -> int:
    try:
        with urlopen(Request(f"http://127.0.0.1:{server.get_port()}/", headers=headers)) as found:
            return int(found.status)
    except HTTPError as error:
        with error:
            return int(error.code)


def test_strangers_are_turned_away_by_the_real_server(server: Any) -> None:
    """Fails when a version of viser no longer hands its requests over where they are checked."""
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect
    from websockets.typing import Origin, Subprotocol

    assert answer(server) == 200
    assert answer(server, Host="evil.example") == 403
    address = f"127.0.0.1:{server.get_port()}"
    protocols = [Subprotocol(f"viser-v{pytest.importorskip('viser').__version__}")]
    for origin in (None, Origin("http://evil.example")):
        with pytest.raises(InvalidStatus):
            connect(f"ws://{address}", origin=origin, subprotocols=protocols)
    with connect(f"ws://{address}", origin=Origin(f"http://{address}"), subprotocols=protocols) as own:
        assert own.recv(timeout=20)


def test_nobody_can_open_a_tunnel(server: Any) -> None:
    """viser looks the hook up when a visitor asks: the one that is there opens nothing."""
    import inspect

    viser = pytest.importorskip("viser")
    assert server.request_share_url() is None
    assert "self.request_share_url" in inspect.getsource(viser.ViserServer)


def test_it_listens_on_loopback_alone(server: Any) -> None:
    assert _listening(server) == ["127.0.0.1"]


def _listening(server: Any) -> list[str]:
    """Address of every socket of this process that listens on the server's port."""
    import os

    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            opened = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        with opened:
            if opened.family in (socket.AF_INET, socket.AF_INET6):
                listens = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                if listens and opened.getsockname()[1] == server.get_port():
                    found.append(opened.getsockname()[0])
    return found


def test_a_viser_that_cannot_be_guarded_is_refused() -> None:
    pytest.importorskip("websockets")
    from websockets.asyncio import server as sockets

    plain = sockets.serve
    with pytest.raises(MissingError, match="cannot be guarded"), guard.guarded("127.0.0.1"):
        sockets.serve(None, "127.0.0.1", 0)  # type: ignore[arg-type]
    assert sockets.serve is plain


# ------------------------------------------------------------------------------------ what is shown


def test_a_picture_is_that_of_render(generator: PanoHead) -> None:
    stage = SharedGenerator(generator)
    seen = stage.see(ShownHead(seed=3, psi=0.7), front(), Look())
    ws = latent_from_seed(generator, 3, psi=0.7)
    assert np.abs(seen.astype(int) - render_frames(generator, ws, [Shot(0.0)])[0]).max() <= 1


def test_styles_mix_and_come_off_again(generator: PanoHead, style: Style) -> None:
    stage, plain = SharedGenerator(generator, {"loud": style}), ShownHead(seed=3)
    before = stage.see(plain, front(), Look())
    half = stage.see(ShownHead(seed=3, strengths=(("loud", 0.5),)), front(), Look())
    whole = stage.see(ShownHead(seed=3, strengths=(("loud", 1.0),)), front(), Look())
    after = stage.see(ShownHead(seed=3, strengths=(("loud", 0.0),)), front(), Look())
    assert np.array_equal(before, after)
    assert np.abs(whole.astype(int) - before).mean() > np.abs(half.astype(int) - before).mean() > 0


def test_a_newer_style_takes_the_place_of_one(generator: PanoHead, style: Style) -> None:
    stage, scene = SharedGenerator(generator, {"loud": style}), ShownHead(seed=3, strengths=(("loud", 1.0),))
    before = stage.see(scene, front(), Look())
    newer = Style({name: tensor * 1.5 for name, tensor in style.tensors.items()}, style.base, {})
    stage.replace_style("loud", newer)
    assert not np.array_equal(stage.see(scene, front(), Look()), before)
    stage.see(ShownHead(seed=3), front(), Look())  # the generator is left as it was


def test_a_nearer_camera_sees_a_larger_head(generator: PanoHead) -> None:
    near, usual = front(1.35).label(), front().label()
    assert torch.allclose(near[:, :16], usual[:, :16])
    assert float(near[0, 16] / usual[0, 16]) == pytest.approx(2, rel=1e-3)


def test_visitors_may_ask_at_the_same_time(generator: PanoHead, style: Style) -> None:
    stage = SharedGenerator(generator, {"loud": style})
    scenes = [ShownHead(seed=seed, strengths=(("loud", float(seed % 2)),)) for seed in range(4)]
    alone = [stage.see(scene, front(), Look()) for scene in scenes]
    together: list[Any] = [None] * 4

    def ask(number: int) -> None:
        together[number] = stage.see(scenes[number], front(), Look())

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    assert [not np.array_equal(alone[0], other) for other in alone[1:]] == [True] * 3
    stage.see(ShownHead(), front(), Look())


def test_a_head_that_is_not_there_is_said(generator: PanoHead) -> None:
    with pytest.raises(JobError, match="no head me"):
        SharedGenerator(generator).see(ShownHead(latent="me"), front(), Look())


@pytest.mark.parametrize(
    ("aspect", "shape"), [(1.0, (8, 8)), (2.0, (8, 16)), (0.8, (10, 8)), (0.5, (20, 10))]
)
def test_a_window_of_any_shape_shows_the_whole_head(aspect: float, shape: tuple[int, int]) -> None:
    square = np.full((8, 8, 3), 7, np.uint8)
    out = letterbox(square, aspect, "#ff0000")
    assert out.shape[:2] == shape
    assert (out == 7).all(axis=2).sum() == 64
    assert {tuple(pixel) for pixel in out.reshape(-1, 3)} <= {(7, 7, 7), (255, 0, 0)}


# ------------------------------------------------------------------------------------ what is followed


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    config = {"iterations": 9}
    made = RunDirectory.create(tmp_path / "run", {"job": "stylize", "prompt": "loud", "config": config})
    for step in range(1, 4):
        made.log({"step": step, "losses": {"a": 1.0 / step, "b": 1.0}})
    return made


def test_a_training_is_followed(run: RunDirectory, generator: PanoHead, style: Style) -> None:
    follower = Follower(run)
    assert follower.name == "loud"
    assert "step 3 of 9, stopped" in follower.words()
    steps, losses = follower.curve()
    assert steps.tolist() == [1, 2, 3]
    assert losses.tolist() == pytest.approx([2, 1.5, 1 + 1 / 3])
    assert follower.preview().shape == (1, 1, 3)
    assert follower.style(generator.fingerprint()) is None
    (run.path / "previews").mkdir()
    Image.new("RGB", (8, 4), "red").save(run.path / "previews" / "step_000003.jpg")
    (run.path / "previews" / ".3d6ec721.jpg").write_bytes(b"half of a picture")  # is being written
    assert follower.preview().shape == (4, 8, 3)
    run.save_checkpoint(3, style.tensors, {}, keep=1)
    newest = follower.style(generator.fingerprint())
    assert newest is not None
    assert all(torch.equal(newest.tensors[name], style.tensors[name]) for name in style.tensors)
    stage = SharedGenerator(generator, {"loud": newest})
    stage.see(ShownHead(strengths=(("loud", 1.0),)), front(), Look())
    stage.see(ShownHead(), front(), Look())


def test_a_second_checkpoint_is_followed_while_the_first_is_worn(
    run: RunDirectory, generator: PanoHead, style: Style
) -> None:
    follower, stage = Follower(run), SharedGenerator(generator)
    follower.show(MagicMock())
    worn, pictures = ShownHead(strengths=(("loud", 1.0),)), []
    for step in (4, 5):
        run.save_checkpoint(step, {name: step * t for name, t in style.tensors.items()}, {}, keep=1)
        assert follower.look(stage)
        pictures.append(stage.see(worn, front(), Look()))
    assert (pictures[0] != pictures[1]).any()


@pytest.mark.parametrize(
    ("event", "loss"),
    [
        ({"step": 1, "loss": 3}, 3),
        ({"losses": {"a": 1, "b": 0.5}, "seconds": {"a": 9}}, 1.5),
        ({"gradient_rms": {"x": 2.0, "y": 5.0}}, 5),
        ({"loss": math.nan}, None),
        ({}, None),
    ],
)
def test_every_method_has_a_loss_to_show(event: dict[str, Any], loss: float | None) -> None:
    assert loss_of(event) == loss


class Notes:
    """Remembers what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)

    warn = note


def test_what_is_shown_is_gathered_before_a_port_is_opened(
    run: RunDirectory, generator: PanoHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stylehead.weights import presets

    generator.save(tmp_path / "generator.safetensors")
    monkeypatch.setattr(presets, "MINI_WEIGHTS", tmp_path)
    np.savez(tmp_path / "me.npz", w=latent_from_seed(generator, 1, psi=0.5).numpy())
    notes = Notes()
    arguments = ViewArguments(run=run.path, latent=(tmp_path / "me.npz",), host="0.0.0.0")
    stage, follower = gather(arguments, notes)  # type: ignore[arg-type]
    assert list(stage.latents) == ["me"]
    assert follower is not None
    assert any("it has no password" in text for text in notes.said)
    with pytest.raises(UsageError, match="`--port`"):
        gather(ViewArguments(port=99999), notes)  # type: ignore[arg-type]
    (run.path / "style.safetensors").write_bytes(b"{}")
    with pytest.raises(JobError):
        gather(ViewArguments(run=run.path), notes)  # type: ignore[arg-type]
    assert json.loads((run.path / "run.json").read_text())["outcome"] == "running"
