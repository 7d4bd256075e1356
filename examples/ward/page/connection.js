// One DDP subscription over a raw WebSocket, without any library.

/** @typedef {Record<string, any>} Fields a document, or a message of DDP */
/** @typedef {Map<string, Map<string, Fields>>} Documents by collection and id */

// A server that says nothing for so long is asked, then given up; milliseconds.
const ASKED_AFTER = 8_000;
const LOST_AFTER = 16_000;
const LONGEST_WAIT = 30_000;

/** @type {Record<number, string>} */
const REASONS = {
  1001: "the server was stopped",
  1008: "the server refused this page",
  1012: "the server was stopped or is being restarted",
};

/** Holds a subscription through lost connections; the last documents stay until there are new ones. */
export class Connection {
  /** What the subscription shows; replaced as a whole after a lost connection. @type {Documents} */
  documents = new Map();
  /** @type {"connecting" | "live" | "lost"} */
  state = "connecting";
  /** Why there is no connection. */
  reason = "";
  /** When the documents were last known to be right; 0 if there are none yet. */
  liveUntil = 0;
  /** When the next attempt begins. */
  retryAt = 0;

  /** @type {WebSocket | undefined} */
  #socket;
  /** Documents of a subscription that is not ready yet. @type {Documents} */
  #arriving = new Map();
  /** @type {Map<string, (problem: string) => void>} */
  #calls = new Map();
  #called = 0;
  #attempts = 0;
  #heardAt = 0;
  #asked = false;

  /**
   * @param {string} url
   * @param {string} publication
   * @param {any[]} params
   * @param {() => void} onChange called after every change, and once a second
   */
  constructor(url, publication, params, onChange) {
    this.url = url;
    this.publication = publication;
    this.params = params;
    this.onChange = onChange;
    setInterval(() => this.#tick(), 1000);
    addEventListener("online", () => this.retry());
    this.#open();
  }

  /** Try again now instead of later. */
  retry() {
    if (this.state === "lost") this.#open();
  }

  /**
   * Call a method.
   * @param {string} method @param {any[]} params
   * @returns {Promise<string>} what went wrong, empty if nothing
   */
  call(method, ...params) {
    if (this.state !== "live") return Promise.resolve("There is no connection. Add it again when there is.");
    const id = String(++this.#called);
    this.#send({ msg: "method", method, params, id });
    return new Promise((resolve) => this.#calls.set(id, resolve));
  }

  #open() {
    this.state = "connecting";
    this.#heardAt = Date.now();
    const socket = (this.#socket = new WebSocket(this.url));
    socket.onopen = () => this.#send({ msg: "connect", version: "1", support: ["1"] });
    socket.onmessage = (event) => this.#receive(JSON.parse(event.data));
    socket.onclose = (event) => this.#lose(event.reason || REASONS[event.code]);
    this.onChange();
  }

  /** @param {string} [reason] none if the network does not tell, as after an attempt in vain */
  #lose(reason) {
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = undefined;
    this.state = "lost";
    this.reason = reason ?? (this.reason || "the server cannot be reached");
    this.retryAt = Date.now() + Math.min(LONGEST_WAIT, 1000 * 2 ** this.#attempts++) * (0.5 + Math.random() / 2);
    for (const done of this.#calls.values()) {
      done("The connection was lost. Look whether it is in the list before you add it again.");
    }
    this.#calls.clear();
    this.onChange();
  }

  // Once a second. After a computer slept, the first tick finds a long silence.
  #tick() {
    const silence = Date.now() - this.#heardAt;
    if (this.state === "lost" && Date.now() >= this.retryAt) this.#open();
    else if (this.state !== "lost" && silence > LOST_AFTER) this.#lose("the server does not answer");
    else if (this.state === "live" && silence > ASKED_AFTER && !this.#asked) {
      this.#asked = true;
      this.#send({ msg: "ping" });
    }
    this.onChange(); // how long something lasts is shown too
  }

  /** @param {Fields} message */
  #send(message) {
    this.#socket?.send(JSON.stringify(message));
  }

  /** @param {Fields} message */
  #receive(message) {
    this.#heardAt = Date.now();
    this.#asked = false;
    switch (message.msg) {
      case "connected":
        this.#arriving = new Map();
        this.#send({ msg: "sub", id: "it", name: this.publication, params: this.params });
        break;
      case "ready":
        this.documents = this.#arriving;
        this.state = "live";
        this.reason = "";
        this.#attempts = 0;
        break;
      case "nosub":
        return this.#lose(message.error?.reason ?? "the server ended the subscription");
      case "failed":
        return this.#lose("the server speaks another version of DDP");
      case "ping":
        this.#send({ ...message, msg: "pong" });
        break;
      case "result":
        this.#calls.get(message.id)?.(message.error ? (message.error.reason ?? "It was not saved.") : "");
        this.#calls.delete(message.id);
        break;
      default:
        this.#change(message);
    }
    if (this.state === "live") this.liveUntil = this.#heardAt;
    this.onChange();
  }

  /** @param {Fields} message */
  #change({ msg, collection, id, fields, cleared }) {
    if (msg === "removed") this.#arriving.get(collection)?.delete(id);
    if (msg !== "added" && msg !== "changed") return;
    const held = this.#arriving.get(collection) ?? new Map();
    const document = { ...held.get(id), ...fields };
    for (const name of cleared ?? []) delete document[name];
    this.#arriving.set(collection, held.set(id, document));
  }
}
