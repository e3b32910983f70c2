"""Drawing Gaussians: the compiled rasteriser against plain torch, against finite differences, and refinement."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.perception.frame import RGBDFrame
from armflow.perception.gaussians import GaussianError, GaussianObject, gaussians_from_frames
from armflow.perception.splat import (
    MissingRasterizerError,
    Splats,
    View,
    choose_rasterizer,
    render,
    splat,
    splat_cuda,
)
from armflow.perception.splat_reference import splat_reference
from armflow.perception.splat_refine import RefineConfig, refine
from armflow.perception.splat_scores import psnr
from armflow.robot.errors import ShapeError, ValueRangeError
from tests.numeric import central_difference

POSE = RigidTransform.from_components([0.02, -0.03, -0.9], Rotation.from_euler("xyz", [0.02, 0.03, 0.1]))


def view(width: int = 37, height: int = 29, focal: float = 45.0) -> View:
    K = np.array([[focal, 0.0, (width - 1) / 2], [0.0, 1.1 * focal, (height - 1) / 2], [0.0, 0.0, 1.0]])
    return View(K, POSE, width, height)


def ball(count: int, seed: int = 0, radius: float = 0.35) -> Splats:
    """Gaussians on a ball at the origin, some of them out of the picture, in float64."""
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(count, 3))
    arrays = (
        radius * normals / np.linalg.norm(normals, axis=1, keepdims=True),
        rng.normal(size=(count, 4)),
        radius / np.sqrt(count) * rng.uniform(0.5, 2.5, (count, 3)),
        rng.uniform(0.1, 0.95, count),
        rng.uniform(size=(count, 3)),
    )
    return Splats(*(torch.tensor(array, requires_grad=True) for array in arrays))


def one(opacity: float = 0.8, z: float = 0.0, scale: float = 0.05) -> GaussianObject:
    return GaussianObject(
        np.array([[0.0, 0.0, z]]),
        np.array([[1.0, 0, 0, 0]]),
        np.full((1, 3), scale),
        np.array([opacity]),
        np.ones((1, 3)),
    )


@pytest.mark.parametrize("seed", range(3))
def test_values_are_those_of_plain_torch(seed: int):
    splats = ball(80, seed)
    found, wanted = splat(splats, view()), splat_reference(splats, view())
    assert wanted[..., 4].mean() > 0.3
    torch.testing.assert_close(found.double(), wanted, atol=1e-4, rtol=0.0)  # float32 pixels


@pytest.mark.parametrize("seed", range(3))
def test_gradients_are_those_of_plain_torch(seed: int):
    splats = ball(80, seed)
    weights = torch.tensor(np.random.default_rng(seed).normal(size=(29, 37, 5)))
    found, wanted = (
        torch.autograd.grad((draw(splats, view()) * weights).sum(), splats) for draw in (splat, splat_reference)
    )
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()


def test_gradients_with_a_camera_inside_the_cloud_are_those_of_plain_torch():
    splats = ball(40)
    near = View(view().K, RigidTransform.from_translation([0.1, 0.0, -0.3]), 37, 29)
    found, wanted = (torch.autograd.grad(draw(splats, near).sum(), splats) for draw in (splat, splat_reference))
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()


@pytest.mark.parametrize("field", range(5), ids=Splats._fields)
def test_gradients_are_finite_differences(field: int):
    splats = ball(5, seed=4)
    weights = torch.tensor(np.random.default_rng(0).normal(size=(29, 37, 5)))

    def total(x: np.ndarray) -> np.ndarray:
        changed = splats._replace(**{Splats._fields[field]: torch.tensor(x.reshape(splats[field].shape))})
        with torch.no_grad():
            return (splat_reference(changed, view()) * weights).sum().numpy()

    wanted = central_difference(total, splats[field].detach().numpy().ravel(), 1e-7)
    found = torch.autograd.grad((splat(splats, view()) * weights).sum(), splats)[field]
    # A step may carry a pixel over 1/255, where alpha jumps: most entries must agree, and the rest be near.
    error = np.abs(found.numpy().ravel() - wanted) / np.abs(wanted).max()
    assert np.median(error) < 1e-4


def test_the_middle_of_one_gaussian_is_where_its_point_projects():
    camera = View(
        np.array([[50.0, 0, 12], [0, 50.0, 9], [0, 0, 1]]), RigidTransform.from_translation([0, 0, -1.0]), 25, 19
    )
    picture = render(one(), camera)
    assert np.unravel_index(picture.alpha.argmax(), (19, 25)) == (9, 12)
    assert picture.alpha[9, 12] == pytest.approx(0.8, abs=1e-5)
    assert picture.depth[9, 12] == pytest.approx(1.0, abs=1e-6)
    assert np.isnan(picture.depth[0, 0])


def test_what_is_behind_shows_by_what_is_let_through():
    g, h = one(0.75, -0.2), one(0.5, 0.2)
    both = GaussianObject(
        *(np.concatenate([getattr(h, n), getattr(g, n)]) for n in ("means_world", "quats", "scales", "opacities")),
        np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]),
    )  # fmt: skip
    camera = View(
        np.array([[50.0, 0, 12], [0, 50.0, 9], [0, 0, 1]]), RigidTransform.from_translation([0, 0, -1.0]), 25, 19
    )
    assert render(both, camera).rgb[9, 12] == pytest.approx([0.75, 0.25 * 0.5, 0.0], abs=1e-5)


def test_moving_the_world_leaves_the_picture():
    splats = ball(60)
    T = RigidTransform.from_components([0.3, -2.0, 1.0], Rotation.from_euler("xyz", [1.0, -0.5, 2.0]))
    turned = T.rotation * Rotation.from_quat(splats.quats.detach().numpy(), scalar_first=True)
    moved = splats._replace(
        means=torch.tensor(T.apply(splats.means.detach().numpy())),
        quats=torch.tensor(turned.as_quat(scalar_first=True)),
    )
    there = View(view().K, T * POSE, 37, 29)
    torch.testing.assert_close(splat(moved, there), splat(splats, view()), atol=1e-4, rtol=0.0)


def test_shuffling_gaussians_leaves_the_picture():
    splats = ball(60)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        splat(Splats(*(t[order] for t in splats)), view()), splat(splats, view()), atol=0, rtol=0
    )


def test_nothing_in_view_is_an_empty_picture_without_gradient():
    splats = ball(10)
    behind = View(view().K, RigidTransform.from_translation([0, 0, 5.0]), 37, 29)
    image = splat(splats, behind)
    image.sum().backward()
    assert not image.any()
    assert splats.means.grad is not None
    assert not splats.means.grad.any()


@pytest.mark.parametrize("field", range(5), ids=Splats._fields)
def test_nan_is_refused_by_name(field: int):
    splats = [t.detach().clone() for t in ball(4)]
    splats[field].view(-1)[0] = torch.nan
    with pytest.raises(ShapeError, match=Splats._fields[field]):
        splat(Splats(*splats), view())


def test_a_camera_with_skew_or_without_pixels_is_refused():
    with pytest.raises(ValueRangeError, match="skew"):
        View(np.array([[50.0, 1, 12], [0, 50.0, 9], [0, 0, 1]]), POSE, 25, 19)
    with pytest.raises(ValueRangeError, match="picture size"):
        View(view().K, POSE, 0, 19)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_cuda_the_compiled_rasteriser_is_chosen_and_gsplat_says_why_not():
    assert choose_rasterizer() is splat
    with pytest.raises(MissingRasterizerError, match="CUDA"):
        splat_cuda(ball(4), view())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gsplat_draws_the_same_with_the_same_gradients():
    pytest.importorskip("gsplat")
    here = Splats(*(t.detach().float().requires_grad_() for t in ball(80)))
    there = Splats(*(t.detach().cuda().requires_grad_() for t in here))
    images = splat(here, view()), splat_cuda(there, view()).cpu()
    torch.testing.assert_close(*images, atol=5e-3, rtol=0.0)  # alpha may reach 0.999 there
    weights = torch.rand(29, 37, 5, generator=torch.Generator().manual_seed(0))
    wanted, found = (
        torch.autograd.grad((image * weights).sum(), s) for image, s in zip(images, (here, there), strict=True)
    )
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours.cpu() - theirs).abs().max() < 0.02 * theirs.abs().max()


def frame() -> tuple[RGBDFrame, np.ndarray]:
    """A striped square in front of nothing, seen straight on."""
    rows, columns = np.mgrid[:24, :32]
    mask = (rows >= 4) & (rows < 20) & (columns >= 6) & (columns < 26)
    rgb = np.zeros((24, 32, 3), np.uint8)
    rgb[mask] = [200, 40, 40]
    rgb[mask & (columns // 4 % 2 == 0)] = [30, 60, 220]
    K = np.array([[40.0, 0, 15.5], [0, 40.0, 11.5], [0, 0, 1]])
    return RGBDFrame(rgb, np.where(mask, 0.5, np.nan), K, POSE, 0.0), mask


def test_a_frames_gaussians_look_like_the_frame():
    shot, mask = frame()
    picture = render(gaussians_from_frames([shot], [mask]), View.of(shot))
    assert picture.alpha[6:18, 8:24].min() > 0.9
    assert np.abs(picture.depth[6:18, 8:24] - 0.5).max() < 1e-3
    assert psnr(picture.rgb, shot.rgb / 255.0) > 15.0


def test_refining_brings_the_picture_closer():
    shot, mask = frame()
    start = gaussians_from_frames([shot], [mask])
    result = refine(start, [shot], [mask], RefineConfig(steps=60))
    before, after = (psnr(render(g, View.of(shot)).rgb, shot.rgb / 255.0) for g in (start, result.gaussians))
    assert after > before + 5.0
    assert result.losses[-1] < 0.5 * result.losses[0]


def test_what_may_be_hidden_is_not_refined_away():
    shot, mask = frame()
    start, half = gaussians_from_frames([shot], [mask]), mask.copy()
    half[:, 16:] = False  # something stands before the right half
    config = RefineConfig(steps=60)
    kept, lost = (refine(start, [shot], [half], config, hidden=hidden).gaussians for hidden in ([mask & ~half], None))
    right = [render(g, View.of(shot)).alpha[6:18, 19:24].mean() for g in (kept, lost)]
    assert right[0] > 0.9
    assert right[1] < 0.3


def test_refining_does_not_depend_on_where_the_world_is():
    shot, mask = frame()
    T = RigidTransform.from_translation([5.0, -3.0, 1.0])
    there = RGBDFrame(shot.rgb, shot.depth, shot.K, T * shot.T_world_camera, 0.0)
    config = RefineConfig(steps=10)
    here, moved = (refine(gaussians_from_frames([f], [mask]), [f], [mask], config).losses for f in (shot, there))
    assert moved == pytest.approx(here, rel=0.05)  # middles are float32, and steps follow signs of gradients


def test_refining_without_frames_or_with_a_wrong_mask_is_refused():
    shot, mask = frame()
    with pytest.raises(GaussianError, match="no frames"):
        refine(one(), [], [])
    with pytest.raises(ShapeError, match=r"masks\[0\]"):
        refine(one(), [shot], [mask[:5]])
    with pytest.raises(ValueRangeError, match="place"):
        RefineConfig(place=float("nan"))
