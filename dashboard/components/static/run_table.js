// The table of runs: one row for each run, in an order that never changes. Streamlit calls the exported
// function again with every poll; rows are updated in place, so nothing moves under the pointer. A click,
// Enter or Space selects a run or leaves it out again.

const COLUMNS = [
  ["variant", "", "15%"], ["seed", "number", "5%"], ["state", "", "11%"], ["progress", "", "13%"],
  ["step", "number", "9%"], ["loss", "number", "7%"], ["tokens/s", "number", "8%"], ["left", "number", "7%"],
  ["note", "", "25%"],
];
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
  }

  update(data, setState) {
    this.setState = setState;
    const signature = JSON.stringify([data.experiment, data.runs.map((run) => run.id)]);
    if (signature !== this.signature) {
      this.signature = signature;
      this.selected = new Set(data.selected);
      this.build(data.runs);
    }
    for (const run of data.runs) this.show(run);
  }

  build(runs) {
    const table = make("table");
    const head = table.createTHead().insertRow();
    for (const [name, kind, width] of COLUMNS) {
      const cell = make("th", kind, name === "note" || name === "progress" ? "" : name);
      cell.scope = "col";
      cell.style.width = width;
      head.append(cell);
    }
    const body = table.createTBody();
    this.rows = new Map(runs.map((run) => [run.id, this.row(body.insertRow(), run)]));
    this.frame.replaceChildren(table);
  }

  row(line, run) {
    line.tabIndex = 0;
    line.dataset.run = run.id;
    const cells = COLUMNS.map(([name, kind]) => {
      const cell = make("td", `${kind} ${name.replace("/", "-")}`);
      line.append(cell);
      return cell;
    });
    const dot = make("span", "dot");
    dot.style.background = run.colour;
    cells[0].append(dot, run.variant);
    cells[0].title = run.variant;
    cells[1].textContent = run.seed;
    const bar = make("div", "bar");
    const fill = make("i");
    bar.append(fill);
    cells[3].append(bar);
    const note = make("span");
    cells[8].append(note);
    line.addEventListener("click", () => this.toggle(run.id));
    line.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      this.toggle(run.id);
    });
    return { line, cells, fill, note };
  }

  show(run) {
    const { line, cells, fill, note } = this.rows.get(run.id);
    line.dataset.state = run.state;
    line.dataset.hangs = String(run.hangs);
    line.setAttribute("aria-selected", String(this.selected.has(run.id)));
    put(cells[2], run.said);
    fill.style.width = `${100 * run.share}%`;
    put(cells[4], run.step);
    put(cells[5], run.loss);
    put(cells[6], run.speed);
    put(cells[7], run.left);
    put(note, run.note);
    cells[8].title = run.note;
  }

  toggle(id) {
    if (!this.selected.delete(id)) this.selected.add(id);
    for (const [name, { line }] of this.rows) line.setAttribute("aria-selected", String(this.selected.has(name)));
    this.setState("selected", [...this.selected]);
  }
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
