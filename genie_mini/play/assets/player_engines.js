// Where a <genie-player> gets its frames from: a worker of the page's own, or a notebook's kernel.

/** Load a script of the site's that holds a file (see book/_ext/genie_player.py), and unpack it: works from file:// too. */
async function unpack(folder, name) {
  const store = (window.genieFiles ??= {});
  if (!(name in store)) {
    const script = Object.assign(document.createElement("script"), { src: `${folder}/${name}.js` });
    await new Promise((done, failed) => {
      script.onload = done;
      script.onerror = () => failed(new Error(`${name} could not be loaded; is the book's folder complete?`));
      document.head.append(script);
    });
  }
  try {
    const bytes = Uint8Array.from(atob(store[name]), letter => letter.charCodeAt(0));
    return await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  } catch {
    delete store[name];
    throw new Error(`the file ${name} is damaged; build the book anew`);
  }
}

/** Plays the exported world of a page in a worker. Nothing is loaded before `load`. */
class PageEngine {
  constructor(folder, world) { Object.assign(this, { folder, world, waiting: new Map(), count: 0 }); }

  async load() {
    if (typeof WebAssembly !== "object" || typeof Worker !== "function" || typeof DecompressionStream !== "function")
      throw new Error("this browser has no WebAssembly, or it is switched off; the world cannot run here");
    const names = ["worker", "runtime", "wasm", "step", "decoder", "encoder"];
    const files = await Promise.all(names.map(name => unpack(this.folder, name)));
    const [worker, runtime, wasm, step, decoder, encoder] = files;
    const address = URL.createObjectURL(new Blob([worker], { type: "text/javascript" }));
    this.worker = new Worker(address); // a classic one: opened from disk, a page may start no module
    this.worker.onerror = event => this.fail(new Error(event.message || "the worker could not start"));
    this.worker.onmessage = ({ data }) => {
      const [done, failed] = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      data.error ? failed(new Error(`the world stopped (${data.error})`)) : done(data);
    };
    await this.ask("load", { runtime, wasm, models: { step, decoder, encoder }, world: this.world }, [wasm, step, decoder, encoder]);
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

  begin(game, picture, seed) { return this.ask("begin", { game, picture, seed }); }
  step(game, action, numSteps, temperature) { return this.ask("step", { game, action, numSteps, temperature }); }
  stop() { this.worker?.terminate(); }
}

/** Plays the Genie of a notebook's kernel; see `Player` in genie_mini/widgets.py. */
class KernelEngine {
  constructor(model) {
    Object.assign(this, { model, waiting: new Map(), count: 0 });
    this.listen = (message, buffers) => {
      const [done, failed] = this.waiting.get(message.id) ?? [];
      this.waiting.delete(message.id);
      if (message.error) failed?.(new Error(message.error));
      else done?.({ ...message, frame: new Float32Array(buffers[0].buffer.slice(buffers[0].byteOffset, buffers[0].byteOffset + buffers[0].byteLength)) });
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

  begin(game, picture, seed) { return this.ask({ type: "begin", game, seed }, [picture.buffer]); }
  step(game, action, numSteps, temperature) { return this.ask({ type: "step", game, action, numSteps, temperature }, []); }
  stop() { this.model.off("msg:custom", this.listen); }
}
