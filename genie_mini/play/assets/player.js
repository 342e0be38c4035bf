// <genie-player>: a learnt world to play on a page. The same element serves the book's pages, where
// onnxruntime-web runs the exported world in a worker (`PageEngine`), the page of `genie-mini play`
// (`ServerEngine`), and JupyterLab through anywidget (`KernelEngine`); in these Python plays.
//
// It reads a JSON script inside it: {form, steps, lookback, assets, world, prompts, trace, server,
// naming}; see genie_mini/play/widget.py, which writes it. Where the page itself holds the world,
// `assets` is null; where names of buttons can be kept, `naming` says where. That module also joins
// this file with those that it imports: an anywidget, and a page opened from disk, can each load one
// module only.

import { AWAY, KernelEngine, PageEngine, ServerEngine } from "./player_engines.js";
import { ABSENT, BODY, LOOKBACKS, STYLE } from "./player_markup.js";
import { Naming } from "./player_naming.js";
import { loadImage, paint, pixelsOf, Sketch } from "./player_sketch.js";

const FORMS = { play: 1, maskgit: 1, actions: 4, memory: 1 }; // worlds side by side
const SLOW = 350; // milliseconds a step in slow motion
const LATE = 5000; // milliseconds after which a word is due of an answer that has not come

const pause = milliseconds => new Promise(done => setTimeout(done, milliseconds));

export class GeniePlayer extends HTMLElement {
  connectedCallback() {
    if (this.shadowRoot) return;
    this.options ??= JSON.parse(this.querySelector('script[type="application/json"]').textContent);
    this.engine ??= this.chooseEngine();
    this.engine.onlost = async error => {
      const { paused } = this;
      await this.mend(error, error.message);
      if (paused) this.setPaused(true);
    };
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = `<style>${STYLE}</style>${BODY}`;
    this.find = selector => root.querySelector(selector);
    this.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes the keys
    Object.assign(this, {
      held: new Map(),
      tapped: null,
      paused: true,
      running: false,
      started: false,
      loaded: false,
      mending: false, // another worker was started, and has drawn nothing yet
      seed: 0,
      shownAt: [],
      count: 0,
      arrows: new Set(),
      replaying: null,
      seen: [], // the pictures of its first world, the newest first
    });
    this.addScreens();
    this.setControls();
    this.buttons = this.options.world.actionNames.map((_, action) => this.addAction(action));
    this.showNames(this.options.world.actionNames);
    if (this.options.naming) new Naming(this);
    for (const [index, prompt] of this.options.prompts.entries()) this.addPrompt(prompt, index);
    this.sketch = new Sketch(
      this.find(".sketch canvas"),
      this.find(".swatches"),
      () => this.find(".brush").valueAsNumber,
    );
    this.listenToKeys();
    this.listenToControls();
    this.listenToDrops();
    // The first pictures stand there from the beginning; nothing else is loaded before `begin`.
    this.screens.forEach(async (screen, index) => paint(screen, await this.promptPixels(index)));
    this.showPaused();
    const { server, assets } = this.options;
    if (server || assets === null) this.find(".cover").focus(); // the page is there for nothing else
  }

  chooseEngine() {
    const { assets, naming, server, world } = this.options;
    if (server) return new ServerEngine(server, naming?.server);
    const root = document.documentElement.dataset.content_root;
    return new PageEngine(assets === null ? null : root + assets, world);
  }

  addScreens() {
    const { world, form } = this.options,
      [height, width] = world.imageSize;
    const canvas = label => {
      const made = Object.assign(document.createElement("canvas"), { width, height });
      made.setAttribute("role", "img");
      made.setAttribute("aria-label", label);
      return made;
    };
    this.screens = Array.from({ length: FORMS[form] }, (_, index) =>
      canvas(`World ${index + 1}, as the model draws it`),
    );
    this.find(".worlds").prepend(...this.screens);
    this.find(".worlds").classList.toggle("many", this.screens.length > 1);
    for (const canvas of this.shadowRoot.querySelectorAll(".real canvas, .sketch canvas"))
      Object.assign(canvas, { width, height });
    Object.assign(this.find(".tokens"), { width: world.grid[1] * 24, height: world.grid[0] * 24 });
    Object.assign(this.find(".memory"), { width: world.context * (width + 2) - 2, height });
  }

