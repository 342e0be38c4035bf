// What a <genie-player> is made of: its style, its parts, and which of them a form goes without.

export const STYLE = `
:host { display: block; margin: 1rem 0; font: inherit; line-height: 1.4;
  container-type: inline-size; }
[hidden] { display: none !important; }
canvas, .prompts img { image-rendering: pixelated; display: block; background: #8884;
  border-radius: .25rem; }
.table { display: flex; flex-wrap: wrap; gap: .75rem 1.25rem; align-items: flex-start; }
.worlds { display: flex; flex-wrap: wrap; gap: .5rem; outline-offset: 4px; position: relative; }
.worlds:focus-visible { outline: 3px solid var(--genie-dynamics-line, #009f69); }
.worlds.drop { outline: 3px dashed var(--genie-action-line, #d97706); }
.worlds canvas { width: min(20rem, 90cqw); height: auto; }
.real canvas { width: min(12rem, 43cqw); }
.worlds.many canvas { width: clamp(8.5rem, calc(25cqw - 1rem), 12rem); }
.tokens { width: min(12rem, 60cqw); height: auto; }
.memory { width: 100%; height: auto; margin-top: .25rem; }
figure { margin: 0; } figcaption, p, .note { margin: .2rem 0; font-size: .85em; }
.cover { position: absolute; inset: 0; display: grid; place-items: center; background: #0006;
  border: 0; border-radius: .25rem; cursor: pointer; }
.cover span { background: var(--genie-dynamics-line, #009f69); color: #000; padding: .6rem 1.1rem;
  border-radius: .4rem; font-weight: 700; }
button, input[type=file]::file-selector-button { font: inherit; color: inherit; background: #8882;
  border: 1px solid #8889; border-radius: .35rem; padding: .3rem .6rem; min-height: 2rem;
  cursor: pointer; }
select { font: inherit; color: inherit; background: Canvas; border: 1px solid #8889;
  border-radius: .35rem; padding: .2rem .4rem; min-height: 2rem; min-width: 0; max-width: 100%; }
.looks label { flex-wrap: wrap; min-width: 0; max-width: 100%; }
button:hover { background: #8884; } button:disabled { opacity: .5; cursor: default; }
.actions { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.6rem, 1fr));
  gap: .35rem; max-width: 46rem; margin: .6rem 0; padding: 0; border: 0; }
.actions.naming { grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); }
.actions div { display: grid; gap: .2rem; grid-template: 1fr auto / minmax(0, 1fr); }
.actions button { text-align: left; border-color: var(--genie-action-line, #d97706);
  touch-action: none; overflow-wrap: anywhere; }
.actions span { unicode-bidi: isolate; }
.name { margin: .2rem 0 .4rem; }
input[type=text] { font: inherit; color: inherit; background: #8881; border: 1px solid;
  border-radius: .35rem; padding: .3rem .5rem; min-height: 2rem; min-width: 0;
  box-sizing: border-box; }
input[aria-invalid] { outline: 2px dashed; outline-offset: 1px; }
.actions button.held { background: var(--genie-action-fill, #fdebd3);
  color: var(--genie-action-text, #6b3603); }
kbd { font: inherit; font-weight: 700; border: 1px solid currentColor; border-radius: .25rem;
  padding: 0 .3rem; margin-right: .3rem; }
/* Between a key and its action stands a space, which is read out too. */
.actions kbd { margin-right: 0; }
.row { display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: center; margin: .4rem 0; }
.row label { display: inline-flex; gap: .4rem; align-items: center; }
output { font-variant-numeric: tabular-nums; min-width: 2ch; }
.prompts { display: flex; flex-wrap: wrap; gap: .4rem; }
.prompts button { padding: .2rem; } .prompts img { width: 3.5rem; }
.status.wrong { font-weight: 700; } .status.wrong::before { content: "Problem: "; }
.sketch canvas { width: 16rem; touch-action: none; cursor: crosshair; }
.swatch { width: 2rem; padding: 0; }
.swatch[aria-pressed=true] { outline: 3px solid currentColor; outline-offset: 1px; }
`;

export const BODY = `
<div class="table">
  <div><div class="worlds" tabindex="0" role="application"
    aria-label="The world. Arrow keys and digits play, Escape leaves.">
    <button class="cover" type="button"><span>Play</span></button></div>
    <p class="note"><span class="count"></span> <span class="speed"></span></p></div>
  <figure class="real" hidden><canvas role="img"
    aria-label="The same real actions in the true game"></canvas>
    <figcaption>The true game, same actions. <span class="gap"></span></figcaption></figure>
  <figure><canvas class="tokens" role="img"
    aria-label="The frame's tokens, one colour a code; grey ones are still masked"></canvas>
    <figcaption>Its tokens. Grey: still masked. Outlined: newest.</figcaption></figure>
</div>
<fieldset class="actions"><legend>Latent actions</legend></fieldset>
<p class="note keys"></p>
<p class="note how-to-name" id="how-to-name" hidden>Try a button, and say below it what it does. Enter
  saves a name, an empty one takes yours away, and Escape brings the last one back. Names are kept
  beside the weights.</p>
<button type="button" class="name" hidden>Name the buttons</button>
<figure class="past"><canvas class="memory" role="img"
  aria-label="The frames that the model remembers, the newest on the right"></canvas>
  <figcaption class="remembers"></figcaption></figure>
<div class="row">
  <button type="button" class="pause">Pause</button>
  <button type="button" class="reset">Start again</button>
  <button type="button" class="replay" hidden>Replay a recorded game beside the true one</button>
</div>
<div class="row">
  <label>MaskGIT steps <input type="range" class="steps" min="1" max="25"><output
    class="steps-value"></output></label>
  <label>Temperature <input type="range" class="temperature" min="0" max="3" step="0.1" value="1">
    <output class="temperature-value">1.0</output></label>
  <label>Cut the tail (min-p) <input type="range" class="min-p" min="0" max="1" step="0.01">
    <output class="min-p-value"></output></label>
</div>
<div class="row looks">
  <label>Looks back at <select class="lookback"></select></label>
</div>
<div class="row">
  <label><input type="checkbox" class="slow"> Slow motion</label>
  <label class="clock-label"><input type="checkbox" class="clock"> Time goes on by itself</label>
  <label class="fast-label"><input type="checkbox" class="fast"> As fast as it can</label>
</div>
<div class="start"><p class="note">Start from</p><div class="row prompts"></div>
  <div class="row"><label>a picture of yours <input type="file" class="file" accept="image/*">
    </label></div>
  <details class="sketch"><summary>or draw one</summary>
    <p class="note">Paint with the pointer, or move with the arrow keys and paint with Space.</p>
    <canvas tabindex="0" role="application" aria-label="Sketch. Arrow keys move, Space paints.">
      </canvas>
    <div class="row swatches"></div>
    <div class="row"><label>Brush <input type="range" class="brush" min="1" max="16" value="8">
      </label>
      <button type="button" class="use">Play the sketch</button></div></details></div>
<p class="status note" role="status" aria-live="polite"></p>
`;

/** What a player calls the ways of looking back (genie_mini/models/lookback.py). */
export const LOOKBACKS = {
  recent: "the last frames",
  sparse: "frames ever further apart",
  retrieval: "the last frames, and a stretch of old ones that fits",
};

/** Parts that a form does not show. */
export const ABSENT = {
  play: ".real",
  maskgit: ".past, .looks, .start, .clock-label, .fast-label",
  actions: ".past, .looks, .start, .clock-label, .fast-label, figure:has(.tokens)",
  memory: ".real, .start, .clock-label, .fast-label, figure:has(.tokens)",
};
