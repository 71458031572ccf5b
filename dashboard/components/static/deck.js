// The curation deck: one task fills the screen, forwards beside reversed. Keys act here, at once, and the
// outbox carries what was decided to the server. Streamlit calls the exported function again whenever the
// server answers, so a deck is kept per place in the page.

const REMEMBERED = 50;
const decks = new WeakMap();

export default function (component) {
  const { parentElement, setStateValue } = component;
  const [data] = component.data;
  if (!decks.has(parentElement)) decks.set(parentElement, new Deck(parentElement, data));
  const deck = decks.get(parentElement);
  deck.update(data, setStateValue);
  return () => deck.close(parentElement);
}

class Deck extends DeckView {
  constructor(parent, data) {
    super(parent);
    this.tasks = new Map();
    this.queue = [];
    this.index = 0;
    this.aside = null; // a task that was looked up: it is shown beside the queue, whose place stays
    this.sought = null; // what was looked for in vain here, and whether the server's answer was shown
    this.offered = null;
    this.marked = 0; // the card of the gallery that keys act on, by its place in the queue
    this.flags = new Map(); // what holds of each task, whoever said it
    this.mine = new Map(); // what this person says, and what the latest of the others says
    this.others = new Map();
    this.disputed = new Map(); // what people said of the tasks on which they differ
    this.notes = new Map();
    this.again = [];
    this.passed = new Map(); // what was decided in this second pass, while all earlier flags are hidden
    this.times = [];
    const address = new URL(window.location.href).searchParams;
    this.page = address.has("gallery") ? Math.max(0, Number.parseInt(address.get("gallery"), 10) - 1 || 0) : null;
    const show = address.get("show");
    this.view = { show: show in FILTERS ? show : null, task: address.get("task"), digits: address.has("digits"),
      side: address.get("side") in SIDES ? address.get("side") : "any",
      order: address.get("order") in ORDERS ? address.get("order") : "id" };
    this.outbox = new Outbox(data.project, (boxes) => this.tell({ boxes }), () => this.showSaved());
    this.attempt = 0;
    this.listen(data.project);
  }

  // ------------------------------------------------------------------ talking with the server

  update(data, setStateValue) {
    this.setState = setStateValue;
    this.data = data;
    this.fillSources();
    this.outbox.acknowledge(data.acknowledged);
    this.alarm(data.problem);
    this.fit();
    if (data.unknown && !this.said) this.notice(data.unknown);
    this.said = true;
    if (data.found && data.found.text === this.sought && data.source === this.source) this.offer(data.found);
    this.fillKinds();
    if (data.tasks_url !== this.tasksUrl) this.load(data);
    else if (data.flag !== this.flag && this.tasks.size) this.takeFlags(data, null);
    else if (data.imports !== this.imports && this.tasks.size) this.takeFlags(data, this.current?.id ?? null);
    else this.askForSuggestions();
    this.outbox.flush();
    this.showSaved();
  }

  /** One state value carries everything to the server; it changes with every attempt. */
  tell(news) {
    this.attempt += 1;
    const source = this.wanted ?? this.data.source;
    this.setState("message", { attempt: this.attempt, source, boxes: news.boxes ?? {}, suggest: this.asked ?? null,
      flag: this.wantedFlag ?? this.data.flag,
      find: this.offered === this.sought ? null : this.sought });
  }

  /** Suggestions may take the server seconds, so they are asked for once the tasks are on the screen. */
  askForSuggestions() {
    if (!this.data.suggests || this.source !== this.data.source || this.judged === this.source) return;
    if (this.data.suggestions_url) this.judge(this.data.suggestions_url);
    else if (this.asked !== this.source) {
      this.asked = this.source;
      this.tell({});
    }
  }

  async judge(url) {
    const { source } = this;
    this.judged = source;
    let suggestions = {};
    try {
      suggestions = await (await fetch(url)).json();
    } catch {
      // The deck works without them.
    }
    if (this.source !== source) return;
    for (const [id, suggestion] of Object.entries(suggestions)) {
      const task = this.tasks.get(id);
      if (task) task.suggestion = suggestion;
    }
    if (this.view.show === "suggested" && !this.queue.length) this.enqueue(this.start);
    else this.show();
  }

  get isJudging() {
    return this.data.suggests && this.judged !== this.source;
  }

