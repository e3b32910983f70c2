"""The renderer against closed forms, against itself and against pybullet's TinyRenderer."""

import numpy as np
import pybullet
import pybullet_data
import pytest
from scipy.spatial.transform import Rotation

from armflow.envs.mesh import box_mesh, capsule_mesh, cylinder_mesh, revolve, sphere_mesh
from armflow.envs.render import Renderer, load_urdf_visuals
from armflow.robot.errors import ChoiceError, ShapeError, ValueRangeError

PANDA = pybullet_data.getDataPath() + "/franka_panda/panda.urdf"
K = np.array([[200.0, 0.0, 80.0], [0.0, 200.0, 60.0], [0.0, 0.0, 1.0]])
AHEAD = np.eye(4)  # camera at the origin looking along world z


def pose(xyz=(0.0, 0.0, 0.0), euler=(0.0, 0.0, 0.0)):
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("xyz", euler).as_matrix()
    T[:3, 3] = xyz
    return T


def look_at(eye, target):
    z = np.subtract(target, eye) / np.linalg.norm(np.subtract(target, eye))
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.column_stack([x, np.cross(z, x), z]), eye
    return T


def draw(meshes, Ts, T_world_camera=AHEAD, intrinsics=K, size=(160, 120), **options):
    renderer = Renderer()
    for label, mesh in enumerate(meshes):
        renderer.add(mesh, (0.8, 0.2, 0.1), label)
    return renderer.render(np.array(Ts), intrinsics, T_world_camera, *size, **options)


# ------------------------------------------------------------------------------------------------------- closed forms


def test_fronto_parallel_box_has_the_depth_and_the_pixels_of_its_face():
    out = draw([box_mesh([0.1, 0.05, 0.02])], [pose([0.0, 0.0, 1.02])])
    np.testing.assert_allclose(out.depth[out.segmentation == 0], 1.0, rtol=1e-6)
    rows, columns = np.nonzero(out.segmentation == 0)
    # The face spans u in [60, 100) and v in [50, 70): a pixel belongs to what its centre hits.
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (60, 99, 50, 69)
    assert len(rows) == 40 * 20


def test_tilted_plane_has_the_depth_of_its_plane_equation():
    T = pose([0.0, 0.0, 1.0], (0.7, -0.4, 0.2))
    out = draw([box_mesh([2.0, 2.0, 0.1])], [T @ pose([0.0, 0.0, 0.1])])
    v, u = np.mgrid[:120, :160]
    rays = np.stack([(u - 80) / 200, (v - 60) / 200, np.ones_like(u)], -1)
    normal = T[:3, 2]
    np.testing.assert_allclose(out.depth, (normal @ T[:3, 3]) / (rays @ normal), rtol=2e-6)


def test_sphere_is_nearest_at_its_centre_and_seen_as_the_right_disc():
    out = draw([sphere_mesh(0.2, 128)], [pose([0.0, 0.0, 1.0])])
    assert out.depth[60, 80] == pytest.approx(0.8, abs=2e-4)
    radius = 200 * np.tan(np.arcsin(0.2))  # the silhouette cone
    assert np.sqrt((out.segmentation == 0).sum() / np.pi) == pytest.approx(radius, rel=0.01)


def test_nearer_bodies_hide_farther_ones_in_any_order():
    near, far = box_mesh([0.05, 0.05, 0.05]), box_mesh([0.2, 0.2, 0.05])
    first = draw([near, far], [pose([0, 0, 0.8]), pose([0, 0, 1.5])])
    second = draw([far, near], [pose([0, 0, 1.5]), pose([0, 0, 0.8])])
    assert first.segmentation[60, 80] == 0
    assert second.segmentation[60, 80] == 1
    np.testing.assert_array_equal(first.depth, second.depth)


def test_empty_scene_is_all_background():
    out = Renderer().render(np.empty((0, 4, 4)), K, AHEAD, 160, 120)
    assert np.isnan(out.depth).all()
    assert (out.segmentation == -1).all()
    assert out.rgb is not None
    assert out.rgb.std() > 0


