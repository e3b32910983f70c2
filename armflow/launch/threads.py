"""One thread a process: many small arrays gain nothing from more, and processes then share the cores fairly."""

import os
import sys

__all__ = ["use_one_thread"]

VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def use_one_thread() -> None:
    """Hold numpy, torch and OpenCV to one thread, here and in the processes started from here.

    Libraries read the variables when they load; those that are loaded already are told directly. Our numba kernels run
    on the calling thread.
    """
    os.environ.update(dict.fromkeys(VARIABLES, "1"))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
