// The page of the models, and what both pages share.
//
// Everything that the server says goes in by textContent or as an attribute that is no code.

const EVERY = 2000; // milliseconds between two looks at the models
const WRITTEN = 1024; // numbers that are shown as text; more are sent as a file
const MADE = 4_000_000; // numbers that are made here at most
const SHOWN = 500; // numbers of an output that are shown
const ROWS = 8; // rows of labels that are shown
const SLOTS = 200; // calls that the server remembers
const FEW = 3; // models up to which every card is open, without an index

// ---- asking the server ------------------------------------------------------------------------

let key = null; // in memory only

/** Whether the server wanted a key. */
export const keyed = () => key !== null;

/** An answer that is no success, in the server's words. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The text of an answer. */
export async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (key !== null) headers.Authorization = `Bearer ${key}`;
  let answer;
  let text;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store" });
    text = await answer.text();
  } catch {
    throw new Refused(0, "The server does not answer.");
  }
  if (!answer.ok) throw new Refused(answer.status, reason(text) ?? answer.statusText);
  return text;
}

export const askJson = async (path) => JSON.parse(await ask(path));

function reason(text) {
  try {
    return JSON.parse(text).error;
  } catch {
    return null;
  }
}

/** Run `load`, and say what goes wrong; false where the server wants a key first. */
export async function withKey(load) {
  try {
    await load();
    notice("");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) {
      askForKey(keyed() ? "The server does not accept this key." : "This server needs an API key.");
      return false;
    }
    notice(error.message);
  }
  return true;
}

function askForKey(words) {
  const form = document.getElementById("key");
  slot(form, "reason").textContent = words;
  form.hidden = false;
  form.reset();
  form.elements.key.focus();
  form.onsubmit = (event) => {
    event.preventDefault();
    key = form.elements.key.value;
    form.hidden = true;
    form.dispatchEvent(new Event("given"));
  };
}

/** Call `then` whenever a key was given. */
export const onKey = (then) => document.getElementById("key").addEventListener("given", then);

export function notice(text) {
  const place = document.getElementById("notice");
  place.hidden = !text;
  if (place.textContent !== text) place.textContent = text;
}

// ---- elements ---------------------------------------------------------------------------------

/** A new element; text children can never become markup. */
export function make(tag, className = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

const slot = (root, name) => root.querySelector(`[data-slot="${name}"]`);

/** Copy text; where the browser does not let us, select it. */
export async function copy(button, text, place) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(place);
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = before), 1500);
}

// ---- examples from the signature --------------------------------------------------------------

const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
const float = () => Number(normal().toFixed(4));
const whole = (end) => () => Math.floor(Math.random() * end);
// Sign, exponent and fraction of a half-precision number between 1/16 and 2.
const half = () => (whole(2)() << 15) | ((11 + whole(5)()) << 10) | whole(1024)();

// For each dtype: numpy's name, the array that holds it, a zero, a random value. Random integers
// are 0 or 1, which are valid as masks, kinds, and identities of any vocabulary.
const KINDS = {
  float16: ["<f2", Uint16Array, 0, half],
  float32: ["<f4", Float32Array, 0, float],
  float64: ["<f8", Float64Array, 0, float],
  int8: ["|i1", Int8Array, 0, whole(2)],
  int16: ["<i2", Int16Array, 0, whole(2)],
  int32: ["<i4", Int32Array, 0, whole(2)],
  int64: ["<i8", BigInt64Array, 0, whole(2)],
  uint8: ["|u1", Uint8Array, 0, whole(256)],
  uint16: ["<u2", Uint16Array, 0, whole(2)],
  uint32: ["<u4", Uint32Array, 0, whole(2)],
  uint64: ["<u8", BigUint64Array, 0, whole(2)],
  bool: ["|b1", Uint8Array, false, () => Math.random() < 0.5],
  str: [null, null, "", () => ["red", "green", "blue"][whole(3)()]],
};

