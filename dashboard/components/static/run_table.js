// The table of runs: grouped by variant, in an order that changes only when a person sorts. Streamlit calls the
// exported function again with every poll; rows are updated in place, so nothing moves under the pointer. A
// click (or Enter) shows a run; its box (or Space) selects it, with Shift all rows between.

const COLUMNS = [
  ["box", "", "", 30], ["variant", "run", "", 0], ["state", "state", "", 96], ["progress", "progress", "", 76],
  ["step", "step", "number", 92], ["score", "score", "number", 86], ["loss", "loss", "number", 58],
  ["tokens-s", "tokens/s", "number", 72], ["took", "took", "number", 62], ["left", "left", "number", 58],
  ["started", "started", "number", 92], ["owner", "owner", "", 70], ["tries", "tries", "number", 46],
  ["note", "note", "", 0],
];
const ALWAYS = ["box", "variant", "state"];
const FOLD_FROM = 24;
const HIDDEN = "arc-run-columns";
const NOTIFY = "arc-notify";
const tables = new WeakMap();

export default function (component) {
  const { parentElement, data, setStateValue } = component;
  if (!tables.has(parentElement)) tables.set(parentElement, new RunTable(parentElement));
  tables.get(parentElement).update(data, setStateValue);
}

class RunTable {
  constructor(parent) {
    this.frame = make("div", "runs");
    parent.append(this.frame);
    this.hidden = new Set(JSON.parse(localStorage.getItem(HIDDEN) ?? '["owner","tries"]'));
    this.words = "";
    this.sort = null;
  }

  update(data, setState) {
    this.setState = setState;
    this.data = data;
    const signature = JSON.stringify([data.experiment, data.runs.map((run) => run.id)]);
    if (signature !== this.signature) {
      this.signature = signature;
      this.selected = new Set(data.selected);
      this.focus = data.focus;
      this.folded = new Set(data.runs.length > FOLD_FROM ? data.groups.map((group) => group.variant) : []);
      this.build();
    }
    for (const run of data.runs) this.show(run);
    for (const group of data.groups) this.showGroup(group);
    this.watch(data.watch);
  }

  /** The tab's title says how far the experiment is, and a notification that it ended, where a person asked. */
  watch({ active, done, runs, sentence }) {
    const { experiment } = this.data;
    if (active) this.watched = experiment;
    else if (this.watched === experiment) {
      [this.watched, this.ended] = [null, experiment];
      if (mayNotify()) new Notification(experiment, { body: sentence, tag: experiment });
    }
    const mark = active ? `${done}/${runs} ` : this.ended === experiment ? "✓ " : "";
    const title = mark + document.title.replace(/^(\d+\/\d+|✓) /, "");
    if (title !== document.title) document.title = title;
    this.bell.style.visibility = active ? "visible" : "hidden";
  }

  notify() {
    const label = make("label", "bell");
    label.title = "A notification of this browser when no run is under way any more, while this page is open.";
    const box = make("input");
    box.type = "checkbox";
    box.checked = mayNotify();
    const words = make("span", "", "tell me when it is done");
    box.addEventListener("change", async () => {
      const wanted = box.checked;
      const may = wanted && "Notification" in window && (await Notification.requestPermission()) === "granted";
      box.checked = may;
      may ? localStorage.setItem(NOTIFY, "1") : localStorage.removeItem(NOTIFY);
      if (wanted && !may) put(words, "this browser allows no notifications here; the tab's title tells");
    });
    label.append(box, words);
    this.bell = label;
    return label;
  }

  build() {
    const table = make("table");
    const head = table.createTHead().insertRow();
    for (const [name, title, kind, width] of COLUMNS) {
      const cell = make("th", `${kind} ${name}`);
      cell.scope = "col";
      if (width) cell.style.width = `${width}px`;
      if (name !== "box" && title) {
        const button = make("button", "", title);
        button.addEventListener("click", () => this.sortBy(name));
        cell.append(button);
      }
      head.append(cell);
    }
    this.head = head;
    this.body = table.createTBody();
    this.rows = new Map(this.data.runs.map((run) => [run.id, this.row(run)]));
    this.squares = new Map();
    this.groups = new Map(this.data.groups.map((group) => [group.variant, this.groupRow(group)]));
    this.arrange();
    const scroll = make("div", "scroll");
    scroll.append(table);
    this.frame.replaceChildren(this.tools(), scroll);
    this.hide();
  }

