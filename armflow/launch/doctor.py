"""`armflow doctor`: what is installed, what is missing, and what each missing part would enable."""

import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from armflow import __version__

__all__ = ["Doctor", "hardware", "versions"]

CORE = (
    *("numpy", "scipy", "torch", "numba", "pybullet", "mujoco", "gymnasium", "cvxpy", "clarabel", "osqp", "piqp"),
    *("opencv-python-headless", "pin", "example-robot-data", "ruckig", "tyro", "rich", "av", "pyarrow"),
    *("safetensors", "pillow", "PyYAML"),
)

# Extra -> the module that must be there, and what it enables.
EXTRAS = {
    "realsense": ("pyrealsense2", "reading an Intel RealSense camera"),
    "xarm": ("xarm", "driving a UFACTORY xArm"),
    "ur": ("rtde_control", "driving a Universal Robots arm"),
    "franka": ("panda_py", "driving a Franka arm"),
    "viewer": ("viser", "the scene in a browser, live"),
    "vlm": ("openai", "a vision-language model as a verifier"),
    "ray": ("ray", "evaluation over several machines"),
    "tensorboard": ("tensorboard", "training curves in TensorBoard"),
    "import": ("h5py", "importing HDF5 and zarr datasets"),
    "cluster": ("lightning_fabric", "training on several devices or machines"),
    "gsplat": ("gsplat", "fast Gaussian splatting on an NVIDIA GPU"),
    "dev": ("pytest", "make check"),
}


@dataclass(frozen=True)
class Doctor:
    """Say what is installed, what is missing, and what each missing part would enable."""

    def run(self) -> int:
        """Print three tables; the exit code is 1 when a core package is missing."""
        from rich.console import Console

        console = Console()
        facts = {"armflow": __version__, **hardware(), "renderer": _renderer(), "video": _video()}
        console.print(_facts_table(facts))
        found = versions()
        console.print(_core_table(found))
        console.print(_extras_table())
        missing = [name for name, version in found.items() if version is None]
        if missing:
            console.print(f"[red]missing: {', '.join(missing)}[/]; pip install -e . -c constraints.txt brings them")
            return 1
        console.print("[green]ready[/]: armflow demo")
        return 0


def versions() -> dict[str, str | None]:
    """Return the installed version of every core package, None for one that is missing."""
    return {name: _version(name) for name in CORE}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def hardware() -> dict[str, str]:
    """Return processor, cores, memory, GPU and Python in words."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": _memory(),
        "gpu": _gpu(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError, AttributeError):
        return "unknown"


def _gpu() -> str:
    """Ask the kernel, not torch: importing torch takes seconds."""
    folder = Path("/proc/driver/nvidia/gpus")
    names = []
    for info in sorted(folder.glob("*/information")):
        lines = info.read_text().splitlines()
        names += [line.split(":", 1)[1].strip() for line in lines if line.startswith("Model")]
    if sys.platform == "darwin" and platform.machine() == "arm64":
        names.append("Apple (MPS)")
    return ", ".join(names) or "none found; everything runs on the processor"


def _renderer() -> str:
    if util.find_spec("armflow.envs.render"):
        return "armflow's own rasteriser, on the processor (no display, no OpenGL)"
    return "pybullet's TinyRenderer, on the processor"


def _video() -> str:
    try:
        import av
    except ImportError as error:
        return f"none: {error}"
    return "H.264 (libx264)" if "libx264" in av.codecs_available else "MPEG-4 part 2 (this av has no libx264)"


def _facts_table(facts: dict[str, str]) -> object:
    from rich.table import Table

    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        table.add_row(f"[bold]{name}[/]", value)
    return table


def _core_table(found: dict[str, str | None]) -> object:
    from rich.columns import Columns

    cells = [f"{name} [cyan]{version}[/]" if version else f"{name} [red]missing[/]" for name, version in found.items()]
    return Columns(cells, padding=(0, 3), equal=True, title="core packages")


def _extras_table() -> object:
    from rich.table import Table

    table = Table("extra", "", "enables", "to install", title="extras")
    for name, (module, enables) in EXTRAS.items():
        there = util.find_spec(module) is not None
        table.add_row(
            name, "[green]yes[/]" if there else "no", enables, "" if there else f'pip install "armflow\\[{name}]"'
        )
    return table