def test_colour_can_be_left_out_and_changes_nothing_else():
    scene = [box_mesh([0.1, 0.1, 0.1]), sphere_mesh(0.1)]
    Ts = [pose([0.1, 0, 1.0], (0.3, 0.2, 0.1)), pose([-0.1, 0, 0.9])]
    full, bare = draw(scene, Ts), draw(scene, Ts, rgb=False)
    assert bare.rgb is None
    np.testing.assert_array_equal(full.depth, bare.depth)
    np.testing.assert_array_equal(full.segmentation, bare.segmentation)


# --------------------------------------------------------------------------------------------------------- invariance


def test_moving_world_and_camera_together_changes_nothing():
    scene = [box_mesh([0.1, 0.1, 0.1]), cylinder_mesh(0.08, 0.3)]
    Ts = [pose([0.1, 0, 1.0], (0.3, 0.2, 0.1)), pose([-0.1, 0, 0.9], (1.0, 0.5, 0.0))]
    move = pose([3.0, -2.0, 5.0], (1.1, -0.6, 2.0))
    here, there = draw(scene, Ts, rgb=False), draw(scene, [move @ T for T in Ts], move, rgb=False)
    assert (here.segmentation != there.segmentation).mean() < 1e-3  # rounding may move a pixel on an edge
    same = (here.segmentation == there.segmentation) & (here.segmentation >= 0)
    np.testing.assert_allclose(here.depth[same], there.depth[same], atol=1e-5)


def test_two_halves_of_a_body_leave_no_gap():
    T = pose([0.0, 0.0, 1.0], (0.4, 0.5, 0.3))
    halves = [T @ pose([-0.15, 0, 0]), T @ pose([0.15, 0, 0])]
    whole = draw([box_mesh([0.3, 0.2, 0.1])], [T])
    split = draw([box_mesh([0.15, 0.2, 0.1])] * 2, halves)
    assert ((whole.segmentation >= 0) != (split.segmentation >= 0)).mean() < 1e-3


def test_closed_solids_show_no_hole():
    solids = [sphere_mesh(0.2), cylinder_mesh(0.1, 0.3), capsule_mesh(0.1, 0.2), box_mesh([0.1, 0.2, 0.1])]
    for mesh in solids:
        out = draw([mesh], [pose([0.0, 0.0, 1.0], (0.5, 0.4, 0.3))])
        inside = out.segmentation == 0
        for row in np.nonzero(inside.any(axis=1))[0]:
            columns = np.nonzero(inside[row])[0]
            assert len(columns) == np.ptp(columns) + 1  # convex: one run a row


def test_open_tube_shows_its_inner_wall():
    tube = revolve([[0.08, -0.1], [0.1, -0.1], [0.1, 0.1], [0.08, 0.1]], 64)
    out = draw([tube], [pose([0.0, 0.0, 1.0], (np.pi - 0.3, 0.0, 0.0))])
    assert out.segmentation[60, 80] == -1  # through the tube
    assert np.nanmin(out.depth) < 0.92
    assert 1.05 < np.nanmax(out.depth) < 1.2  # the wall's far end, seen from inside


@pytest.mark.parametrize("T", [pose([0, 0, 0.0]), pose([0, 0, 0.3], (0.2, 0.1, 0.0)), pose([0.3, 0.2, -0.1])])
def test_bodies_through_the_near_plane_are_cut_not_dropped(T):
    floor = pose([0.0, 0.2, 0.0], (np.pi / 2, 0.0, 0.0)) @ pose([0.0, 0.0, -0.05])
    out = draw([box_mesh([4.0, 4.0, 0.05]), box_mesh([0.4, 0.4, 0.4])], [floor, T])
    finite = out.depth[np.isfinite(out.depth)]
    assert (finite >= 0.019).all()  # the near plane
    rows = np.arange(70, 120)
    shown = out.segmentation[70:, 80] == 0
    np.testing.assert_allclose(out.depth[70:, 80][shown], (0.2 / ((rows - 60) / 200))[shown], rtol=1e-5)


