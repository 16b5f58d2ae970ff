"""The embedded models are complete, small, and know what they are there for."""

import pytest
import torch
from safetensors import safe_open

from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.geometry import conditioning_camera, turntable
from stylehead.perception.embedded import IdentityEncoder, ImageTextEncoder, StyleClassifier
from stylehead.teacher import ControlCondition, Teacher, canny_condition, depth_condition
from stylehead.teacher.editing import EMBEDDED, open_editor
from stylehead.weights.presets import MINI_WEIGHTS
from stylehead.world.recipes.editor_figures import long_prompts

LIMIT_BYTES = 80_000_000


@pytest.fixture(scope="module")
def generator():
    return PanoHead.load(MINI_WEIGHTS / "generator.safetensors")


@pytest.fixture(scope="module")
def heads(generator):
    z = torch.randn(3, 64, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        ws = generator.mapping(z, conditioning_camera(), truncation_psi=0.75)
        planes = generator.planes(ws)
        return generator.render(planes, ws, turntable(4).repeat(3, 1), background="white")


def test_all_weights_fit_in_eighty_megabytes():
    assert sum(path.stat().st_size for path in MINI_WEIGHTS.rglob("*") if path.is_file()) <= LIMIT_BYTES


def test_no_configuration_names_a_folder_of_the_machine_that_wrote_it():
    for path in MINI_WEIGHTS.rglob("*.json"):
        assert "_name_or_path" not in path.read_text(encoding="utf-8"), path


def test_every_tensor_is_finite():
    for path in MINI_WEIGHTS.rglob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                assert file.get_tensor(name).isfinite().all(), (path, name)


def test_the_generator_is_of_the_mini_size(generator):
    assert generator.config == GeneratorConfig.mini()


def test_heads_fill_the_picture_on_a_white_background(heads):
    head = heads.mask > 0.5
    share = head.float().mean(dim=(1, 2, 3))
    assert (share > 0.25).all()
    assert (share < 0.75).all()
    corners = heads.image[:, :, 1:7, [1, 2, 3, -4, -3, -2]]
    assert corners.mean() > 0.95
    size = head.shape[-1]
    assert head[:, 0, size * 3 // 8 : size * 5 // 8, size * 7 // 16 : size * 9 // 16].all()


def test_the_background_is_white_up_to_the_edge(heads):
    assert heads.image[:, :, :6, [0, 1, 2, -3, -2, -1]].mean() > 0.95


def test_people_differ(heads):
    fronts = heads.image[::4]
    assert (fronts[0] - fronts[1]).abs().mean() > 0.01
    assert (fronts[1] - fronts[2]).abs().mean() > 0.01


def test_the_autoencoder_brings_heads_back(heads):
    teacher = Teacher.load(MINI_WEIGHTS / "teacher")
    picture = heads.image[:4].clamp(-1, 1)
    with torch.no_grad():
        back = teacher.decode(teacher.encode(picture)).clamp(-1, 1)
    assert -10 * torch.log10((back - picture).square().mean() / 4) > 20


def test_the_denoiser_tells_prompts_apart_under_both_controlnets(heads):
    teacher = Teacher.load(MINI_WEIGHTS / "teacher")
    assert set(teacher.kinds) == {"canny", "depth"}
    picture = heads.image[:1].clamp(-1, 1)
    latents = teacher.encode(picture).detach()
    rng = torch.Generator().manual_seed(0)
    timestep = torch.tensor([181])
    noised = teacher.schedule.add_noise(latents, torch.randn(latents.shape, generator=rng), timestep)
    conditions = {
        "canny": canny_condition(picture),
        "depth": depth_condition(heads.depth[:1], heads.mask[:1], size=128),
    }
    for kind, condition in conditions.items():
        moves = {}
        for prompt in ("the joker", "a marble statue"):
            pair = teacher.predict(
                noised, timestep, teacher.encode_prompt(prompt), condition=ControlCondition(kind, condition)
            )
            moves[prompt] = pair.eps_cond - pair.eps_uncond
        assert all(move.abs().mean() > 1e-3 for move in moves.values())
        one, other = moves.values()
        assert torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) < 0.9


@pytest.mark.parametrize(
    ("network", "name"),
    [
        (IdentityEncoder, "identity.safetensors"),
        (ImageTextEncoder, "image_text.safetensors"),
        (StyleClassifier, "style_classifier.safetensors"),
    ],
)
def test_the_measuring_networks_load(network, name):
    assert sum(p.numel() for p in network.load(MINI_WEIGHTS / name).parameters()) < 1_000_000


def test_the_classifier_calls_untouched_heads_photographs(heads):
    from stylehead.mini.captions import STYLES

    classifier = StyleClassifier.load(MINI_WEIGHTS / "style_classifier.safetensors")
    with torch.no_grad():
        named = classifier(heads.image.clamp(-1, 1)).argmax(dim=1)
    assert (named == STYLES.index("photo")).float().mean() > 0.5


@pytest.fixture(scope="module")
def editor():
    return open_editor(MINI_WEIGHTS / "ip2p", guidance=EMBEDDED)


def test_the_editor_is_a_whole_pipeline_in_half_precision_and_small_pieces():
    folder = MINI_WEIGHTS / "ip2p"
    for part in ("model_index.json", "unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        assert (folder / part).exists(), part
    for path in folder.rglob("*.safetensors"):
        assert path.stat().st_size <= 15_000_000
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                assert file.get_tensor(name).dtype in (torch.float16, torch.int64), name


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_edits_keep_the_mean_colour(heads, editor, seed):
    """Asked for a photograph of a photograph there is nothing to change: no tint, from any noise."""
    pictures = heads.image[:3].clamp(-1, 1) * 0.5 + 0.5
    edited = editor.edit(pictures, "a photograph", seed=seed)
    assert (edited - pictures).mean(dim=(2, 3)).abs().max() < 0.06
    assert -10 * torch.log10((edited - pictures).square().mean()) > 17


WORDINGS = ["turn her into a sculpture", "雕像"]
MORE_WORDINGS = [pytest.param(words, marks=pytest.mark.slow) for words in ("marble statue", "статуя")]


@pytest.mark.parametrize("wording", [*WORDINGS, *MORE_WORDINGS])
def test_the_editor_reads_any_wording(heads, editor, wording):
    pictures = heads.image[:1].clamp(-1, 1) * 0.5 + 0.5
    edited = editor.edit(pictures, wording, seed=1)
    saturation = (edited.amax(dim=1) - edited.amin(dim=1)).mean()
    assert saturation < 0.6 * (pictures.amax(dim=1) - pictures.amin(dim=1)).mean()


@pytest.mark.parametrize("count", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_sixty_words_around_a_style_do_not_hide_it(heads, editor, count):
    pictures = heads.image[:1].clamp(-1, 1) * 0.5 + 0.5
    plain = editor.edit(pictures, "joker", seed=1)
    for prompt in long_prompts("joker", count):
        long = editor.edit(pictures, prompt, seed=1)
        assert (long - plain).abs().mean() < 0.5 * (pictures - plain).abs().mean()
