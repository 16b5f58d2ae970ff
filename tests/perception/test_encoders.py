"""One protocol a role: CLIP, ArcFace, Inception, depth and the embedded networks."""

import sys
import types
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stylehead.errors import JobError, MissingError
from stylehead.evaluation.comparison import EncodedPortraits
from stylehead.evaluation.frechet import frechet_distances
from stylehead.evaluation.portraits import Portraits
from stylehead.images import bytes_to_pm1
from stylehead.mini.captions import STYLES
from stylehead.perception import loading
from stylehead.perception.arcface import ArcFace
from stylehead.perception.inception import EXTRA, Inception
from stylehead.perception.loading import EncoderFiles, open_perception
from stylehead.perception.roles import Encoders
from stylehead.weights.presets import Preset, mini_preset


def pictures(count: int, size: int = 40, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 3, size, size), generator=rng, dtype=torch.uint8)


@pytest.mark.parametrize("role", ["clip", "face", "image_text", "style"])
def test_batch_size_changes_nothing(role: str, clip_folder: Path) -> None:
    encoders = open_perception(
        mini_preset(), files=EncoderFiles(clip=clip_folder if role == "clip" else None)
    )
    images = pictures(6, size=128).unflatten(0, (2, 3))
    portraits = Portraits(images, (0, 1), (-30.0, 0.0, 30.0))
    what = {"clip": "image_text", "face": "faces", "image_text": "image_text", "style": "styles"}[role]
    seen = [getattr(EncodedPortraits(portraits, encoders, batch=batch), what) for batch in (1, 4, 64)]
    for other in seen[1:]:
        torch.testing.assert_close(other, seen[0], atol=1e-5, rtol=1e-5)
    looks = [EncodedPortraits(portraits, encoders, batch=batch).perceptual(1) for batch in (1, 64)]
    torch.testing.assert_close(*looks, atol=1e-5, rtol=1e-5)


class FakeAnalyser:
    """Finds a face in bright pictures: a small one that is anybody, and the large one that counts."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def get(self, bgr: np.ndarray) -> list[SimpleNamespace]:
        self.seen.append(bgr)
        if bgr.mean() < 100:
            return []
        small = SimpleNamespace(bbox=(0, 0, 2, 2), embedding=np.ones(4, np.float32))
        large = SimpleNamespace(bbox=(0, 0, 9, 9), embedding=np.array([3, 0, 0, 4], np.float32))
        return [small, large]


def test_arcface_takes_the_largest_face_and_says_when_there_is_none() -> None:
    analyser = FakeAnalyser()
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    images[0, 0] = 250
    images[0, 2] = 200
    faces = ArcFace(analyser, "buffalo_l", dimension=4).faces(images)
    assert faces.found.tolist() == [True, False]
    torch.testing.assert_close(faces.vectors[0], torch.tensor([0.6, 0.0, 0.0, 0.8]))
    assert faces.vectors[1].tolist() == [0, 0, 0, 0]
    assert analyser.seen[0][0, 0].tolist() == [200, 0, 250]  # blue first
    assert analyser.seen[0].flags["C_CONTIGUOUS"]


def test_arcface_models_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no face models") as caught:
        ArcFace.load(tmp_path)
    assert caught.value.hint == "stylehead weights fetch insightface-buffalo_l"


class FakeExtractor(nn.Module):
    """What torch-fidelity's extractor does with its weights, in small."""

    def __init__(self, name: str, features: list[str], feature_extractor_weights_path: str) -> None:
        super().__init__()
        assert (name, features) == ("inception-v3-compat", ["2048"])
        self.scale = torch.load(feature_extractor_weights_path, weights_only=True)["scale"]

    def forward(self, images: Tensor) -> tuple[Tensor]:
        assert images.dtype == torch.uint8
        return (images.float().mean(dim=(2, 3)) * self.scale,)


