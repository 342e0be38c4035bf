// Where a <genie-player> gets its frames from: a worker of the page's own, the server of
// `genie-mini play`, or a notebook's kernel. All begin a game from a picture, (height * width * 3)
// floats in [0, 1], and answer {frame, tokens, steps}: the frame in the same form, its tokens, and
// the tokens after each MaskGIT step.

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

/** Plays the exported world of a page in a worker. Nothing is loaded before `load`. */
export class PageEngine {
  constructor(folder, world) {
    Object.assign(this, { folder, world, waiting: new Map(), count: 0 });
  }

  async load() {
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
    const [worker, runtime, wasm, step, decoder, encoder] = files;
    const address = URL.createObjectURL(new Blob([worker], { type: "text/javascript" }));
    // A classic one: opened from disk, a page may start no module.
    this.worker = new Worker(address);
    this.worker.onerror = event =>
      this.fail(new Error(event.message || "the worker could not start"));
    this.worker.onmessage = ({ data }) => {
      const [done, failed] = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      data.error ? failed(new Error(`the world stopped (${data.error})`)) : done(data);
    };
    await this.ask(
      "load",
      { runtime, wasm, models: { step, decoder, encoder }, world: this.world },
      [wasm, step, decoder, encoder],
    );
  }

  fail(error) {
    for (const [, failed] of this.waiting.values()) failed(error);
    this.waiting.clear();
  }

  ask(type, content, transfer = []) {
    return new Promise((done, failed) => {
      this.waiting.set(++this.count, [done, failed]);
      this.worker.postMessage({ id: this.count, type, ...content }, transfer);
    });
  }

  begin(game, picture, seed) {
    return this.ask("begin", { game, picture, seed });
  }
  step(game, action, maskgitSteps, temperature) {
    return this.ask("step", { game, action, maskgitSteps, temperature });
  }
  stop() {
    this.worker?.terminate();
  }
}

/** Asks the server that the page came from; see genie_mini/play/server.py, which says how. */
export class ServerEngine {
  constructor(address) {
    this.address = address;
  }

  async load() {}

  async ask(message, picture = new Float32Array(0)) {
    const body = new Blob([JSON.stringify(message), "\n", picture]);
    const answer = await fetch(this.address, { method: "POST", body }).catch(() => {
      throw new Error("no answer: genie-mini seems to have stopped in the terminal");
    });
    if (!answer.ok) throw new Error((await answer.json()).error);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const end = bytes.indexOf(10); // of the line of JSON
    const frame = new Float32Array(bytes.slice(end + 1).buffer);
    return { ...JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))), frame };
  }

  begin(game, picture, seed) {
    return this.ask({ type: "begin", game, seed }, picture);
  }
  step(game, action, maskgitSteps, temperature) {
    return this.ask({ type: "step", game, action, maskgitSteps, temperature });
  }
  stop() {} // the server forgets games that are no longer played
}

/** Plays the Genie of a notebook's kernel; see `Player` in genie_mini/play/widget.py. */
export class KernelEngine {
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
    model.on("msg:custom", this.listen);
  }

  async load() {}

  ask(content, buffers) {
    return new Promise((done, failed) => {
      this.waiting.set(++this.count, [done, failed]);
      this.model.send({ id: this.count, ...content }, undefined, buffers);
    });
  }

  begin(game, picture, seed) {
    return this.ask({ type: "begin", game, seed }, [picture.buffer]);
  }
  step(game, action, maskgitSteps, temperature) {
    return this.ask({ type: "step", game, action, maskgitSteps, temperature }, []);
  }
  stop() {
    this.model.off("msg:custom", this.listen);
  }
}
