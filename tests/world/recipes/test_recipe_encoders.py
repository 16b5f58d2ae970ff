import torch
from diffusers import AutoencoderKL
from hypothesis import given
from hypothesis import strategies as st

from stylehead.geometry import camera_from_angles
from stylehead.world.recipes.train_encoders import (
    IdentityRecipe,
    autoencoded,
    degraded,
    facing_columns,
    first_views,
    in_another_light,
    painted_over,
    relit,
    reshaped,
    surface_normals,
)
from stylehead.world.recipes.training_pictures import tile_2x2


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@given(seed=st.integers(0, 1000))
def test_another_light_keeps_the_range(seed):
    images = torch.rand(4, 3, 32, 32, generator=rng(seed))
    changed = in_another_light(images, rng(seed + 1))
    assert changed.shape == images.shape
    assert changed.isfinite().all()
    assert 0 <= changed.min() <= changed.max() <= 1


def test_another_light_changes_colours_and_leaves_shapes():
    images = torch.full((32, 3, 32, 32), 0.2)
    images[:, :, 8:24, 8:24] = 0.7
    changed = in_another_light(images, rng())
    jumps = changed.diff(dim=-1).abs().sum(dim=1)[:, 16]
    assert (jumps.topk(2, dim=1).indices.sort(dim=1).values == torch.tensor([7, 23])).all()
    assert (changed[:, :, 16, 16] - 0.7).abs().mean() > 0.1


def test_paint_stays_on_the_head():
    images, masks = torch.full((64, 3, 48, 48), 0.5), torch.zeros(64, 1, 48, 48)
    masks[..., 12:36, 12:36] = 1
    painted = painted_over(images, masks, rng())
    outside = (masks == 0).expand_as(images)
    assert torch.equal(painted[outside], images[outside])
    assert 0 <= painted.min() <= painted.max() <= 1
    changed = (painted - images).abs()[:, :, 12:36, 12:36].amax(dim=(1, 2, 3)) > 0.1
    assert 0.3 < changed.float().mean() < 0.95


def ball(size=48):
    """Depths [1,1,R,R], mask and normals of a ball of radius 0.25, seen from 2.7 units."""
    focal = float(camera_from_angles(0.0, 0.0)[0, 16])
    at = ((torch.arange(size) + 0.5) / size - 0.5) / focal * 2.7
    squared = 0.25**2 - at[:, None] ** 2 - at[None] ** 2
    mask = (squared > 0).float()
    depths = (2.7 - squared.clamp(min=0).sqrt()) * mask
    normals = torch.stack(
        [at[None].expand(size, -1), at[:, None].expand(-1, size), -squared.clamp(min=0).sqrt()]
    )
    return depths[None, None], mask[None, None], normals / 0.25


def test_normals_of_a_ball_point_away_from_its_middle():
    depths, _, wanted = ball()
    inner = wanted[2] < -0.6  # not the steep rim
    cosine = (surface_normals(depths.half().float())[0] * wanted).sum(dim=0)[inner]
    assert cosine.min() > 0.96


def test_relit_heads_lose_paint_keep_shape_and_leave_the_rest():
    depths, masks, _ = (x.expand(64, *x.shape[1:]) if x.dim() == 4 else x for x in ball())
    images = torch.full((64, 3, 48, 48), 0.9)
    images[:, :, 20:28, 10:38] = torch.tensor([0.4, 0.2, 0.1])[:, None, None]  # a beard
    changed = relit(images, masks, depths, rng())
    outside = (masks == 0).expand_as(images)
    assert torch.allclose(changed[outside], images[outside], atol=1e-6)
    assert 0 <= changed.min() <= changed.max() <= 1
    untouched = (changed == images).flatten(1).all(dim=1)
    assert 0.3 < untouched.float().mean() < 0.7
    beard = changed[~untouched][:, :, 22:26, 20:28].mean(dim=(1, 2, 3))
    skin = changed[~untouched][:, :, 29:32, 20:28].mean(dim=(1, 2, 3))
    assert (beard / skin).mean() > 2 * (0.233 / 0.9)