/** A valid input for each spec: batch 1, and the other sizes as in the first proven case. */
export function example(model, random = false) {
  const first = model.inputs[0]?.shape?.[0];
  const sizes = { ...model.evidence[0]?.dims };
  if (typeof first === "string") sizes[first] = 1;
  return model.inputs.map((spec) => {
    const shape = (spec.shape ?? [1]).map((dim) => (typeof dim === "number" ? dim : (sizes[dim] ?? 8)));
    const total = shape.reduce((product, size) => product * size, 1);
    return { ...spec, shape, total, random };
  });
}

function values({ dtype, total, random }) {
  const [, , zero, any] = KINDS[dtype];
  return Array.from({ length: total }, random ? any : () => zero);
}

function nest(flat, shape) {
  if (!shape.length) return flat[0];
  const step = flat.length / shape[0];
  return Array.from({ length: shape[0] }, (_, i) =>
    nest(flat.slice(i * step, (i + 1) * step), shape.slice(1)));
}

/** JSON with its innermost rows on a line each. */
function layOut(value, indent = "") {
  if (!Array.isArray(value)) return JSON.stringify(value);
  if (!value.some(Array.isArray)) return `[${value.map((each) => JSON.stringify(each)).join(", ")}]`;
  const lines = value.map((each) => `${indent}  ${layOut(each, `${indent}  `)}`);
  return `[\n${lines.join(",\n")}\n${indent}]`;
}

/** An example as the JSON that the plain endpoint takes. */
export function toJson(inputs) {
  const written = inputs.map((each) => [each.name, nest(values(each), each.shape)]);
  if (written.length === 1) return layOut(written[0][1]);
  const lines = written.map(([name, value]) => `  ${JSON.stringify(name)}: ${layOut(value, "  ")}`);
  return `{\n${lines.join(",\n")}\n}`;
}

