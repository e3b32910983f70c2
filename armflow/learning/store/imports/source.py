"""Reading foreign play: which layout a file has, and its episodes."""

from pathlib import Path

from armflow.learning.store.errors import DatasetError
from armflow.learning.store.imports.block_push import (
    detect_block_push,
    detect_cbet_push,
    read_block_push,
    read_cbet_push,
)
from armflow.learning.store.imports.layout import Layout, Source
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


def read_source(path: Path, layout: str | None = None) -> Source:
    """Read recorded play in a foreign layout.

    Args:
        path: A file or folder.
        layout: One of `LAYOUTS`; None tells it from the content.

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
    return chosen.read(path)