  setControls() {
    const { world, form } = this.options;
    this.find(".steps").max = Math.min(25, world.grid[0] * world.grid[1]);
    this.find(".steps").value = this.options.steps;
    this.find(".steps-value").textContent = this.options.steps;
    this.find(".min-p").value = world.minP;
    this.find(".min-p-value").textContent = world.minP.toFixed(2);
    const ways = Object.keys(world.reach);
    this.find(".lookback").append(...ways.map(way => new Option(LOOKBACKS[way], way)));
    this.find(".lookback").value = this.options.lookback;
    this.find(".slow").checked = form === "maskgit";
    this.find(".clock").checked =
      form === "play" && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    for (const part of this.shadowRoot.querySelectorAll(ABSENT[form])) part.hidden = true;
    this.find(".replay").hidden = !this.options.trace;
    if (ways.length < 2) this.find(".looks").hidden = true;
    this.showRemembered([]);
  }

  /** Put away, or moved within the page: then it can be played again from the beginning. */
  disconnectedCallback() {
    Object.assign(this, { paused: true, started: false, loaded: false });
    this.engine.stop();
    this.find(".cover").hidden = false;
    this.showPaused();
  }

  say(text, wrong = false) {
    this.find(".status").textContent = text;
    this.find(".status").classList.toggle("wrong", wrong);
  }

  async promptPixels(index) {
    const { prompts, world } = this.options;
    return pixelsOf(await loadImage(prompts[index % prompts.length].image), world.imageSize);
  }

  /** Begin anew: every world from its own picture, or the only one from the picture given. */
  async begin(picture = this.picture) {
    this.find(".cover").hidden = true;
    this.releaseAll();
    this.replaying = null;
    this.find(".real").hidden = true;
    this.picture = picture;
    try {
      if (!this.loaded) await this.load();
      await this.idle();
      this.seen = [];
      this.count = 0;
      for (const [index, screen] of this.screens.entries()) {
        const start = picture && index === 0 ? picture : await this.promptPixels(index);
        const shown = await this.answer(
          this.engine.begin(
            this.name(index),
            start.slice(),
            this.seed,
            this.find(".lookback").value,
          ),
        );
        paint(screen, shown.frame);
        if (index === 0) this.remember(shown);
      }
      this.started = true;
      this.paused = false;
    } catch (error) {
      this.find(".cover").hidden = this.started && !error.lost;
      await this.mend(error, error.message);
    }
    this.showPaused();
    this.run();
  }

  async load() {
    if (!this.mending) this.say("Loading the world");
    const began = performance.now();
    await this.engine.load();
    this.loaded = true;
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const wait = seconds > 0 ? ` after ${seconds} seconds` : "";
    const why = this.mending ? " Another worker plays the world, anew from its picture." : "";
    this.say(`Ready${wait}.${why} Press a key, or hold a button.`);
  }

  /** An engine's answer; of one that is late a word is said meanwhile. */
  async answer(asked) {
    const { slow } = this.engine;
    const clock = slow && setTimeout(() => this.say(slow, true), LATE);
    try {
      return await asked;
    } finally {
      clearTimeout(clock);
      if (slow && this.find(".status").textContent === slow) this.say("");
    }
  }

  /**
   * Say what went wrong. A world whose worker is gone gets another, and begins anew from its
   * picture; but not once more before that one has drawn a frame.
   */
  async mend(error, words) {
    // Of one worker both a step and a new beginning may have been asked.
    if (error === AWAY || error === this.mended) return;
    this.mended = error;
    if (error.lost) Object.assign(this, { started: false, loaded: false });
    if (error.lost && !this.mending) {
      this.mending = true;
      this.say(`${error.message}. Another one is being started.`, true);
      await this.begin();
      return;
    }
    this.mending = false;
    this.showPaused();
    this.say(words, true);
  }

  name(index) {
    this.gameName ??= Math.random().toString(36).slice(2);
    return `${this.gameName}-${index}`;
  }

  async idle() {
    while (this.running) {
      this.stopping = true;
      await pause(5);
    }
    this.stopping = false;
  }

  /**
   * What to play next: a recorded action, the latest key or tap, or "nothing" while time goes on by
   * itself; null to wait.
   */
  choose() {
    if (this.replaying !== null) return this.options.trace.actions[this.replaying] ?? null;
    const tapped = this.tapped;
    this.tapped = null;
    const held = [...this.held.values()].at(-1) ?? this.arrowAction();
    const nothing = this.options.world.actionNames.indexOf("nothing");
    return tapped ?? held ?? (this.find(".clock").checked && nothing >= 0 ? nothing : null);
  }

