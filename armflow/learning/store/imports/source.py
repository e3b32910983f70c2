"""Reading foreign play: which layout a file has, and its episodes."""

from pathlib import Path

from armflow.learning.store.errors import DatasetError
from armflow.learning.store.imports.block_push import (
    detect_block_push,
    detect_cbet_push,
    read_block_push,
    read_cbet_push,
)
from armflow.learning.store.imports.calvin import detect_calvin, read_calvin
from armflow.learning.store.imports.kitchen import detect_kitchen, read_kitchen
from armflow.learning.store.imports.layout import Layout, Source
from armflow.learning.store.imports.minari import detect_minari, read_minari
from armflow.learning.store.imports.replay_buffer import detect_replay_buffer, read_replay_buffer
from armflow.learning.store.imports.robomimic import detect_robomimic, read_robomimic
from armflow.learning.store.imports.sandbox import Sandbox
from armflow.robot.errors import ChoiceError

__all__ = ["LAYOUTS", "detect_layout", "read_source"]

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            "block-push",
            "block_push*.npz with observations, actions, masks: padded demonstrations of the block-push world",
            detect_block_push,
            read_block_push,
            sandboxed=False,
        ),
        Layout(
            "cbet-push",
            "a folder with C-BeT's multimodal_push_{observations,actions,masks}.npy",
            detect_cbet_push,
            read_cbet_push,
            sandboxed=False,
        ),
        Layout(
            "cbet-kitchen",
            "a folder with C-BeT's observations_seq.npy, actions_seq.npy, existence_mask.npy [, onehot_goals.pth]",
            detect_kitchen,
            read_kitchen,
            sandboxed=True,
        ),
        Layout(
            "calvin",
            "a CALVIN folder with ep_start_end_ids.npy and episode_*.npz, or the one above it with training/",
            detect_calvin,
            read_calvin,
            sandboxed=False,
        ),
        Layout(
            "zarr",
            "a replay buffer of zarr format 2, folder or .zip, with data/action, data/* and meta/episode_ends",
            detect_replay_buffer,
            read_replay_buffer,
            sandboxed=True,
        ),
        Layout(
            "minari",
            "Minari's main_data.hdf5, or the folder of the data set",
            detect_minari,
            read_minari,
            sandboxed=True,
        ),
        Layout(
            "robomimic",
            "HDF5 of the robosuite and robomimic kind: data/demo_*/actions with obs/* or states",
            detect_robomimic,
            read_robomimic,
            sandboxed=True,
        ),
    )
}


def detect_layout(path: Path) -> Layout:
    """The layout that a file or folder has, told from its content.

    Raises:
        DatasetError: There is no such file, or it looks like none of the layouts.
    """
    if not path.exists():
        raise DatasetError(path, "path", "there is no such file or folder")
    for layout in LAYOUTS.values():
        if layout.detect(path):
            return layout
    known = "; ".join(f"{layout.name}: {layout.summary}" for layout in LAYOUTS.values())
    raise DatasetError(path, "layout", f"is none of the known ones ({known})")


def read_source(path: Path, layout: str | None = None, *, sandbox: Sandbox | None = None) -> Source:
    """Read recorded play in a foreign layout.

    Args:
        path: A file or folder.
        layout: One of `LAYOUTS`; None tells it from the content.
        sandbox: The process for layouts that need one, to be used again; None starts a new one.

    Returns:
        The episodes, read one by one, and what they hold.

    Raises:
        DatasetError: The file does not hold what its layout asks for; names file and field. Also while iterating.
        ChoiceError: No such layout.
    """
    if layout is not None and layout not in LAYOUTS:
        raise ChoiceError("layout", layout, LAYOUTS)
    path = Path(path)
    chosen = detect_layout(path) if layout is None else LAYOUTS[layout]
    if not path.exists():
        raise DatasetError(path, "path", "there is no such file or folder")
    return (sandbox or Sandbox()).read(chosen.name, path) if chosen.sandboxed else chosen.read(path)
