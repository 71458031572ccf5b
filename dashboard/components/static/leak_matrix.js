// Which source gives away how many tasks of which: a table of buttons, redder the larger the share.
export default function ({ parentElement, data, setTriggerValue }) {
  let scroll = parentElement.querySelector(".scroll");
  if (!scroll) {
    scroll = document.createElement("div");
    scroll.className = "scroll";
    parentElement.appendChild(scroll);
  }
  const node = (name, text) => Object.assign(document.createElement(name), { textContent: text ?? "" });
  const head = node("tr");
  head.append(node("th"), ...data.sources.map((name) => {
    const heading = Object.assign(node("th"), { scope: "col" });
    for (const part of name.split(/(?<=[:/])/)) heading.append(part, node("wbr")); // long names break here
    return heading;
  }));
  const rows = data.sources.map((a) => {
    const row = node("tr");
    row.append(Object.assign(node("th", a), { scope: "row" }));
    for (const b of data.sources) {
      const cell = data.cells.find((one) => one.a === a && one.b === b);
      const button = node("button", String(cell.tasks));
      if (cell.tasks) button.append(node("small", cell.percent));
      button.disabled = !cell.tasks;
      button.title = cell.title;
      button.dataset.a = a;
      button.dataset.b = b;
      button.style.setProperty("--share", cell.tasks ? 12 + 0.78 * cell.share : 0);
      button.classList.toggle("dark", cell.share > 40);
      button.setAttribute("aria-pressed", String(data.chosen === `${a}~${b}`));
      button.onclick = () => setTriggerValue("cell", `${a}~${b}`);
      row.append(node("td"));
      row.lastChild.append(button);
    }
    return row;
  });
  const table = node("table");
  const thead = node("thead");
  thead.append(head);
  const tbody = node("tbody");
  tbody.append(...rows);
  table.append(node("caption", "Rows give away tasks of columns: how many, and the share of the column."), thead, tbody);
  scroll.replaceChildren(table);
}