  async run() {
    if (this.running || !this.started) return;
    this.running = true;
    this.shownAt = [];
    try {
      while (
        !this.stopping &&
        this.started &&
        (!this.paused || this.tapped !== null || this.held.size || this.arrows.size)
      ) {
        const action = this.choose();
        if (action === null) break;
        const began = performance.now();
        await this.advance(action);
        const left = 1000 / this.options.world.framesPerSecond - (performance.now() - began);
        if (left > 0 && !this.find(".fast").checked) await pause(left);
      }
    } catch (error) {
      Object.assign(this, { running: false, started: false });
      await this.mend(error, `${error.message}. "Start again" tries once more.`);
      return;
    }
    this.running = false;
    if (this.replaying !== null && this.replaying >= this.options.trace.actions.length) {
      this.replaying = null;
      this.paused = true;
      this.showPaused();
    }
  }

  /** One frame in every world. */
  async advance(action) {
    const maskgitSteps = this.find(".steps").valueAsNumber,
      temperature = this.find(".temperature").valueAsNumber,
      minP = this.find(".min-p").valueAsNumber;
    for (const [index, button] of this.buttons.entries())
      button.classList.toggle("held", index === action);
    for (const [index, screen] of this.screens.entries()) {
      const shown = await this.answer(
        this.engine.step(this.name(index), action, maskgitSteps, temperature, minP),
      );
      if (this.find(".slow").checked && index === 0) await this.showSteps(shown.steps);
      paint(screen, shown.frame);
      if (index === 0) {
        this.count++;
        this.remember(shown);
        if (this.replaying !== null) this.showReal(shown.frame);
      }
    }
    this.mending = false;
    this.shownAt = [...this.shownAt.slice(-20), performance.now()];
    const rate = (1000 * (this.shownAt.length - 1)) / (this.shownAt.at(-1) - this.shownAt[0]);
    this.find(".speed").textContent = rate ? `${rate.toFixed(1)} frames a second` : "";
    this.dispatchEvent(
      new CustomEvent("genie-frame", { detail: { count: this.count, action, rate } }),
    );
  }

  async showSteps(steps) {
    let before = null;
    for (const tokens of steps) {
      this.drawTokens(tokens, before);
      before = tokens;
      await pause(SLOW);
    }
  }

  remember({ frame, tokens, steps, attended }) {
    this.frame = frame;
    this.tokens = tokens;
    this.drawTokens(tokens, steps.at(-2));
    const { imageSize, reach } = this.options.world,
      picture = new OffscreenCanvas(imageSize[1], imageSize[0]);
    picture.getContext("2d").drawImage(this.screens[0], 0, 0);
    this.seen = [picture, ...this.seen].slice(0, 1 + Math.max(...Object.values(reach)));
    this.showRemembered([...attended, 0]);
    this.find(".count").textContent = `Frame ${this.count}.`;
  }

  /** The strip of the frames of these ages, the oldest first, and what is said of them. */
  showRemembered(ages) {
    const memory = this.find(".memory"),
      context = memory.getContext("2d"),
      width = this.options.world.imageSize[1] + 2,
      past = ages.length - 1;
    context.clearRect(0, 0, memory.width, memory.height);
    context.fillStyle = "#d97706";
    for (const [index, age] of ages.entries()) {
      const x = memory.width + 2 - (ages.length - index) * width;
      context.drawImage(this.seen[age], x, 0);
      // those between this one and the one before it are left out
      if (index && ages[index - 1] - age > 1) context.fillRect(x - 3, 0, 4, memory.height);
    }
    const most = this.options.world.context - 1;
    this.find(".remembers").textContent =
      `What the model has before its eyes: up to ${most} frames and the one it draws.` +
      (ages[0] > past
        ? ` A bar stands where frames are left out; the oldest was ${ages[0]} frames ago.`
        : "");
  }

