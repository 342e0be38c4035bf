"""Pictures and animations on their way to a page or a notebook."""

import base64
import html
import io

import numpy as np
from IPython.display import HTML
from PIL import Image
from torch import Tensor

from genie_mini.files import data_uri, to_uint8
from genie_mini.world.simulation import FRAMES_PER_SECOND

__all__ = ["data_uri", "film", "to_uint8"]


# The button swaps the moving picture for its first frame and back; it works without a kernel and by
# keyboard.
_PAGE = """<figure style="margin:0">
<img alt="{alt}" src="{moving}" data-other="{still}" width="{width}" style="image-rendering:pixelated;max-width:100%">
<div><button type="button" onclick="const picture=this.closest('figure').querySelector('img'),shown=picture.src;
picture.src=picture.dataset.other;picture.dataset.other=shown;
this.textContent=this.textContent==='Stop'?'Play':'Stop'">Stop</button></div></figure>"""


def film(frames: Tensor, alt: str = "", scale: int = 5) -> HTML:
    """Show frames, (T, height, width, 3) float in [0, 1], as an animation at ten frames a second.

    Args:
        frames: what to show.
        alt: what there is to see, for those who cannot see it; in the book it stands in the cell's
            metadata, from where the build puts it in.
        scale: how many times larger than the frames to show it.
    """
    pictures = [Image.fromarray(picture) for picture in to_uint8(frames)]
    # One palette for all frames, or the colours would shimmer.
    palette = Image.fromarray(
        np.concatenate(to_uint8(frames[:: max(1, len(frames) // 8)]), axis=1)
    ).quantize(256)
    pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    moving, still = io.BytesIO(), io.BytesIO()
    duration = 1000 // FRAMES_PER_SECOND
    pictures[0].save(
        moving, "gif", save_all=True, append_images=pictures[1:], duration=duration, loop=0
    )
    pictures[0].save(still, "gif")
    sources = {
        name: "data:image/gif;base64," + base64.b64encode(file.getvalue()).decode()
        for name, file in (("moving", moving), ("still", still))
    }
    return HTML(
        _PAGE.format(alt=html.escape(alt, quote=True), width=scale * frames.shape[2], **sources)
    )