  async load(data) {
    this.tasksUrl = data.tasks_url;
    const began = performance.now();
    const underWay = this.outbox.actions; // they may be saved before the tasks come, and are not among these flags
    let listed;
    try {
      const answer = await fetch(data.tasks_url);
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      listed = (await answer.json()).tasks;
    } catch (problem) {
      this.tasksUrl = null;
      this.alarm(`The tasks could not be fetched (${problem.message}). Reload the page.`);
      return;
    }
    if (this.tasksUrl !== data.tasks_url) return;
    const moved = this.source !== undefined && this.source !== data.source;
    this.source = data.source;
    this.frame.dataset.source = data.source;
    this.tasks = new Map(listed.map((task) => [task.id, withSizes(task)]));
    this.readFlags(data, underWay);
    const memory = this.remembered();
    this.history = memory.history ?? [];
    // The address lags behind fast keys; after a reload this tab knows better where it was.
    if (moved || isReload()) this.view.task = memory.task ?? null;
    else if (this.view.task && !this.tasks.has(this.view.task)) {
      this.notice(`${this.source} has no task “${this.view.task}”.`);
      this.view.task = null;
    }
    this.view.show ??= listed.some((task) => !this.flags.get(task.id)) ? "unreviewed" : "all";
    this.fillFilters();
    this.judged = null;
    this.asked = null;
    this.enqueue(this.view.task);
    if (!moved && isReload() && this.tasks.has(memory.aside)) {
      this.aside = memory.aside;
      this.show();
    }
    if (this.tasks.has(this.elsewhere?.task)) this.lookUp(this.elsewhere.task);
    this.elsewhere = null;
    this.askForSuggestions();
    this.frame.dataset.loaded = String(Math.round(performance.now() - began));
  }

  /** The flags of one kind, with those that are still under way. */
  readFlags(data, underWay = []) {
    this.flag = data.flag;
    this.imports = data.imports;
    this.flags = new Map(Object.entries(data.flags));
    this.mine = new Map(Object.entries(data.mine));
    this.others = new Map(Object.entries(data.others));
    this.notes = new Map(Object.entries(data.notes));
    this.disputed = new Map(Object.entries(data.disputed));
    this.again = data.again;
    this.passed = new Map();
    for (const [, , source, task, value, flag = REVERSIBLE] of [...underWay, ...this.outbox.actions]) {
      if (source === this.source && flag === this.flag) this.setFlag(task, value);
    }
    this.text("question", `${this.flag[0].toUpperCase()}${this.flag.slice(1)}?`);
  }

  /** Go on with another kind of flag, of the same tasks. */
  takeFlags(data, start) {
    this.readFlags(data);
    this.history = this.remembered().history ?? [];
    this.fillFilters();
    this.enqueue(start);
  }

  /** In a second pass nothing shows what was said before. */
  get isBlind() {
    return this.view.show === "second pass";
  }

  shownFlag(id) {
    return this.isBlind ? this.passed.get(id) : this.flags.get(id);
  }

  // ------------------------------------------------------------------ the queue

  /** Fix the queue by the filter now, so that it does not move while one works through it. */
  enqueue(start) {
    const waits = this.view.show === "suggested" && this.isJudging;
    this.start = start;
    this.aside = null;
    this.queue = waits ? [] : queued([...this.tasks.values()], this.view, this.flags, this.disputed, this.again,
      start);
    this.index = Math.max(0, this.queue.indexOf(start));
    this.show();
  }

  get current() {
    return this.tasks.get(this.aside ?? this.queue[this.index]);
  }

  /** The place of the shown task in the queue; that of the queue itself where the task is not in it. */
  get shownPlace() {
    const found = this.queue.indexOf(this.current?.id);
    return found < 0 ? this.index : found;
  }

  /** A step in the queue; from a task that was looked up, back to the place that was left. */
  go(step) {
    if (this.aside === null) this.index = Math.max(0, Math.min(this.queue.length, this.index + step));
    this.aside = null;
    this.show();
  }

  /** Go to a place in the queue. */
  open(id) {
    if (!this.queue.includes(id)) return this.lookUp(id);
    this.index = this.queue.indexOf(id);
    this.aside = null;
    this.page = null;
    return this.show();
  }

  /** Show a task without leaving the place in the queue. */
  lookUp(id) {
    this.aside = id === this.queue[this.index] ? null : id;
    this.page = null;
    this.show();
  }

  // ------------------------------------------------------------------ deciding

  decide(value) {
    if (this.page !== null) return this.decideInGallery(value);
    const task = this.current;
    if (!task || this.isRefused()) return;
    this.history.push([task.id, value, this.mine.get(task.id) ?? "none", this.aside !== null, this.isBlind]);
    this.history = this.history.slice(-REMEMBERED);
    this.times.push(performance.now());
    this.send("flag", task.id, value);
    this.go(1);
  }

