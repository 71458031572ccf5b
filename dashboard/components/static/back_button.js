// One entry of the browser's history for one choice. A page writes its whole selection into its address, one
// parameter after the other, and Streamlit makes an entry of each; Back would need as many presses. Only the
// first entry after something that a person did, or of another page, is kept; the others take its place.
if (!window.arcOneStep) {
  window.arcOneStep = true;
  const push = history.pushState.bind(history);
  let acted = false;
  for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => { acted = true; }, true);
  addEventListener("popstate", () => { acted = false; }, true);
  history.pushState = (state, title, address) => {
    const samePage = new URL(address ?? "", location.href).pathname === location.pathname;
    if (samePage && !acted) return history.replaceState(state, title, address);
    acted = false;
    return push(state, title, address);
  };
}
