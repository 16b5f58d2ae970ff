"""The teacher against diffusers, on tiny random networks."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionControlNetPipeline, StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from tiny_teacher import tiny_autoencoder
from transformers import CLIPTextConfig, CLIPTextModel

from stylehead.errors import JobError, MissingError
from stylehead.memory import TIERS
from stylehead.teacher import Autoencoder, ControlCondition, NoisyLatents, Teacher, TeacherPaths, parts
from stylehead.teacher import teacher as teacher_module


def latents_like(teacher: Teacher, count: int, seed: int = 0) -> torch.Tensor:
    size = teacher.latent_size
    return torch.randn(count, 4, size, size, generator=torch.Generator().manual_seed(seed))


def edges(teacher: Teacher, count: int, seed: int = 5) -> torch.Tensor:
    shape = (count, 3, teacher.image_size, teacher.image_size)
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) > 0.8).float()


def test_sizes_follow_the_networks(teacher):
    assert (teacher.latent_size, teacher.latent_channels, teacher.image_size) == (8, 4, 32)
    assert teacher.kinds == ("canny", "depth")


def test_everything_is_frozen(teacher):
    parts = teacher.parts
    networks = [parts.vae, parts.unet, parts.text_encoder, *parts.controlnets.values()]
    assert not any(p.requires_grad for network in networks for p in network.parameters())
    assert not any(network.training for network in networks)


def test_prompts_are_embedded_once_and_as_the_pipeline_does(teacher, pipeline):
    cond, uncond = teacher.encode_prompt("a rosa")
    expected, _ = pipeline.encode_prompt("a rosa", "cpu", 1, False)
    torch.testing.assert_close(cond, expected)
    assert not torch.allclose(cond, uncond)
    assert teacher.encode_prompt("a rosa").cond is cond
    assert teacher.encode_prompt("other").uncond is uncond


def test_long_prompts_lose_their_end(teacher):
    many = teacher.encode_prompt("a " * 40).cond
    assert many.shape == teacher.encode_prompt("a").cond.shape


@pytest.mark.parametrize("with_control", [False, True])
def test_one_batched_call_equals_separate_calls(teacher, with_control):
    text = teacher.encode_prompt("a rosa")
    latents, timestep = latents_like(teacher, 2), torch.tensor([281, 21])
    condition = ControlCondition("canny", edges(teacher, 2), 0.7) if with_control else None
    got = teacher.predict(latents, timestep, text, condition=condition)
    for sample in range(2):
        for eps, hidden in ((got.eps_cond, text.cond), (got.eps_uncond, text.uncond)):
            extra = {}
            if condition is not None:
                down, mid = teacher.parts.controlnets["canny"](
                    latents[sample : sample + 1],
                    timestep[sample],
                    encoder_hidden_states=hidden,
                    controlnet_cond=condition.image_01[sample : sample + 1],
                    conditioning_scale=0.7,
                    return_dict=False,
                )
                extra = {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}
            expected = teacher.parts.unet(
                latents[sample : sample + 1], timestep[sample], encoder_hidden_states=hidden, **extra
            ).sample
            torch.testing.assert_close(eps[sample : sample + 1], expected, rtol=1e-4, atol=1e-5)


def test_several_questions_in_one_pass_equal_each_alone(teacher):
    text = teacher.encode_prompt("a")
    questions = [
        NoisyLatents(latents_like(teacher, 2, 1), torch.tensor([1, 61])),
        NoisyLatents(
            latents_like(teacher, 1, 2), torch.tensor([181]), ControlCondition("canny", edges(teacher, 1))
        ),
        NoisyLatents(
            latents_like(teacher, 3, 3),
            torch.tensor([41, 1, 261]),
            ControlCondition("depth", edges(teacher, 1, 6), 0.5),
        ),
    ]
    together = teacher.predict_all(questions, text)
    for question, pair in zip(questions, together, strict=True):
        alone = teacher.predict(question.latents_t, question.timestep, text, condition=question.condition)
        torch.testing.assert_close(pair.eps_cond, alone.eps_cond, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(pair.eps_uncond, alone.eps_uncond, rtol=1e-4, atol=1e-5)


def test_conditions_and_their_scale_act(teacher):
    text = teacher.encode_prompt("a")
    latents, timestep = latents_like(teacher, 1), torch.tensor([281])
    without = teacher.predict(latents, timestep, text).eps_cond
    picture = edges(teacher, 1)
    outcomes = [
        teacher.predict(latents, timestep, text, condition=ControlCondition(kind, picture, scale)).eps_cond
        for kind, scale in (("canny", 1.0), ("canny", 0.5), ("depth", 1.0))
    ]
    assert all(not torch.allclose(outcome, without, atol=1e-4) for outcome in outcomes)
    assert not torch.allclose(outcomes[0], outcomes[1], atol=1e-4)
    assert not torch.allclose(outcomes[0], outcomes[2], atol=1e-4)
    off = teacher.predict(latents, timestep, text, condition=ControlCondition("canny", picture, 0.0)).eps_cond
    torch.testing.assert_close(off, without)


def test_guidance_extrapolates(teacher):
    text = teacher.encode_prompt("rosa")
    pair = teacher.predict(latents_like(teacher, 1), torch.tensor([101]), text)
    torch.testing.assert_close(pair.guided(1.0), pair.eps_cond)
    torch.testing.assert_close(pair.guided(0.0), pair.eps_uncond)
    torch.testing.assert_close(
        pair.guided(7.5), 7.5 * pair.eps_cond - 6.5 * pair.eps_uncond, rtol=1e-4, atol=1e-5
    )


def test_encode_and_decode_follow_the_vae(teacher):
    image = edges(teacher, 2) * 2 - 1
    vae = teacher.parts.vae
    posterior = vae.encode(image).latent_dist
    torch.testing.assert_close(teacher.encode(image), posterior.mean * 0.5)
    latents = latents_like(teacher, 2)
    torch.testing.assert_close(teacher.decode(latents), vae.decode(latents / 0.5).sample)


def test_posterior_samples_have_the_posteriors_spread(teacher):
    image = edges(teacher, 1) * 2 - 1
    posterior = teacher.parts.vae.encode(image).latent_dist
    draws = torch.cat([teacher.encode(image, rng=torch.Generator().manual_seed(seed)) for seed in range(60)])
    torch.testing.assert_close(draws.std(0), posterior.std[0] * 0.5, rtol=0.5, atol=1e-3)
    again = teacher.encode(image, rng=torch.Generator().manual_seed(0))
    assert torch.equal(again, draws[:1])


def test_encoding_is_differentiable(teacher):
    image = (torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(4)) * 2 - 1).requires_grad_()
    direction = latents_like(teacher, 1)
    (teacher.encode(image) * direction).sum().backward()
    step = 3e-3
    nudge = torch.randn(image.shape, generator=torch.Generator().manual_seed(3))
    high = (teacher.encode(image.detach() + step * nudge) * direction).sum()
    low = (teacher.encode(image.detach() - step * nudge) * direction).sum()
    slope = (high - low) / (2 * step)
    torch.testing.assert_close((image.grad * nudge).sum(), slope, rtol=2e-2, atol=1e-3)


@pytest.mark.parametrize("kind", ["vae", "tiny"])
def test_saving_memory_changes_no_latent_and_no_gradient(teacher, kind):
    autoencoder = Autoencoder(teacher.parts.vae if kind == "vae" else tiny_autoencoder())
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(6)) * 2 - 1
    found, gradients, kept = [], [], []
    for on in (False, True):
        autoencoder.save_memory(recompute=on, one_at_a_time=on)
        leaf = image.clone().requires_grad_()
        bytes_kept = 0

        def count(tensor):
            nonlocal bytes_kept
            bytes_kept += tensor.numel() * 4
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            latents = autoencoder.encode(leaf)
        kept.append(bytes_kept)
        found.append(latents.detach())
        gradients.append(torch.autograd.grad(latents.square().sum(), leaf)[0])
    autoencoder.save_memory(recompute=False, one_at_a_time=False)
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(gradients[0], gradients[1])
    assert kept[1] < kept[0] / 2


@pytest.mark.parametrize(("tier", "fused"), [("12", True), ("8", True), ("8", False)])
def test_saving_memory_changes_no_prediction(teacher, monkeypatch, tier, fused):
    monkeypatch.setattr(teacher_module, "has_fused_attention", lambda _device: fused)
    text = teacher.encode_prompt("a rosa")
    questions = [
        NoisyLatents(latents_like(teacher, 2, 1), torch.tensor([1, 61])),
        NoisyLatents(
            latents_like(teacher, 1, 2), torch.tensor([181]), ControlCondition("canny", edges(teacher, 1))
        ),
    ]
    expected = teacher.predict_all(questions, text)
    calls = []
    handle = teacher.parts.unet.register_forward_hook(lambda _net, inputs, _out: calls.append(len(inputs[0])))
    teacher.save_memory(TIERS[tier])
    processors = {type(processor).__name__ for processor in teacher.parts.unet.attn_processors.values()}
    assert processors == ({"AttnProcessor2_0"} if fused else {"SlicedAttnProcessor"})
    try:
        got = teacher.predict_all(questions, text)
    finally:
        handle.remove()
        teacher.save_memory(TIERS["24"])
    assert calls == ([2, 2, 1, 1] if tier == "8" else [6])
    for pair, other in zip(got, expected, strict=True):
        torch.testing.assert_close(pair.eps_cond, other.eps_cond, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(pair.eps_uncond, other.eps_uncond, rtol=1e-4, atol=1e-5)


def test_a_tiny_autoencoder_serves_as_well(copy, teacher):
    scratch = copy.parent / "tiny"
    tiny_autoencoder().save_pretrained(scratch)
    tiny = Teacher.load(TeacherPaths(copy, vae=scratch))
    image = edges(teacher, 2) * 2 - 1
    expected = tiny.parts.vae.encode(image).latents
    torch.testing.assert_close(tiny.encode(image), expected)
    posterior = torch.Generator().manual_seed(0)
    assert torch.equal(tiny.encode(image, rng=posterior), tiny.encode(image))
    torch.testing.assert_close(tiny.decode(expected), tiny.parts.vae.decode(expected).sample)
    assert (tiny.latent_size, tiny.image_size) == (8, 32)


@pytest.fixture(scope="module")
def pipeline(teacher):
    parts = teacher.parts
    return make_pipeline(StableDiffusionPipeline, parts)


def make_pipeline(kind, parts, **extra):
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    pipe = kind(
        vae=parts.vae,
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        unet=parts.unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        **extra,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def run_pipeline(pipe, latents, **options):
    """Return the final image and the latents after every step."""
    trail = []

    def keep(_pipe, _index, _timestep, values):
        trail.append(values["latents"].clone())
        return {}

    image = pipe(
        "a rosa",
        num_inference_steps=6,
        guidance_scale=3.0,
        latents=latents,
        output_type="np",
        callback_on_step_end=keep,
        **options,
    ).images
    return torch.from_numpy(np.asarray(image)).permute(0, 3, 1, 2) * 2 - 1, trail


def test_sampling_equals_the_diffusers_pipeline_step_by_step(teacher, pipeline):
    start = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(11))
    expected, trail = run_pipeline(pipeline, start)
    schedule, text, latents = teacher.schedule.with_steps(6), teacher.encode_prompt("a rosa"), start
    for step_index, after in enumerate(trail):
        eps = teacher.predict(latents, schedule.timesteps[step_index].expand(1), text)
        latents = schedule.ddim_step(latents, eps.guided(3.0), step_index)
        torch.testing.assert_close(latents, after, rtol=1e-4, atol=1e-4)
    got = teacher.sample("a rosa", steps=6, cfg_scale=3.0, rng=torch.Generator().manual_seed(11))
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)


def test_conditioned_sampling_equals_the_diffusers_pipeline(teacher):
    pipe = make_pipeline(
        StableDiffusionControlNetPipeline, teacher.parts, controlnet=teacher.parts.controlnets["depth"]
    )
    picture = edges(teacher, 1)
    start = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(12))
    expected, _ = run_pipeline(pipe, start, image=picture, controlnet_conditioning_scale=0.6)
    got = teacher.sample(
        "a rosa",
        condition=ControlCondition("depth", picture, 0.6),
        steps=6,
        cfg_scale=3.0,
        rng=torch.Generator().manual_seed(12),
    )
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)


def test_each_picture_may_have_its_own_prompt(teacher):
    def rng():
        return torch.Generator().manual_seed(13)

    prompts = ["a rosa", "a lupo"]
    together = teacher.sample(prompts, count=2, steps=4, rng=rng())
    alone = [teacher.sample(prompt, count=2, steps=4, rng=rng())[i] for i, prompt in enumerate(prompts)]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-3, atol=1e-3)
    assert not torch.equal(together, teacher.sample("a rosa", count=2, steps=4, rng=rng()))


# -------------------------------------------------------------------------------------------------- files


def test_a_missing_folder_names_itself(tmp_path):
    with pytest.raises(MissingError, match="nowhere"):
        Teacher.load(tmp_path / "nowhere")


@pytest.fixture
def copy(teacher_folder, tmp_path):
    return shutil.copytree(teacher_folder, tmp_path / "copy")


@pytest.mark.parametrize("part", ["vae", "unet", "tokenizer", "scheduler", "text_encoder"])
def test_a_missing_part_names_itself(copy, part):
    shutil.rmtree(copy / part)
    with pytest.raises(MissingError, match=part):
        Teacher.load(copy)


def test_pickled_weights_are_never_read(copy):
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(MissingError, match="safetensors"):
        Teacher.load(copy)


def test_a_damaged_file_is_a_job_error(copy):
    (copy / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"not a tensor")
    with pytest.raises(JobError, match="vae"):
        Teacher.load(copy)


def test_a_velocity_model_is_refused(copy):
    path = copy / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "prediction_type": "v_prediction"}))
    with pytest.raises(JobError, match="v_prediction"):
        Teacher.load(copy)


@pytest.mark.parametrize("variant", ["", ".fp16"])
def test_half_precision_files_load_in_single_precision(copy, teacher, variant):
    path = copy / "unet" / "diffusion_pytorch_model.safetensors"
    half = {name: tensor.half() for name, tensor in load_file(path).items()}
    path.unlink()
    save_file(half, path.with_name(f"diffusion_pytorch_model{variant}.safetensors"))
    loaded = Teacher.load(copy)
    assert loaded.parts.unet.dtype == torch.float32
    pair = loaded.predict(latents_like(teacher, 1), torch.tensor([81]), loaded.encode_prompt("a"))
    expected = teacher.predict(latents_like(teacher, 1), torch.tensor([81]), teacher.encode_prompt("a"))
    torch.testing.assert_close(pair.eps_cond, expected.eps_cond, rtol=2e-2, atol=2e-2)


def test_a_pipeline_without_an_autoencoder_says_how_to_add_one(copy):
    shutil.move(copy / "vae", copy.parent / "elsewhere")
    with pytest.raises(MissingError) as error:
        Teacher.load(copy)
    assert str(error.value.hint).startswith("--vae")
    assert Teacher.load(TeacherPaths(copy, vae=copy.parent / "elsewhere")).image_size == 32


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.01), (torch.bfloat16, 0.05)])
def test_half_precision_predicts_nearly_the_same(teacher_folder, teacher, dtype, tolerance):
    half = Teacher.load(teacher_folder, dtype=dtype)
    assert half.parts.unet.dtype == half.parts.controlnets["canny"].dtype == dtype
    assert half.parts.vae.dtype == torch.float32
    latents, condition = latents_like(teacher, 1), ControlCondition("canny", edges(teacher, 1))
    pairs = [
        one.predict(latents, torch.tensor([81]), one.encode_prompt("a"), condition=condition)
        for one in (half, teacher)
    ]
    assert pairs[0].eps_cond.dtype == torch.float32
    assert (pairs[0].eps_cond - pairs[1].eps_cond).abs().max() < tolerance * pairs[1].eps_cond.abs().max()


@pytest.mark.parametrize(
    ("part", "changes", "sentence"),
    [
        ("unet", {"in_channels": 9}, "an inpainting model"),
        ("unet", {"in_channels": 5}, "latent channels 4, where the UNet takes 5"),
        ("unet", {"cross_attention_dim": 16}, "numbers per word 8, where the UNet takes 16"),
        ("controlnet_depth", {"block_out_channels": [8, 8]}, "controlnet_depth"),
        ("vae", {"_class_name": "VQModel"}, "holds a VQModel; a teacher takes AutoencoderKL or"),
    ],
)
def test_networks_that_do_not_fit_together_are_refused(copy, part, changes, sentence, monkeypatch):
    path = copy / part / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    monkeypatch.setattr(parts, "load_network", without_weights)
    with pytest.raises(JobError, match=sentence):
        Teacher.load(copy)


def without_weights(kind, folder, *, device, dtype):
    """Build a network from its configuration alone."""
    if kind is CLIPTextModel:
        return CLIPTextModel(CLIPTextConfig.from_pretrained(folder))
    return kind.from_config(kind.load_config(folder))


@pytest.mark.parametrize(
    ("index", "sentence"),
    [
        ({"_class_name": "StableDiffusionXLPipeline"}, "is a StableDiffusionXLPipeline; only Stable"),
        ({"_class_name": "FluxPipeline"}, "is a FluxPipeline; only"),
        ([], "is damaged"),
    ],
)
def test_other_pipelines_are_refused_before_anything_is_read(copy, index, sentence):
    (copy / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(JobError, match=sentence):
        Teacher.load(copy)
    (copy / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    assert Teacher.load(copy).kinds == ("canny", "depth")


def test_weight_files_are_those_that_are_read(copy):
    (copy / "whole-checkpoint.safetensors").write_bytes(b"")
    (copy / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"")
    (copy / "safety_checker").mkdir()
    (copy / "safety_checker" / "model.safetensors").write_bytes(b"")
    assert set(TeacherPaths(copy).weight_files()) == {
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "controlnet_canny/diffusion_pytorch_model.safetensors",
        "controlnet_depth/diffusion_pytorch_model.safetensors",
    }


def test_controlnets_are_optional_and_may_live_elsewhere(copy, tmp_path, teacher):
    elsewhere = shutil.move(copy / "controlnet_depth", tmp_path / "depth")
    shutil.rmtree(copy / "controlnet_canny")
    bare = Teacher.load(copy)
    assert bare.kinds == ()
    text, condition = bare.encode_prompt("a"), ControlCondition("canny", edges(teacher, 1))
    with pytest.raises(MissingError) as error:
        bare.predict(latents_like(teacher, 1), torch.tensor([1]), text, condition=condition)
    assert error.value.hint == "--no-canny"
    assert Teacher.load(TeacherPaths(copy, controlnet_depth=elsewhere)).kinds == ("depth",)
