// Grids on canvases. A grid is a list of rows, each a string of digits ("012"); every cell is a whole
// number of device pixels, so that thin lines and colours stay sharp at any zoom.

const ARC_COLOURS = [
  "#000000", "#0074D9", "#FF4136", "#2ECC40", "#FFDC00", "#AAAAAA", "#F012BE", "#FF851B", "#7FDBFF", "#870C25",
];
const ARC_PIXELS = ARC_COLOURS.map((colour) => 0xff000000
  | (parseInt(colour.slice(5, 7), 16) << 16) | (parseInt(colour.slice(3, 5), 16) << 8) | parseInt(colour.slice(1, 3), 16));
const LIGHT_COLOURS = new Set(["3", "4", "5", "7", "8"]);

const ARROW_WIDTH = 30;
const LABEL_HEIGHT = 19;
const PAIR_GAP = 18;
const ROW_GAP = 8;
const LARGEST_CELL = 34;
const LEGIBLE_CELL = 13; // the smallest in which a digit can be read

const onePixelPerCell = document.createElement("canvas");

function widthOf(grid) {
  return grid ? grid[0].length : 3;
}

function heightOf(grid) {
  return grid ? grid.length : 3;
}

/** Draw `grid` with `cell` CSS pixels per cell (a fraction is rounded to whole device pixels). */
function drawGrid(canvas, grid, cell, { lines = true, digits = false } = {}) {
  const ratio = window.devicePixelRatio || 1;
  const side = Math.max(1, Math.round(cell * ratio));
  const [width, height] = [widthOf(grid), heightOf(grid)];
  canvas.width = width * side;
  canvas.height = height * side;
  canvas.style.width = `${canvas.width / ratio}px`;
  canvas.style.height = `${canvas.height / ratio}px`;
  const context = canvas.getContext("2d");
  paintCells(context, grid, width, height, side);
  if (lines && side >= 4) paintLines(context, width, height, side, Math.max(1, Math.floor(ratio)));
  if (digits && side >= 8 * ratio) paintDigits(context, grid, side);
}

function paintCells(context, grid, width, height, side) {
  onePixelPerCell.width = width;
  onePixelPerCell.height = height;
  const small = onePixelPerCell.getContext("2d");
  const image = small.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) pixels[y * width + x] = ARC_PIXELS[grid[y].charCodeAt(x) - 48];
  }
  small.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(onePixelPerCell, 0, 0, width * side, height * side);
}

function paintLines(context, width, height, side, thickness) {
  context.fillStyle = side < 8 * thickness ? "rgba(120, 120, 120, 0.35)" : "rgba(120, 120, 120, 0.55)";
  for (let x = 1; x < width; x += 1) context.fillRect(x * side, 0, thickness, height * side);
  for (let y = 1; y < height; y += 1) context.fillRect(0, y * side, width * side, thickness);
}

function paintDigits(context, grid, side) {
  context.font = `${Math.round(side * 0.62)}px ui-monospace, monospace`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  grid.forEach((row, y) => [...row].forEach((digit, x) => {
    context.fillStyle = LIGHT_COLOURS.has(digit) ? "#000" : "#fff";
    context.fillText(digit, (x + 0.5) * side, (y + 0.55) * side);
  }));
}

/** Draw `grid` as large as it fits into a square of `side` CSS pixels, without lines. */
function drawThumbnail(canvas, grid, side) {
  const cells = Math.max(widthOf(grid), heightOf(grid));
  drawGrid(canvas, grid, side / cells, { lines: false });
  canvas.style.maxWidth = `${side}px`;
  canvas.style.maxHeight = `${side}px`;
}

/** The largest whole cell size (CSS pixels) at which all pairs, flowing in rows, fit into the space. */
function largestCell(pairs, width, height) {
  for (let cell = LARGEST_CELL; cell > 1; cell -= 1) {
    if (flowHeight(pairs, cell, width) <= height) return cell;
  }
  return 1;
}

function flowHeight(pairs, cell, width) {
  let [total, rowWidth, rowHeight] = [0, 0, 0];
  for (const [input, output] of pairs) {
    const pairWidth = (widthOf(input) + widthOf(output)) * cell + ARROW_WIDTH + 4;
    const pairHeight = Math.max(heightOf(input), heightOf(output)) * cell + LABEL_HEIGHT + 2;
    if (pairWidth > width) return Infinity;
    if (rowWidth > 0 && rowWidth + PAIR_GAP + pairWidth > width) {
      total += rowHeight + ROW_GAP;
      [rowWidth, rowHeight] = [0, 0];
    }
    rowWidth += pairWidth + (rowWidth > 0 ? PAIR_GAP : 0);
    rowHeight = Math.max(rowHeight, pairHeight);
  }
  return total + rowHeight;
}
