// Where a <genie-player> gets its frames from: a worker of the page's own, the server of
// `genie-mini play`, or a notebook's kernel. All begin a game from a picture, (height * width * 3)
// floats in [0, 1], and a look-back, and answer {frame, tokens, steps, attended}: the frame in the
// same form, its tokens, the tokens after each MaskGIT step, and the ages of the frames that it was
// drawn after, the oldest first. `load` may be called again after `stop`, or after an error that is
// `lost`: the engine has to be loaded anew. One that comes while nothing is asked is told to
// `onlost`. `slow` is what to say of a late answer.

const LOADING = 60, // seconds of silence after which a worker counts as gone: while it loads,
  PLAYING = 6; // and later, when it gives a sign of life with every pass through the model

/** Why nothing came of what an engine was asked before `stop`. */
export const AWAY = new Error("the world was put away");

/**
 * Unpack a file that a script holds (see genie_mini/export/page.py), one of the page's own or else
 * one from the folder, null if there is none: works from file:// too.
 */
async function unpack(folder, name) {
  window.genieFiles ??= {};
  const store = window.genieFiles;
  if (!(name in store) && folder === null) throw new Error(`this page has lost its file ${name}`);
  if (!(name in store)) {
    const script = Object.assign(document.createElement("script"), { src: `${folder}/${name}.js` });
    await new Promise((done, failed) => {
      script.onload = done;
      script.onerror = () =>
        failed(new Error(`${name} could not be loaded; is the book's folder complete?`));
      document.head.append(script);
    });
  }
  try {
    const text = atob(store[name]);
    const bytes = new Uint8Array(text.length);
    // thirty times as fast as Uint8Array.from, for megabytes
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return await new Response(
      new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")),
    ).arrayBuffer();
  } catch {
    delete store[name];
    throw new Error(`the file ${name} is damaged; make the page anew`);
  }
}

/**
 * Plays the exported world of a page in a worker. Nothing is loaded before `load`.
 *
 * No browser tells a page that its worker is gone, as when memory ran out. So the worker gives signs
 * of life, and one that is silent while it is asked something is taken for gone.
 */
export class PageEngine {
  constructor(folder, world) {
    Object.assign(this, { folder, world, waiting: new Map(), count: 0, attempts: 0 });
  }

  load() {
    this.loading ??= this.open(++this.attempts);
    return this.loading;
  }

  async open(attempt) {
    try {
      await this.start(attempt);
      this.ready = true;
    } catch (error) {
      if (attempt === this.attempts) this.drop(error);
      throw error;
    }
  }

  async start(attempt) {
    if (
      typeof WebAssembly !== "object" ||
      typeof Worker !== "function" ||
      typeof DecompressionStream !== "function"
    )
      throw new Error(
        "this browser has no WebAssembly, or it is switched off; the world cannot run here",
      );
    const names = ["worker", "runtime", "wasm", "step", "decoder", "encoder"];
    const files = await Promise.all(names.map(name => unpack(this.folder, name)));
    if (attempt !== this.attempts) throw AWAY;
    const [code, runtime, wasm, step, decoder, encoder] = files;
    const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    // A classic one: opened from disk, a page may start no module.
    this.worker = new Worker(address);
    this.worker.onerror = event => this.lose(event.message || "it could not start");
    this.worker.onmessageerror = () => this.lose("it cannot be understood");
    this.worker.onmessage = ({ data }) => this.hear(data);
    await this.ask(
      "load",
      { runtime, wasm, models: { step, decoder, encoder }, world: this.world },
      [wasm, step, decoder, encoder],
    );
    URL.revokeObjectURL(address);
  }

  hear(data) {
    this.silence = 0;
    if (data.alive) return;
    if (data.error) {
      this.lose(data.error); // what its runtime's memory holds now, nobody knows
      return;
    }
    const [done] = this.waiting.get(data.id) ?? [];
    this.waiting.delete(data.id);
    if (!this.waiting.size) clearInterval(this.clock);
    done?.(data);
  }

  lose(reason) {
    const error = new Error(`the world's worker has stopped (${reason})`);
    error.lost = Boolean(this.ready);
    const idle = !this.waiting.size;
    this.drop(error);
    if (idle) this.onlost?.(error);
  }

