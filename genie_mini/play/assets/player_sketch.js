// Pictures to start from: a file, or a sketch painted by pointer or keyboard (the paper's sketch
// prompts, its Figure 2).

const COLORS = {
  sky: "#63b3ed",
  night: "#1a2340",
  earth: "#8d5524",
  grass: "#4caf50",
  coin: "#ffd54f",
  red: "#d7263d",
  snow: "#ffffff",
  stone: "#5b5b66",
};

/** The middle square of an image, scaled: floats in [0, 1], (height * width * 3). */
export function pixelsOf(image, [height, width]) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const imageWidth = image.naturalWidth ?? image.width,
    imageHeight = image.naturalHeight ?? image.height;
  const side = Math.min(imageWidth, imageHeight);
  context.imageSmoothingEnabled = side > width;
  context.fillStyle = "#fff"; // behind what is transparent
  context.fillRect(0, 0, width, height);
  context.drawImage(
    image,
    (imageWidth - side) / 2,
    (imageHeight - side) / 2,
    side,
    side,
    0,
    0,
    width,
    height,
  );
  const { data } = context.getImageData(0, 0, width, height);
  return Float32Array.from(
    { length: height * width * 3 },
    (_, i) => data[Math.floor(i / 3) * 4 + (i % 3)] / 255,
  );
}

/** Show a frame, floats in [0, 1], on a canvas of its size. */
export function paint(canvas, frame) {
  const context = canvas.getContext("2d"),
    image = context.createImageData(canvas.width, canvas.height);
  for (let i = 0; i < canvas.width * canvas.height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round(255 * frame[3 * i + c]);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

export async function loadImage(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

/**
 * Make a canvas one can paint on. `brush()` gives the brush's size; the swatches' buttons go into
 * `swatches`.
 */
export class Sketch {
  constructor(canvas, swatches, brush) {
    Object.assign(this, {
      canvas,
      brush,
      context: canvas.getContext("2d", { willReadFrequently: true }),
    });
    this.at = [canvas.width / 2, canvas.height / 2]; // of the keyboard's cursor
    this.under = null; // the pixels under it
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      this.dabAtPointer(event);
    });
    canvas.addEventListener("pointermove", event => {
      if (event.buttons) this.dabAtPointer(event);
    });
    canvas.addEventListener("keydown", event => this.onKey(event));
    canvas.addEventListener("blur", () => this.hideCursor());
    for (const [name, shade] of Object.entries(COLORS)) {
      const swatch = Object.assign(document.createElement("button"), {
        type: "button",
        className: "swatch",
      });
      swatch.style.background = shade;
      swatch.setAttribute("aria-label", name);
      swatch.addEventListener("click", () => {
        this.color = shade;
        for (const other of swatches.children) other.setAttribute("aria-pressed", other === swatch);
      });
      swatches.append(swatch);
    }
    swatches.children[2].click();
  }

  start(frame) {
    this.under = null;
    paint(this.canvas, frame);
  }

  pixels() {
    this.hideCursor();
    return pixelsOf(this.canvas, [this.canvas.height, this.canvas.width]);
  }

  dab([x, y]) {
    this.hideCursor();
    const size = this.brush();
    this.context.fillStyle = this.color;
    this.context.fillRect(Math.round(x - size / 2), Math.round(y - size / 2), size, size);
  }

  dabAtPointer(event) {
    const box = this.canvas.getBoundingClientRect();
    this.dab([
      ((event.clientX - box.left) * this.canvas.width) / box.width,
      ((event.clientY - box.top) * this.canvas.height) / box.height,
    ]);
  }

  onKey(event) {
    const ways = {
      ArrowLeft: [-2, 0],
      ArrowRight: [2, 0],
      ArrowUp: [0, -2],
      ArrowDown: [0, 2],
      " ": [0, 0],
    };
    if (event.key === "Escape") this.canvas.blur();
    if (!(event.key in ways)) return;
    event.preventDefault();
    const limits = [this.canvas.width, this.canvas.height];
    this.at = this.at.map((value, axis) =>
      Math.min(limits[axis], Math.max(0, value + ways[event.key][axis])),
    );
    if (event.key === " ") this.dab(this.at);
    this.showCursor();
  }

  hideCursor() {
    if (this.under) this.context.putImageData(this.under, 0, 0);
    this.under = null;
  }

  showCursor() {
    this.hideCursor();
    this.under = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    this.context.strokeStyle = "#f0f";
    this.context.strokeRect(this.at[0] - 2.5, this.at[1] - 2.5, 5, 5);
  }
}