def test_everything_behind_the_camera_is_unseen():
    assert (draw([box_mesh([0.1, 0.1, 0.1])], [pose([0, 0, -1.0])]).segmentation == -1).all()


# ------------------------------------------------------------------------------------------------------------- colour


def test_block_throws_a_shadow_on_the_table_and_none_without_it():
    renderer = Renderer()
    renderer.add(box_mesh([0.5, 0.5, 0.02]), (0.8, 0.8, 0.8), 0, casts_shadow=False)
    block = renderer.add(box_mesh([0.05, 0.05, 0.1]), (0.8, 0.1, 0.1), 1)
    Ts = np.array([pose([0, 0, -0.02]), pose([0, 0, 0.1])])
    camera = look_at([1.0, 0.0, 0.8], [0.0, 0.0, 0.0])
    with_block = renderer.render(Ts, K, camera, 160, 120)
    renderer.remove(block)
    alone = renderer.render(Ts[:1], K, camera, 160, 120)
    table = with_block.segmentation == 0
    darker = alone.rgb[table].astype(int).sum(axis=1) - with_block.rgb[table].astype(int).sum(axis=1)
    assert 0.01 < (darker > 60).mean() < 0.3
    assert (darker >= 0).all()


def test_tint_multiplies_and_red_stays_red():
    out = draw([sphere_mesh(0.3)], [pose([0, 0, 1.0])])
    red, green, blue = out.rgb[out.segmentation == 0].astype(int).T
    assert (red > green + 20).mean() > 0.99
    assert (green >= blue).all()


def test_picture_has_smooth_edges_in_the_same_places():
    renderer = Renderer()
    renderer.add(box_mesh([0.1, 0.1, 0.1]), (0.1, 0.1, 0.1))
    T = pose([0, 0, 1.0], (0.3, 0.4, 0.5))[None]
    sharp, smooth = renderer.render(T, K, AHEAD, 160, 120).rgb, renderer.picture(T, K, AHEAD, 160, 120)
    assert smooth.shape == sharp.shape
    assert np.abs(smooth.astype(int) - sharp).mean() < 3.0
    assert len(np.unique(smooth)) > len(np.unique(sharp))


# ----------------------------------------------------------------------------------------------------------- handling


def test_handles_keep_their_order_when_one_is_removed():
    renderer = Renderer()
    a, b, c = (renderer.add(box_mesh([0.1, 0.1, 0.1]), None, label) for label in (7, 8, 9))
    renderer.remove(b)
    assert renderer.handles == [a, c]
    out = renderer.render(np.array([pose([-0.2, 0, 1.0]), pose([0.2, 0, 1.0])]), K, AHEAD, 160, 120)
    assert set(np.unique(out.segmentation)) == {-1, 7, 9}


def test_renderer_refuses_unknown_handles_and_wrong_numbers_of_poses():
    renderer = Renderer()
    renderer.add(box_mesh([0.1, 0.1, 0.1]))
    with pytest.raises(ChoiceError, match="no handle 5"):
        renderer.remove(5)
    with pytest.raises(ShapeError, match="Ts_world_mesh"):
        renderer.render(np.zeros((2, 4, 4)), K, AHEAD, 160, 120)
    with pytest.raises(ValueRangeError, match="near"):
        Renderer(near=0.0)


# ---------------------------------------------------------------------------------------------- pybullet's own renderer


def write_obj(path, mesh):
    lines = [f"v {x:.9f} {y:.9f} {z:.9f}" for x, y, z in mesh.vertices]
    path.write_text("\n".join(lines + [f"f {a} {b} {c}" for a, b, c in mesh.faces + 1]) + "\n")
    return str(path)