  /** End the worker, and whatever waits for it. */
  drop(error) {
    clearInterval(this.clock);
    this.worker?.terminate();
    Object.assign(this, { worker: null, loading: null, ready: false });
    for (const [, failed] of this.waiting.values()) failed(error);
    this.waiting.clear();
  }

  /** Count seconds of silence. (A clock counts none while the machine or the page sleeps.) */
  listen(limit) {
    this.silence = 0;
    clearInterval(this.clock);
    this.clock = setInterval(() => {
      if (++this.silence >= limit) this.lose(`silent for ${limit} seconds`);
    }, 1000);
  }

  ask(type, content, transfer = []) {
    return new Promise((done, failed) => {
      if (!this.worker) {
        failed(AWAY);
        return;
      }
      this.waiting.set(++this.count, [done, failed]);
      this.listen(type === "load" ? LOADING : PLAYING);
      this.worker.postMessage({ id: this.count, type, ...content }, transfer);
    });
  }

  begin(game, picture, seed, lookback) {
    return this.ask("begin", { game, picture, seed, lookback });
  }
  step(game, action, maskgitSteps, temperature, minP) {
    return this.ask("step", { game, action, maskgitSteps, temperature, minP });
  }
  stop() {
    this.attempts++;
    this.drop(AWAY);
  }
}

/** Asks the server that the page came from; see genie_mini/play/server.py, which says how. */
export class ServerEngine {
  slow = "genie-mini has not answered yet; another page may keep it busy";

  constructor(address, addressOfNames) {
    Object.assign(this, { address, addressOfNames });
  }

  async load() {}

  async ask(message, picture = new Float32Array(0), address = this.address) {
    const body = new Blob([JSON.stringify(message), "\n", picture]);
    const answer = await fetch(address, { method: "POST", body }).catch(() => {
      throw new Error("no answer: genie-mini seems to have stopped in the terminal");
    });
    if (!answer.ok) {
      const { error } = await answer.json().catch(() => ({ error: "that is not genie-mini" }));
      throw new Error(error);
    }
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const end = bytes.indexOf(10); // of the line of JSON
    const frame = new Float32Array(bytes.slice(end + 1).buffer);
    return { ...JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))), frame };
  }

  begin(game, picture, seed, lookback) {
    return this.ask({ type: "begin", game, seed, lookback }, picture);
  }
  step(game, action, maskgitSteps, temperature, minP) {
    return this.ask({ type: "step", game, action, maskgitSteps, temperature, minP });
  }
  /** Call an action so, and keep the name; answers {names}, those of all actions. */
  name(action, name) {
    return this.ask({ action, name }, undefined, this.addressOfNames);
  }
  stop() {} // the server forgets games that are no longer played
}

/** Plays the Genie of a notebook's kernel; see `Player` in genie_mini/play/widget.py. */
export class KernelEngine {
  slow = "the notebook's kernel has not answered yet: it is busy, or gone; then run the cell again";

  constructor(model) {
    Object.assign(this, { model, waiting: new Map(), count: 0 });
    this.listen = (message, buffers) => {
      const [done, failed] = this.waiting.get(message.id) ?? [];
      this.waiting.delete(message.id);
      if (message.error) failed?.(new Error(message.error));
      else
        done?.({
          ...message,
          frame: new Float32Array(
            buffers[0].buffer.slice(
              buffers[0].byteOffset,
              buffers[0].byteOffset + buffers[0].byteLength,
            ),
          ),
        });
    };
  }

  async load() {
    this.model.off("msg:custom", this.listen);
    this.model.on("msg:custom", this.listen);
  }

  ask(content, buffers) {
    return new Promise((done, failed) => {
      this.waiting.set(++this.count, [done, failed]);
      this.model.send({ id: this.count, ...content }, undefined, buffers);
    });
  }

  begin(game, picture, seed, lookback) {
    return this.ask({ type: "begin", game, seed, lookback }, [picture.buffer]);
  }
  step(game, action, maskgitSteps, temperature, minP) {
    return this.ask({ type: "step", game, action, maskgitSteps, temperature, minP }, []);
  }
  stop() {
    this.model.off("msg:custom", this.listen);
    for (const [, failed] of this.waiting.values()) failed(AWAY);
    this.waiting.clear();
  }
}
