// How a deck looks: the frame once, then the current task, the gallery, the progress and the last ten.
// The view draws what `Deck` (which extends it) decides; it changes nothing itself.

const VALUES = {
  yes: { key: "f", mark: "✓", label: "yes" },
  no: { key: "x", mark: "✗", label: "no" },
  unsure: { key: "s", mark: "?", label: "unsure" },
};
const KEYS = [
  ["F", "reversible: yes"], ["X", "reversible: no"], ["S", "unsure"], ["U", "undo"], ["J  →", "next"], ["K  ←", "back"],
  ["N", "a note: it goes with the flag"], ["D", "digits"], ["/", "search by id; the place in the queue stays"], ["G", "gallery: J K turn its pages,"],
  ["← ↑ ↓ →", "mark a card there; F X S flag it,"], ["Enter", "opens it"], ["?", "this help"], ["Esc", "close, or back to the queue"],
];
const REVERSIBLE = "reversible";
const PER_PAGE = 100;
const LONGEST_PAUSE_MS = 30000;
const SILENT_SAVING_MS = 700;
const FRAME = `
<header>
  <label class="choice"><span>source</span><select data-choice="source"></select></label>
  <label class="choice"><span>show</span><select data-choice="show"></select></label>
  <select data-choice="side" aria-label="size of the grids"></select><select data-choice="order" aria-label="order"></select>
  <input type="text" data-choice="flag" list="arc-deck-kinds" aria-label="kind of flag" spellcheck="false" maxlength="40">
  <datalist id="arc-deck-kinds"></datalist>
  <input type="search" data-choice="search" placeholder="task id" aria-label="search by id" spellcheck="false">
  <div class="progress"><div class="numbers"><b data-text="done"></b><span data-text="rate"></span><span data-text="left"></span></div>
    <div class="bar"><i></i></div></div>
  <span class="saved" data-text="saved" role="status"></span>
  <div class="tools"><button data-do="gallery">gallery</button><button data-do="digits">digits</button><button data-do="help">?</button></div>
</header>
<p class="alarm" role="alert" hidden></p>
<p class="notice" role="status" hidden></p>
<main>
  <div class="title"><code data-text="id"></code><span class="flag" data-text="flag"></span><span class="note" data-text="note"></span>
    <input data-choice="note" aria-label="note" placeholder="note, Enter keeps it" maxlength="400" hidden>
    <span class="place" data-text="place"></span></div>
  <div class="panels">
    <section class="panel" data-panel="forwards"><h3>forwards</h3><div class="pairs"></div></section>
    <section class="panel" data-panel="reversed"><h3>reversed: can every input be told from its output?</h3><div class="pairs"></div></section>
  </div>
  <p class="suggestion" data-text="suggestion"></p>
</main>
<div class="gallery" hidden></div>
<div class="end" hidden></div>
<footer>
  <div class="answers">
    <b data-text="question">Reversible?</b>
    <button data-do="yes"><kbd>F</kbd>yes</button><button data-do="no"><kbd>X</kbd>no</button><button data-do="unsure"><kbd>S</kbd>unsure</button>
    <span class="gap"></span>
    <button data-do="undo"><kbd>U</kbd>undo</button><button data-do="note"><kbd>N</kbd>note</button><button data-do="back"><kbd>K</kbd>back</button><button data-do="next"><kbd>J</kbd>next</button>
  </div>
  <div class="last"><span>last ten</span><div class="strip"></div></div>
</footer>
<div class="help" hidden><div><h3>Keys</h3><dl></dl></div></div>`;

class DeckView {
  constructor(parent) {
    this.frame = document.createElement("div");
    this.frame.className = "deck";
    this.frame.innerHTML = FRAME;
    parent.appendChild(this.frame);
    this.lastCards = new Map();
    this.fillHelp();
  }

  fillHelp() {
    this.part(".help dl").innerHTML = KEYS.map(([key, meaning]) => `<dt><kbd>${key}</kbd></dt><dd>${meaning}</dd>`).join("");
  }

  /** Take the height that the window leaves below what stands above. */
  fit() {
    const top = this.frame.getBoundingClientRect().top + document.documentElement.scrollTop;
    this.frame.style.setProperty("--above", `${Math.max(0, Math.round(top))}px`);
  }

  text(name, value) {
    this.frame.querySelector(`[data-text="${name}"]`).textContent = value;
  }

