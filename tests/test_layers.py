"""The rooms of the package and which way imports may point between them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "armflow"
ROOMS = {
    "robot": set(),
    "perception": {"robot"},
    "learning": {"robot"},
    "planning": {"robot", "perception", "learning"},
    "policies": {"robot", "perception", "learning"},
    "envs": {"robot", "perception"},
    "launch": {"robot", "perception", "learning", "planning", "policies", "envs"},
}
# Hardware and services are extras: nothing may need them to be imported.
EXTRAS = {"pyrealsense2", "libusb_package", "xarm", "rtde_control", "panda_py", "viser", "yourdfpy", "openai", "ray"}
EXTRAS |= {"tensorboard", "gsplat", "h5py", "numcodecs", "lightning_fabric"}


def imported_modules(path: Path) -> Iterator[str]:
    """Every absolute module name that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} line {node.lineno}: relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top_level_modules(path: Path) -> Iterator[str]:
    """Modules that importing the file imports."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def files(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_downwards_only(room: str):
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in files(room)
        for module in imported_modules(path)
        if module.startswith("armflow.") and module.split(".")[1] not in {room, "__version__"} | ROOMS[room]
    ]
    assert not wrong


def test_every_folder_of_the_package_is_a_room():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_extras_are_imported_only_inside_functions(room: str):
    found = [
        f"{path.relative_to(PACKAGE)}: {module}"
        for path in files(room)
        for module in top_level_modules(path)
        if module.split(".")[0] in EXTRAS
    ]
    assert not found


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "launch"])
def test_only_launch_prints(room: str):
    printing = [
        str(path.relative_to(PACKAGE))
        for path in files(room)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not printing
