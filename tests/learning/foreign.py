"""Small files in the layouts of others, with the arrays that an importer must find in them."""

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

STATE, ACTION = "observation.state", "action"
Episode = dict[str, np.ndarray]
LENGTHS = (5, 8, 3)


def walk(seed: int, frames: int, width: int) -> np.ndarray:
    """Some finite float32 numbers [frames, width]."""
    return np.random.default_rng(seed).normal(size=(frames, width)).astype(np.float32)


def padded(episodes: list[np.ndarray], frames: int) -> np.ndarray:
    """[E, frames, width], zeros after each episode's end."""
    return np.stack([np.pad(episode, ((0, frames - len(episode)), (0, 0))) for episode in episodes])


def mask(frames: int) -> np.ndarray:
    return (np.arange(frames) < np.array(LENGTHS)[:, None]).astype(np.float32)


def plain_episodes(state: int, action: int) -> list[Episode]:
    return [{STATE: walk(i, n, state), ACTION: walk(100 + i, n, action)} for i, n in enumerate(LENGTHS)]


def write_block_push(folder: Path) -> tuple[Path, list[Episode]]:
    episodes, final = plain_episodes(16, 2), walk(7, len(LENGTHS), 16)
    np.savez_compressed(
        folder / "block_push_oracle.npz",
        observations=padded([e[STATE] for e in episodes], 10),
        actions=padded([e[ACTION] for e in episodes], 10),
        masks=mask(10),
        final_observations=final,
        seeds=np.arange(len(LENGTHS), dtype=np.int32),
        solved=np.ones(len(LENGTHS), bool),
        pushes=np.array([[0, 3], [2, 1], [1, -1]], np.int8)[: len(LENGTHS)],
    )
    return folder, [with_last_frame(episode, row) for episode, row in zip(episodes, final, strict=True)]


def write_cbet_push(folder: Path) -> tuple[Path, list[Episode]]:
    episodes = plain_episodes(16, 2)
    np.save(folder / "multimodal_push_observations.npy", padded([e[STATE] for e in episodes], 9).astype(np.float64))
    np.save(folder / "multimodal_push_actions.npy", padded([e[ACTION] for e in episodes], 9).astype(np.float64))
    np.save(folder / "multimodal_push_masks.npy", mask(9).astype(np.float64))
    return folder, episodes


def with_last_frame(episode: Episode, last: np.ndarray) -> Episode:
    """The episode with its final observation [S] as one more frame, as importers give it."""
    action = episode[ACTION]
    return {
        STATE: np.concatenate([episode[STATE], last[None]]),
        ACTION: np.concatenate([action, np.zeros_like(action[:1])]),
        "action.valid": np.arange(len(action) + 1) < len(action),
    }


def pictures(seed: int, frames: int) -> np.ndarray:
    """Soft ramps [frames, 16, 16, 3] that a video codec keeps well; no two frames are alike."""
    t, row, column, channel = np.ogrid[:frames, :16, :16, :3]
    return (20 + 9 * seed + 5 * t + 4 * row + 3 * column + 20 * channel).astype(np.uint8)