  show() {
    const began = performance.now();
    const task = this.current;
    const gallery = this.page !== null;
    this.part(".gallery").hidden = !gallery;
    this.part("main").hidden = gallery || !task;
    this.part(".end").hidden = gallery || Boolean(task);
    this.part('[data-do="digits"]').classList.toggle("on", this.view.digits);
    this.part('[data-do="gallery"]').classList.toggle("on", gallery);
    this.showProgress();
    this.showLast();
    if (gallery) this.showGallery();
    else if (task) this.showTask(task);
    else this.showEnd();
    this.frame.dataset.task = task && !gallery ? task.id : "";
    this.frame.dataset.redraw = (performance.now() - began).toFixed(2);
    this.remember();
    this.addressSoon();
  }

  part(selector) {
    return this.frame.querySelector(selector);
  }

  showTask(task) {
    const value = this.shownFlag(task.id);
    this.text("id", task.id);
    const disputed = this.isBlind ? undefined : this.disputed.get(task.id);
    const label = value ? `${VALUES[value].mark} ${VALUES[value].label}` : this.isBlind ? "judge it anew" : "not reviewed";
    this.text("flag", disputed ? `${label} (${disputed})` : label);
    this.part(".flag").dataset.value = value ?? "";
    const note = this.isBlind ? "" : this.notes.get(task.id) || (this.data.remarks[task.id] ?? "");
    this.text("note", [note, task.more ? `${task.more} more pairs in the pool` : ""].filter(Boolean).join(" · "));
    const place = this.index < this.queue.length ? `${this.index + 1} of ${this.queue.length} in “${this.view.show}”` : "the end";
    this.text("place", this.aside === null ? place : `looked up: J goes back to ${place}`);
    const silent = this.isBlind || this.flag !== REVERSIBLE;
    this.text("suggestion", silent ? "" : this.isJudging ? "judging …" : suggestionText(task.suggestion));
    const turned = task.pairs.map(([input, output]) => [output, input]);
    const space = this.part(".panel .pairs");
    const fitting = largestCell(task.pairs, space.clientWidth, space.clientHeight);
    const cell = this.view.digits ? Math.max(fitting, LEGIBLE_CELL) : fitting; // the panels scroll where they must
    this.showPairs("forwards", task.pairs, task.train.length, cell);
    this.showPairs("reversed", turned, task.train.length, cell);
  }

  showPairs(panel, pairs, demonstrations, cell) {
    const place = this.part(`[data-panel="${panel}"] .pairs`);
    place.replaceChildren(...pairs.map((pair, index) => this.pair(pair, index >= demonstrations, cell)));
  }

  pair([input, output], isTest, cell) {
    const pair = document.createElement("div");
    pair.className = isTest ? "pair test" : "pair";
    const arrow = document.createElement("span");
    arrow.className = "arrow";
    arrow.textContent = "→";
    if (isTest) arrow.dataset.test = "test";
    pair.append(this.grid(input, cell), arrow, this.grid(output, cell));
    return pair;
  }

  grid(grid, cell) {
    const figure = document.createElement("figure");
    const label = document.createElement("figcaption");
    if (grid) {
      const canvas = document.createElement("canvas");
      drawGrid(canvas, grid, cell, { digits: this.view.digits });
      figure.append(canvas);
      label.textContent = `${widthOf(grid)}×${heightOf(grid)}`;
    } else {
      const unknown = document.createElement("div");
      unknown.className = "unknown";
      unknown.textContent = "?";
      figure.append(unknown);
      label.textContent = "hidden";
    }
    figure.append(label);
    return figure;
  }

  showEnd() {
    const end = this.part(".end");
    const total = this.queue.length;
    const bound = this.view.side === "any" ? "" : ` with grids ${SIDES[this.view.side]}`;
    const sentence = total
      ? `You have come to the end of this queue (${count(total, "task")}).`
      : `No task of ${this.source} is in “${this.view.show}”${bound}.`;
    if (this.view.show === "suggested" && this.isJudging) {
      end.replaceChildren(Object.assign(document.createElement("p"), { textContent: "Judging the tasks …" }));
      return;
    }
    const button = document.createElement("button");
    button.dataset.do = "everything";
    button.textContent = "Show all tasks";
    end.replaceChildren(Object.assign(document.createElement("p"), { textContent: sentence }), button);
  }

  showProgress() {
    const total = this.tasks.size;
    const done = [...this.tasks.keys()].filter((id) => this.flags.has(id)).length;
    this.text("done", `${done} / ${total} reviewed`);
    this.part(".bar i").style.width = total ? `${(100 * done) / total}%` : "0";
    const recent = this.times.slice(-20);
    const pauses = recent.slice(1).map((time, index) => Math.min(time - recent[index], LONGEST_PAUSE_MS));
    const perSecond = pauses.length >= 2 ? (1000 * pauses.length) / pauses.reduce((sum, pause) => sum + pause, 0) : null;
    this.text("rate", perSecond === null ? "" : rateText(perSecond));
    this.text("left", perSecond === null || done === total ? "" : leftText((total - done) / perSecond));
  }

