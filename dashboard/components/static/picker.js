/* Something to choose from: HTML in which a click on [data-pick] sends its id, and a map of tasks × runs
   drawn on a canvas. The server gets {picked: id}, of a map {picked: {task, run}} with the place of the run;
   nothing is redrawn unless the data changed, so the scroll position and whatever is under the pointer stay. */

const shown = new WeakMap();

export default function ({ parentElement, data, setTriggerValue }) {
  let box = parentElement.querySelector(".picker");
  if (!box) {
    box = document.createElement("div");
    box.className = "picker";
    parentElement.appendChild(box);
    box.addEventListener("keydown", (event) => {
      if (!["Enter", " "].includes(event.key) || !event.target.dataset.pick) return;
      event.preventDefault(); // a blank would scroll the page
      event.target.click();
    });
  }
  box.onclick = (event) => {
    const link = event.target.closest("a");
    if (link && !link.dataset.pick) return; // a link inside what can be picked
    const chosen = event.target.closest("[data-pick]");
    if (chosen?.href && (event.ctrlKey || event.metaKey || event.shiftKey)) return; // a tab of its own
    if (chosen?.href) event.preventDefault();
    if (chosen) setTriggerValue("picked", chosen.dataset.pick);
    const cell = event.target.closest("canvas") && cellAt(event, data.map);
    if (event.target.dataset.save) savePicture(box, event.target.dataset.save);
    if (cell) setTriggerValue("picked", { task: data.map.tasks[cell.column], run: cell.row });
  };
  box.onmousemove = (event) => {
    const canvas = event.target.closest("canvas");
    const cell = canvas && cellAt(event, data.map);
    if (cell) canvas.title = words(cell, data.map);
  };
  if (shown.get(box) !== data.html) {
    box.innerHTML = data.html;
    shown.set(box, data.html);
  }
  box.querySelectorAll("[data-pick]").forEach((one) => {
    one.setAttribute("aria-current", String(one.dataset.pick === data.chosen));
  });
  if (data.map) draw(box, data.map, data.chosen);
}

function numbers(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Uint32Array(bytes.buffer);
}

function draw(box, map, chosen) {
  const canvas = box.querySelector("canvas");
  const [columns, rows] = [map.tasks.length, map.runs.length];
  for (const name of ["right", "attempts"]) {
    if (typeof map[name] === "string") map[name] = numbers(map[name]);
  }
  canvas.width = columns;
  canvas.height = rows;
  const pen = canvas.getContext("2d");
  for (let place = 0; place < columns * rows; place++) {
    pen.fillStyle = colour(map.right[place], map.attempts[place], map.colours);
    pen.fillRect(place % columns, Math.floor(place / columns), 1, 1);
  }
  const mark = box.querySelector(".mark");
  const column = map.tasks.indexOf(chosen);
  mark.hidden = column < 0;
  mark.style.left = `${(100 * column) / columns}%`;
  mark.style.width = `${100 / columns}%`;
}

/** Grey never, orange from pale to full for sometimes, blue always; pale shows the background, light or dark. */
function colour(right, attempts, [never, rarely, often, always]) {
  if (!right) return never;
  if (right === attempts) return always;
  const share = right / attempts;
  const [from, to] = [rarely, often].map((rgba) => rgba.match(/[\d.]+/g).map(Number));
  return `rgba(${from.map((value, at) => value + share * (to[at] - value)).join(",")})`;
}

/** The map with the names of its variants as a PNG, in the colours of the page. */
function savePicture(box, name) {
  const [map, names] = [box.querySelector("canvas"), [...box.querySelectorAll(".names div")]];
  const area = map.getBoundingClientRect();
  const style = getComputedStyle(box);
  const [scale, left, rim] = [3, Math.ceil(Math.max(...names.map((one) => one.getBoundingClientRect().width))), 8];
  const picture = document.createElement("canvas");
  picture.width = scale * (left + area.width + 3 * rim);
  picture.height = scale * (area.height + 2 * rim);
  const pen = picture.getContext("2d");
  pen.scale(scale, scale);
  pen.fillStyle = style.getPropertyValue("--st-background-color") || "white";
  pen.fillRect(0, 0, picture.width, picture.height);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(map, left + 2 * rim, rim, area.width, area.height);
  pen.font = `12px ${style.fontFamily}`;
  pen.textBaseline = "middle";
  for (const one of names) {
    const place = one.getBoundingClientRect();
    const middle = rim + place.top - area.top + place.height / 2;
    pen.fillStyle = one.querySelector(".dot").style.background;
    pen.beginPath();
    pen.arc(rim + 5, middle, 5, 0, 7);
    pen.fill();
    pen.fillStyle = style.color;
    pen.fillText(one.textContent, rim + 16, middle);
  }
  const link = Object.assign(document.createElement("a"), { download: name, href: picture.toDataURL("image/png") });
  link.click();
}

function cellAt(event, map) {
  const place = event.target.getBoundingClientRect();
  const column = Math.floor(((event.clientX - place.left) / place.width) * map.tasks.length);
  const row = Math.floor(((event.clientY - place.top) / place.height) * map.runs.length);
  return column >= 0 && column < map.tasks.length && row >= 0 && row < map.runs.length ? { column, row } : null;
}

function words({ column, row }, map) {
  const place = row * map.tasks.length + column;
  return `${map.tasks[column]}\n${map.runs[row]}\n${map.right[place]} of ${map.attempts[place]} attempts right`;
}