  tools() {
    const bar = make("div", "tools");
    const filter = make("input");
    filter.type = "search";
    filter.placeholder = "filter: variant, state, note, owner";
    filter.setAttribute("aria-label", "filter runs");
    filter.value = this.words;
    filter.addEventListener("input", () => {
      this.words = filter.value.toLowerCase();
      this.arrange();
    });
    const fold = make("button", "", "fold / unfold all");
    fold.addEventListener("click", () => {
      this.folded = new Set(this.folded.size ? [] : this.groups.keys());
      this.arrange();
    });
    this.count = make("span", "count");
    this.clear = make("button", "", "clear selection");
    this.clear.addEventListener("click", () => {
      this.selected.clear();
      this.tell();
    });
    const columns = make("details");
    columns.append(make("summary", "", "columns"));
    const list = make("div", "list");
    for (const [name, title] of COLUMNS) {
      if (ALWAYS.includes(name)) continue;
      const label = make("label");
      const box = make("input");
      box.type = "checkbox";
      box.checked = !this.hidden.has(name);
      box.addEventListener("change", () => {
        box.checked ? this.hidden.delete(name) : this.hidden.add(name);
        localStorage.setItem(HIDDEN, JSON.stringify([...this.hidden]));
        this.hide();
      });
      label.append(box, title);
      list.append(label);
    }
    columns.append(list);
    bar.append(filter, fold, columns, this.notify(), this.count, this.clear);
    this.tellCount();
    return bar;
  }

  hide() {
    for (const [name] of COLUMNS) this.frame.classList.toggle(`no-${name}`, this.hidden.has(name));
  }

  groupRow(group) {
    const line = make("tr", "group");
    line.dataset.group = group.variant;
    line.tabIndex = 0;
    const cells = COLUMNS.map(([name, , kind]) => {
      const cell = make("td", `${kind} ${name}`);
      line.append(cell);
      return cell;
    });
    const box = this.box(`select all runs of ${group.variant}`);
    box.addEventListener("click", (event) => event.stopPropagation());
    box.addEventListener("change", () => {
      for (const run of this.data.runs) {
        if (run.variant === group.variant) this.selected[box.checked ? "add" : "delete"](run.id);
      }
      this.tell();
    });
    cells[0].append(box);
    const dot = make("span", "dot");
    dot.style.background = group.colour;
    const arrow = make("span", "arrow");
    cells[1].append(arrow, dot, group.variant);
    cells[1].title = group.variant;
    const fill = bar(cells[3]);
    cells.at(-1).append(this.strip(group.variant));
    const flip = () => {
      if (!this.folded.delete(group.variant)) this.folded.add(group.variant);
      this.arrange();
    };
    line.addEventListener("click", flip);
    line.addEventListener("keydown", (event) => {
      if (event.target !== line || (event.key !== "Enter" && event.key !== " ")) return;
      event.preventDefault();
      flip();
    });
    return { line, cells, fill, box, arrow };
  }

  /** Each run of a variant as a square in the colour of its state, also while they are folded; a click shows it. */
  strip(variant) {
    const strip = make("div", "strip");
    for (const run of this.data.runs.filter((one) => one.variant === variant)) {
      const square = make("button");
      square.tabIndex = -1; // keys reach the rows
      square.setAttribute("aria-label", `show ${run.id}`);
      square.addEventListener("click", (event) => {
        event.stopPropagation();
        this.look(run.id);
      });
      this.squares.set(run.id, square);
      strip.append(square);
    }
    return strip;
  }

  box(label) {
    const box = make("input");
    box.type = "checkbox";
    box.setAttribute("aria-label", label);
    return box;
  }

