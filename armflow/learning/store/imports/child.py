"""The child process of `sandbox.py`: reads one file after another and sends what they hold as plain numbers.

Requests are JSON lines on stdin. Answers go to what was stdout: a length of 8 bytes, a JSON header, then the bytes of
the arrays that the header lists.
"""

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from armflow.learning.store.errors import READ_FAULTS, DatasetError
from armflow.learning.store.imports.source import LAYOUTS
from armflow.learning.store.schema import Recording, Schema


def serve(memory: int) -> None:
    """Answer requests until stdin ends.

    Args:
        memory: Address space of this process, bytes.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What a library prints must not mix with the answers.
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        request = json.loads(line)
        answer(request["layout"], Path(request["path"]), answers)
        answers.flush()


def answer(layout: str, path: Path, answers: BinaryIO) -> None:
    """Send a file's schema and episodes, or why it is refused."""
    try:
        recordings, schema = LAYOUTS[layout].read(path)
        _send(answers, {"kind": "schema", **_from_schema(schema)})
        for recording in recordings:
            _send_recording(answers, recording)
        _send(answers, {"kind": "end"})
    except DatasetError as error:
        _refuse(answers, error.path, error.field, error.reason)
    except BrokenPipeError:
        raise
    except ModuleNotFoundError as error:
        _refuse(
            answers, path, "layout", f"needs the package {error.name}; install it with: pip install 'armflow[import]'"
        )
    except (*READ_FAULTS, RuntimeError) as error:
        _refuse(answers, path, "file", f"is damaged ({type(error).__name__}: {str(error).partition(chr(10))[0][:200]})")


def _from_schema(schema: Schema) -> dict[str, Any]:
    """A schema as JSON."""
    features = {name: (f.dtype, f.shape, f.names) for name, f in schema.features.items()}
    return {"fps": schema.fps, "features": features, "robot": schema.robot, "extra": schema.extra}


def _send_recording(answers: BinaryIO, recording: Recording) -> None:
    """Send one episode, stamps as its last array."""
    arrays = recording.arrays | {"stamps": recording.stamps}
    kinds = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
    _send(answers, {"kind": "recording", "task": recording.task, "arrays": kinds})
    for array in arrays.values():
        answers.write(np.ascontiguousarray(array).data)


def _refuse(answers: BinaryIO, path: object, field: str, reason: str) -> None:
    """Send an error."""
    _send(answers, {"kind": "error", "path": str(path), "field": field, "reason": reason})


def _send(answers: BinaryIO, header: dict[str, Any]) -> None:
    """Send a header."""
    text = json.dumps(header).encode()
    answers.write(len(text).to_bytes(8, "little") + text)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
