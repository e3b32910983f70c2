"""A thousand damaged copies of every foreign layout: each is read, or refused in one sentence."""

import io
import re
import resource
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from armflow.learning.store.errors import DatasetError
from armflow.learning.store.imports import LAYOUTS, Limits, Sandbox, read_source
from tests.learning import foreign

MUTANTS = 1000
LARGEST_GROWTH = 300 << 20
SLOWEST = 30.0


def flip(data: bytearray, rng: np.random.Generator) -> bytes:
    """A few bits turned over, most often near the beginning, where headers are."""
    for _ in range(rng.integers(1, 9)):
        end = len(data) if rng.random() < 0.5 else min(len(data), 256)
        data[rng.integers(end)] ^= 1 << int(rng.integers(8))
    return bytes(data)


def truncate(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data[: rng.integers(len(data))])


def overwrite(data: bytearray, rng: np.random.Generator) -> bytes:
    """A run of bytes that are zero, all ones (NaN, -1 and the largest sizes), or random."""
    start, count = int(rng.integers(len(data))), int(rng.integers(1, 17))
    fill = [bytes(count), b"\xff" * count, rng.bytes(count)][rng.integers(3)]
    data[start : start + count] = fill
    return bytes(data)


def renumber(data: bytearray, rng: np.random.Generator) -> bytes:
    """A number in a text header, such as a shape, replaced by a negative, wrong or giant one of any length."""
    digits = [i for i, byte in enumerate(data[:2000]) if chr(byte).isdigit()]
    if not digits:
        return overwrite(data, rng)
    place = digits[rng.integers(len(digits))]
    number = [b"0", b"-1", b"3", b"1e9", b"99999999", b"9" * 19, b"null", b"[]"][rng.integers(8)]
    return bytes(data[:place]) + number + bytes(data[place + 1 :])


def repack(data: bytearray, rng: np.random.Generator) -> bytes:
    """An archive that is sound, with one damaged member; other files are damaged themselves."""
    if not data.startswith(b"PK"):
        return renumber(data, rng)
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(packed, "w") as target:
        names = source.namelist()
        chosen = names[rng.integers(len(names))]
        for name in names:
            content = source.read(name)
            target.writestr(
                name, damage(content, rng, (flip, overwrite, truncate, renumber)) if name == chosen else content
            )
    return packed.getvalue()


def damage(data: bytes, rng: np.random.Generator, ways=(flip, truncate, overwrite, renumber, repack)) -> bytes:
    """Damage some bytes in one of the ways; nothing can be done to an empty file."""
    return ways[rng.integers(len(ways))](bytearray(data), rng) if data else data


def refusal(path: Path, layout: str, sandbox: Sandbox) -> DatasetError | None:
    """Read everything, and check what was read; why it is refused, if it is."""
    try:
        recordings, schema = read_source(path, layout, sandbox=sandbox)
        for recording in recordings:
            assert set(recording.arrays) == set(schema.features)
            assert all(np.isfinite(array).all() for array in recording.arrays.values())
    except DatasetError as error:
        return error
    return None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_thousand_damaged_files_are_read_or_refused(layout, tmp_path, monkeypatch):
    monkeypatch.setattr(foreign, "LENGTHS", (3,) if layout in ("minari", "robomimic") else (3, 2))
    rng = np.random.default_rng(sum(layout.encode()))
    path, _ = foreign.WRITERS[layout](tmp_path)
    files = sorted(file for file in tmp_path.rglob("*") if file.is_file())
    sound = {file: file.read_bytes() for file in files}
    sandbox = Sandbox(Limits(memory=3 << 30, seconds=10.0))
    before, refused = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
    for _ in range(MUTANTS):
        file = files[rng.integers(len(files))]
        file.write_bytes(damage(sound[file], rng))
        start = time.perf_counter()
        error = refusal(path, layout, sandbox)
        assert time.perf_counter() - start < SLOWEST
        if error is not None:
            refused += 1
            assert error.field
            assert re.fullmatch(rf"{re.escape(str(tmp_path))}[^\n]*: [^\n]+: [^\n]+", str(error))
        file.write_bytes(sound[file])
    assert refusal(path, layout, sandbox) is None
    sandbox.close()
    assert refused > MUTANTS / 10
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < LARGEST_GROWTH