  drawTokens(tokens, before) {
    const {
        grid: [, columns],
        numCodes,
      } = this.options.world,
      canvas = this.find(".tokens"),
      context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    tokens.forEach((token, place) => {
      const x = (place % columns) * 24,
        y = Math.floor(place / columns) * 24;
      context.fillStyle =
        token === numCodes
          ? "#8886"
          : `hsl(${(token * 222.48) % 360} 65% ${35 + 15 * (token % 3)}%)`;
      context.fillRect(x + 1, y + 1, 22, 22);
      if (before && before[place] === numCodes && token !== numCodes) {
        for (const [color, inset] of [
          ["#000", 1.5],
          ["#fff", 3.5],
        ]) {
          context.strokeStyle = color;
          context.lineWidth = 2;
          context.strokeRect(x + inset, y + inset, 24 - 2 * inset, 24 - 2 * inset);
        }
      }
    });
  }

  /** The true game's frame beside the dream, and how far they are apart. */
  showReal(frame) {
    const {
        trace,
        world: {
          imageSize: [height, width],
        },
      } = this.options,
      canvas = this.find(".real canvas");
    this.replaying++;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const column = this.replaying % trace.columns,
      row = Math.floor(this.replaying / trace.columns);
    context.drawImage(
      this.recording,
      column * width,
      row * height,
      width,
      height,
      0,
      0,
      width,
      height,
    );
    const { data } = context.getImageData(0, 0, width, height);
    const error =
      frame.reduce(
        (sum, value, i) => sum + (value - data[Math.floor(i / 3) * 4 + (i % 3)] / 255) ** 2,
        0,
      ) / frame.length;
    this.find(".gap").textContent =
      `PSNR ${(-10 * Math.log10(Math.max(error, 1e-6))).toFixed(1)} dB.`;
  }

  async replay() {
    this.recording = await loadImage(this.options.trace.image);
    const [height, width] = this.options.world.imageSize;
    const first = Object.assign(document.createElement("canvas"), { width, height });
    first.getContext("2d").drawImage(this.recording, 0, 0);
    this.started = false; // nothing moves until the recording's first picture stands there
    await this.begin(pixelsOf(first, [height, width]));
    if (!this.started) return;
    await this.idle();
    this.count = 0;
    this.replaying = 0;
    this.find(".real").hidden = false;
    this.find(".real canvas").getContext("2d").drawImage(this.recording, 0, 0);
    this.run();
  }

  showPaused() {
    this.find(".pause").textContent = this.paused ? "Go on" : "Pause";
    this.find(".pause").disabled = !this.started;
  }

  setPaused(paused) {
    this.paused = paused;
    this.showPaused();
    if (!paused) this.run();
  }

  // ---- keys, buttons, pictures ----

  /**
   * The action of the arrow keys that are down: "jump left" for Up and Left, "dash left" for Shift
   * and Left.
   */
  arrowAction() {
    const down = this.arrows,
      names = this.options.world.actionNames;
    const side = down.has("ArrowLeft") ? "left" : down.has("ArrowRight") ? "right" : "";
    const manner = down.has("ArrowUp") ? "jump" : down.has("Shift") ? "dash" : "";
    const wishes = [
      `${manner} ${side}`.trim(),
      side,
      manner,
      down.has("ArrowDown") ? "nothing" : "",
    ];
    const action = names.indexOf(wishes.find(wish => wish && names.includes(wish)));
    return action < 0 ? null : action;
  }

  /** Call the actions so from now on; an arrow key plays the action that has its name. */
  showNames(names) {
    this.options.world.actionNames = names;
    for (const [action, button] of this.buttons.entries())
      button.lastChild.textContent = names[action] || `action ${action}`;
    this.showKeys();
  }

  showKeys() {
    const named = this.options.world.actionNames.includes("left");
    this.find(".keys").innerHTML =
      `Keys: <kbd>1</kbd> to <kbd>${Math.min(9, this.buttons.length)}</kbd>` +
      (named
        ? `, <kbd>←</kbd> <kbd>→</kbd> <kbd>↑</kbd>, <kbd>Shift</kbd>with an arrow to dash`
        : "") +
      ". Hold one to go on. <kbd>Esc</kbd>leaves the world.";
  }

  /** A key or button goes down: a tap shorter than a frame counts too. */
  press(what, action) {
    this.held.set(what, action);
    this.tapped = action;
    this.run();
  }

  releaseAll() {
    this.held.clear();
    this.arrows = new Set();
  }

  addAction(action) {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.innerHTML = `<kbd>${action + 1}</kbd> <span></span>`;
    button.addEventListener("pointerdown", event => {
      button.setPointerCapture(event.pointerId);
      this.press("pointer", action);
    });
    for (const end of ["pointerup", "pointercancel"])
      button.addEventListener(end, () => this.held.delete("pointer"));
    button.addEventListener("click", event => {
      // by Enter, Space or a screen reader; a pointer has played already
      if (event.detail === 0) {
        this.tapped = action;
        this.run();
      }
    });
    const place = document.createElement("div");
    place.append(button);
    this.find(".actions").append(place);
    return button;
  }

