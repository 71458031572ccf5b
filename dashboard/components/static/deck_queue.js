// Which tasks are shown and in which order: a filter by what is known of them, a bound for the size of their
// grids, and an order. The queue is fixed when one of these changes, so that it does not move under work.

const FILTERS = {
  unreviewed: (task, flags) => !flags.get(task.id),
  all: () => true,
  yes: (task, flags) => flags.get(task.id) === "yes",
  no: (task, flags) => flags.get(task.id) === "no",
  unsure: (task, flags) => flags.get(task.id) === "unsure",
  disagreements: (task, flags, disputed) => disputed.has(task.id),
  "second pass": (task, flags, disputed, again) => again.includes(task.id), // earlier judgements are hidden
  suggested: (task, flags) => task.suggestion && !flags.get(task.id), // most doubtful first
};
const SIDES = { any: "any size", 5: "up to 5×5", 10: "up to 10×10", 15: "up to 15×15", 20: "up to 20×20" };
const ORDERS = { id: "by id", smallest: "smallest first", largest: "largest first" };

/** A task of the server's document with what the queue needs of it: all pairs, longest side, cells. */
function withSizes(task) {
  const pairs = [...task.train, ...task.test];
  const grids = pairs.flat().filter(Boolean);
  const side = Math.max(0, ...grids.map((grid) => Math.max(widthOf(grid), heightOf(grid))));
  const cells = grids.reduce((sum, grid) => sum + widthOf(grid) * heightOf(grid), 0);
  return { ...task, pairs, side, cells };
}

/** The ids of the tasks that a view shows, in its order; `start` is among them whatever the filter. */
function queued(tasks, view, flags, disputed, again, start) {
  const bound = view.side === "any" ? Infinity : Number(view.side);
  const chosen = tasks.filter((task) => task.id === start
    || (task.side <= bound && FILTERS[view.show](task, flags, disputed, again)));
  if (view.show === "second pass") chosen.sort((a, b) => again.indexOf(a.id) - again.indexOf(b.id));
  else if (view.order !== "id") chosen.sort((a, b) => (view.order === "smallest" ? a.cells - b.cells : b.cells - a.cells));
  else if (view.show === "suggested") chosen.sort((a, b) => (a.suggestion?.rank ?? -1) - (b.suggestion?.rank ?? -1));
  return chosen.map((task) => task.id);
}
