"""The catalogue: which weights exist, what they are for, under which licence, and where they are here.

Nothing in it is guessed. A revision or sha256 that nobody has checked is absent (`None`): the commit that
the Hub then names and the hashes of the files that come are recorded at the first fetch, and checked from
then on.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from stylehead.errors import LicenseError, UsageError
from stylehead.weights import store

_FULL_COMMAND = "stylehead weights list"


@dataclass(frozen=True)
class Entry:
    """Weights that can be on this machine."""

    id: str
    title: str
    purpose: str
    repo_id: str | None
    """Repository on the Hugging Face Hub, or None when the files are not there."""
    revision: str | None
    """Commit to fetch; None: not pinned, the newest one at the first fetch is recorded and kept."""
    files: tuple[str, ...]
    """Files or patterns that are fetched; every pattern must be met."""
    bytes: int | None
    """What is downloaded, estimated from parameter counts in single precision; None: not known."""
    licence: str
    licence_url: str
    commercial: bool
    """The licence allows commercial use."""
    acceptance_needed: bool
    """The licence must be accepted before the weights are fetched or used."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Known hashes by file name; others are recorded at the first fetch."""
    url: str | None = None
    """Archive to download when there is no repository."""
    urls: Mapping[str, str] = field(default_factory=dict)
    """Addresses of single files by name, when there is neither."""
    by_hand: str | None = None
    """What to do by hand, for files that no program may fetch."""
    terms: str = ""
    """The licence's terms in one line."""


_NON_COMMERCIAL_FACES = "Research use only: no commercial use without a licence from InsightFace."
_OPENRAIL = (
    "Commercial use is allowed; the use-based restrictions pass on to whoever gets results or derivatives."
)
_CONTROLNET_FILES = ("config.json", "diffusion_pytorch_model.safetensors")
_DEPTH_FILES = ("config.json", "preprocessor_config.json", "model.safetensors")
_INSIGHTFACE_URL = "https://github.com/deepinsight/insightface/releases/download/model-zoo"
_LPIPS_PAGE = "https://github.com/richzhang/PerceptualSimilarity"
_LPIPS_HEADS = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1"
_TORCH_MODELS = "https://download.pytorch.org/models"
_INSIGHTFACE_TERMS = "https://github.com/deepinsight/insightface#license"

