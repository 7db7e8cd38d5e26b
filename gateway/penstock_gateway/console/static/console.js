// What all pages share: times in the reader's zone, the theme, notes, and forms that ask first.
(() => {
  "use strict";

  const styles = {
    moment: { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" },
    clock: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
    hour: { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" },
    day: { year: "numeric", month: "short", day: "numeric" },
  };

  function ago(moment) {
    const seconds = Math.max(0, (Date.now() - moment) / 1000);
    if (seconds < 60) return `${Math.floor(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
    return `${Math.floor(seconds / 86400)} d ago`;
  }

  function show(element) {
    const moment = new Date(element.dateTime);
    const style = element.dataset.style;
    const text = style === "ago" ? ago(moment) : moment.toLocaleString(undefined, styles[style]);
    if (element.textContent !== text) element.textContent = text;
    element.title = `${moment.toLocaleString()} (${element.dateTime})`;
  }

  function times(root) {
    root.querySelectorAll("time[data-style]").forEach(show);
  }

  // Times that the server sends again as UTC must not flicker: keep what is shown already.
  document.addEventListener("htmx:afterSettle", () => times(document));
  document.addEventListener("htmx:sseMessage", () => times(document));
  document.addEventListener("DOMContentLoaded", () => times(document));
  setInterval(() => document.querySelectorAll('time[data-style="ago"]').forEach(show), 1000);

  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    if (event.target.closest("[data-theme-switch]")) {
      const root = document.documentElement;
      const dark = root.dataset.theme
        ? root.dataset.theme === "dark"
        : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      localStorage.setItem("penstock-theme", root.dataset.theme);
      document.dispatchEvent(new Event("penstock:theme"));
    }
    event.target.closest("[data-dismiss]")?.closest(".note")?.remove();
    const copied = event.target.closest("[data-copy]");
    if (copied) {
      navigator.clipboard?.writeText(copied.dataset.copy);
      copied.textContent = "Copied";
    }
  });

  document.addEventListener("change", (event) => {
    const picked = event.target;
    if (picked instanceof HTMLSelectElement && picked.dataset.goes !== undefined) picked.form.requestSubmit();
  });

  // A stream that fails: if this page is no more (logged out, gone), show what is in its place.
  document.addEventListener("htmx:sseError", async () => {
    const answer = await fetch(location.href, { redirect: "manual" }).catch(() => null);
    if (answer && (answer.type === "opaqueredirect" || answer.status === 404)) location.reload();
  });

  // "/" goes to the search of a page, "g" and a letter to a page.
  const pages = { o: "/", j: "/jobs", f: "/failed", b: "/backfills", r: "/runs", p: "/playground", u: "/usage", s: "/settings" };
  let going = 0;
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.closest("input, textarea, select");
    if (typing || event.metaKey || event.ctrlKey || event.altKey) return;
    if (event.key === "/") {
      const search = document.querySelector("[data-search]");
      if (search) {
        event.preventDefault();
        search.focus();
      }
    } else if (event.key === "g") {
      going = Date.now();
    } else if (Date.now() - going < 1500 && pages[event.key]) {
      location.assign(pages[event.key]);
    }
  });
})();
