// The ward board: draws what one subscription shows, and adds notes.

import { Connection } from "./connection.js";

/** @typedef {import("./connection.js").Fields} Fields */

const WARD = "7";

// Scores from which on somebody should look more often, and at once.
const LEVELS = /** @type {const} */ (
  [[5, "urgent", "▲ urgent"], [3, "watch", "◆ watch"], [0, "routine", "routine"]]
);

// Signs that stay the same for so long are marked: living people's never do; milliseconds.
const UNCHANGED_AFTER = 15_000;

/** @type {Map<string, {seen: string, at: number, rates: number[]}>} last readings, by patient */
const traces = new Map();
let drawing = false;

const board = new Connection(
  new URL("websocket", location.href.replace(/^http/, "ws")).href, "ward.board", [WARD], () => {
    if (!drawing) requestAnimationFrame(draw);
    drawing = true;
  },
);

/** @param {string} id @returns {HTMLElement} */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @param {string} collection @returns {[string, Fields][]} */
const all = (collection) => [...(board.documents.get(collection) ?? [])];

const SECONDS = /** @type {const} */ ({ second: "2-digit" });

/** @param {number} time @param {Intl.DateTimeFormatOptions} more */
const clock = (time, more = {}) =>
  new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...more });
const liveUntil = () => clock(board.liveUntil, SECONDS);

/**
 * @template {Element} E
 * @param {E} made @param {Record<string, string>} attributes @param {(Node | string)[]} inside
 */
function fill(made, attributes, ...inside) {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...inside); // strings become text, never markup
  return made;
}

/** @param {string} tag @param {Record<string, string>} attributes @param {(Node | string)[]} inside */
const make = (tag, attributes, ...inside) => fill(document.createElement(tag), attributes, ...inside);

/** @param {string} tag @param {Record<string, string>} attributes @param {(Node | string)[]} inside */
const makeSvg = (tag, attributes, ...inside) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, ...inside);

function draw() {
  drawing = false;
  drawState();
  const cards = all("beds").sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, bed]) => card(id, bed));
  if (cards.length) element("beds").replaceChildren(...cards);
  drawSummary(cards);
  drawNotes();
  drawPatients();
}

/** @param {HTMLElement[]} cards */
function drawSummary(cards) {
  const lines = LEVELS.slice(0, 2).map(([, level, word]) => {
    const beds = cards.filter((one) => one.dataset.level === level);
    return [word, beds.map((one) => one.querySelector("b")?.textContent).join(", ")];
  });
  const told = lines.filter(([, beds]) => beds).map(([word, beds]) => make("span", {}, `${word}: ${beds}`));
  element("summary").replaceChildren(...told);
}

function drawState() {
  const words = { connecting: "connecting", live: "live", lost: "connection lost" };
  const stale = board.state !== "live" && board.liveUntil > 0;
  document.body.toggleAttribute("data-stale", stale);
  element("status").dataset.state = board.state;
  element("status").textContent = words[board.state];
  element("lost").hidden = board.reason === "";
  if (board.reason === "") return;
  // Written only when it differs: a screen reader would say it again each second.
  const since = stale ? ` All values are old: they are from ${liveUntil()}.` : "";
  const text = `${stale ? "Connection lost" : "No connection"}: ${board.reason}.${since}`;
  if (element("why").textContent !== text) element("why").textContent = text;
  const seconds = Math.ceil((board.retryAt - Date.now()) / 1000);
  const waits = board.state === "lost" && seconds > 0;
  element("next").textContent = waits ? `Next try in ${seconds} s` : "Trying …";
}

