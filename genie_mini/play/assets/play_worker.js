// The world, off the page's main thread: the three exported graphs (genie_mini/export/graphs.py)
// run by onnxruntime-web, and the same sampler as genie_mini/models/maskgit.py around them, down to
// the random numbers, so that a seed gives the frames that PyTorch gives.

let ort, world;
const graphs = {},
  games = new Map();

/** The Mersenne Twister as torch.Generator seeds it; `uniform` is one float of torch.rand. */
class Generator {
  constructor(seed) {
    this.state = new Uint32Array(624);
    this.state[0] = seed;
    for (let i = 1; i < 624; i++) {
      const last = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
      this.state[i] = Math.imul(1812433253, last) + i;
    }
    this.next = 624;
  }

  uniform() {
    if (this.next === 624) this.twist();
    let bits = this.state[this.next++];
    bits ^= bits >>> 11;
    bits ^= (bits << 7) & 0x9d2c5680;
    bits ^= (bits << 15) & 0xefc60000;
    bits ^= bits >>> 18;
    return (bits & 0xffffff) / 0x1000000;
  }

  twist() {
    const state = this.state;
    for (let i = 0; i < 624; i++) {
      const joined = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
      state[i] = state[(i + 397) % 624] ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
    }
    this.next = 0;
  }
}

/** Which frames the next one attends to, by their times; see models/lookback.py. */
const LOOKBACKS = {
  recent: kept => kept.map(({ time }) => time),

  sparse(kept) {
    const now = kept.at(-1).time + 1;
    const stride = age => 2 ** (31 - Math.clz32(Math.floor((age - 1) / RUN + 1)));
    return kept.map(({ time }) => time).filter(time => time % stride(now - time) === 0);
  },

  retrieval(kept, places) {
    const times = kept.map(({ time }) => time),
      length = Math.min(Math.floor((places + 1) / 2), places - 1),
      numOld = Math.max(0, kept.length - (places - length));
    if (numOld <= length) return times;
    const now = kept.at(-1).tokens;
    const alike = kept.map(({ tokens }) => tokens.reduce((n, code, i) => n + (code === now[i]), 0));
    const before = place => alike[place - 1] ?? 0;
    const relevance = place => Math.max(before(place), alike[place + 1]) - alike[place];
    let best = 0;
    for (let place = 1; place < numOld; place++)
      if (relevance(place) >= relevance(best)) best = place; // among equals the more recent
    const ledAway = alike[best + 1] >= before(best); // so what lies behind is older
    const wished = ledAway ? best - length + 1 : best;
    const start = Math.min(Math.max(0, wished), numOld - length);
    return [...times.slice(start, start + length), ...times.slice(numOld)];
  },
};
const RUN = 4; // attended frames after which the sparse window doubles its stride

/**
 * The past of one world: places for keys and values of those frames that the next one attends to,
 * for each block (N, heads, places, head width), and the frames to choose them from.
 */
class Past {
  constructor([numBlocks, ...shape], lookback) {
    this.shape = shape;
    this.tensors = {};
    for (let block = 0; block < numBlocks; block++)
      for (const kind of ["keys", "values"])
        this.tensors[`${kind}_${block}`] = new Float32Array(shape.reduce((a, b) => a * b));
    this.times = new Array(shape[2]).fill(null); // of the frames in the places
    this.kept = [];
    this.choose = LOOKBACKS[lookback];
    this.reach = world.reach[lookback];
    this.position = 0;
  }

  /** How long ago the frames in the places were, the oldest first. */
  ages() {
    const times = this.times.filter(time => time !== null);
    return times.map(time => this.position - time).sort((a, b) => b - a);
  }

  feed() {
    const past = Object.entries(this.tensors).map(([name, values]) => [
      name,
      new ort.Tensor("float32", values, this.shape),
    ]);
    const mask = Uint8Array.from(this.times, time => time !== null);
    return {
      ...Object.fromEntries(past),
      attention_mask: new ort.Tensor("bool", mask, [mask.length]),
      position: new ort.Tensor("float32", [this.position], [1]),
    };
  }

  add(tokens, results) {
    const presents = {};
    for (const name of Object.keys(this.tensors)) presents[name] = results[`new_${name}`].data;
    this.kept.push({ time: this.position++, tokens: Array.from(tokens), presents });
    if (this.kept.length > this.reach) this.kept.shift();
    const chosen = new Set(this.choose(this.kept, this.times.length));
    this.times = this.times.map(time => (chosen.has(time) ? time : null));
    for (const { time, presents } of this.kept)
      if (chosen.has(time) && !this.times.includes(time)) this.put(time, presents);
  }

  /** Put a frame in a place that is free. */
  put(time, presents) {
    const [, , places, width] = this.shape,
      place = this.times.indexOf(null);
    this.times[place] = time;
    for (const [name, present] of Object.entries(presents)) {
      const values = this.tensors[name];
      for (let row = 0; row < present.length / width; row++)
        values.set(
          present.subarray(row * width, (row + 1) * width),
          (row * places + place) * width,
        );
    }
  }
}

const integers = values => new ort.Tensor("int32", Int32Array.from(values), [values.length]);

/**
 * Sample one token from logits: its number, and the logarithm of the model's belief in it. See
 * `sample_tokens` and `cut_tail` in models/maskgit.py.
 */