_ENTRIES = (
    Entry(
        id="panohead",
        title="PanoHead easy-khair-180-gpc0.8-trans10",
        purpose="generator of the panohead preset: 512x512 heads from all sides",
        repo_id=None,
        revision=None,
        files=("generator.safetensors",),
        bytes=4 * (53_741_548 + 874_963),
        licence="CC BY-NC-SA 4.0 and NVIDIA Source Code License (non-commercial)",
        licence_url="https://github.com/SizheAn/PanoHead",
        commercial=False,
        acceptance_needed=True,
        by_hand=(
            "download easy-khair-180-gpc0.8-trans10-025000.pkl by the links in the README of "
            "https://github.com/SizheAn/PanoHead, then: "
            "stylehead weights import easy-khair-180-gpc0.8-trans10-025000.pkl"
        ),
        terms="Non-commercial, share alike; styles, pictures and meshes made with it inherit these terms.",
    ),
    Entry(
        id="realistic-vision-v5.1",
        title="Realistic Vision V5.1 (Stable Diffusion 1.5)",
        purpose="teacher of the panohead preset",
        repo_id="SG161222/Realistic_Vision_V5.1_noVAE",
        revision=None,
        files=(
            "model_index.json",
            "scheduler/*.json",
            "tokenizer/*",
            "text_encoder/config.json",
            "text_encoder/*.safetensors",
            "unet/config.json",
            "unet/*.safetensors",
            "vae/config.json",
            "vae/*.safetensors",
        ),
        bytes=4 * (859_520_964 + 123_060_480 + 83_653_863),
        licence="CreativeML OpenRAIL-M",
        licence_url="https://huggingface.co/spaces/CompVis/stable-diffusion-license",
        commercial=True,
        acceptance_needed=False,
        terms=_OPENRAIL,
    ),
    Entry(
        id="controlnet-canny",
        title="ControlNet for edges (Stable Diffusion 1.5)",
        purpose="keeps outlines and features where they are, single views",
        repo_id="lllyasviel/sd-controlnet-canny",
        revision=None,
        files=_CONTROLNET_FILES,
        bytes=4 * 361_279_120,
        licence="OpenRAIL",
        licence_url="https://huggingface.co/lllyasviel/sd-controlnet-canny",
        commercial=True,
        acceptance_needed=False,
        terms=_OPENRAIL,
    ),
    Entry(
        id="controlnet-depth",
        title="ControlNet for depth (Stable Diffusion 1.5)",
        purpose="keeps the shape of the head, grids of views",
        repo_id="lllyasviel/sd-controlnet-depth",
        revision=None,
        files=_CONTROLNET_FILES,
        bytes=4 * 361_279_120,
        licence="OpenRAIL",
        licence_url="https://huggingface.co/lllyasviel/sd-controlnet-depth",
        commercial=True,
        acceptance_needed=False,
        terms=_OPENRAIL,
    ),
    Entry(
        id="clip-tokenizer",
        title="Tokenizer of Stable Diffusion 1.x (CLIP)",
        purpose="splits prompts into words for models that come as a single file",
        repo_id="openai/clip-vit-large-patch14",
        revision=None,
        files=("merges.txt", "tokenizer.json", "tokenizer_config.json", "vocab.json"),
        bytes=None,
        licence="MIT",
        licence_url="https://github.com/openai/CLIP/blob/main/LICENSE",
        commercial=True,
        acceptance_needed=False,
    ),
    Entry(
        id="depth-anything-v2-small",
        title="Depth Anything V2, small",
        purpose="depth of a picture, for the depth ControlNet; the default",
        repo_id="depth-anything/Depth-Anything-V2-Small-hf",
        revision=None,
        files=_DEPTH_FILES,
        bytes=4 * 24_785_089,
        licence="Apache-2.0",
        licence_url="https://huggingface.co/depth-anything/Depth-Anything-V2-Small-hf",
        commercial=True,
        acceptance_needed=False,
    ),
    Entry(
        id="depth-anything-v2-base",
        title="Depth Anything V2, base",
        purpose="depth of a picture as the paper had it",
        repo_id="depth-anything/Depth-Anything-V2-Base-hf",
        revision=None,
        files=_DEPTH_FILES,
        bytes=4 * 97_470_785,
        licence="CC BY-NC 4.0",
        licence_url="https://creativecommons.org/licenses/by-nc/4.0/",
        commercial=False,
        acceptance_needed=True,
        terms="Non-commercial use only.",
    ),
    Entry(
        id="clip-vit-b32",
        title="CLIP ViT-B/32",
        purpose="measures how well pictures fit a prompt; the CLIP-guided methods",
        repo_id="openai/clip-vit-base-patch32",
        revision=None,
        files=(
            "config.json",
            "model.safetensors",
            "preprocessor_config.json",
            "tokenizer*.json",
            "vocab.json",
        ),
        bytes=4 * 151_277_313,
        licence="MIT",
        licence_url="https://github.com/openai/CLIP/blob/main/LICENSE",
        commercial=True,
        acceptance_needed=False,
    ),
    Entry(
        id="lpips-alex",
        title="LPIPS on AlexNet",
        purpose="perceptual distance: method ld's profile release, and the metrics that need one",
        repo_id=None,
        revision=None,
        files=("alexnet-owt-7be5be79.pth", "alex.pth"),
        bytes=4 * 61_100_840,
        licence="BSD-3-Clause (torchvision) and BSD-2-Clause (LPIPS)",
        licence_url=_LPIPS_PAGE,
        commercial=True,
        acceptance_needed=False,
        urls={
            "alexnet-owt-7be5be79.pth": f"{_TORCH_MODELS}/alexnet-owt-7be5be79.pth",
            "alex.pth": f"{_LPIPS_HEADS}/alex.pth",
        },
    ),
    Entry(
        id="lpips-vgg",
        title="LPIPS on VGG16",
        purpose="perceptual distance of the styleganfusion method",
        repo_id=None,
        revision=None,
        files=("vgg16-397923af.pth", "vgg.pth"),
        bytes=4 * 138_357_544,
        licence="BSD-3-Clause (torchvision) and BSD-2-Clause (LPIPS)",
        licence_url=_LPIPS_PAGE,
        commercial=True,
        acceptance_needed=False,
        urls={
            "vgg16-397923af.pth": f"{_TORCH_MODELS}/vgg16-397923af.pth",
            "vgg.pth": f"{_LPIPS_HEADS}/vgg.pth",
        },
    ),
    Entry(
        id="instruct-pix2pix",
        title="InstructPix2Pix",
        purpose="the ip2p method: edits pictures by instruction",
        repo_id="timbrooks/instruct-pix2pix",
        revision=None,
        files=(
            "model_index.json",
            "scheduler/*.json",
            "text_encoder/config.json",
            "text_encoder/model.safetensors",
            "tokenizer/*",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
        ),
        bytes=None,
        licence="MIT-style, and CreativeML OpenRAIL-M",
        licence_url="https://github.com/timothybrooks/instruct-pix2pix/blob/main/LICENSE",
        commercial=True,
        acceptance_needed=False,
        terms=_OPENRAIL,
    ),
    Entry(
        id="insightface-buffalo_l",
        title="InsightFace buffalo_l",
        purpose="faces, landmarks and identity of photographs (invert, the identity metric)",
        repo_id=None,
        revision=None,
        files=("*.onnx",),
        bytes=None,
        licence="non-commercial research only (InsightFace models)",
        licence_url=_INSIGHTFACE_TERMS,
        commercial=False,
        acceptance_needed=True,
        url=f"{_INSIGHTFACE_URL}/buffalo_l.zip",
        terms=_NON_COMMERCIAL_FACES,
    ),
    Entry(
        id="insightface-antelopev2",
        title="InsightFace antelopev2",
        purpose="face embedding of the instantid method",
        repo_id=None,
        revision=None,
        files=("*.onnx",),
        bytes=None,
        licence="non-commercial research only (InsightFace models)",
        licence_url=_INSIGHTFACE_TERMS,
        commercial=False,
        acceptance_needed=True,
        url=f"{_INSIGHTFACE_URL}/antelopev2.zip",
        terms=_NON_COMMERCIAL_FACES,
    ),
)