  addPrompt({ name, image }, index) {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.append(Object.assign(new Image(), { src: image, alt: name }));
    button.addEventListener("click", async () => this.begin(await this.promptPixels(index)));
    this.find(".prompts").append(button);
  }

  async usePicture(file) {
    try {
      const address = URL.createObjectURL(file);
      const image = await loadImage(address).finally(() => URL.revokeObjectURL(address));
      await this.begin(pixelsOf(image, this.options.world.imageSize));
    } catch {
      this.say(`${file.name || "That"} is not a picture that this browser can read.`, true);
    }
  }

  listenToKeys() {
    const stage = this.find(".worlds");
    this.shadowRoot.addEventListener("keydown", event => this.onKey(event));
    this.shadowRoot.addEventListener("keyup", event => {
      this.held.delete(event.code);
      this.arrows.delete(event.key);
    });
    this.addEventListener("focusout", event => {
      if (this.contains(event.relatedTarget)) return;
      this.releaseAll();
      // Keys and time belong to the page again.
      if (this.replaying === null && this.started) this.setPaused(true);
    });
    stage.addEventListener("focus", () => {
      if (this.started && this.replaying === null) this.setPaused(false);
    });
  }

  onKey(event) {
    if (
      event.ctrlKey ||
      event.altKey ||
      event.metaKey ||
      event.target.matches("input, select, .sketch *")
    )
      return;
    if (event.key === "Escape") {
      this.setPaused(true);
      this.shadowRoot.activeElement?.blur();
      return;
    }
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code),
      action = digit ? Number(digit[1]) - 1 : null;
    const arrow = event.key.startsWith("Arrow") || event.key === "Shift";
    if (action === null ? !arrow : action >= this.buttons.length) return;
    if (event.key !== "Shift") event.preventDefault();
    if (!this.started || event.repeat) return;
    if (action !== null) {
      this.press(event.code, action);
      return;
    }
    this.arrows.add(event.key);
    if (event.key !== "Shift") this.tapped = this.arrowAction();
    this.run();
  }

  listenToControls() {
    const stage = this.find(".worlds"),
      on = (part, kind, react) => this.find(part).addEventListener(kind, react);
    on(".cover", "click", () => {
      stage.focus();
      this.begin();
    });
    on(".pause", "click", () => this.setPaused(!this.paused));
    on(".reset", "click", () => this.begin());
    on(".replay", "click", () => this.replay());
    on(".clock", "change", () => this.run());
    on(".lookback", "change", () => this.started && this.begin());
    on(".steps", "input", ({ target }) => {
      this.find(".steps-value").textContent = target.value;
    });
    on(".temperature", "input", ({ target }) => {
      this.find(".temperature-value").textContent = target.valueAsNumber.toFixed(1);
    });
    on(".min-p", "input", ({ target }) => {
      this.find(".min-p-value").textContent = target.valueAsNumber.toFixed(2);
    });
    on(".sketch", "toggle", async () =>
      this.sketch.start(this.frame ?? (await this.promptPixels(0))),
    );
    on(".use", "click", () => {
      stage.focus();
      this.begin(this.sketch.pixels());
    });
    on(".file", "change", ({ target }) => {
      if (target.files.length) this.usePicture(target.files[0]);
      target.value = ""; // so that the same file can be chosen again
    });
  }

  listenToDrops() {
    const stage = this.find(".worlds");
    stage.addEventListener("dragover", event => {
      event.preventDefault();
      stage.classList.add("drop");
    });
    stage.addEventListener("dragleave", () => stage.classList.remove("drop"));
    stage.addEventListener("drop", event => {
      event.preventDefault();
      stage.classList.remove("drop");
      if (event.dataTransfer.files.length) this.usePicture(event.dataTransfer.files[0]);
    });
  }
}

if (!customElements.get("genie-player")) customElements.define("genie-player", GeniePlayer);

/** For anywidget. */
export default {
  render({ model, el }) {
    const player = document.createElement("genie-player");
    player.options = model.get("options");
    player.engine = new KernelEngine(model);
    el.append(player);
    return () => player.remove();
  },
};