  /** Flag the marked card and mark the next one. */
  decideInGallery(value) {
    const id = this.queue[this.marked];
    if (!id || this.isRefused()) return;
    this.history = [...this.history, [id, value, this.mine.get(id) ?? "none", false]].slice(-REMEMBERED);
    this.times.push(performance.now());
    this.send("flag", id, value);
    this.mark(Math.min(this.marked + 1, this.queue.length - 1));
  }

  mark(place) {
    this.marked = place;
    this.page = Math.floor(place / PER_PAGE);
    this.show();
  }

  undo() {
    const last = this.isRefused() ? null : this.history.pop();
    if (!last) return;
    const [id, , before, wasAside, wasBlind] = last;
    this.times.pop();
    if (wasBlind) { // the second judgement goes, the first one holds again
      this.outbox.push("undo", this.source, id, "none", this.flag, "", true);
      this.passed.delete(id);
    }
    this.send("undo", id, before);
    if (this.page !== null && this.queue.includes(id)) this.mark(this.queue.indexOf(id));
    else if (wasAside) this.lookUp(id);
    else this.open(id);
  }

  /** Whether this person may flag; the server asks again for each flag that arrives. */
  isRefused() {
    if (this.data.refusal) this.alarm(this.data.refusal);
    return Boolean(this.data.refusal);
  }

  send(action, id, value) {
    this.setFlag(id, value);
    if (this.isBlind && action === "flag") this.passed.set(id, value);
    const note = action === "flag" && !this.isBlind ? this.notes.get(id) ?? "" : "";
    this.outbox.push(action, this.source, id, value, this.flag, note, this.isBlind && action === "flag");
    this.otherTabs?.postMessage([this.source, id, value, this.flag]);
  }

  /** Open the field of the note; what is kept there goes with the flag, or with the next one. */
  startNote() {
    if (!this.current || this.isBlind || this.page !== null || this.isRefused()) return;
    const field = this.part('[data-choice="note"]');
    field.hidden = false;
    field.value = this.notes.get(this.current.id) ?? "";
    field.focus();
  }

  keepNote(keep) {
    const field = this.part('[data-choice="note"]');
    const task = this.current;
    field.hidden = true;
    field.blur();
    if (!keep || !task) return;
    this.notes.set(task.id, field.value.trim());
    const value = this.mine.get(task.id);
    if (value) this.send("flag", task.id, value);
    this.show();
  }

  /** Choose a kind of flag, or begin a new one by its name. */
  chooseKind(text) {
    const name = text.trim().toLowerCase().replace(/[^a-z0-9 _-]/g, "");
    this.wantedFlag = /^[a-z0-9]/.test(name) ? name : REVERSIBLE;
    this.tell({});
  }

  fillKinds() {
    const kinds = [...new Set([...this.data.kinds, this.data.flag])];
    this.part("#arc-deck-kinds").replaceChildren(...kinds.map((name) => new Option(name, name)));
    const field = this.part('[data-choice="flag"]');
    if (!field.matches(":focus")) field.value = this.wantedFlag ?? this.data.flag;
  }

  /** What this person says now, which is the latest; after "none" the others' judgement holds. */
  setFlag(id, value) {
    const set = (flags, said) => (said === "none" ? flags.delete(id) : flags.set(id, said));
    set(this.mine, value);
    set(this.flags, value === "none" ? this.others.get(id) ?? "none" : value);
  }

  get memoryKey() {
    const kind = this.flag === REVERSIBLE ? "" : `/${this.flag}`;
    return `arc-deck/${this.data.project}/${this.source}${kind}`;
  }

  /** What this tab remembers of a source over a reload: the last decisions and the task on the screen. */
  remembered() {
    try {
      return JSON.parse(sessionStorage.getItem(this.memoryKey)) ?? {};
    } catch {
      return {};
    }
  }

  remember() {
    const memory = { history: this.history, task: this.queue[this.index], aside: this.aside };
    try {
      sessionStorage.setItem(this.memoryKey, JSON.stringify(memory));
    } catch {
      this.history = this.history.slice(-10);
    }
  }

  // ------------------------------------------------------------------ controls