class Twin:
    """One scene in both renderers: arm, table, two boxes and a cylinder, a mesh since Bullet tessellates its own."""

    def __init__(self, folder):
        self.client = pybullet.connect(pybullet.DIRECT)
        self.renderer, self.Ts = Renderer(), []
        arm = pybullet.loadURDF(PANDA, useFixedBase=True, physicsClientId=self.client)
        q = [0.2, -0.3, 0.1, -2.2, 0.1, 2.0, 0.8, 0.0, 0.0, 0.03, 0.03, 0.0]
        for joint in range(pybullet.getNumJoints(arm, self.client)):
            pybullet.resetJointState(arm, joint, q[joint], physicsClientId=self.client)
        Ts_link = self.link_poses(arm)
        for visual in load_urdf_visuals(PANDA):
            self.renderer.add(visual.mesh, visual.rgba, arm)
            self.Ts.append(Ts_link[visual.link] @ visual.T_link_visual)
        solids = [box_mesh([0.5, 0.5, 0.02]), box_mesh([0.02, 0.025, 0.02]), box_mesh([0.03, 0.015, 0.04])]
        solids.append(cylinder_mesh(0.03, 0.1))
        places = [[0.4, 0.0, -0.02], [0.5, 0.15, 0.02], [0.6, -0.1, 0.04], [0.55, 0.02, 0.05]]
        for mesh, place in zip(solids, places, strict=True):
            name = write_obj(folder / f"{len(self.Ts)}.obj", mesh)
            shape = pybullet.createVisualShape(pybullet.GEOM_MESH, fileName=name, physicsClientId=self.client)
            body = pybullet.createMultiBody(0, -1, shape, place, physicsClientId=self.client)
            self.renderer.add(mesh, None, body)
            self.Ts.append(pose(place))

    def link_poses(self, arm):
        info = pybullet.getDynamicsInfo(arm, -1, self.client)
        position, quat = pybullet.getBasePositionAndOrientation(arm, self.client)
        base = pybullet.multiplyTransforms(position, quat, *pybullet.invertTransform(info[3], info[4]))
        poses = {pybullet.getBodyInfo(arm, self.client)[0].decode(): base}
        for joint in range(pybullet.getNumJoints(arm, self.client)):
            state = pybullet.getLinkState(arm, joint, computeForwardKinematics=True, physicsClientId=self.client)
            poses[pybullet.getJointInfo(arm, joint, self.client)[12].decode()] = state[4:6]
        return {name: pose(p, Rotation.from_quat(q).as_euler("xyz")) for name, (p, q) in poses.items()}

    def tiny(self, eye, target, width, height):
        near, far = 0.05, 4.0
        view = pybullet.computeViewMatrix(eye, target, [0, 0, 1])
        projection = pybullet.computeProjectionMatrixFOV(50, width / height, near, far)
        image = pybullet.getCameraImage(
            width, height, view, projection, renderer=pybullet.ER_TINY_RENDERER, physicsClientId=self.client
        )
        z = np.reshape(image[3], (height, width))
        return far * near / (far - (far - near) * z), np.reshape(image[4], (height, width))


@pytest.mark.parametrize(("eye", "size"), [((1.25, 0.25, 0.65), (320, 240)), ((0.6, -0.9, 0.5), (256, 256))])
def test_renderer_agrees_with_tiny_renderer(tmp_path, eye, size):
    twin, target = Twin(tmp_path), (0.4, 0.0, 0.15)
    try:
        depth, segmentation = twin.tiny(eye, target, *size)
    finally:
        pybullet.disconnect(twin.client)
    width, height = size
    focal = height / 2 / np.tan(np.radians(25.0))
    # TinyRenderer samples the lower left corner of its pixels; with centres, K would hold (W - 1) / 2 and (H - 1) / 2.
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2 - 1], [0, 0, 1]])
    ours = twin.renderer.render(np.array(twin.Ts), intrinsics, look_at(eye, target), width, height, rgb=False)
    for label in np.unique(segmentation):
        one, other = segmentation == label, ours.segmentation == label
        assert (one & other).sum() / (one | other).sum() > 0.985, label
    same = (segmentation == ours.segmentation) & (segmentation >= 0)
    assert np.median(np.abs(depth - ours.depth)[same]) < 1e-4
    assert np.quantile(np.abs(depth - ours.depth)[same], 0.95) < 0.002