CATALOGUE: dict[str, Entry] = {entry.id: entry for entry in _ENTRIES}
"""All weights by id, in the order in which they are listed."""


def find(entry_id: str) -> Entry:
    """The entry of an id.

    Raises:
        UsageError: There is none; lists all, and names the nearest.
    """
    if entry_id in CATALOGUE:
        return CATALOGUE[entry_id]
    import difflib

    near = difflib.get_close_matches(entry_id, CATALOGUE, n=1, cutoff=0.4)
    raise UsageError(
        f"There are no weights called {entry_id}; there are {', '.join(CATALOGUE)}.",
        f"did you mean {near[0]}?" if near else _FULL_COMMAND,
    )


def local_path(entry_id: str) -> Path | None:
    """Where weights are on this machine, whole: a file, or a folder; None if they are not here.

    Looks at what was fetched or imported, then into the Hub's cache and InsightFace's own folder, where other
    programs may have put them. Never reaches the network.
    """
    entry = find(entry_id)
    record = store.read_record(entry_id)
    if record is not None and record.complete():
        return record.path
    return _elsewhere(entry)


def accepted(entry_id: str) -> bool:
    """Whether a licence was accepted, needs no acceptance, or is named in `STYLEHEAD_ACCEPT_LICENSES`."""
    entry = find(entry_id)
    if not entry.acceptance_needed or entry_id in store.licences():
        return True
    return any(names(name, entry_id) for name in store.named_licences())


def check_accepted(entry_id: str) -> None:
    """Raise LicenseError, with the terms and the next command, unless a licence was accepted."""
    if not accepted(entry_id):
        raise not_accepted(entry_id)


def not_accepted(entry_id: str) -> LicenseError:
    """Return the error of a licence that is not accepted, with the terms and the next command."""
    entry = find(entry_id)
    return LicenseError(
        f"The licence of {entry.title} is not accepted: {entry.licence}. {entry.terms} {entry.licence_url}",
        f"stylehead weights fetch {entry_id} --accept-license {entry_id}",
    )


def acceptance(entry_id: str) -> str | None:
    """When a licence was accepted, or by which variable; None when it was not, or needs no acceptance."""
    if not find(entry_id).acceptance_needed or not accepted(entry_id):
        return None
    return store.licences().get(entry_id, f"by {store.ACCEPT_VARIABLE}")


def names(name: str, entry_id: str) -> bool:
    """Whether a name given with `--accept-license` means an entry: its id, or the start of it.

    `insightface` means all of InsightFace's models.
    """
    return name == entry_id or entry_id.startswith(f"{name}-")


def is_complete(entry: Entry, folder: Path) -> bool:
    """Whether a folder holds something for each of an entry's files."""
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return all(any(fnmatch(name, pattern) for name in found) for pattern in entry.files)


def hub_cache() -> Path | None:
    """Folder of the Hub's files: in `STYLEHEAD_HOME` when that is set, else the Hub's own (None)."""
    return store.home() / "hub" if store.HOME_VARIABLE in os.environ else None


def hub_folder() -> Path:
    """Return the folder of the Hub's files, wherever that is."""
    from huggingface_hub import constants

    return hub_cache() or Path(constants.HF_HUB_CACHE)


def _elsewhere(entry: Entry) -> Path | None:
    """Weights that another program left where its users expect them."""
    if entry.repo_id is None:
        prefix, _, pack = entry.id.partition("-")
        folder = Path("~/.insightface/models").expanduser() / pack
        return folder if prefix == "insightface" and folder.is_dir() and is_complete(entry, folder) else None
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        found = huggingface_hub.snapshot_download(
            entry.repo_id,
            revision=entry.revision,
            cache_dir=hub_cache(),
            allow_patterns=list(entry.files),
            local_files_only=True,
        )
    except (LocalEntryNotFoundError, ValueError):
        return None
    return Path(found) if is_complete(entry, Path(found)) else None