  listen(project) {
    this.onKey = (event) => this.key(event);
    document.addEventListener("keydown", this.onKey, true);
    this.onResize = () => this.fit();
    window.addEventListener("resize", this.onResize);
    this.resized = new ResizeObserver(() => requestAnimationFrame(() => this.tasks.size && this.show()));
    this.resized.observe(this.part(".panels"));
    this.frame.addEventListener("mousedown", (event) => event.target.closest("button") && event.preventDefault());
    this.frame.addEventListener("click", (event) => this.click(event));
    this.part('[data-choice="source"]').addEventListener("change", (event) => this.choose("source", event));
    for (const what of ["show", "side", "order"]) {
      this.part(`[data-choice="${what}"]`).addEventListener("change", (event) => this.choose(what, event));
    }
    this.part('[data-choice="flag"]').addEventListener("change", (event) => {
      this.chooseKind(event.target.value);
      event.target.blur();
    });
    this.part('[data-choice="search"]').addEventListener("input", (event) => this.search(event.target.value, false));
    if (typeof BroadcastChannel === "undefined") return;
    this.otherTabs = new BroadcastChannel(`arc-deck/${project}`);
    this.otherTabs.onmessage = ({ data: [source, id, value, flag = REVERSIBLE] }) => {
      if (source !== this.source || flag !== this.flag) return;
      this.setFlag(id, value);
      this.show();
    };
  }

