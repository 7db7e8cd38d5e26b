// Settings: a key is shown and hidden, its test is followed, long lists are narrowed.
(() => {
  "use strict";

  const following = new Map(); // form -> what stops following its test

  function hide(input, button) {
    input.type = "password";
    button?.setAttribute("aria-pressed", "false");
    if (button) button.firstElementChild.textContent = "Show";
  }

  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-shows]") : null;
    if (!button) return;
    const input = document.getElementById(button.dataset.shows);
    if (input.type === "text") {
      hide(input, button);
    } else {
      input.type = "text";
      button.setAttribute("aria-pressed", "true");
      button.firstElementChild.textContent = "Hide";
    }
    input.focus();
  });

  // What was entered has left with the request: it stays in no field while the test runs.
  document.addEventListener("htmx:beforeSend", (event) => {
    const form = event.detail.elt;
    if (!(form instanceof HTMLFormElement) || form.dataset.key === undefined) return;
    const input = form.querySelector('input[name="api_key"]');
    hide(input, form.querySelector("[data-shows]"));
    input.value = "";
    follow(form);
  });

  function follow(form) {
    following.get(form)?.();
    const told = form.querySelector(".testing");
    const progress = told.querySelector("[data-progress]");
    const elapsed = told.querySelector("[data-elapsed]");
    const began = performance.now();
    let asking = false;
    told.hidden = false;

    async function ask() {
      if (asking) return;
      asking = true;
      try {
        const answer = await fetch(form.dataset.progressAt);
        if (answer.ok && following.has(form)) progress.textContent = await answer.text();
      } catch {
        // The card itself tells what went wrong.
      }
      asking = false;
    }

    const ticking = setInterval(() => {
      elapsed.textContent = `${((performance.now() - began) / 1000).toFixed(1)} s`;
    }, 100);
    const asked = setInterval(ask, 700);
    following.set(form, () => {
      clearInterval(ticking);
      clearInterval(asked);
      told.hidden = true;
      following.delete(form);
    });
  }

  document.addEventListener("htmx:afterRequest", (event) => following.get(event.detail.elt)?.());

  // A field with data-narrows shows what its words occur in.
  document.addEventListener("input", (event) => {
    const field = event.target;
    if (!(field instanceof HTMLInputElement) || !field.dataset.narrows) return;
    const words = field.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const each of document.querySelectorAll(field.dataset.narrows)) {
      const name = each.dataset.name.toLowerCase();
      each.hidden = !words.every((word) => name.includes(word));
      if (!each.hidden) shown += 1;
    }
    document.querySelector("[data-none]").hidden = shown > 0;
  });
})();
