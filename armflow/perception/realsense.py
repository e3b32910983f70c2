"""Getting hold of librealsense's Python module, also on a machine without a libusb of its own."""

import ctypes
import importlib
import sys
from types import ModuleType

from armflow.robot.errors import StackError

__all__ = ["MissingExtraError", "import_realsense"]


class MissingExtraError(StackError):
    """An optional package is not installed; names the extra that brings it."""

    def __init__(self, module: str, extra: str, why: str) -> None:
        self.module, self.extra = module, extra
        super().__init__(f'{module} cannot be imported ({why}); pip install -e ".[{extra}]" brings it')


def import_realsense() -> ModuleType:
    """Import `pyrealsense2`, with the libusb of the `libusb-package` wheel loaded first.

    pyrealsense2's library asks the system for libusb-1.0. A library that the process has loaded already under that
    name satisfies it, so the wheel's copy stands in where the system has none.

    Raises:
        MissingExtraError: A package is missing or cannot be loaded.
    """
    try:
        package = importlib.import_module("libusb_package")
        path = package.get_library_path()
        if path is not None and sys.platform == "linux":
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        return importlib.import_module("pyrealsense2")
    except (ImportError, OSError) as error:
        raise MissingExtraError("pyrealsense2", "realsense", str(error)) from error