/** @param {string} bed @param {Fields} place */
function card(bed, place) {
  const [id, patient] = all("patients").find(([, one]) => one.bed === bed) ?? ["", undefined];
  const title = make("h2", {}, make("b", {}, place.label), make("span", {}, patient?.name ?? "free"));
  const signs = board.documents.get("vitals")?.get(id);
  if (!patient || !signs) {
    const missing = patient ? [make("p", {}, "no readings yet")] : [];
    return make("article", { "data-level": "empty" }, title, ...missing);
  }
  const [, level, word] = LEVELS.find(([from]) => signs.score >= from) ?? LEVELS[2];
  return make(
    "article", { "data-level": level },
    make("header", {}, title, make("p", {}, "score ", make("b", {}, String(signs.score)), make("span", {}, word))),
    make(
      "dl", {},
      sign("heart /min", signs.heart_rate),
      sign("SpO₂ %", signs.saturation),
      sign("breaths /min", signs.respiration),
      sign("blood pressure mmHg", `${signs.systolic}/${signs.diastolic}`),
      sign("°C", Number(signs.temperature).toFixed(1)),
    ),
    trace(id, signs),
  );
}

/** @param {string} name @param {string | number} value */
const sign = (name, value) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value)));

/**
 * Draw the heart rates of the last readings, or say that the signs shown are old.
 * @param {string} patient @param {Fields} signs
 */
function trace(patient, signs) {
  if (document.body.hasAttribute("data-stale")) return make("p", {}, `old: ${liveUntil()}`);
  const kept = traces.get(patient);
  const seen = JSON.stringify(signs); // after a reconnect the same signs arrive as another object
  const { at, rates } = kept?.seen === seen
    ? kept : { at: Date.now(), rates: [...(kept?.rates ?? []), signs.heart_rate].slice(-60) };
  traces.set(patient, { seen, at, rates });
  if (Date.now() - at > UNCHANGED_AFTER) return make("p", {}, `unchanged since ${clock(at, SECONDS)}`);
  const points = rates.map((rate, index) => `${index * 2},${30 - (rate - 40) / 4}`).join(" ");
  return makeSvg(
    "svg", { viewBox: "0 0 120 30", preserveAspectRatio: "none", "aria-hidden": "true" },
    makeSvg("polyline", { points }),
  );
}

/** @param {Element[]} wanted @param {HTMLCollection} shown */
const same = (wanted, shown) =>
  wanted.length === shown.length && wanted.every((one, index) => one.isEqualNode(shown[index]));

function drawNotes() {
  const patients = board.documents.get("patients");
  const lines = all("notes").sort(([, a], [, b]) => b.at.$date - a.at.$date).map(([id, note]) => {
    const patient = patients?.get(note.patient);
    const bed = board.documents.get("beds")?.get(patient?.bed)?.label ?? "";
    return make(
      "li", { "data-id": id },
      make("small", {}, `${clock(note.at.$date)} · ${bed} · ${patient?.name ?? ""}`), make("p", {}, note.text),
    );
  });
  const list = element("list");
  // Left alone when nothing differs: somebody may be copying a text.
  if (!same(lines, list.children)) list.replaceChildren(...lines);
}

function drawPatients() {
  const choice = /** @type {HTMLSelectElement} */ (element("patient"));
  const beds = board.documents.get("beds");
  const names = all("patients")
    .sort(([, a], [, b]) => (a.bed < b.bed ? -1 : 1))
    .map(([id, one]) => new Option(`${beds?.get(one.bed)?.label ?? ""} · ${one.name}`, id));
  const wanted = [new Option("Choose a patient", ""), ...names];
  if (same(wanted, choice.options)) return;
  // A patient who has left the ward is nobody's note: then none is chosen.
  const chosen = choice.value;
  choice.replaceChildren(...wanted);
  choice.value = names.some((one) => one.value === chosen) ? chosen : "";
}

element("note").onsubmit = async (event) => {
  event.preventDefault();
  const form = /** @type {HTMLFormElement} */ (event.target);
  const { patient, text } = Object.fromEntries(new FormData(form));
  const problem = await board.call("notes.add", patient, text);
  element("problem").textContent = problem;
  const field = /** @type {HTMLInputElement} */ (form.elements.namedItem("text"));
  if (!problem && field.value === text) field.value = "";
};

element("retry").onclick = () => board.retry();