/** An example as the content of a `.npy` file, format 1.0. */
function toNumpy(input) {
  const [descr, Kind] = KINDS[input.dtype];
  const flat = values(input);
  const data = Kind.from(Kind.BYTES_PER_ELEMENT === 8 && Kind !== Float64Array ? flat.map(BigInt) : flat);
  const shape = `(${input.shape.map((size) => `${size},`).join(" ")})`;
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }`;
  const padded = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + "\n";
  const head = new Uint8Array([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, padded.length & 255, padded.length >> 8]);
  return new Blob([head, padded, data], { type: "application/x-npy" });
}

/** Why no example can be made here; empty where one can. */
function whyNoExample(inputs) {
  const strange = inputs.find(({ dtype }) => !(dtype in KINDS));
  if (strange) return `${strange.dtype} cannot be made here.`;
  if (inputs.length > 1 && inputs.some(({ dtype }) => dtype === "float16")) return "float16 has no form in JSON: use /infer.";
  const total = inputs.reduce((sum, each) => sum + each.total, 0);
  return total > MADE ? `${total.toLocaleString("en")} numbers are too many to make here.` : "";
}

// ---- a card for each model --------------------------------------------------------------------

const short = (digest) => digest.replace(/^(sha256:.{12}).*/, "$1…");
const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
const typed = (dtype, shape) => `${dtype}[${shape.join(", ")}]`;
const small = (value) => {
  if (value === 0) return "0";
  return value < 1e-3 ? value.toExponential(1) : value.toPrecision(2);
};

function makeCard(model) {
  const card = document.getElementById("model").content.cloneNode(true).firstElementChild;
  for (const name of ["name", "description"]) slot(card, name).textContent = model[name];
  card.id = `${model.name}/${model.version}`;
  slot(card, "version").textContent = `version ${model.version}`;
  slot(card, "description").hidden = !model.description;
  showProof(slot(card, "badge"), model);
  slot(card, "signature").append(
    ...model.inputs.map((spec) => signatureRow("in", spec)),
    ...model.outputs.map((spec) => signatureRow("out", spec)));
  slot(card, "facts").append(...facts(model).map(([name, value]) =>
    make("div", "", make("dt", "", name), make("dd", "", value))));
  showEvidence(card, model);
  prepareTry(card, model);
  return card;
}

function showProof(badge, model) {
  const held = [model.unchanged && "unchanged", model.proven ? "proven here" : "not proven",
    model.trusted && "trusted"];
  badge.textContent = held.filter(Boolean).join(", ");
  badge.classList.add(model.proven ? "proven" : "unproven");
  badge.title = model.proven
    ? `When the server started, the golden data was replayed here on ${model.provider}, and matched.`
    : model.evidence.length
      ? "Its golden data was not replayed on this machine."
      : "It has no golden data to replay.";
}

function signatureRow(side, spec) {
  return make("tr", side, make("th", "", side), make("td", "", spec.name), make("td", "", make("code", "", spec.text)));
}

function facts(model) {
  const { source } = model;
  const placed = Object.entries(model.placement).map(([where, n]) => `${count(n, "node")} on ${where}`);
  const found = [
    ["Provider", model.provider],
    ...(model.variant === "base" ? [] : [["Variant", model.variant]]),
    ["Placement", placed.join(", ") || "–"],
    ["Threads", `${model.threads} in ${model.sessions === 1 ? "one session" : `each of ${model.sessions} sessions`}`],
    ["Batching", model.batching ? "requests run together" : `one by one: ${model.batching_reason}`],
    ["Small requests", model.inline ? "in the event loop" : "in a thread of their own"],
  ];
  if (source) {
    const made = `${source.framework} ${source.framework_version}, ${source.model_class}, opset ${source.opset}`;
    found.push(["Made from", breakable(made)]);
  }
  if (model.digest) found.push(["Digest", digestOf(model.digest)]);
  return found;
}

/** Text whose long names may break after a dot, rather than inside of a word. */
function breakable(text) {
  const parts = text.split(/(?<=\w\.)(?=[A-Za-z_])/);
  return make("span", "", ...parts.flatMap((part, i) => (i ? [make("wbr"), part] : [part])));
}

function digestOf(digest) {
  const button = make("button", "digest", short(digest));
  button.type = "button";
  button.title = digest;
  button.setAttribute("aria-label", `Copy the digest ${digest}`);
  button.onclick = () => copy(button, digest, button);
  return button;
}

function showEvidence(card, model) {
  const { evidence } = model;
  if (!evidence.length) return card.querySelector(".evidence").replaceWith(make("p", "evidence quiet", "Evidence: none came with this model"));
  const passed = evidence.filter((each) => each.passed).length;
  const worst = Math.max(0, ...evidence.map((each) => each.max_abs));
  slot(card, "verdict").textContent =
    `Evidence: ${passed} of ${count(evidence.length, "case")} passed, differing by at most ${small(worst)}`;
  slot(card, "evidence").append(...evidence.map((each) => make("tr", "",
    make("td", "", each.case),
    make("td", "", Object.entries(each.dims).map(([name, size]) => `${name} ${size}`).join(", ") || "fixed"),
    make("td", "number", small(each.max_abs)),
    make("td", each.passed ? "good" : "bad", each.passed ? "passed" : each.accepted ? "accepted" : "failed"))));
  return null;
}

// ---- latency ----------------------------------------------------------------------------------

export function spoken(seconds) {
  if (seconds >= 1) return `${seconds.toPrecision(3)} s`;
  return seconds >= 1e-3 ? `${(seconds * 1e3).toPrecision(3)} ms` : `${Math.round(seconds * 1e6)} µs`;
}

function showLatency(card, model) {
  const { recent } = model.latency_seconds;
  const calls = recent.length === model.requests ? count(recent.length, "call") : `last ${recent.length} of ${count(model.requests, "call")}`;
  slot(card, "calls").textContent = recent.length ? calls : "no calls yet";
  const spark = card.querySelector(".spark");
  for (const chart of [card.querySelector(".latency"), spark]) chart.toggleAttribute("hidden", !recent.length);
  if (!recent.length) return;
  const sorted = [...recent].sort((a, b) => a - b);
  for (const percent of [50, 90, 99]) {
    slot(card, `p${percent}`).textContent = spoken(sorted[Math.ceil((percent / 100) * sorted.length) - 1]);
  }
  const top = sorted.at(-1);
  const bars = recent.map((seconds, i) =>
    `M${SLOTS - recent.length + i + 0.5} 39V${(39 - 37 * Math.max(0.03, seconds / top)).toFixed(1)}`);
  spark.querySelector(".calls").setAttribute("d", bars.join(""));
  spark.setAttribute("aria-label", `The last ${count(recent.length, "call")}: ${spoken(sorted[0])} to ${spoken(top)}`);
}

// ---- trying a model ---------------------------------------------------------------------------

function prepareTry(card, model) {
  const form = card.querySelector(".try");
  const shape = model.inputs[0]?.shape ?? [];
  const picture = shape.length === 4 && ([1, 3].includes(shape[1]) || [1, 3].includes(shape[3]));
  const attachment = attachmentOf(form);
  form.classList.toggle("picture", picture);
  slot(form, "drop").textContent = picture ? "Drop a picture here, or choose one" : "or choose a .npy or .json file";
  slot(form, "rows").textContent = model.inputs.length > 1 ? "Inputs, as JSON" : "Rows, as JSON";

  const prefill = (random) => {
    const inputs = example(model, random);
    const why = whyNoExample(inputs);
    if (why) return say(form, make("p", "quiet", `${why} Choose a file.`));
    const few = inputs.reduce((sum, each) => sum + each.total, 0) <= WRITTEN;
    if (few && inputs.every(({ dtype }) => dtype !== "float16")) {
      attachment.remove();
      slot(form, "text").value = toJson(inputs);
      return null;
    }
    const one = inputs.length === 1 && inputs[0].dtype !== "str";
    const blob = one ? toNumpy(inputs[0]) : new Blob([toJson(inputs)], { type: "application/json" });
    const what = inputs.map((each) => typed(each.dtype, each.shape)).join(", ");
    return attachment.set(blob, `${random ? "Random" : "Zeros"}: ${what}`);
  };
  const take = (file) => file && attachment.set(typedFile(file), file.name);

  slot(form, "zeros").onclick = () => prefill(false);
  slot(form, "random").onclick = () => prefill(true);
  slot(form, "detach").onclick = () => attachment.remove();
  slot(form, "file").onchange = (event) => {
    take(event.target.files[0]);
    event.target.value = "";
  };
  acceptDrops(form, take);
  form.onsubmit = (event) => {
    event.preventDefault();
    send(form, model, attachment.blob);
  };
  slot(form, "text").onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  };
  prefill(false);
}

/** What is sent in place of the text: a picture, or numbers too many to show. */
function attachmentOf(form) {
  const place = slot(form, "attached");
  const image = place.querySelector("img");
  const rows = form.querySelector(".rows");
  const attachment = {
    blob: null,
    set(blob, name) {
      attachment.remove();
      attachment.blob = blob;
      place.querySelector("span").textContent = `${name} · ${count(Math.ceil(blob.size / 1024), "KiB", "KiB")}`;
      image.hidden = !blob.type.startsWith("image/");
      if (!image.hidden) image.src = URL.createObjectURL(blob);
      place.hidden = false;
      rows.hidden = true;
    },
    remove() {
      if (image.src) URL.revokeObjectURL(image.src);
      image.removeAttribute("src");
      attachment.blob = null;
      place.hidden = true;
      rows.hidden = false;
    },
  };
  return attachment;
}

function typedFile(file) {
  if (/\.npy$/i.test(file.name)) return file.slice(0, file.size, "application/x-npy");
  return file;
}

function acceptDrops(form, take) {
  const mark = (on) => (event) => {
    event.preventDefault();
    form.classList.toggle("over", on);
  };
  form.ondragover = mark(true);
  form.ondragleave = mark(false);
  form.ondrop = (event) => {
    mark(false)(event);
    take(event.dataTransfer.files[0]);
  };
}

async function send(form, model, blob) {
  const button = slot(form, "send");
  const path = `v2/models/${encodeURIComponent(model.name)}/versions/${encodeURIComponent(model.version)}/predict`;
  const body = blob ?? slot(form, "text").value;
  const headers = { "Content-Type": blob ? blob.type || "application/octet-stream" : "application/json" };
  button.disabled = true;
  form.ariaBusy = "true";
  const start = performance.now();
  try {
    const text = await ask(path, { method: "POST", headers, body });
    const seconds = (performance.now() - start) / 1000;
    say(form, ...answered(model, JSON.parse(text, exactly), seconds));
    look();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(form, make("p", "error", error.message), make("p", "quiet", error.status ? `HTTP ${error.status}` : ""));
  } finally {
    button.disabled = false;
    form.ariaBusy = "false";
  }
}

const say = (form, ...children) => slot(form, "answer").replaceChildren(...children);

/** Whole numbers that JavaScript would round are kept as they are written. */
function exactly(_, value, context) {
  const rounded = Number.isInteger(value) && !Number.isSafeInteger(value);
  return rounded && /^-?\d+$/.test(context?.source) ? BigInt(context.source) : value;
}

function answered(model, answer, seconds) {
  const shown = answer.top ? labelled(model, answer) : [];
  const outputs = make("div", "outputs", ...model.outputs.filter(({ name }) => name in answer.outputs).map((spec) =>
    output(spec, answer.outputs[spec.name])));
  if (!shown.length) return [took(seconds), outputs];
  return [took(seconds), ...shown, make("details", "", make("summary", "", "Outputs"), outputs)];
}

const took = (seconds) => make("p", "quiet took", `Answered in ${spoken(seconds)}`);

function output(spec, value) {
  const left = { values: SHOWN };
  return make("figure", "", make("figcaption", "", `${spec.name} `, make("code", "", typed(spec.dtype, shapeOf(value)))),
    make("pre", "", compact(value, spec.dtype, left)));
}

function shapeOf(value) {
  const shape = [];
  for (let inner = value; Array.isArray(inner); [inner] = inner) shape.push(inner.length);
  return shape;
}

function compact(value, dtype, left) {
  if (!Array.isArray(value)) {
    left.values -= 1;
    return typeof value === "bigint" ? String(value) : JSON.stringify(dtype === "float32" && value !== null ? shortest(value) : value);
  }
  const parts = [];
  for (const child of value) {
    if (left.values <= 0) {
      parts.push("…");
      break;
    }
    parts.push(compact(child, dtype, left));
  }
  return `[${parts.join(", ")}]`;
}

/** The number of fewest digits that is the same as float32. */
function shortest(value) {
  const found = [6, 7, 8].map((digits) => Number(value.toPrecision(digits)));
  return found.find((each) => Math.fround(each) === Math.fround(value)) ?? value;
}

// Rows of labels with bars; the server tells probabilities, by the same rule as `onnxpack run`.
function labelled(model, answer) {
  const scored = Object.values(answer.outputs).find((each) => shapeOf(each).length === 2 && each[0]?.length === model.labels);
  if (!scored?.every((row) => row.every((value) => typeof value === "number"))) return [];
  const given = scored.every((row) => row.every((value) => value >= 0) && Math.abs(sum(row) - 1) <= 1e-3);
  const lists = answer.top.slice(0, ROWS).map((best) =>
    make("ol", "bars", ...best.map(({ label, score }) => bar(label, score))));
  const how = given ? "Probabilities, as the model gives them" : "Probabilities: softmax of the model's outputs";
  const more = answer.top.length > ROWS ? `, the first ${ROWS} of ${answer.top.length} rows` : "";
  return [...lists, make("p", "quiet", how + more)];
}

const sum = (row) => row.reduce((a, b) => a + b, 0);

function bar(label, share) {
  const track = make("span", "track", make("span", "fill"));
  track.firstChild.style.width = `${Math.min(100, share * 100)}%`;
  return make("li", "", make("span", "label", label), make("span", "value", `${(share * 100).toFixed(1)} %`), track);
}

// ---- looking at the models, again and again ---------------------------------------------------

const cards = new Map();
let timer = 0;
let looking = false;

async function look() {
  clearTimeout(timer);
  const asking = !document.getElementById("key").hidden;
  if (looking || asking || document.visibilityState !== "visible") return;
  looking = true;
  try {
    if (await withKey(async () => show((await askJson("v2/models")).models))) timer = setTimeout(look, EVERY);
  } finally {
    looking = false;
  }
}

function show(models) {
  document.getElementById("server").textContent = totals(models);
  if (!models.length) return; // a server that starts anew: what a person has typed stays
  const seen = new Set();
  let before = null;
  for (const model of [...models].sort(byName)) {
    // A server that was started anew may hold another model under this name.
    const { requests, latency_seconds, ...identity } = model;
    const id = JSON.stringify(identity);
    seen.add(id);
    if (!cards.has(id)) {
      const card = makeCard(model);
      cards.set(id, card);
      if (before) before.after(card);
      else document.getElementById("models").prepend(card);
      card.querySelector("details").open = models.length <= FEW || isNamed(card);
      if (isNamed(card)) card.scrollIntoView();
    }
    before = cards.get(id);
    showLatency(before, model);
  }
  for (const [id, card] of cards) {
    if (!seen.has(id)) {
      card.remove();
      cards.delete(id);
    }
  }
  listCards();
}

function totals(models) {
  if (!models.length) return "proving its models…";
  const calls = sum(models.map(({ requests }) => requests));
  return count(models.length, "model") + (calls ? ` · ${count(calls, "call")}` : "");
}

const byName = (a, b) =>
  a.name.localeCompare(b.name, "en", { numeric: true }) || a.version.localeCompare(b.version, "en", { numeric: true });

/** Whether the page's address names this card. */
const isNamed = (card) => [card.id, encodeURIComponent(card.id)].includes(location.hash.slice(1));

// ---- an index of many models ------------------------------------------------------------------

/** List the cards that match the filter, and hide the others; a few models need no list. */
function listCards() {
  const index = document.getElementById("index");
  const shown = [...document.querySelectorAll(".card")];
  index.hidden = shown.length <= FEW;
  const wanted = index.hidden ? "" : index.querySelector("input").value.trim().toLowerCase();
  for (const card of shown) card.hidden = !summaryOf(card).toLowerCase().includes(wanted);
  const found = shown.filter((card) => !card.hidden);
  const list = index.querySelector("ul");
  const ids = found.map(({ id }) => id).join("\n");
  if (list.dataset.ids !== ids) {
    list.dataset.ids = ids;
    list.replaceChildren(...found.map((card) => make("li", "", linkTo(card))));
  }
  index.querySelector("p").textContent = found.length ? "" : "No model matches.";
}

const summaryOf = (card) => `${slot(card, "name").textContent} ${slot(card, "description").textContent}`;

function linkTo(card) {
  const link = make("a", "", slot(card, "name").textContent);
  link.href = `#${encodeURIComponent(card.id)}`;
  link.onclick = () => (card.querySelector("details").open = true);
  return link;
}

if (document.getElementById("models")) {
  onKey(look);
  document.querySelector("#index input").oninput = listCards;
  document.addEventListener("visibilitychange", look);
  for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
  look();
}
