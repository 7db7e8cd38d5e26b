// The reader's choice of light or dark, before anything is painted.
(() => {
  "use strict";
  const chosen = localStorage.getItem("penstock-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
})();