function sampleToken(logits, temperature, minP, generator) {
  let best = 0;
  for (let code = 1; code < logits.length; code++) if (logits[code] > logits[best]) best = code;
  const most = logits[best];
  let total = 0,
    sum = 0,
    token = best;
  const ends = new Float64Array(logits.length);
  for (let code = 0; code < logits.length; code++)
    ends[code] = total += Math.exp(logits[code] - most);
  if (temperature > 0) {
    if (temperature === 1 && minP === 0) sum = total;
    else {
      const least = Math.log(minP);
      for (let code = 0; code < logits.length; code++) {
        const relative = logits[code] - most;
        ends[code] = sum += relative < least ? 0 : Math.exp(relative / temperature);
      }
    }
    const point = generator.uniform() * sum;
    token = ends.findIndex(end => end > point);
    if (token < 0) token = logits.length - 1;
  }
  return [token, logits[token] - most - Math.log(total)];
}

/** See `num_masked` in models/maskgit.py. */
function numMasked(numTokens, step, maskgitSteps) {
  const left = maskgitSteps - step - 1;
  return Math.max(Math.floor((numTokens * left ** 2) / maskgitSteps ** 2), left);
}

/** A sign of life, for `PageEngine` in player_engines.js. */
const live = () => self.postMessage({ alive: true });

/** One pass of the dynamics model over a frame; the past stays as it is. */
const pass = (game, tokens, action) => {
  live();
  return graphs.step.run({
    tokens: integers(tokens),
    action: integers([action]),
    ...game.past.feed(),
  });
};

/** See `Detail.put_back` in models/detail.py; changes the frame. */
function putBack({ picture, drawn }, frame) {
  for (let pixel = 0; pixel < frame.length; pixel += 3) {
    let error = 0,
      change = 0;
    for (let i = pixel; i < pixel + 3; i++) {
      error += (picture[i] - drawn[i]) ** 2 / 3;
      change += (frame[i] - drawn[i]) ** 2 / 3;
    }
    const share = error / (error + change + 1e-8);
    for (let i = pixel; i < pixel + 3; i++)
      frame[i] = Math.min(1, Math.max(0, frame[i] + share * (picture[i] - drawn[i])));
  }
  return frame;
}

/** Keep a finished frame in both pasts, and draw it: (height, width, 3) floats in [0, 1]. */
async function finish(game, tokens, action) {
  game.past.add(tokens, await pass(game, tokens, action));
  const drawn = await graphs.decoder.run({ tokens: integers(tokens), ...game.drawnPast.feed() });
  game.drawnPast.add(tokens, drawn);
  return drawn.frame.data;
}

const requests = {
  async load({ runtime, wasm, models, world: description }) {
    const address = URL.createObjectURL(new Blob([runtime], { type: "text/javascript" }));
    ort = await import(address);
    URL.revokeObjectURL(address);
    ort.env.wasm.wasmBinary = wasm;
    // Threads need headers that a file or a plain web server does not send.
    ort.env.wasm.numThreads = 1;
    world = description;
    for (const name of ["step", "decoder", "encoder"]) {
      live();
      graphs[name] = await ort.InferenceSession.create(models[name]);
    }
  },

  /** Start a game from a picture, (height * width * 3) floats in [0, 1]. */
  async begin({ game: name, picture, seed, lookback }) {
    const [height, width] = world.imageSize;
    const { tokens } = await graphs.encoder.run({
      picture: new ort.Tensor("float32", picture, [height, width, 3]),
    });
    const game = {
      past: new Past(world.past.step, lookback),
      drawnPast: new Past(world.past.decoder, "recent"),
      generator: new Generator(seed),
    };
    games.set(name, game);
    const drawn = await finish(game, tokens.data, -1);
    // where no detail is kept, nothing is taken to be lost
    game.detail = { picture: world.keepsDetail ? picture : drawn, drawn };
    return { frame: game.detail.picture.slice(), tokens: tokens.data, steps: [], attended: [] };
  },

  /**
   * Play one latent action: MaskGIT in `maskgitSteps` steps, whose tokens are sent along (a mask is
   * `numCodes`).
   */
  async step({ game: name, action, maskgitSteps, temperature, minP }) {
    const began = performance.now(),
      game = games.get(name),
      mask = world.numCodes,
      attended = game.past.ages(),
      steps = [];
    const numTokens = world.grid[0] * world.grid[1];
    const tokens = new Int32Array(numTokens).fill(mask);
    for (let step = 0; step < maskgitSteps; step++) {
      const logits = (await pass(game, tokens, action)).logits.data;
      const sampled = Array.from(tokens, (token, place) => {
        if (token !== mask) {
          if (temperature > 0) game.generator.uniform(); // PyTorch draws for every place
          return null;
        }
        const ofPlace = logits.subarray(place * mask, (place + 1) * mask);
        return sampleToken(ofPlace, temperature, minP, game.generator);
      });
      const masked = [...tokens.keys()].filter(place => tokens[place] === mask);
      masked.sort((a, b) => sampled[b][1] - sampled[a][1]); // the surest first
      const numUnmasked = masked.length - numMasked(numTokens, step, maskgitSteps);
      for (const place of masked.slice(0, numUnmasked)) tokens[place] = sampled[place][0];
      steps.push(tokens.slice());
    }
    return {
      frame: putBack(game.detail, await finish(game, tokens, action)),
      tokens,
      steps,
      attended,
      milliseconds: performance.now() - began,
    };
  },
};

// One after another: a graph cannot run twice at once.
let last = Promise.resolve();
self.onmessage = ({ data }) => {
  live();
  last = last.then(async () => {
    try {
      self.postMessage({ id: data.id, ...(await requests[data.type](data)) });
    } catch (error) {
      self.postMessage({ id: data.id, error: String(error?.message ?? error) });
    }
  });
};
