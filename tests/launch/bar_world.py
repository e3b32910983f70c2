"""A red bar on a table that a hand pushes, drawn by intersecting rays with a box: recordings for twins."""

from pathlib import Path

import numpy as np
from scipy.spatial.transform import RigidTransform

from armflow.envs.sim_camera import CameraSpec
from armflow.learning.store import DatasetWriter, Recording, encode_depth, infer_schema
from armflow.perception.cloud import pixel_rays

HALF = np.array([0.1, 0.018, 0.015])  # m
SCALE = 0.0005  # m of one unit of depth
CAMERAS = {"front": (0.75, 0.05, 0.45), "left": (0.3, 0.5, 0.4), "right": (0.4, -0.45, 0.45)}
SPEED = 0.1  # m/s, along y


def draw(middle: np.ndarray, K: np.ndarray, T_world_camera: RigidTransform) -> tuple[np.ndarray, np.ndarray]:
    """Colour [72, 96, 3] uint8 and depth [72, 96] m of the bar at a place, on a table at z = 0."""
    rays = T_world_camera.rotation.apply(pixel_rays(K, (72, 96)).reshape(-1, 3))
    eye = T_world_camera.translation
    to_table = -eye[2] / rays[:, 2]
    near, far = ((middle + sign * HALF - eye) / rays for sign in (-1.0, 1.0))
    entry = np.minimum(near, far).max(axis=1)
    hit = (entry < np.maximum(near, far).min(axis=1)) & (entry < to_table)
    face = np.minimum(near, far).argmax(axis=1)
    rgb = np.where(hit[:, None], np.array([[200, 50, 40], [160, 40, 32], [225, 60, 48]])[face], (150, 145, 135))
    depth = np.where(hit, entry, to_table)
    return rgb.reshape(72, 96, 3).astype(np.uint8), depth.reshape(72, 96)


def pushed_bar(frames: int = 46) -> tuple[dict[str, np.ndarray], dict]:
    """Columns of one episode at 30 Hz, and the cameras' facts: after 0.5 s a closed hand takes the bar along."""
    path = np.maximum(np.arange(frames) / 30 - 0.5, 0.0)[:, None] * [0.0, SPEED, 0.0]
    middles = np.array([0.4, -0.03, HALF[2]]) + path
    state = np.zeros((frames, 8), np.float32)
    state[:, :3], state[:, 4] = middles + HALF * [0.0, 0.0, 1.0], 1.0
    points = np.random.default_rng(0).uniform(-HALF, HALF, (60, 3))
    columns = {
        "observation.state": state,
        "action": state.copy(),
        "tracks": (middles[:, None] + points).astype(np.float32),
        "material": np.full((frames, 4), 0.5, np.float32),
    }
    facts = {}
    for name, eye in CAMERAS.items():
        spec = CameraSpec(eye, (0.4, 0.0, 0.0), 96, 72, 32.0)
        shots = [draw(middle, spec.K, spec.T_world_camera) for middle in middles]
        columns[f"observation.images.{name}"] = np.stack([rgb for rgb, _ in shots])
        columns[f"observation.depth.{name}"] = encode_depth(np.stack([depth for _, depth in shots]), SCALE)
        extrinsics = spec.T_world_camera.as_matrix().tolist()
        facts[name] = {"intrinsics": spec.K.tolist(), "extrinsics": extrinsics, "depth_scale": SCALE, "serial": "drawn"}
    return columns, facts


def write_bar(folder: Path, *, interaction: bool = True) -> Path:
    """Write a dataset of one episode; without `interaction` it tells neither category nor height of the table."""
    columns, facts = pushed_bar()
    recording = Recording(columns, np.arange(len(columns["action"])) / 30, "push the bar")
    extra = {"environment": "RopeShape", "cameras": facts} | (
        {"category": "rope", "ground": 0.0} if interaction else {}
    )
    with DatasetWriter(folder, infer_schema(recording, 30, "xarm6", extra)) as writer:
        writer.add(recording)
    return folder
