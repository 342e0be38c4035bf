"""Recordings in files of arrays, as simulators and other programs write them: .npy, .npz, HDF5.
They are taken to be ten frames a second.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from genie_mini.data.pictures import Canvas, check_pixels
from genie_mini.errors import GenieError, how_to_install

_FRAMES = "bytes of shape (frames, height, width, 3) or (clips, frames, height, width, 3)"


def read_npy(file: Path, canvas: Canvas) -> list[np.ndarray]:
    """Map an array of frames, or of clips, from its file; frames of another size are read and
    scaled.

    Raises:
        GenieError: it is no array, or one of something else.
    """
    try:
        frames = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # NumPy's parser raises nearly everything on a damaged header
        raise GenieError(f"cannot be read: {error}") from error
    return _recordings({"": frames}, canvas)


def read_npz(file: Path, canvas: Canvas) -> list[np.ndarray]:
    """Read the arrays of frames, or of clips, of an .npz file; others in it are left alone.

    Raises:
        GenieError: it is no such file, or holds no frames.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # as above
        raise GenieError(f"cannot be read: {error}") from error
    return _recordings(arrays, canvas)


def read_hdf5(file: Path, canvas: Canvas) -> list[np.ndarray]:
    """Read the datasets of frames, or of clips, of an HDF5 file, in whatever group they lie. Others
    are left alone, and so are those whose bytes lie in other files.

    Raises:
        GenieError: h5py is missing, or it is no such file, or holds no frames.
    """
    try:
        import h5py
    except ImportError:
        raise GenieError(f"needs the package h5py: {how_to_install('hdf5')}") from None
    datasets: dict[str, h5py.Dataset] = {}

    def keep(name, found):  # links to other files are not followed
        if isinstance(found, h5py.Dataset) and not (found.external or found.is_virtual):
            datasets[name] = found

    try:
        with h5py.File(file, "r") as content:
            content.visititems(keep)
            arrays = {
                name: found[()] if _are_frames(found) else np.empty(found.shape or 0, found.dtype)
                for name, found in datasets.items()
            }
    except Exception as error:  # h5py's errors are of many kinds
        raise GenieError(f"cannot be read: {error}") from error
    return _recordings(arrays, canvas)


ARRAY_READERS: dict[str, Callable[[Path, Canvas], list[np.ndarray]]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
}


def _are_frames(array):
    return array.dtype == np.uint8 and len(array.shape) in (4, 5) and array.shape[-1] == 3


def _recordings(arrays: dict[str, np.ndarray], canvas: Canvas) -> list[np.ndarray]:
    """The recordings in those arrays of a file that hold frames."""
    frames = [array for array in arrays.values() if _are_frames(array)]
    if not frames:
        held = ", ".join(
            f"{name} {array.dtype} {array.shape}".strip() for name, array in arrays.items()
        )
        raise GenieError(f"must hold {_FRAMES}, got {held or 'no array'}")
    return [clip for array in frames for clip in _in_clips(array, canvas)]


def _in_clips(frames, canvas):
    if not frames.size:
        raise GenieError(f"holds no frames: its shape is {frames.shape}")
    clips = [frames] if frames.ndim == 4 else list(frames)
    height, width = frames.shape[-3:-1]
    if (height, width) == (canvas.height, canvas.width):
        return clips
    check_pixels(width, height)
    return [np.stack([canvas.draw(Image.fromarray(frame)) for frame in clip]) for clip in clips]
