// What was decided here and is not yet known to be on the server's disk. Every page load has a nonce and
// numbers its actions; they stay in localStorage until the server has acknowledged their numbers, so a
// reload, a second tab or a dead server loses nothing, and the numbers keep anything from being doubled.

const BATCH = 100;
const FIRST_RETRY_MS = 1500;
const SLOWEST_RETRY_MS = 6000;

class Outbox {
  /** `project` keeps projects on the same port apart; `send(boxes)` carries {nonce: actions} away. */
  constructor(project, send, changed) {
    this.prefix = `arc-deck/${project}/`;
    this.nonce = [...crypto.getRandomValues(new Uint8Array(8))].map((b) => b.toString(16).padStart(2, "0")).join("");
    this.send = send;
    this.changed = changed;
    this.boxes = this.leftBehind();
    this.last = 0;
    this.retry = FIRST_RETRY_MS;
    this.timer = null;
  }

  /** Boxes of earlier loads and of other tabs; sending those of a living tab twice does no harm. */
  leftBehind() {
    const boxes = {};
    try {
      for (let index = 0; index < localStorage.length; index += 1) {
        const key = localStorage.key(index);
        if (key.startsWith(this.prefix)) boxes[key.slice(this.prefix.length)] = JSON.parse(localStorage.getItem(key));
      }
    } catch (problem) {
      console.warn("What earlier pages left unsent can't be read.", problem);
    }
    return boxes;
  }

  get actions() {
    return Object.values(this.boxes).flat();
  }

  get pending() {
    return this.actions.length;
  }

  push(...action) {
    this.last += 1;
    (this.boxes[this.nonce] ??= []).push([this.last, ...action]);
    this.store(this.nonce, this.boxes[this.nonce]);
    this.changed();
    this.flush();
  }

  /** Send the oldest actions unless some are under way; without an answer, send them again. */
  flush() {
    if (this.timer !== null || this.pending === 0) return;
    const boxes = Object.entries(this.boxes).filter(([, actions]) => actions.length);
    this.send(Object.fromEntries(boxes.slice(0, 20).map(([nonce, actions]) => [nonce, actions.slice(0, BATCH)])));
    this.timer = setTimeout(() => {
      this.timer = null;
      this.retry = Math.min(this.retry * 1.5, SLOWEST_RETRY_MS);
      this.flush();
    }, this.retry);
  }

  /** Forget what the server has written: for each nonce, all actions up to a number. */
  acknowledge(numbers) {
    let news = false;
    for (const [nonce, number] of Object.entries(numbers)) {
      const before = this.boxes[nonce];
      if (!before) continue;
      this.boxes[nonce] = before.filter(([seq]) => seq > number);
      if (this.boxes[nonce].length === before.length) continue;
      news = true;
      // Another tab may have added to its own box since this page read it.
      const stored = nonce === this.nonce ? this.boxes[nonce] : this.read(nonce).filter(([seq]) => seq > number);
      this.store(nonce, stored);
      if (nonce !== this.nonce && !this.boxes[nonce].length) delete this.boxes[nonce];
    }
    if (!news) return;
    clearTimeout(this.timer);
    this.timer = null;
    this.retry = FIRST_RETRY_MS;
    this.changed();
    this.flush();
  }

  read(nonce) {
    try {
      return JSON.parse(localStorage.getItem(this.prefix + nonce)) ?? [];
    } catch {
      return [];
    }
  }

  store(nonce, actions) {
    try {
      if (actions.length) localStorage.setItem(this.prefix + nonce, JSON.stringify(actions));
      else localStorage.removeItem(this.prefix + nonce);
    } catch (problem) {
      console.warn("The browser refuses to store; keep this page open until everything is saved.", problem);
    }
  }

  close() {
    clearTimeout(this.timer);
  }
}