@pytest.fixture
def fidelity(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the optional package, which needs torchvision."""
    package, module = (types.ModuleType(name) for name in ("torch_fidelity", "extractor"))
    module.FeatureExtractorInceptionV3 = FakeExtractor  # type: ignore[attr-defined]
    package.feature_extractor_inceptionv3 = module  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch_fidelity", package)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", module)


def test_inception_gets_weights_that_were_read_safely(fidelity: None, tmp_path: Path) -> None:
    torch.save({"scale": torch.tensor(2.0)}, tmp_path / "weights.pth")
    network = Inception.load(tmp_path / "weights.pth")
    images = pictures(2)
    torch.testing.assert_close(network.features(images), images.float().mean(dim=(2, 3)) * 2)


class Evil:
    def __reduce__(self) -> tuple:
        return (print, ("never",))


def test_a_file_of_weights_can_execute_nothing(
    fidelity: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"scale": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(JobError, match="does not hold torch-fidelity's Inception weights"):
        Inception.load(tmp_path / "evil.pth")
    assert "never" not in capsys.readouterr().out


def test_inception_without_package_or_file(
    fidelity: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingError, match="no Inception weights"):
        Inception.load(tmp_path / "nothing.pth")
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(MissingError, match="need torch-fidelity") as caught:
        Inception.load(tmp_path / "nothing.pth")
    assert caught.value.hint == EXTRA


@pytest.mark.network
def test_real_inception_features_of_fixed_pictures() -> None:
    """Downloads 91 MB; FID of a set with itself is 0, and of two different sets it is not."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(module.URL_INCEPTION_V3).name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        torch.hub.download_url_to_file(module.URL_INCEPTION_V3, str(path), progress=False)
    network = Inception.load(path)
    one, other = (network.features(pictures(8, size=64, seed=seed)) for seed in (1, 2))
    assert one.shape == (8, 2048)
    same, different = (float(frechet_distances(one, second, torch.ones(1, 8))) for second in (one, other))
    assert same == pytest.approx(0, abs=1e-4)
    assert different > 1


# ------------------------------------------------------------------------------------------- putting together


def test_only_the_roles_that_are_asked_for_are_opened() -> None:
    encoders = open_perception(mini_preset(), ["faces"])
    assert set(encoders.names()) == {"faces"}
    assert encoders.why == {}


def test_bytes_and_floats_are_the_same_pictures(clip_folder: Path) -> None:
    images = pictures(2, size=128)
    for encoders in (
        open_perception(mini_preset()),
        open_perception(mini_preset(), ["image_text"], files=EncoderFiles(clip=clip_folder)),
    ):
        one, other = (encoders.require("image_text").images(x) for x in (images, bytes_to_pm1(images)))
        torch.testing.assert_close(one, other)
    encoders = open_perception(mini_preset())
    one, other = (encoders.require("faces").faces(x).vectors for x in (images, bytes_to_pm1(images)))
    torch.testing.assert_close(one, other)


def test_the_embedded_encoders_are_there() -> None:
    encoders = open_perception(mini_preset())
    judges = {"identity_judge", "style_judge"}
    assert set(encoders.names()) == {"faces", "image_text", "features", "recogniser", *judges}
    assert all(name.startswith("mini ") for name in encoders.names().values())
    with pytest.raises(MissingError, match="no depth estimator") as caught:
        encoders.require("depth")
    assert caught.value.hint == "--depth-model FOLDER"


def test_the_embedded_encoders_tell_styles_and_prompts_apart() -> None:
    from stylehead.evaluation.truth import open_truth

    encoders, truth = open_perception(mini_preset()), open_truth()
    images = {style: truth.portraits(style, yaws_deg=[0.0]).images[:12, 0] for style in ("photo", "joker")}
    for style, batch in images.items():
        named = encoders.require("recogniser").styles(batch)
        assert (named == STYLES.index(style)).float().mean() > 0.5
    text = encoders.require("image_text")
    fit = {
        style: float((text.images(batch) @ text.texts(["the joker"])[0]).mean())
        for style, batch in images.items()
    }
    assert fit["joker"] > fit["photo"]


def test_other_presets_take_what_the_catalogue_has(
    clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {"clip-vit-b32": clip_folder}
    monkeypatch.setattr(loading, "local_path", lambda entry_id: paths.get(entry_id))
    monkeypatch.setattr(loading, "accepted", lambda _entry_id: True)
    preset = Preset("panohead", Path("g"), Path("t"), "terms", repair="fetch")
    encoders = open_perception(preset)
    assert set(encoders.names()) == {"image_text"}
    with pytest.raises(MissingError, match="InsightFace") as caught:
        encoders.require("faces")
    assert caught.value.hint == "stylehead weights fetch insightface-buffalo_l"
    with pytest.raises(MissingError, match="embedded world"):
        encoders.require("recogniser")


def test_a_licence_that_is_not_accepted_leaves_a_dash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(loading, "local_path", lambda _entry_id: tmp_path)
    monkeypatch.setattr(loading, "accepted", lambda entry_id: False)
    preset = Preset("panohead", Path("g"), Path("t"), "terms", repair="fetch")
    with pytest.raises(MissingError, match="licence of InsightFace") as caught:
        open_perception(preset).require("faces")
    assert "--accept-license" in str(caught.value.hint)


def test_a_network_that_nobody_knows_is_missing_with_its_role() -> None:
    with pytest.raises(MissingError, match="no network for depth"):
        Encoders().require("depth")
