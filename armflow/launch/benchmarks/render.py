"""How long an image of arm, table and five objects takes on one thread."""

import time
from collections.abc import Callable

import numpy as np
import pybullet
from scipy.spatial.transform import Rotation

from armflow.envs.mesh import box_mesh, capsule_mesh, cylinder_mesh, revolve, sphere_mesh
from armflow.envs.render import Renderer, load_urdf_visuals
from armflow.envs.sensor import DepthSensor
from armflow.robot.embodiments import load_arm

__all__ = ["render_rows", "render_scene"]

# Size, then for colour and for depth alone: the bar and what pybullet's TinyRenderer takes, ms.
_BARS = {(128, 128): (8.0, 5.0, 23.5), (256, 256): (12.0, 7.0, 39.5), (640, 480): (25.0, 12.0, 110.0)}
_SENSOR_BARS = {(320, 240): 2.0, (640, 480): 6.0}


def render_rows(repeats: int = 40) -> list[dict]:
    """Measure rendering and the depth sensor; each value is the processor time of the best of `repeats`, ms."""
    renderer, Ts_world_mesh = render_scene()
    rows = []
    for (width, height), (bar_rgb, bar_depth, tiny) in _BARS.items():
        for what, rgb, bar in (
            ("RGB + depth + segmentation", True, bar_rgb),
            ("depth + segmentation", False, bar_depth),
        ):
            K, T_world_camera = render_camera(width, height)
            value = _best(lambda: renderer.render(Ts_world_mesh, K, T_world_camera, width, height, rgb=rgb), repeats)  # noqa: B023
            rows.append(_row(f"render {what} {width}x{height}", value, bar, f"TinyRenderer {tiny} ms"))
    for (width, height), bar in _SENSOR_BARS.items():
        depth = renderer.render(Ts_world_mesh, *render_camera(width, height), width, height, rgb=False).depth
        rng = np.random.default_rng(0)
        value = _best(lambda: DepthSensor().measure(depth, rng=rng), repeats)  # noqa: B023
        rows.append(_row(f"depth sensor {width}x{height}", value, bar, ""))
    return rows


def _row(name: str, value: float, bar: float, reference: str) -> dict:
    return {
        "name": name,
        "value": value,
        "unit": "ms",
        "bar": bar,
        "better": "lower",
        "reference": reference,
        "ok": value <= bar,
    }


def _best(work: Callable[[], object], repeats: int) -> float:
    work()  # compiles
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1e3 * min(times)


def render_camera(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Return K and T_world_camera of a camera across the table, 50 degrees high."""
    focal = height / 2 / np.tan(np.radians(25.0))
    K = np.array([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]])
    eye, target = np.array([1.3, 0.35, 0.75]), np.array([0.35, 0.0, 0.2])
    z = (target - eye) / np.linalg.norm(target - eye)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x)
    T_world_camera = np.eye(4)
    T_world_camera[:3, :3], T_world_camera[:3, 3] = np.column_stack([x, np.cross(z, x), z]), eye
    return K, T_world_camera


def render_scene(name: str = "panda") -> tuple[Renderer, np.ndarray]:
    """Build the scene that is measured: an arm at home, a table and five objects, with their poses [n, 4, 4]."""
    renderer = Renderer()
    arm = load_arm(name)
    Ts_link = _link_poses(str(arm.urdf_path()), dict(zip(arm.joint_names, arm.home, strict=True)))
    Ts = []
    for visual in load_urdf_visuals(arm.urdf_path()):
        renderer.add(visual.mesh, visual.rgba, 1)
        Ts.append(Ts_link[visual.link] @ visual.T_link_visual)
    renderer.add(box_mesh([0.5, 0.6, 0.02]), (0.86, 0.81, 0.74), 0, casts_shadow=False, grain=0.06)
    Ts.append(_pose([0.35, 0.0, -0.02]))
    cup = revolve([[0.0, 0.0], [0.032, 0.0], [0.032, 0.09], [0.029, 0.09], [0.029, 0.004], [0.0, 0.004]])
    bodies = [
        (box_mesh([0.022, 0.022, 0.022]), (0.8, 0.12, 0.1), [0.45, 0.15, 0.022]),
        (cylinder_mesh(0.05, 0.004), (0.15, 0.6, 0.2), [0.55, -0.05, 0.002]),
        (cup, (0.1, 0.35, 0.8), [0.5, 0.05, 0.0]),
        (sphere_mesh(0.03), (0.9, 0.6, 0.1), [0.4, -0.2, 0.03]),
        (capsule_mesh(0.008, 0.12), (0.5, 0.2, 0.6), [0.6, 0.2, 0.06]),
    ]
    for label, (mesh, color, place) in enumerate(bodies, start=2):
        renderer.add(mesh, color, label)
        Ts.append(_pose(place))
    return renderer, np.array(Ts)


def _pose(xyz: list[float], R: np.ndarray | None = None) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.eye(3) if R is None else R, xyz
    return T


def _link_poses(urdf: str, q: dict[str, float]) -> dict[str, np.ndarray]:
    """Return T_world_link of every link of a URDF with its base at the origin, by name."""
    client = pybullet.connect(pybullet.DIRECT)
    try:
        body = pybullet.loadURDF(urdf, useFixedBase=True, physicsClientId=client)
        poses = {pybullet.getBodyInfo(body, client)[0].decode(): np.eye(4)}
        joints = [pybullet.getJointInfo(body, j, client) for j in range(pybullet.getNumJoints(body, client))]
        for joint in joints:
            pybullet.resetJointState(body, joint[0], q.get(joint[1].decode(), 0.0), physicsClientId=client)
        for joint in joints:
            state = pybullet.getLinkState(body, joint[0], computeForwardKinematics=True, physicsClientId=client)
            poses[joint[12].decode()] = _pose(state[4], Rotation.from_quat(state[5]).as_matrix())
        return poses
    finally:
        pybullet.disconnect(client)
