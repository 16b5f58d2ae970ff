"""The recogniser of faces with gradients: equal to what another program computes of the same file."""

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from recogniser_file import write_recogniser

from stylehead.errors import JobError, MissingError
from stylehead.geometry import camera_from_angles, project_points
from stylehead.inversion.five_points import MEAN_FIVE
from stylehead.perception.face_network import EDGE, LEFT, SIZE, TOP, FaceNetwork

TEMPLATE = torch.tensor(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Eyes, nose and mouth corners in the 112 pixels that ArcFace is trained on (insightface)."""


@pytest.mark.parametrize("scales", [False, True])
def test_it_embeds_as_another_program_does(scales: bool, tmp_path: Path) -> None:
    path = write_recogniser(tmp_path / "pack" / "w600k_r50.onnx", scales=scales)
    network = FaceNetwork.load(tmp_path / "pack")
    face = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    seen = (face + 1) * 127.5 if scales else face
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"picture": seen.numpy()})
    wanted = torch.nn.functional.normalize(torch.from_numpy(wanted), dim=1)
    assert torch.allclose(network.embed(seen), wanted, atol=1e-5)


def test_the_face_of_a_picture_is_looked_at_and_gradients_come_back_to_it(tmp_path: Path) -> None:
    write_recogniser(tmp_path / "pack" / "w600k_r50.onnx")
    network = FaceNetwork.load(tmp_path / "pack")
    picture = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(2)).requires_grad_()
    vectors = network(picture)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(1))
    vectors.sum().backward()
    assert picture.grad is not None
    seen = picture.grad[0].abs().sum(dim=0) > 0
    rows, columns = torch.nonzero(seen, as_tuple=True)
    for places, first in ((rows, TOP), (columns, LEFT)):
        assert int(places.min()) == pytest.approx(512 * first, abs=5)
        assert int(places.max()) == pytest.approx(512 * (first + EDGE), abs=20)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_mean_head_lies_where_recognisers_expect_faces() -> None:
    points = torch.tensor(MEAN_FIVE, dtype=torch.float32)[None]
    places = (project_points(points, camera_from_angles(0.0))[0][0] + 1) / 2
    pixels = (places - torch.tensor([LEFT, TOP])) / EDGE * SIZE
    assert (pixels - TEMPLATE).abs().max() < 2.5


def test_packs_that_recognise_nobody_say_so(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no face models"):
        FaceNetwork.load(tmp_path)
    write_recogniser(tmp_path / "a" / "genderage.onnx", size=96)
    with pytest.raises(JobError, match="recognise people"):
        FaceNetwork.load(tmp_path / "a")
    write_recogniser(tmp_path / "b" / "w600k_r50.onnx", last="Softmax")
    with pytest.raises(JobError, match="computes with `Softmax`"):
        FaceNetwork.load(tmp_path / "b")
    path = write_recogniser(tmp_path / "d" / "w600k_r50.onnx")
    onnx.save(onnx.load(str(path)), str(path), save_as_external_data=True, size_threshold=0)
    with pytest.raises(JobError, match="numbers in other files, which are not read"):
        FaceNetwork.load(tmp_path / "d")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "w600k_r50.onnx").write_bytes(b"\x08\x07junk")
    with pytest.raises(JobError, match="damaged or no ONNX model"):
        FaceNetwork.load(tmp_path / "c")


def test_recognisers_come_before_the_other_models_of_a_pack(tmp_path: Path) -> None:
    write_recogniser(tmp_path / "pack" / "w600k_r50.onnx")
    (tmp_path / "pack" / "det_10g.onnx").write_bytes(b"never looked at")
    assert FaceNetwork.load(tmp_path / "pack").embed(torch.zeros(1, 3, SIZE, SIZE)).shape == (1, 8)
