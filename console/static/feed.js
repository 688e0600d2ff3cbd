// @ts-check
// The socket: connect, decode, acknowledge, and come back after every loss.

import { decode } from "./decode.js";

/** Waits before attempts, ms; the last repeats. */
const WAITS_MS = [300, 700, 1500, 3000, 5000];
/** An open socket that brings nothing for so long is taken to be dead, ms. */
const SILENCE_MS = 6000;

/** @typedef {"connecting" | "open" | "lost"} LinkState */
/** @typedef {import("./decode.js").FeedMessage} FeedMessage */

export class Feed {
  /**
   * @param {string} url
   * @param {(message: FeedMessage) => void} onMessage
   * @param {(state: LinkState) => void} onState
   */
  constructor(url, onMessage, onState) {
    this.url = url;
    this.onMessage = onMessage;
    this.onState = onState;
    /** @type {LinkState} */
    this.state = "connecting";
    /** Why the last connection ended, in words; empty: not said. */
    this.fault = "";
    this.attempts = 0;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {number | undefined} */
    this.watch = undefined;
    this.connect();
  }

  connect() {
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => this.take(socket, event.data);
    socket.onclose = (event) => {
      this.fault = this.fault || event.reason;
      this.drop(socket);
    };
    this.socket = socket;
    this.guard(socket);
  }

  /** @param {WebSocket} socket @param {ArrayBuffer} data */
  take(socket, data) {
    if (socket !== this.socket) return;
    try {
      const message = decode(data);
      this.onMessage(message);
      const answer = new DataView(new ArrayBuffer(4));
      answer.setUint32(0, message.sequence, true);
      if (socket.readyState === WebSocket.OPEN) socket.send(answer.buffer);
    } catch (error) {
      // a message that cannot be read may hide a deleted track: start again from a snapshot
      this.fault = String(error);
      console.error(error);
      this.drop(socket);
      return;
    }
    this.attempts = 0;
    this.fault = "";
    this.guard(socket);
    this.tell("open");
  }

  /** Watch for a socket that is open and brings nothing. @param {WebSocket} socket */
  guard(socket) {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => {
      this.fault = "the node is silent";
      this.drop(socket);
    }, SILENCE_MS);
  }

  /** @param {WebSocket} socket */
  drop(socket) {
    if (socket !== this.socket) return;
    this.socket = null;
    clearTimeout(this.watch);
    socket.onclose = null;
    socket.close();
    this.tell("lost");
    const wait = WAITS_MS[Math.min(this.attempts, WAITS_MS.length - 1)];
    this.attempts += 1;
    setTimeout(() => this.connect(), wait * (0.8 + 0.4 * Math.random()));
  }

  /** @param {LinkState} state */
  tell(state) {
    if (state === this.state) return;
    this.state = state;
    this.onState(state);
  }
}
