// The playground: an answer as it is written, and how long it has taken so far.
//
// An element with data-events reads that stream of events along, into its [data-text] and
// [data-reasoning]; when the result is there it asks for data-ended in place of itself.
(() => {
  "use strict";

  const reading = new Map(); // element -> what stops it

  function follow(panel) {
    if (reading.has(panel)) return;
    const text = panel.querySelector("[data-text]");
    const reasoning = panel.querySelector("[data-reasoning]");
    const notes = panel.querySelector("[data-notes]");
    const elapsed = panel.querySelector("[data-elapsed]");
    const began = Date.parse(panel.dataset.began);
    const coming = { text: "", reasoning: "" };
    let frame = 0;

    function show() {
      frame = 0;
      const follows = text.scrollTop + text.clientHeight >= text.scrollHeight - 8;
      if (coming.text) {
        text.append(coming.text);
        panel.classList.add("is-writing");
      }
      if (coming.reasoning) {
        reasoning.append(coming.reasoning);
        reasoning.closest("details").hidden = false;
      }
      coming.text = coming.reasoning = "";
      if (follows) text.scrollTop = text.scrollHeight;
    }

    function piece(event) {
      const delta = JSON.parse(event.data);
      if (delta.restarted) {
        text.replaceChildren();
        reasoning.replaceChildren();
        coming.text = coming.reasoning = "";
        notes.textContent = "An attempt failed and another began: what it had written is void.";
      }
      if (delta.lost) {
        notes.textContent = "Pieces are missing here; the result will have them.";
      }
      coming.text += (delta.text || "") + (delta.arguments || "");
      coming.reasoning += delta.reasoning || "";
      frame ||= requestAnimationFrame(show);
    }

    function count() {
      const seconds = Math.max(0, (Date.now() - began) / 1000);
      elapsed.textContent = `${seconds.toFixed(1)} s`;
    }

    const source = new EventSource(panel.dataset.events);
    const ticking = setInterval(count, 100);
    count();

    function stop() {
      source.close();
      clearInterval(ticking);
      cancelAnimationFrame(frame);
      reading.delete(panel);
    }

    source.addEventListener("delta", piece);
    source.addEventListener("result", () => {
      stop();
      window.htmx.ajax("GET", panel.dataset.ended, { target: panel, swap: "outerHTML" });
    });
    reading.set(panel, stop);
  }

  function look() {
    for (const [panel, stop] of reading) if (!panel.isConnected) stop();
    for (const panel of document.querySelectorAll("[data-events]")) {
      if (reading.has(panel)) continue;
      follow(panel);
      const top = panel.getBoundingClientRect().top;
      if (top < 0 || top > window.innerHeight - 160) panel.scrollIntoView({ block: "start" });
    }
  }

  // What was wrong with a field is not said of what is filled in now.
  document.addEventListener("input", (event) => {
    const field = event.target;
    if (!(field instanceof Element) || !field.closest("#ask")) return;
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
    document.getElementById(`wrong-${field.id}`)?.remove();
  });

  document.addEventListener("htmx:afterSettle", look);
  document.addEventListener("DOMContentLoaded", look);
  if (document.readyState !== "loading") look();
})();