  row(run) {
    const line = make("tr");
    line.tabIndex = 0;
    line.dataset.run = run.id;
    const cells = COLUMNS.map(([name, , kind]) => {
      const cell = make("td", `${kind} ${name}`);
      line.append(cell);
      return cell;
    });
    const box = this.box(`select ${run.id}`);
    cells[0].append(box);
    cells[0].addEventListener("click", (event) => event.stopPropagation());
    box.addEventListener("click", (event) => this.toggle(run.id, box.checked, event.shiftKey));
    const dot = make("span", "dot");
    dot.style.background = run.colour;
    cells[1].append(dot, run.id);
    cells[1].title = run.id;
    const fill = bar(cells[3]);
    const note = make("span");
    cells.at(-1).append(note);
    line.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault());
    line.addEventListener("click", (event) => (event.shiftKey ? this.toggle(run.id, true, true) : this.look(run.id)));
    line.addEventListener("keydown", (event) => {
      if (event.target !== line || (event.key !== "Enter" && event.key !== " ")) return;
      event.preventDefault();
      event.key === "Enter" ? this.look(run.id) : this.toggle(run.id, !this.selected.has(run.id), event.shiftKey);
    });
    return { line, cells, fill, note, box };
  }

  show(run) {
    const { line, cells, fill, note, box } = this.rows.get(run.id);
    const square = this.squares.get(run.id);
    for (const one of [line, square]) {
      one.dataset.state = run.state;
      one.setAttribute("aria-current", String(this.focus === run.id));
    }
    square.title = [run.id, run.cells.state, run.cells.score, run.note].filter(Boolean).join(" · ");
    line.dataset.hangs = String(run.hangs);
    box.checked = this.selected.has(run.id);
    line.setAttribute("aria-selected", String(box.checked));
    fill.style.width = `${100 * run.share}%`;
    fill.parentElement.title = `${Math.round(100 * run.share)} % of all stages`;
    COLUMNS.forEach(([name], place) => {
      if (name in run.cells) put(cells[place], run.cells[name]);
    });
    put(note, run.note);
    cells.at(-1).title = run.note;
  }

  showGroup(group) {
    const { line, cells, fill, box, arrow } = this.groups.get(group.variant);
    const own = this.data.runs.filter((run) => run.variant === group.variant);
    const chosen = own.filter((run) => this.selected.has(run.id)).length;
    box.checked = chosen === own.length && chosen > 0;
    box.indeterminate = chosen > 0 && chosen < own.length;
    line.dataset.state = group.state;
    fill.style.width = `${100 * group.share}%`;
    put(arrow, this.folded.has(group.variant) ? "▸" : "▾");
    COLUMNS.forEach(([name], place) => {
      if (name in group.cells) put(cells[place], group.cells[name]);
    });
  }

  /** Which rows stand there, and in which order: groups in that of the spec unless a person sorted. */
  arrange() {
    const shown = (run) => `${run.id} ${run.cells.state} ${run.note} ${run.cells.owner}`.toLowerCase();
    const place = (one) => one.sort[this.sort?.name] ?? null;
    const order = (a, b) => {
      const [x, y] = [place(a), place(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      return (x < y ? -1 : x > y ? 1 : 0) * (this.sort.down ? -1 : 1);
    };
    const sorted = (list) => (this.sort ? [...list].sort(order) : list);
    const lines = [];
    for (const group of sorted(this.data.groups)) {
      const own = this.data.runs.filter((run) => run.variant === group.variant && shown(run).includes(this.words));
      if (!own.length) continue;
      lines.push(this.groups.get(group.variant).line);
      if (this.folded.has(group.variant) && !this.words) continue;
      for (const run of sorted(own)) lines.push(this.rows.get(run.id).line);
    }
    this.body.replaceChildren(...lines);
    for (const group of this.data.groups) this.showGroup(group);
    [...this.head.cells].forEach((cell, at) => {
      const mine = this.sort?.name === COLUMNS[at][0];
      cell.setAttribute("aria-sort", mine ? (this.sort.down ? "descending" : "ascending") : "none");
    });
  }

  sortBy(name) {
    const again = this.sort?.name === name;
    this.sort = again && this.sort.down ? { name, down: false } : again ? null : { name, down: true };
    this.arrange();
  }

  look(id) {
    this.focus = id;
    for (const run of this.data.runs) this.show(run);
    this.setState("focus", id);
  }

  toggle(id, on, range) {
    const visible = [...this.body.querySelectorAll("tr[data-run]")].map((line) => line.dataset.run);
    const [from, to] = [visible.indexOf(this.last), visible.indexOf(id)];
    const ids = range && from >= 0 ? visible.slice(Math.min(from, to), Math.max(from, to) + 1) : [id];
    for (const one of ids) this.selected[on ? "add" : "delete"](one);
    this.last = id;
    this.tell();
  }

  tell() {
    for (const run of this.data.runs) this.show(run);
    for (const group of this.data.groups) this.showGroup(group);
    this.tellCount();
    this.setState("selected", [...this.selected]);
  }

  tellCount() {
    put(this.count, this.selected.size ? `${this.selected.size} selected` : "");
    this.clear.style.visibility = this.selected.size ? "visible" : "hidden";
  }
}

function mayNotify() {
  return "Notification" in window && Notification.permission === "granted" && localStorage.getItem(NOTIFY) === "1";
}

function bar(cell) {
  const box = make("div", "bar");
  const fill = make("i");
  box.append(fill);
  cell.append(box);
  return fill;
}

function make(tag, kind = "", text = "") {
  const element = document.createElement(tag);
  if (kind.trim()) element.className = kind.trim();
  if (text) element.textContent = text;
  return element;
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
