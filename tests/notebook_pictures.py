"""Pictures in the outputs of notebooks, compared as pictures.

Matrix libraries choose their kernels by the processor, so a curve may be drawn half a pixel lower
elsewhere, and be another file. Two pictures are the same here if they have the same size, the same
number of frames, and colours that are close to each other on average.
"""

import base64
import hashlib
import io
import math
import re

import numpy as np
from PIL import Image, ImageSequence

EMBEDDED = re.compile(r"data:image/[\w.+-]+;base64,([A-Za-z0-9+/=\n]+)")
MOST_APART = 2.0  # of 255, the mean over all pixels and colours


def pixels(encoded: str) -> np.ndarray:
    """The frames of a picture in base64: (frames, height, width, 3) uint8."""
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
        return np.stack([np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(picture)])


def apart(reference: str, fresh: str) -> float:
    """Mean difference of two pictures in base64, of 255; infinite if they differ in shape."""
    if reference == fresh:
        return 0.0
    old, new = pixels(reference), pixels(fresh)
    if old.shape != new.shape:
        return math.inf
    return float(np.abs(old.astype(int) - new).mean())


def align_pictures(reference: str, fresh: str) -> tuple[str, str, list[float]]:
    """Put short names in the place of the embedded pictures of two texts: the same for two that
    look the same, so that what still differs is a real difference.

    Returns:
        The two texts, and by how much the pictures differed, one for each that was another file.
    """
    olds, found = iter(EMBEDDED.findall(reference)), []

    def name(picture):
        # The letter before it keeps the digits from being taken for a number.
        return f"picture-x{hashlib.sha256(picture.encode()).hexdigest()[:12]}"

    def close_or_own(match):
        old = next(olds, None)
        if old is None or old == match[1]:
            return name(match[1])
        found.append(apart(old, match[1]))
        if found[-1] <= MOST_APART:
            return name(old)
        return f"{name(match[1])}, which differs by {found[-1]:.1f} of 255"

    named = EMBEDDED.sub(lambda match: name(match[1]), reference)
    return named, EMBEDDED.sub(close_or_own, fresh), found
