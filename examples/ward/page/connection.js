// One subscription through all connections that there have to be: lost ones are found again, and when
// the server asks for another one, it is opened before the present one is left.

import { Session } from "./session.js";

/** @typedef {import("./session.js").Fields} Fields */
/** @typedef {import("./session.js").Documents} Documents */

const LONGEST_WAIT = 30_000;
// One request to move is obeyed in so long, and a new session that comes to nothing is tried again; milliseconds.
const BETWEEN_MOVES = 30_000;
const BETWEEN_TRIES = 2_000;
const LONGEST_MOVE = 600_000;

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

  /** @type {Session | undefined} */
  #session;
  /** Is taken when it is ready. @type {Session | undefined} */
  #next;
  #moveUntil = 0;
  #movedAt = -Infinity;
  #attempts = 0;

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
    if (this.state === "live" && this.#session) return this.#session.call(method, params);
    return Promise.resolve("There is no connection. Add it again when there is.");
  }

  #open() {
    this.state = "connecting";
    this.#session = this.#start();
    this.onChange();
  }

  #start() {
    const session = new Session(this.url, this.publication, this.params, {
      onChange: () => {
        if (session !== this.#session) return;
        if (this.state === "live") this.liveUntil = session.heardAt;
        this.onChange();
      },
      onReady: () => this.#take(session),
      onMove: (within) => this.#move(Math.min(within * 1000, LONGEST_MOVE)),
      onLost: (reason) => (session === this.#next ? this.#retryMove() : this.#lose(reason)),
    });
    return session;
  }

  /** @param {Session} session */
  #take(session) {
    if (session === this.#next) {
      this.#session?.leave();
      this.#next = undefined;
    }
    this.#session = session;
    this.documents = session.documents;
    this.state = "live";
    this.reason = "";
    this.#attempts = 0;
  }

  /** @param {number} within milliseconds */
  #move(within) {
    const now = Date.now();
    if (now - this.#movedAt < BETWEEN_MOVES) return;
    this.#movedAt = now;
    this.#moveUntil = now + within;
    // All clients of a node are asked in the same moment, and spread over three quarters of the time.
    setTimeout(() => this.#prepare(), within * 0.75 * Math.random());
  }

  #prepare() {
    if (this.state === "live" && !this.#next && Date.now() <= this.#moveUntil) this.#next = this.#start();
  }

  #retryMove() {
    this.#next = undefined;
    setTimeout(() => this.#prepare(), BETWEEN_TRIES);
  }

  /** @param {string} [reason] */
  #lose(reason) {
    this.reason = reason ?? (this.reason || "the server cannot be reached");
    // What is nearly there is better than another attempt.
    this.#session = this.#next;
    this.#next = undefined;
    this.state = this.#session ? "connecting" : "lost";
    if (this.state === "lost") {
      this.retryAt = Date.now() + Math.min(LONGEST_WAIT, 1000 * 2 ** this.#attempts++) * (0.5 + Math.random() / 2);
    }
    this.onChange();
  }

  #tick() {
    if (this.state === "lost" && Date.now() >= this.retryAt) this.#open();
    else this.#session?.tick();
    this.#next?.tick();
    this.onChange(); // how long something lasts is shown too
  }
}
