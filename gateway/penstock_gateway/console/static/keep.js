// What the reader has opened stays open when a part of the page is laid over again.
(() => {
  "use strict";
  const callbacks = window.Idiomorph?.defaults.callbacks;
  if (!callbacks) return;
  const before = callbacks.beforeAttributeUpdated;
  callbacks.beforeAttributeUpdated = (name, node, kind) => {
    if (name === "open" && node instanceof HTMLDetailsElement) return false;
    return before ? before(name, node, kind) : true;
  };
})();
