// One DDP session with one subscription, over one raw WebSocket, without any library.

/** @typedef {Record<string, any>} Fields a document, or a message of DDP */
/** @typedef {Map<string, Map<string, Fields>>} Documents by collection and id */

/**
 * @typedef {object} Listener what a session tells
 * @property {() => void} onChange something was heard
 * @property {() => void} onReady all documents are there
 * @property {(within: number) => void} onMove the server asks for another connection within so many seconds
 * @property {(reason?: string) => void} onLost it is over; no reason if the network does not tell
 */

// A server that says nothing for so long is asked, then given up; milliseconds.
const ASKED_AFTER = 8_000;
const LOST_AFTER = 16_000;

/** @type {Record<number, string>} */
const REASONS = {
  1001: "the server was stopped",
  1008: "the server refused this page",
  1012: "the server was stopped or is being restarted",
};

/** Lives from its making until it is lost or closed. */
export class Session {
  /** What the subscription shows; whole when it is ready. @type {Documents} */
  documents = new Map();
  isReady = false;
  /** When the server was last heard. */
  heardAt = Date.now();

  /** @type {WebSocket | undefined} */
  #socket;
  /** @type {Map<string, (problem: string) => void>} */
  #calls = new Map();
  #called = 0;
  #asked = false;
  #leaving = false;

  /** @param {string} url @param {string} publication @param {any[]} params @param {Listener} listener */
  constructor(url, publication, params, listener) {
    this.publication = publication;
    this.params = params;
    this.listener = listener;
    const socket = (this.#socket = new WebSocket(url));
    // With "bolide" the server asks us to move instead of closing the connection.
    socket.onopen = () => this.#send({ msg: "connect", version: "1", support: ["1"], bolide: {} });
    socket.onmessage = (event) => this.#receive(JSON.parse(event.data));
    socket.onclose = (event) => this.#lose(event.reason || REASONS[event.code]);
  }

  /**
   * Call a method.
   * @param {string} method @param {any[]} params
   * @returns {Promise<string>} what went wrong, empty if nothing
   */
  call(method, params) {
    const id = String(++this.#called);
    this.#send({ msg: "method", method, params, id });
    return new Promise((resolve) => this.#calls.set(id, resolve));
  }

  /** Say goodbye when no call is unanswered. */
  leave() {
    this.#leaving = true;
    if (this.#calls.size === 0) this.#close();
  }

  /** Once a second. After a computer slept, the first tick finds a long silence. */
  tick() {
    const silence = Date.now() - this.heardAt;
    if (silence > LOST_AFTER) this.#lose("the server does not answer");
    else if (this.isReady && silence > ASKED_AFTER && !this.#asked) {
      this.#asked = true;
      this.#send({ msg: "ping" });
    }
  }

  #close() {
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = undefined;
    for (const done of this.#calls.values()) {
      done("The connection was lost. Look whether it is in the list before you add it again.");
    }
    this.#calls.clear();
  }

  /** @param {string} [reason] */
  #lose(reason) {
    if (!this.#socket) return;
    this.#close();
    if (!this.#leaving) this.listener.onLost(reason);
  }

  /** @param {Fields} message */
  #send(message) {
    this.#socket?.send(JSON.stringify(message));
  }

  /** @param {Fields} message */
  #receive(message) {
    this.heardAt = Date.now();
    this.#asked = false;
    switch (message.msg) {
      case "connected":
        this.#send({ msg: "sub", id: "it", name: this.publication, params: this.params });
        break;
      case "ready":
        this.isReady = true;
        this.listener.onReady();
        break;
      case "nosub":
        return this.#lose(message.error?.reason ?? "the server ended the subscription");
      case "failed":
        return this.#lose("the server speaks another version of DDP");
      case "ping":
        this.#send({ ...message, msg: "pong" });
        break;
      case "bolide.move":
        this.listener.onMove(message.within);
        break;
      case "result":
        this.#calls.get(message.id)?.(message.error ? (message.error.reason ?? "It was not saved.") : "");
        this.#calls.delete(message.id);
        if (this.#leaving && this.#calls.size === 0) this.#close();
        break;
      default:
        this.#change(message);
    }
    this.listener.onChange();
  }

  /** @param {Fields} message */
  #change({ msg, collection, id, fields, cleared }) {
    if (msg === "removed") this.documents.get(collection)?.delete(id);
    if (msg !== "added" && msg !== "changed") return;
    const held = this.documents.get(collection) ?? new Map();
    const document = { ...held.get(id), ...fields };
    for (const name of cleared ?? []) delete document[name];
    this.documents.set(collection, held.set(id, document));
  }
}