  key(event) {
    if (!this.frame.isConnected || event.ctrlKey || event.metaKey || event.altKey) return;
    const [origin] = event.composedPath();
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (origin.matches?.("input, textarea, select, [contenteditable]")) {
      if (origin.dataset.choice === "note" && (key === "Enter" || key === "Escape")) {
        event.stopPropagation();
        return this.keepNote(key === "Enter");
      }
      if (key === "Enter" && origin.dataset.choice === "search") this.search(origin.value, true);
      // While nothing was found the keys stay in the box: they would flag the task that is still shown.
      if (key === "Escape" || (key === "Enter" && !origin.classList.contains("nothing"))) origin.blur();
      if (key === "Escape" && this.aside !== null) this.go(0);
      return;
    }
    if (this.page !== null && this.galleryKey(key, origin)) {
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    const names = { u: "undo", j: "next", ArrowRight: "next", k: "back", ArrowLeft: "back", n: "note", d: "digits", g: "gallery",
      "?": "help", "/": "search", Escape: "close", f: "yes", x: "no", s: "unsure" };
    const name = names[key];
    if (!name) return;
    event.preventDefault();
    event.stopPropagation();
    const mayRepeat = name === "next" || name === "back";
    if (!event.repeat || mayRepeat) this.act(name);
  }

  click(event) {
    const button = event.target.closest("[data-do], [data-open]");
    if (button?.dataset.open && button.closest(".strip")) this.lookUp(button.dataset.open);
    else if (button?.dataset.open) this.open(button.dataset.open);
    else if (button) this.act(button.dataset.do);
    else if (event.target.closest(".help")) this.act("close");
  }

  act(name) {
    if (!this.tasks.size) return;
    if (name === "elsewhere") return void this.openElsewhere();
    this.notice(null);
    const help = this.part(".help");
    if (name === "help") help.hidden = !help.hidden;
    else help.hidden = true;
    const step = { next: 1, back: -1 }[name];
    if (name in VALUES) this.decide(name);
    else if (name === "undo") this.undo();
    else if (name === "note") this.startNote();
    else if (step && this.page !== null) this.turn(step);
    else if (step) this.go(step);
    else if (name === "digits") this.toggleDigits();
    else if (name === "gallery") this.turnTo(this.page === null ? Math.floor(this.shownPlace / PER_PAGE) : null);
    else if (name === "search") this.startSearch();
    else if (name === "everything") {
      this.view.side = "any";
      this.filter("all");
    }
    else if (name === "close" && this.page !== null) this.turnTo(null);
    else if (name === "close" && this.aside !== null) this.go(0);
  }

  turn(step) {
    this.turnTo(Math.max(0, this.page + step));
  }

  /** Turn to a page of the gallery, with the present task's card marked or else the first; null closes it. */
  turnTo(page) {
    this.page = page;
    const place = this.shownPlace;
    if (page !== null) this.marked = Math.floor(place / PER_PAGE) === page ? place : page * PER_PAGE;
    this.show();
  }

  /** Arrows mark a card and turn pages, Enter opens it; whether the key was one of these. */
  galleryKey(key, origin) {
    if (key === "Enter") {
      if (origin.matches?.("button:not(.card)") || !this.queue.length) return false;
      this.open(this.queue[this.marked]);
      return true;
    }
    const columns = getComputedStyle(this.part(".cards")).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[key];
    if (!step) return false;
    const place = this.marked + step;
    if (place < 0 || place >= this.queue.length) return true;
    this.mark(place);
    return true;
  }

  toggleDigits() {
    this.view.digits = !this.view.digits;
    this.show();
  }

  choose(what, event) {
    event.target.blur();
    if (what === "show") return this.filter(event.target.value);
    if (what !== "source") {
      this.view[what] = event.target.value;
      return this.enqueue(null);
    }
    this.wanted = event.target.value;
    return this.tell({});
  }

  filter(name) {
    this.view.show = name;
    this.fillFilters();
    this.enqueue(null);
  }

  /** What is typed next replaces the last id. */
  startSearch() {
    const box = this.part('[data-choice="search"]');
    box.focus();
    box.select();
  }

  /** Go to the first task whose id begins with the text; Enter also accepts a part of an id. */
  search(text, anywhere) {
    const wanted = text.trim().toLowerCase();
    if (wanted.length < 2) return;
    const ids = [...this.tasks.keys()];
    const found = ids.find((id) => id.startsWith(wanted)) ?? (anywhere ? ids.find((id) => id.includes(wanted)) : undefined);
    this.part('[data-choice="search"]').classList.toggle("nothing", !found);
    if (found) return this.lookUp(found);
    if (this.aside !== null) this.go(0); // what was near is not what was sought
    if (!anywhere) return undefined;
    if (this.elsewhere && this.sought === wanted) return this.openElsewhere();
    this.sought = wanted;
    this.offered = null;
    this.elsewhere = null;
    return this.tell({});
  }

  /** Say where else the task is that this source has not. */
  offer({ text, source, task }) {
    if (this.offered === text) return;
    this.offered = text;
    this.elsewhere = task ? { source, task } : null;
    const here = `“${text}” is not in ${this.source}`;
    this.notice(task ? `${here}; ${task} is in ${source}.` : `${here}, nor in another source.`, task && "open (Enter)");
  }

  openElsewhere() {
    this.wanted = this.elsewhere.source;
    this.sought = null;
    this.offered = null;
    this.notice(null);
    this.part('[data-choice="search"]').blur();
    this.tell({});
  }

  fillSources() {
    const select = this.part('[data-choice="source"]');
    const names = this.data.sources.join("\n");
    if (select.dataset.names !== names) {
      select.replaceChildren(...this.data.sources.map((name) => new Option(name, name)));
      select.dataset.names = names;
    }
    select.value = this.wanted ?? this.data.source;
  }

  fillFilters() {
    this.part(".suggestion").hidden = !this.data.suggests;
    const names = Object.keys(FILTERS).filter((name) => name !== "suggested" || this.data.suggests);
    if (!names.includes(this.view.show)) this.view.show = "all";
    this.fill("show", names.map((name) => [name, name]));
    this.fill("side", Object.entries(SIDES).sort(([a], [b]) => (Number(a) || 0) - (Number(b) || 0)));
    this.fill("order", Object.entries(ORDERS));
  }

  fill(choice, options) {
    const select = this.part(`[data-choice="${choice}"]`);
    select.replaceChildren(...options.map(([value, label]) => new Option(label, value)));
    select.value = this.view[choice];
  }

  /** The address names what is shown; browsers refuse too many changes, so wait for a pause. */
  addressSoon() {
    clearTimeout(this.addressTimer);
    const { pathname } = window.location;
    this.addressTimer = setTimeout(() => {
      if (!this.frame.isConnected || window.location.pathname !== pathname) return;
      const address = new URL(window.location.href);
      const { show, side, order } = this.view;
      const parts = { source: this.source, flag: this.flag === REVERSIBLE ? undefined : this.flag, show, task: this.current?.id,
        side: side === "any" ? undefined : side, order: order === "id" ? undefined : order,
        digits: this.view.digits ? "1" : undefined, gallery: this.page === null ? undefined : String(this.page + 1) };
      for (const [name, value] of Object.entries(parts)) {
        if (value === undefined) address.searchParams.delete(name);
        else address.searchParams.set(name, value);
      }
      window.history.replaceState(window.history.state, "", address);
    }, 400);
  }

  /** Streamlit also calls this for a call that a newer one overtook; only a deck that left the page closes. */
  close(parent) {
    if (this.frame.isConnected) return;
    document.removeEventListener("keydown", this.onKey, true);
    window.removeEventListener("resize", this.onResize);
    this.resized.disconnect();
    this.otherTabs?.close();
    this.outbox.close();
    clearTimeout(this.addressTimer);
    decks.delete(parent);
  }
}

function isReload() {
  return performance.getEntriesByType("navigation")[0]?.type === "reload";
}
