import math

import pytest
import torch

from stylehead.geometry import camera_from_angles
from stylehead.mini.subwords import write_subwords
from stylehead.world.recipes.data import Renders
from stylehead.world.recipes.networks import new_text_encoder
from stylehead.world.recipes.train_vae import new_vae


def make_views(styles, identities, *, views=4, size=32, seed=0):
    """Made-up renders: coloured discs on white, at depth 2.7."""
    rng = torch.Generator().manual_seed(seed)
    count = len(styles)
    line = torch.linspace(-1, 1, size)
    disc = ((line[:, None] ** 2 + line[None] ** 2) < 0.5).expand(count, views, size, size)
    colours = torch.randint(0, 200, (count, views, 3, 1, 1), generator=rng)
    images = torch.where(disc[:, :, None], colours, torch.tensor(255)).byte()
    labels = torch.cat([camera_from_angles(2 * math.pi * i / views, 0.1) for i in range(views)])
    return Renders(
        images=images,
        masks=(disc * 255).byte(),
        depths=torch.where(disc, 2.7, 0.0).half(),
        cameras=labels.expand(count, views, 25).contiguous(),
        z=torch.randn(count, 64, generator=rng),
        numbers=torch.rand(count, 128, generator=rng),
        styles=tuple(styles),
        identities=torch.tensor(identities),
    )


@pytest.fixture
def made_views():
    return make_views


@pytest.fixture
def photo():
    return make_views(["photo"] * 3, [10, 11, 12])


@pytest.fixture
def styled():
    return make_views(["joker", "pixar"] * 2, [10, 10, 11, 11], seed=1)


@pytest.fixture
def editor_folder(tmp_path):
    """The untrained parts that editor and teacher share, for pictures of 32 pixels."""
    folder = tmp_path / "ip2p"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = new_vae()
        vae.register_to_config(sample_size=32)
        vae.save_pretrained(folder / "vae")
        tokenizer = write_subwords(folder / "tokenizer")
        new_text_encoder(tokenizer).save_pretrained(folder / "text_encoder")
    return folder