def test_reshaped_pictures_move_a_little():
    images = torch.zeros(64, 1, 48, 48)
    images[..., 16:32, 16:32] = 1
    moved = reshaped(images, rng())
    where = torch.arange(48.0)
    centre = (moved.sum(dim=2)[:, 0] * where).sum(dim=1) / moved.sum(dim=(1, 2, 3))
    assert 0.5 < centre.std() < 5
    assert (centre - 23.5).abs().max() < 12
    area = moved.sum(dim=(1, 2, 3)) / 256
    assert 0.5 < area.min() < 0.9 < 1.1 < area.max() < 2


def test_a_part_of_the_pictures_goes_through_the_autoencoder():
    torch.manual_seed(0)
    vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=2).eval()
    images = torch.rand(40, 3, 16, 16, generator=rng()) * 2 - 1
    changed = autoencoded(images, vae, rng(), part=0.4)
    touched = (changed != images).flatten(1).any(dim=1)
    assert 0.2 < touched.float().mean() < 0.6
    expected = vae.decode(vae.encode(images[touched]).latent_dist.mean).sample.clamp(-1, 1)
    torch.testing.assert_close(changed[touched], expected)
    assert not changed.requires_grad
    assert torch.equal(autoencoded(images, vae, rng(), part=0.0), images)


def test_degraded_pictures_are_softer_noisier_and_repeat_for_a_seed():
    images = (torch.rand(64, 3, 16, 16, generator=rng()) > 0.5).float() * 2 - 1
    once, again = degraded(images, rng(1)), degraded(images, rng(1))
    assert torch.equal(once, again)
    contrast = once.std(dim=(1, 2, 3)) / images.std(dim=(1, 2, 3))
    assert contrast.min() < 0.5 < 0.99 < contrast.max()


def test_half_of_the_people_with_styled_pictures_are_asked_for_by_one(photo, styled):
    recipe = IdentityRecipe(photo, styled, people=2)
    for seed in range(10):
        in_style, people = recipe._draw(rng(seed))
        assert len(in_style) == 1
        assert len(set(people.tolist())) == 2
        assert photo.identities[people[0]] == styled.identities[in_style[0]]


def test_nobody_is_their_own_rival_in_a_step_of_identities(photo, styled):
    recipe = IdentityRecipe(photo, styled, people=8)  # of three there are
    in_style, people = recipe._draw(rng())
    assert sorted(people.tolist()) == [0, 1, 2]
    assert photo.identities[people[: len(in_style)]].tolist() == styled.identities[in_style].tolist()
    loss, values = recipe.loss(0.0, rng())
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in recipe.model.parameters())
    assert 0 <= values["styled_rank1"] <= 1
    assert 0 <= values["rank1"] <= 1


def test_pairs_of_views_show_the_face_from_any_two_sides():
    yaws = (0.0, 0.9, -1.1, 3.0)
    cameras = torch.cat([camera_from_angles(yaw, 0.0) for yaw in yaws]).expand(400, 4, 25)
    first, other = facing_columns(cameras, rng()).t()
    assert (first != other).all()
    assert not (other == 3).any()
    assert (torch.bincount(other, minlength=4)[1:3] > 100).all()
    assert (first == 0).float().mean() > 0.5


def test_a_grid_gives_its_first_view_and_a_single_view_stays():
    views = torch.rand(4, 3, 1, 1, generator=rng()).expand(4, 3, 16, 16)
    single, seen = torch.rand(3, 32, 32, generator=rng(1)), tile_2x2(views)
    found = first_views(torch.stack([single, seen]), torch.tensor([False, True]))
    assert torch.equal(found[0], single)
    torch.testing.assert_close(found[1], views[0, :, :1, :1].expand(3, 32, 32))
