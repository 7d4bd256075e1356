// The ward board over a raw WebSocket: DDP in a hundred lines, without any library.

/** @typedef {Record<string, any>} Fields */
/** @type {Record<string, Map<string, Fields>>} */
const collections = { beds: new Map(), patients: new Map(), vitals: new Map(), notes: new Map() };
/** @type {Map<string, number[]>} heart rates of the last minute, by patient */
const traces = new Map();
/** @type {Map<string, (error: {reason?: string} | undefined) => void>} */
const calls = new Map();
/** @type {WebSocket} */
let socket;
let attempts = 0;
let drawing = false;

/** @param {string} id @returns {HTMLElement} */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @param {"connecting" | "live" | "waiting"} state @param {string} text */
function show(state, text) {
  element("status").dataset.state = state;
  element("status").textContent = text;
  document.body.toggleAttribute("data-stale", state !== "live");
}

function connect() {
  show("connecting", "connecting");
  socket = new WebSocket(new URL("websocket", location.href.replace(/^http/, "ws")));
  socket.onopen = () => send({ msg: "connect", version: "1", support: ["1"] });
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = () => {
    for (const done of calls.values()) done({ reason: "The connection was lost; try again." });
    calls.clear();
    const seconds = Math.min(30, 2 ** attempts++) * (0.5 + Math.random() / 2);
    show("waiting", `connection lost, next try in ${Math.ceil(seconds)} s`);
    setTimeout(connect, seconds * 1000);
  };
}

/** @param {Fields} message */
const send = (message) => socket.send(JSON.stringify(message));

/** @param {Fields} message */
function receive(message) {
  const documents = collections[message.collection];
  switch (message.msg) {
    case "connected":
      for (const held of Object.values(collections)) held.clear();
      send({ msg: "sub", id: "board", name: "ward.board", params: ["7"] });
      break;
    case "ping":
      send({ ...message, msg: "pong" });
      break;
    case "added":
    case "changed": {
      const document = { ...documents?.get(message.id), ...message.fields };
      for (const name of message.cleared ?? []) delete document[name];
      documents?.set(message.id, document);
      if (message.collection === "vitals") trace(message.id, document.heart_rate);
      break;
    }
    case "removed":
      documents?.delete(message.id);
      break;
    case "ready":
      attempts = 0;
      show("live", "live");
      break;
    case "nosub":
      show("waiting", message.error?.reason ?? "the board is not available");
      break;
    case "result":
      calls.get(message.id)?.(message.error);
      calls.delete(message.id);
      break;
  }
  if (!drawing) {
    drawing = true;
    requestAnimationFrame(draw);
  }
}

/** @param {string} patient @param {number} rate */
function trace(patient, rate) {
  const rates = traces.get(patient) ?? [];
  traces.set(patient, [...rates.slice(-59), rate]);
}

/** @param {string} tag @param {Record<string, string>} attributes @param {(Node | string)[]} inside */
function make(tag, attributes = {}, ...inside) {
  const svg = tag === "svg" || tag === "polyline";
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...inside);
  return made;
}

/** @param {string} bed @param {Fields} place */
function card(bed, place) {
  const [id, patient] = [...collections.patients].find(([, one]) => one.bed === bed) ?? ["", undefined];
  const title = make("h3", {}, place.label, make("small", {}, patient?.name ?? "free"));
  const signs = collections.vitals.get(id);
  if (!patient || !signs) return make("article", { "data-level": "empty" }, title);
  title.append(make("b", { title: "early warning score" }, String(signs.score)));
  const values = [
    ["heart /min", signs.heart_rate], ["SpO₂ %", signs.saturation], ["breaths /min", signs.respiration],
    ["mmHg", `${signs.systolic}/${signs.diastolic}`], ["°C", Number(signs.temperature).toFixed(1)],
  ];
  const rates = traces.get(id) ?? [];
  const points = rates.map((rate, index) => `${index * 2},${30 - (rate - 40) / 4}`).join(" ");
  return make(
    "article", { "data-level": signs.score >= 5 ? "act" : signs.score >= 3 ? "watch" : "good" }, title,
    make("dl", {}, ...values.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value))))),
    make("svg", { viewBox: "0 0 120 30", preserveAspectRatio: "none" }, make("polyline", { points })),
  );
}

function draw() {
  drawing = false;
  const beds = [...collections.beds].sort(([a], [b]) => (a < b ? -1 : 1));
  element("beds").replaceChildren(...beds.map(([id, bed]) => card(id, bed)));
  const notes = [...collections.notes.values()].sort((a, b) => b.at.$date - a.at.$date);
  element("notes").replaceChildren(...notes.map((note) => make(
    "li", {}, make("small", {}, `${new Date(note.at.$date).toLocaleTimeString()} · ${collections.patients.get(note.patient)?.name ?? ""}`), note.text,
  )));
  const choice = /** @type {HTMLSelectElement} */ (element("note").querySelector("select"));
  const names = [...collections.patients].map(([id, one]) => [id, `${one.bed} · ${one.name}`]).sort((a, b) => (a[1] < b[1] ? -1 : 1));
  if (names.map(([, name]) => name).join() !== [...choice.options].map((option) => option.text).join()) {
    const chosen = choice.value;
    choice.replaceChildren(...names.map(([id, name]) => new Option(name, id, false, id === chosen)));
  }
}

element("note").onsubmit = (event) => {
  event.preventDefault();
  const form = /** @type {HTMLFormElement} */ (event.target);
  const { patient, text } = Object.fromEntries(new FormData(form));
  if (socket.readyState !== WebSocket.OPEN) return void (element("problem").textContent = "Not connected; the note stays here.");
  const id = crypto.randomUUID();
  calls.set(id, (error) => {
    element("problem").textContent = error ? (error.reason ?? "The note was not saved.") : "";
    const field = /** @type {HTMLInputElement} */ (form.elements.namedItem("text"));
    if (!error && field.value === text) field.value = "";
  });
  send({ msg: "method", method: "notes.add", params: [patient, text], id });
};

connect();
