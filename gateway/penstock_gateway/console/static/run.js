// A run's drawing: what a step is about, beside it, while it is pointed at or has the focus.
//
// [data-step] in a drawing belongs to the card of the same data-about. A card stays while the
// pointer is on it, and goes with Escape.
(() => {
  "use strict";

  let shown = null; // the card that is open
  let anchor = null;
  let leaving = 0;

  const stepOf = (target) => (target instanceof Element ? target.closest("[data-step]") : null);
  const cardOf = (target) => (target instanceof Element ? target.closest("[data-about]") : null);

  function hide() {
    clearTimeout(leaving);
    if (shown) shown.hidden = true;
    shown = anchor = null;
  }

  function show(step) {
    clearTimeout(leaving);
    if (anchor === step) return;
    hide();
    const graph = step.closest("[data-graph]");
    const card = graph && graph.querySelector(`[data-about="${CSS.escape(step.dataset.step)}"]`);
    if (!card) return;
    card.hidden = false;
    const around = graph.getBoundingClientRect();
    const box = step.getBoundingClientRect();
    const room = { x: around.width - card.offsetWidth - 8, y: window.innerHeight - box.bottom };
    const left = Math.max(8, Math.min(box.left - around.left, room.x));
    const below = room.y > card.offsetHeight + 12 || box.top < card.offsetHeight + 12;
    const top = below ? box.bottom - around.top + 6 : box.top - around.top - card.offsetHeight - 6;
    card.style.left = `${left}px`;
    card.style.top = `${top}px`;
    shown = card;
    anchor = step;
  }

  function leave() {
    clearTimeout(leaving);
    leaving = setTimeout(hide, 120);
  }

  document.addEventListener("pointerover", (event) => {
    const step = stepOf(event.target);
    if (step) show(step);
    else if (shown && cardOf(event.target) === shown) clearTimeout(leaving);
    else if (shown && anchor !== document.activeElement) leave();
  });
  document.addEventListener("focusin", (event) => {
    const step = stepOf(event.target);
    if (step) show(step);
    else if (!cardOf(event.target)) hide();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && shown) hide();
  });

  // The drawing is laid over again while a run goes on: the card that is open stays so.
  const before = window.Idiomorph?.defaults.callbacks;
  const update = before?.beforeAttributeUpdated;
  if (before) {
    before.beforeAttributeUpdated = (name, node, kind) => {
      if (node === shown && (name === "hidden" || name === "style")) return false;
      return update ? update(name, node, kind) : true;
    };
  }
  document.addEventListener("htmx:afterSettle", () => {
    if (anchor && !anchor.isConnected) hide();
  });
})();
