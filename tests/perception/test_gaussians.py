"""Gaussians: made from frames, carried by particles, written and read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.perception.frame import RGBDFrame
from armflow.perception.gaussian_files import read_ply, write_ply, write_splat
from armflow.perception.gaussians import GaussianError, GaussianObject, gaussians_from_frames
from armflow.perception.skinning import bind_gaussians, local_rotations, move_gaussians
from armflow.robot.errors import FormatError, ShapeError, ValueRangeError

FIELDS = ("means_world", "quats", "scales", "opacities", "colors")
MOTION = RigidTransform.from_components([0.4, -0.1, 0.2], Rotation.from_euler("xyz", [0.8, -1.1, 2.0]))


def cloud(count: int = 50, seed: int = 0) -> GaussianObject:
    rng = np.random.default_rng(seed)
    quats = rng.normal(size=(count, 4))
    return GaussianObject(
        rng.uniform(-0.1, 0.1, (count, 3)),
        quats / np.linalg.norm(quats, axis=1, keepdims=True),
        rng.uniform(0.001, 0.01, (count, 3)),
        rng.uniform(0.05, 0.95, count),
        rng.uniform(size=(count, 3)),
    )


def wall(spacing: float = 0.01) -> tuple[RGBDFrame, np.ndarray]:
    """A wall at 1 m whose pixels are `spacing` apart, half of it masked."""
    rgb = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    K = np.array([[1 / spacing, 0, 7.5], [0, 1 / spacing, 5.5], [0, 0, 1]])
    mask = np.zeros((12, 16), bool)
    mask[:, :8] = True
    return RGBDFrame(rgb, np.ones((12, 16)), K, MOTION, 0.0), mask


def same_turn(first: np.ndarray, second: np.ndarray) -> float:
    """Largest difference of two stacks of unit quaternions up to sign."""
    return float((1.0 - np.abs((first * second).sum(axis=1))).max())


def test_every_masked_pixel_becomes_one_gaussian_of_its_colour():
    frame, mask = wall()
    frame.depth[0, 0] = np.nan
    made = gaussians_from_frames([frame], [mask])
    assert len(made) == mask.sum() - 1
    assert np.array_equal(made.colors[:7], frame.rgb[0, 1:8] / 255.0)
    assert np.abs(MOTION.inv().apply(made.means_world)[:, 2] - 1.0).max() < 1e-12


def test_scales_follow_the_spacing():
    fine, coarse = (gaussians_from_frames([f], [m]).scales for f, m in (wall(0.005), wall(0.01)))
    assert coarse == pytest.approx(2.0 * fine)
    assert np.median(coarse) == pytest.approx(0.006)


def test_views_of_one_place_are_joined_within_a_cube():
    frame, mask = wall()
    twice = gaussians_from_frames([frame, frame], [mask, mask], spacing=1e-4)
    once = gaussians_from_frames([frame], [mask])
    assert len(twice) == len(once)
    assert np.median(twice.scales) == pytest.approx(np.median(once.scales))


def seen_from_the_side() -> RGBDFrame:
    """A second camera of `wall` that looks along it, so that what stands out from the wall is before nothing."""
    aside = RigidTransform.from_components([-0.5, 0.0, 1.0], Rotation.from_euler("y", np.pi / 2))
    K = np.array([[100.0, 0, 7.5], [0, 100.0, 5.5], [0, 0, 1]])
    return RGBDFrame(np.zeros((12, 16, 3), np.uint8), np.full((12, 16), 3.0), K, MOTION * aside, 0.0)


def test_points_that_another_view_sees_through_are_left_out():
    frame, mask = wall()
    stray = frame.depth.copy()
    stray[6, 7] = 1.02  # m; a mixed reading at the mask's edge, behind the wall
    frame = replace(frame, depth=stray)
    beside = seen_from_the_side()
    there = np.zeros((12, 16), bool)
    there[:, 6:10] = True  # the wall itself, edge on
    with_stray = gaussians_from_frames([frame], [mask])
    without = gaussians_from_frames([frame, replace(beside, depth=np.where(there, np.nan, 3.0))], [mask, there])
    assert len(with_stray) == mask.sum()
    assert len(without) == mask.sum() - 1
    assert MOTION.inv().apply(without.means_world)[:, 2].max() < 1.01


def test_nothing_to_make_gaussians_from_is_refused():
    frame, mask = wall()
    blind = replace(frame, depth=np.full((12, 16), np.nan))
    with pytest.raises(GaussianError, match="no frames"):
        gaussians_from_frames([], [])
    with pytest.raises(GaussianError, match=r"0 distinct points .* 96 masked"):
        gaussians_from_frames([blind], [mask])
    with pytest.raises(GaussianError, match="0 distinct points"):
        gaussians_from_frames([blind], [mask], spacing=0.01)
    with pytest.raises(ShapeError, match="one a frame"):
        gaussians_from_frames([frame], [mask, mask])
    with pytest.raises(ShapeError, match=r"masks\[0\] must be bool"):
        gaussians_from_frames([frame], [mask.astype(int)])
    with pytest.raises(ValueRangeError, match="spacing"):
        gaussians_from_frames([frame], [mask], spacing=float("nan"))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("means_world", np.full((50, 3), np.nan), "finite"),
        ("quats", np.zeros((50, 4)), "norm of quats"),
        ("scales", np.zeros((50, 3)), "scales is 0"),
        ("opacities", np.full(50, 1.5), "opacities is 1.5"),
        ("colors", np.full((50, 3), -0.5), "colors is -0.5"),
        ("opacities", np.ones(49), "opacities must be"),
    ],
)
def test_wrong_gaussians_are_refused(field: str, value: np.ndarray, message: str):
    with pytest.raises((ShapeError, ValueRangeError), match=message):
        replace(cloud(), **{field: value})


def particles(count: int = 60) -> np.ndarray:
    return np.random.default_rng(3).uniform(-0.1, 0.1, (count, 3))


def test_particles_that_stay_leave_gaussians_where_they_are():
    rest = cloud()
    still = move_gaussians(bind_gaussians(rest, particles()), particles())
    assert still.means_world == pytest.approx(rest.means_world, abs=1e-12)
    assert same_turn(still.quats, rest.quats) < 1e-12


def test_particles_that_move_as_one_body_carry_gaussians_as_one_body():
    rest = cloud()
    moved = move_gaussians(bind_gaussians(rest, particles()), MOTION.apply(particles()))
    turned = MOTION.rotation * Rotation.from_quat(rest.quats, scalar_first=True)
    # The hold on the rotation before is 1e-6 of the spread; that is the error.
    assert moved.means_world == pytest.approx(MOTION.apply(rest.means_world), abs=1e-6)
    assert same_turn(moved.quats, turned.as_quat(scalar_first=True)) < 1e-9
    assert moved.scales is rest.scales


def test_a_gaussian_on_a_particle_goes_where_that_particle_goes():
    where = particles()
    bent = where + 0.05 * np.sin(20 * where[:, [1, 2, 0]])
    rest = replace(cloud(), means_world=where[:50])
    assert move_gaussians(bind_gaussians(rest, where), bent).means_world == pytest.approx(bent[:50], abs=1e-6)


def test_a_flat_patch_turns_without_a_reflection():
    flat = particles() * [1.0, 1.0, 0.0]
    R = local_rotations(bind_gaussians(cloud(), flat), MOTION.apply(flat))
    assert np.linalg.det(R) == pytest.approx(1.0)
    assert np.broadcast_to(MOTION.rotation.as_matrix(), R.shape) == pytest.approx(R, abs=1e-4)


def test_a_straight_rope_turns_by_the_least_rotation():
    rope = np.linspace(0.0, 0.3, 20)[:, None] * [1.0, 0.0, 0.0]
    quarter = Rotation.from_euler("z", 0.5)
    R = local_rotations(bind_gaussians(cloud(), rope), quarter.apply(rope))
    assert np.broadcast_to(quarter.as_matrix(), R.shape) == pytest.approx(R, abs=1e-4)


def test_each_half_of_a_hinge_turns_its_own_gaussians():
    left, right = particles(80) * [0.4, 1.0, 0.2] - [0.2, 0, 0], particles(80) * [0.4, 1.0, 0.2] + [0.2, 0, 0]
    hinge = Rotation.from_euler("y", -0.7)
    rest = cloud(2)
    rest = replace(rest, means_world=np.array([[-0.2, 0.0, 0.0], [0.2, 0.0, 0.0]]))
    moved = move_gaussians(bind_gaussians(rest, np.vstack([left, right])), np.vstack([left, hinge.apply(right)]))
    wanted = Rotation.concatenate([Rotation.identity(), hinge]) * Rotation.from_quat(rest.quats, scalar_first=True)
    assert same_turn(moved.quats, wanted.as_quat(scalar_first=True)) < 1e-6
    assert moved.means_world == pytest.approx(
        np.vstack([rest.means_world[:1], hinge.apply(rest.means_world[1:])]), abs=1e-5
    )


def test_moving_the_world_moves_what_skinning_gives():
    rest, where = cloud(), particles()
    bent = where + 0.03 * np.sin(20 * where[:, [1, 2, 0]])
    turned = MOTION.rotation * Rotation.from_quat(rest.quats, scalar_first=True)
    there = replace(rest, means_world=MOTION.apply(rest.means_world), quats=turned.as_quat(scalar_first=True))
    here = move_gaussians(bind_gaussians(rest, where), bent)
    moved = move_gaussians(bind_gaussians(there, MOTION.apply(where)), MOTION.apply(bent))
    turned = MOTION.rotation * Rotation.from_quat(here.quats, scalar_first=True)
    # The hold on the rotation before, 1e-6 of the spread, is tied to the world's axes; that is the error.
    assert moved.means_world == pytest.approx(MOTION.apply(here.means_world), abs=1e-6)
    assert same_turn(moved.quats, turned.as_quat(scalar_first=True)) < 1e-6


def test_shuffling_particles_leaves_the_gaussians():
    where, order = particles(), np.random.default_rng(1).permutation(60)
    bent = where + 0.03 * np.sin(20 * where[:, [1, 2, 0]])
    straight = move_gaussians(bind_gaussians(cloud(), where), bent)
    shuffled = move_gaussians(bind_gaussians(cloud(), where[order]), bent[order])
    assert shuffled.means_world == pytest.approx(straight.means_world, abs=1e-9)
    assert same_turn(shuffled.quats, straight.quats) < 1e-9


def test_one_particle_only_shifts():
    rest = cloud()
    moved = move_gaussians(bind_gaussians(rest, np.zeros((1, 3))), np.array([[0.1, 0.2, 0.3]]))
    assert moved.means_world == pytest.approx(rest.means_world + np.array([0.1, 0.2, 0.3]))
    assert same_turn(moved.quats, rest.quats) < 1e-12


def test_particles_that_are_none_nan_or_others_are_refused():
    skin = bind_gaussians(cloud(), particles())
    with pytest.raises(GaussianError, match="no particles"):
        bind_gaussians(cloud(), np.zeros((0, 3)))
    with pytest.raises(ShapeError, match="finite"):
        move_gaussians(skin, np.full((60, 3), np.nan))
    with pytest.raises(ShapeError, match="P = 60"):
        move_gaussians(skin, particles(59))
    with pytest.raises(ValueRangeError, match="neighbours"):
        bind_gaussians(cloud(), particles(), 0)


def test_a_ply_comes_back(tmp_path: Path):
    write_ply(tmp_path / "a.ply", cloud())
    back = read_ply(tmp_path / "a.ply")
    for name in FIELDS:
        assert getattr(back, name) == pytest.approx(getattr(cloud(), name), abs=1e-6)


def test_a_ply_keeps_full_and_no_opacity_within_a_millionth(tmp_path: Path):
    edge = replace(cloud(2), opacities=np.array([0.0, 1.0]))
    write_ply(tmp_path / "a.ply", edge)
    assert read_ply(tmp_path / "a.ply").opacities == pytest.approx([0.0, 1.0], abs=2e-6)


def test_a_splat_holds_32_bytes_a_gaussian_the_largest_first(tmp_path: Path):
    g = cloud()
    write_splat(tmp_path / "a.splat", g)
    data = (tmp_path / "a.splat").read_bytes()
    first = int(np.argmax(g.scales.prod(axis=1) * g.opacities))
    assert len(data) == 32 * len(g)
    assert np.frombuffer(data, "<f4", 6) == pytest.approx([*g.means_world[first], *g.scales[first]])
    assert np.frombuffer(data, "u1", 4, 24) / 255 == pytest.approx([*g.colors[first], g.opacities[first]], abs=0.002)
    assert (np.frombuffer(data, "u1", 4, 28) - 128.0) / 128 == pytest.approx(g.quats[first], abs=0.008)


def damaged(data: bytes) -> dict[str, bytes]:
    body = data.index(b"end_header\n") + 11
    return {
        "empty": b"",
        "header": data[: body - 12],
        "another": b"PK" + data[2:],
        "cut": data[:-1],
        "ascii": data.replace(b"binary_little_endian", b"ascii"),
        "columns": data.replace(b"float opacity", b"float opaqueness"),
        "list": data.replace(b"property float x", b"property list uchar int x"),
        "twice": data.replace(b"property float y", b"property float x"),
        "type": data.replace(b"property float y", b"property quad y"),
        "none": data.replace(b"vertex 50", b"vertex 0"),
        "negative": data.replace(b"vertex 50", b"vertex -5"),
        "huge": data.replace(b"vertex 50", b"vertex 99999999999"),
        "faces": data.replace(b"element vertex", b"element face"),
        "nan": data[:body] + b"\xff" * (len(data) - body),
        "zero": data[:body] + b"\0" * (len(data) - body),
    }


@pytest.mark.parametrize("harm", damaged(b"end_header\n"))
def test_a_damaged_ply_is_one_error_that_names_the_file(tmp_path: Path, harm: str):
    path = tmp_path / "a.ply"
    write_ply(path, cloud())
    path.write_bytes(damaged(path.read_bytes())[harm])
    with pytest.raises(FormatError, match=r"a\.ply"):
        read_ply(path)


def test_a_ply_with_bytes_changed_anywhere_is_read_or_refused(tmp_path: Path):
    path, rng = tmp_path / "a.ply", np.random.default_rng(0)
    write_ply(path, cloud())
    data = path.read_bytes()
    for _ in range(300):
        changed = bytearray(data)
        for place in rng.integers(0, len(data) if rng.random() < 0.5 else 400, 3):
            changed[place] = rng.integers(256)
        path.write_bytes(bytes(changed))
        try:
            read_ply(path)
        except FormatError:
            continue


def test_a_file_that_is_not_there_or_cannot_be_written_is_named(tmp_path: Path):
    with pytest.raises(FormatError, match=r"none\.ply: file"):
        read_ply(tmp_path / "none.ply")
    (tmp_path / "file").write_text("")
    with pytest.raises(FormatError, match="cannot be written"):
        write_ply(tmp_path / "file" / "a.ply", cloud())


def test_the_splat_is_what_public_converters_make_of_the_ply(tmp_path: Path):
    """Scales through exp, opacity through the logistic function, colour through the zeroth harmonic, turns by 128."""
    write_ply(tmp_path / "a.ply", cloud())
    write_splat(tmp_path / "a.splat", cloud())
    head, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n", 1)
    names = [line.split()[-1] for line in head.decode().splitlines() if line.startswith("property float")]
    rows = dict(zip(names, np.frombuffer(body, "<f4").reshape(50, len(names)).T.astype(float), strict=True))
    scales, turns = (np.stack([rows[f"{name}_{k}"] for k in range(n)], 1) for name, n in (("scale", 3), ("rot", 4)))
    opacity = 1 / (1 + np.exp(-rows["opacity"]))
    color = np.stack([0.5 + 0.28209479177387814 * rows[f"f_dc_{k}"] for k in range(3)] + [opacity], 1)
    order = np.argsort(-np.exp(scales.sum(axis=1)) * opacity)
    data = np.frombuffer((tmp_path / "a.splat").read_bytes(), "u1").reshape(50, 32)
    floats = data[:, :24].copy().view("<f4")
    places = np.stack([rows[axis] for axis in "xyz"], 1)
    assert floats == pytest.approx(np.hstack([places, np.exp(scales)])[order], rel=1e-5, abs=1e-7)
    # Converters cut where we round: one step of 255 and of 128 at most.
    assert np.abs(data[:, 24:28] - 255 * color[order]).max() <= 1.0
    assert np.abs(data[:, 28:] - (128 * turns + 128).clip(0, 255)[order]).max() <= 1.0
