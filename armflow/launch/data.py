"""`armflow data`: check, repair, describe, import and export datasets."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import tyro

from armflow.launch.choices import pick

if TYPE_CHECKING:
    from armflow.learning.store import Dataset

__all__ = ["Check", "Data", "Export", "Import", "Info", "Repair"]

Folder = Annotated[Path, tyro.conf.Positional]


@dataclass(frozen=True)
class Check:
    """Find wrong indices, gaps in time, undecodable pictures, NaN, changed files, statistics that do not match."""

    folder: Folder
    """The dataset."""
    pictures: bool = True
    """Also decode every picture."""
    most: int = 50
    """Print no more findings than this."""

    def run(self) -> int:
        """Print what is wrong, with episode and frame; the exit code is 1 when anything is."""
        from armflow.learning.store import open_dataset
        from armflow.learning.store.check import check

        findings = 0
        for finding in check(self.folder, pictures=self.pictures):
            findings += 1
            if findings <= self.most:
                print(finding)
        if findings:
            hidden = f", {findings - self.most} of them not printed (--most)" if findings > self.most else ""
            print(f"{findings} findings{hidden}; `armflow data repair` keeps all that can be read whole")
            return 1
        dataset = open_dataset(self.folder)
        print(f"nothing wrong with {len(dataset.episodes)} episodes, {dataset.frames} frames")
        return 0


@dataclass(frozen=True)
class Repair:
    """Keep the longest run of episodes that can be read whole, join finished ones; the rest moves to damaged/."""

    folder: Folder
    """The dataset; nothing else may be writing to it."""

    def run(self) -> int:
        """Repair, and print what was done."""
        from armflow.learning.store import open_dataset
        from armflow.learning.store.repair import repair

        for line in repair(self.folder):
            print(line)
        dataset = open_dataset(self.folder)
        print(f"{len(dataset.episodes)} episodes, {dataset.frames} frames, every one read")
        return 0


@dataclass(frozen=True)
class Info:
    """Say what a dataset holds."""

    folder: Folder
    """The dataset."""

    def run(self) -> int:
        """Print rate, robot, episodes, tasks, features, cameras and size."""
        from armflow.learning.store import open_dataset

        _describe(open_dataset(self.folder))
        return 0


@dataclass(frozen=True)
class Import:
    """Turn play recorded by others into a dataset: C-BeT npy, zarr, CALVIN npz, Minari, HDF5; told from the content."""

    source: Folder
    """The file or folder to read."""
    out: Path
    """The dataset to write; episodes are added to one that is there."""
    layout: str = ""
    """Name of the source's layout; told from its content if empty."""

    def run(self) -> int:
        """Import every episode, and print how many there were."""
        from armflow.learning.store import DatasetWriter
        from armflow.learning.store.imports import read_source

        recordings, schema = read_source(self.source, self.layout or None)
        episodes = frames = 0
        with DatasetWriter(self.out, schema, durable=False) as writer:
            for recording in recordings:
                writer.add(recording)
                episodes, frames = episodes + 1, frames + recording.length
        print(f"wrote {episodes} episodes, {frames} frames to {self.out}")
        return 0


@dataclass(frozen=True)
class Export:
    """Write a dataset in a layout that other code reads.

    npz: one episode_000000.npz an episode with an array a feature, pictures decoded, capture times and instruction.
    cbet: multimodal_push_observations.npy [E, T, S], _actions.npy [E, T, A], _masks.npy [E, T], as C-BeT and BESO read.
    """

    folder: Folder
    """The dataset."""
    out: Path
    """A new or empty folder."""
    layout: str = "npz"
    """npz or cbet."""

    def run(self) -> int:
        """Write the files, and print how many."""
        from armflow.learning.store import open_dataset
        from armflow.learning.store.export import EXPORTS

        write = EXPORTS[pick("layout", self.layout, EXPORTS)]
        dataset = open_dataset(self.folder)
        paths = write(dataset, self.out)
        print(f"wrote {len(paths)} files with {len(dataset.episodes)} episodes to {self.out}")
        return 0


Part = (
    Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Repair, tyro.conf.subcommand("repair")]
    | Annotated[Info, tyro.conf.subcommand("info")]
    | Annotated[Import, tyro.conf.subcommand("import")]
    | Annotated[Export, tyro.conf.subcommand("export")]
)


@dataclass(frozen=True)
class Data:
    """Check, repair, describe, import and export datasets in the layout of LeRobotDataset v3.0."""

    PARTS: ClassVar = {"check": Check, "repair": Repair, "info": Info, "import": Import, "export": Export}

    part: Annotated[Part, tyro.conf.arg(name="")]
    """What to do."""

    def run(self) -> int:
        """Do it."""
        return self.part.run()


def _describe(dataset: "Dataset") -> None:
    from rich.console import Console
    from rich.table import Table

    schema, console = dataset.schema, Console(highlight=False)
    lengths = [episode.length for episode in dataset.episodes]
    size = sum(path.stat().st_size for path in dataset.directory.rglob("*") if path.is_file()) / 1e6
    span = f" of {min(lengths)} to {max(lengths)}" if lengths else ""
    hours = dataset.frames / schema.fps / 3600
    console.print(f"{dataset.directory}: {len(lengths)} episodes{span} frames, {dataset.frames} in all", soft_wrap=True)
    console.print(f"{schema.fps:g} Hz, {hours:.2f} h, {size:.1f} MB, robot {schema.robot or 'not named'}")
    table = Table("feature", "type", "shape", "entries")
    for name, feature in schema.features.items():
        table.add_row(name, feature.dtype, " x ".join(map(str, feature.shape)), ", ".join(feature.names or ()))
    for name in dataset.info.unread:
        table.add_row(name, "not read here", "", "")
    console.print(table)
    for key, value in schema.extra.items():
        if key != "cameras":
            console.print(f"{key}: {value}", soft_wrap=True, markup=False)
    for name, camera in schema.extra.get("cameras", {}).items():
        console.print(
            f"camera {name}: {', '.join(f'{k} {v}' for k, v in camera.items())}", soft_wrap=True, markup=False
        )
    tasks = Counter(episode.task for episode in dataset.episodes).most_common()
    for task, count in tasks[:20]:
        console.print(f"{count} x {task or 'no instruction'}", markup=False)
    if len(tasks) > 20:
        console.print(f"and {len(tasks) - 20} other tasks")