  /** Saving usually takes a moment that is not worth a word. */
  showSaved() {
    const { pending } = this.outbox;
    this.part(".saved").dataset.pending = String(pending);
    clearTimeout(this.savingTimer);
    if (pending === 0) this.text("saved", "all saved");
    else this.savingTimer = setTimeout(() => this.text("saved", `saving ${this.outbox.pending}…`), SILENT_SAVING_MS);
  }

  /** The last ten decisions, latest first; cards that stay are not drawn again. */
  showLast() {
    const cards = new Map();
    for (const [id, value] of this.history.filter((one) => !this.isBlind || one[4]).slice(-10).reverse()) {
      const key = `${this.source}/${id}/${value}`;
      cards.set(key, this.lastCards.get(key) ?? this.lastCard(id, value));
    }
    this.lastCards = cards;
    this.part(".strip").replaceChildren(...cards.values());
  }

  lastCard(id, value) {
    const card = document.createElement("button");
    card.dataset.open = id;
    card.dataset.value = value;
    card.title = `${id}: ${value}`;
    const canvas = document.createElement("canvas");
    const task = this.tasks.get(id);
    if (task) drawThumbnail(canvas, task.pairs[0][0], 28);
    card.append(canvas, Object.assign(document.createElement("span"), { textContent: VALUES[value].mark }));
    return card;
  }

  showGallery() {
    const pages = Math.max(1, Math.ceil(this.queue.length / PER_PAGE));
    this.page = Math.max(0, Math.min(this.page, pages - 1));
    const shown = this.queue.slice(this.page * PER_PAGE, (this.page + 1) * PER_PAGE);
    const cards = shown.map((id, place) => this.card(this.tasks.get(id), this.page * PER_PAGE + place === this.marked));
    const turner = document.createElement("nav");
    turner.innerHTML = `<button data-do="back"><kbd>K</kbd>back</button><span>page ${this.page + 1} of ${pages}</span>`
      + '<button data-do="next"><kbd>J</kbd>next</button>';
    const list = document.createElement("div");
    list.className = "cards";
    list.append(...cards);
    this.part(".gallery").replaceChildren(turner, list);
    list.querySelector(".marked")?.scrollIntoView({ block: "nearest" });
  }

  card(task, marked) {
    const card = document.createElement("button");
    card.className = marked ? "card marked" : "card";
    card.dataset.open = task.id;
    const value = this.shownFlag(task.id);
    card.dataset.value = value ?? "";
    const [input, output] = task.pairs[0].map((grid) => {
      const canvas = document.createElement("canvas");
      if (grid) drawThumbnail(canvas, grid, 56);
      return canvas;
    });
    const grids = document.createElement("div");
    grids.append(input, "→", output);
    const label = Object.assign(document.createElement("code"), { textContent: task.id });
    if (value) {
      label.append(Object.assign(document.createElement("span"), { textContent: ` ${VALUES[value].mark}` }));
      card.title = `${task.id}: ${VALUES[value].label}`;
    }
    card.append(grids, label);
    return card;
  }

  alarm(sentence) {
    const place = this.part(".alarm");
    place.hidden = !sentence;
    place.textContent = sentence ?? "";
  }

  /** Something to know once, such as that the address names no task; it goes with the next action. */
  /** A sentence above the task, with a button to another source where `open` names one. */
  notice(sentence, open) {
    const place = this.part(".notice");
    place.hidden = !sentence;
    place.textContent = sentence ? `${sentence} ` : "";
    if (!open) return;
    const button = Object.assign(document.createElement("button"), { textContent: open });
    button.dataset.do = "elsewhere";
    place.append(button);
  }
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function rateText(perSecond) {
  return perSecond >= 0.95 ? `${perSecond.toFixed(1)} per s` : `${Math.round(60 * perSecond)} per min`;
}

function leftText(seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} s left`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min left` : `${(seconds / 3600).toFixed(1)} h left`;
}

function suggestionText(suggestion) {
  if (!suggestion) return "";
  const percent = Math.min(99, Math.max(1, Math.round(100 * suggestion.probability))); // nothing here is certain
  const verdict = percent > 45 && percent < 55 ? `reversible or not, nearly even (${percent} %)`
    : percent >= 50 ? `likely reversible ${percent} %` : `likely not reversible ${100 - percent} %`;
  return suggestion.reasons ? `${verdict}: ${suggestion.reasons}` : verdict;
}