def write_tensor(file: Path, array: np.ndarray) -> None:
    """Write a float32 array as torch.save writes a tensor: its pickle in opcodes, its numbers beside it."""
    number, text = lambda n: b"J" + struct.pack("<i", n), lambda t: b"X" + struct.pack("<I", len(t)) + t.encode()
    sizes = [b"(" + b"".join(map(number, row)) + b"t" for row in (array.shape, np.array(array.strides) // 4)]
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(array.size) + b"tQ"
    tensor = storage + number(0) + b"".join(sizes) + b"\x89ccollections\nOrderedDict\n)R"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("goals/data.pkl", b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + tensor + b"tR.")
        archive.writestr("goals/data/0", array.tobytes())


def write_kitchen(folder: Path) -> tuple[Path, list[Episode]]:
    full, actions = [walk(i, n, 60) for i, n in enumerate(LENGTHS)], [walk(50 + i, n, 9) for i, n in enumerate(LENGTHS)]
    goals = [np.eye(7, dtype=np.float32)[np.arange(n) % 7] for n in LENGTHS]
    np.save(folder / "observations_seq.npy", padded(full, 9).swapaxes(0, 1))
    np.save(folder / "actions_seq.npy", padded(actions, 9).swapaxes(0, 1))
    np.save(folder / "existence_mask.npy", mask(9).T)
    write_tensor(folder / "onehot_goals.pth", np.ascontiguousarray(padded(goals, 9).swapaxes(0, 1)))
    episodes = zip(full, actions, goals, strict=True)
    return folder, [{STATE: s[:, :30], ACTION: a, "goal.one_hot": g} for s, a, g in episodes]


def write_calvin(folder: Path, frames: tuple[int, ...] = (4, 2)) -> tuple[Path, list[Episode]]:
    index, ids, episodes = 100, [], []
    for e, count in enumerate(frames):
        action, robot, scene = walk(e, count, 7), walk(10 + e, count, 15), walk(20 + e, count, 24)
        rgb, hand, codes = pictures(e, count), pictures(4 + e, count), np.arange(count * 24 * 32) + 1
        depth = codes.reshape(count, 24, 32).astype(np.uint16)
        for t in range(count):
            arrays = {"rel_actions": action[t].astype(np.float64), "actions": action[t], "robot_obs": robot[t]}
            arrays |= {"scene_obs": scene[t], "rgb_static": rgb[t], "rgb_gripper": hand[t]}
            np.savez(folder / f"episode_{index + t:07d}.npz", depth_static=depth[t] * np.float32(0.002), **arrays)
        ids.append((index, index + count - 1))
        index += count + 3
        cameras = {"observation.images.static": rgb, "observation.images.gripper": hand}
        episodes.append(
            {STATE: np.hstack([robot, scene]), ACTION: action, "observation.depth.static": depth, **cameras}
        )
    np.save(folder / "ep_start_end_ids.npy", np.array(ids))
    return folder, episodes


def write_zarr_array(folder: Path, array: np.ndarray, chunk: int, compressor: str | None) -> None:
    """Write an array as zarr format 2 does, in chunks along its first axis."""
    from numcodecs import LZ4, Blosc, Zlib, Zstd

    codecs = {"blosc": Blosc("lz4"), "zlib": Zlib(), "zstd": Zstd(), "lz4": LZ4()}
    codec = codecs[compressor] if compressor else None
    chunks = (chunk, *array.shape[1:])
    meta = {"zarr_format": 2, "shape": array.shape, "chunks": chunks, "dtype": array.dtype.str, "order": "C"}
    meta |= {"fill_value": 0, "filters": None, "compressor": codec.get_config() if codec else None}
    folder.mkdir(parents=True)
    (folder / ".zarray").write_text(json.dumps(meta))
    for index in range(-(-len(array) // chunk)):
        rows = array[index * chunk : (index + 1) * chunk]
        full = np.concatenate([rows, np.zeros((chunk - len(rows), *rows.shape[1:]), rows.dtype)])
        name = ".".join([str(index), *["0"] * (array.ndim - 1)])
        (folder / name).write_bytes(codec.encode(full) if codec else full.tobytes())


def write_zarr(folder: Path) -> tuple[Path, list[Episode]]:
    root = folder / "pusht.zarr"
    episodes = plain_episodes(5, 2)
    colour = [pictures(i, n) for i, n in enumerate(LENGTHS)]
    write_zarr_array(root / "data" / "state", np.concatenate([e[STATE] for e in episodes]), 5, "blosc")
    write_zarr_array(root / "data" / "action", np.concatenate([e[ACTION] for e in episodes]), 7, "zstd")
    write_zarr_array(root / "data" / "img", np.concatenate(colour).astype(np.float32), 6, "zlib")
    write_zarr_array(root / "data" / "n_contacts", np.zeros((sum(LENGTHS), 1)), 16, None)
    write_zarr_array(root / "meta" / "episode_ends", np.cumsum(LENGTHS), 2, "lz4")
    for group in (".", "data", "meta"):
        (root / group / ".zgroup").write_text('{"zarr_format": 2}')
    images = ({"observation.images.img": rgb} for rgb in colour)
    return root, [episode | image for episode, image in zip(episodes, images, strict=True)]


def write_minari(folder: Path) -> tuple[Path, list[Episode]]:
    import h5py

    episodes, goals = plain_episodes(4, 2), [walk(60 + i, n + 1, 3) for i, n in enumerate(LENGTHS)]
    last = walk(70, len(LENGTHS), 4)
    (folder / "data").mkdir()
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        for index, (episode, goal) in enumerate(zip(episodes, goals, strict=True)):
            group = file.create_group(f"episode_{index}")
            group.attrs.update({"id": index, "total_steps": len(episode[ACTION])})
            group["actions"] = episode[ACTION]
            group["observations/observation"] = np.concatenate([episode[STATE], last[index : index + 1]])
            group["observations/achieved_goal"] = goal
            group["rewards"] = np.zeros(len(episode[ACTION]))
    (folder / "data" / "metadata.json").write_text(json.dumps({"env_spec": json.dumps({"id": "PointMaze-v3"})}))
    full = [with_last_frame(episode, row) for episode, row in zip(episodes, last, strict=True)]
    return folder, [e | {STATE: np.hstack([goal, e[STATE]])} for e, goal in zip(full, goals, strict=True)]


def write_robomimic(folder: Path) -> tuple[Path, list[Episode]]:
    import h5py

    episodes = plain_episodes(5, 7)
    colour = [pictures(i, n) for i, n in enumerate(LENGTHS)]
    with h5py.File(folder / "low_dim.hdf5", "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "env_kwargs": {"control_freq": 25}})
        for name, episode, rgb in zip(("demo_2", "demo_10", "demo_11"), episodes, colour, strict=False):
            demo = data.create_group(name)
            demo.create_dataset("actions", data=episode[ACTION].astype(np.float64), compression="gzip")
            demo["obs/object"], demo["obs/robot0_eef_pos"] = episode[STATE][:, :2], episode[STATE][:, 2:]
            demo.create_dataset("obs/agentview_image", data=rgb, chunks=(1, 16, 16, 3), compression="lzf")
            demo["states"] = np.zeros((len(rgb), 30))
    images = ({"observation.images.agentview": rgb} for rgb in colour)
    return folder / "low_dim.hdf5", [episode | image for episode, image in zip(episodes, images, strict=True)]


WRITERS: dict[str, Callable[[Path], tuple[Path, list[Episode]]]] = {
    "block-push": write_block_push,
    "cbet-push": write_cbet_push,
    "cbet-kitchen": write_kitchen,
    "calvin": write_calvin,
    "zarr": write_zarr,
    "minari": write_minari,
    "robomimic": write_robomimic,
}
