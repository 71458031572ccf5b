// The texts of a page that reach less than 4.5 to 1 on what lies behind them, and the signs that reach less than 3
// (WCAG 2.1, 1.4.3 and 1.4.11): colours as painted, through shadow roots, with every opacity on the way. Disabled
// controls are exempt.
() => {
  const numbers = (text) => {
    const found = (text.match(/[\d.]+/g) ?? ["0", "0", "0", "0"]).map(Number);
    const scale = text.startsWith("color(") ? 255 : 1;
    return [...found.slice(0, 3).map((one) => scale * one), found[3] ?? 1];
  };
  const over = (front, back) => [0, 1, 2].map((at) => front[at] * front[3] + back[at] * (1 - front[3]));
  const luminance = (colour) => {
    const [red, green, blue] = colour.map((one) =>
      one / 255 <= 0.04045 ? one / 255 / 12.92 : ((one / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const above = (one) => one.assignedSlot ?? one.parentElement ?? one.getRootNode().host ?? null;
  const texts = [];
  const walk = (root) => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (node.shadowRoot) walk(node.shadowRoot);
      else if (node.nodeType === Node.TEXT_NODE && node.textContent.trim()) texts.push(node);
    }
  };
  walk(document.body);
  const page = numbers(getComputedStyle(document.querySelector(".stApp")).backgroundColor);
  const low = [];
  let seen = 0;
  for (const text of texts) {
    const own = text.parentElement;
    const style = own && getComputedStyle(own);
    const range = document.createRange();
    range.selectNodeContents(text);
    const { x, y, width, height } = range.getBoundingClientRect();
    const holds = ({ left, right, top, bottom }) =>
      left <= x + width / 2 && x + width / 2 <= right && top <= y + height / 2 && y + height / 2 <= bottom;
    if (!own || own.closest("style, script, option") || style.visibility === "hidden" || !width || !height) continue;
    let [opacity, exempt] = [1, false];
    const behind = [];
    for (let one = own; one; one = above(one)) {
      const painted = getComputedStyle(one);
      opacity *= Number(painted.opacity);
      exempt ||= one.disabled || one.getAttribute("aria-disabled") === "true" || one.ariaHidden === "true";
      if (!(one instanceof SVGElement) && holds(one.getBoundingClientRect())) behind.push(numbers(painted.backgroundColor));
    }
    if (exempt || opacity < 0.05) continue;
    const back = behind.reverse().reduce((below, colour) => over(colour, below), page.slice(0, 3));
    const drawn = numbers(own instanceof SVGElement ? style.fill : style.color);
    drawn[3] *= opacity * (own instanceof SVGElement ? Number(style.fillOpacity) : 1);
    const [dark, light] = [luminance(over(drawn, back)), luminance(back)].sort((a, b) => a - b);
    const contrast = (light + 0.05) / (dark + 0.05);
    seen += 1;
    if (contrast < (/[\p{L}\p{N}]/u.test(text.textContent) ? 4.5 : 3)) low.push(`${contrast.toFixed(2)}: ${text.textContent.trim().slice(0, 40)} <${own.tagName} ${own.getAttribute("class") ?? ""}>`);
  }
  return { seen, low: [...new Set(low)] };
}
