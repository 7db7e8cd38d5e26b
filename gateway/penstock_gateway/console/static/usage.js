// Usage: stacked bars over time. An element with data-chart holds what is drawn.
(() => {
  "use strict";

  const HEIGHT = 220;
  const LABEL_WIDTH = 72;
  const drawn = new Map(); // element -> its chart

  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const whole = new Intl.NumberFormat("en");

  function dollars(value) {
    if (value === 0) return "$0";
    const places = value >= 10 ? 2 : value >= 0.01 ? 4 : 6;
    return `$${value.toFixed(places).replace(/0+$/, "").replace(/\.$/, "")}`;
  }

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const one = (name) => style.getPropertyValue(name).trim();
    return {
      ink: one("--soft"),
      line: one("--line"),
      series: [0, 1, 2, 3, 4, 5, 6].map((each) => one(`--series-${each}`)),
    };
  }

  // What stands on what: the sum of a series and of those below it.
  function stacked(series) {
    const sums = [];
    for (const { values } of series) {
      const below = sums.at(-1);
      sums.push(values.map((value, place) => value + (below ? below[place] : 0)));
    }
    return sums;
  }

  function told(given, place) {
    const moment = new Date(given.at[place] * 1000);
    const when =
      given.time === "hour"
        ? moment.toLocaleString(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" })
        : moment.toLocaleDateString(undefined, { month: "short", day: "numeric", timeZone: "UTC" });
    const say = given.figure === "tokens" ? (value) => whole.format(value) : dollars;
    const parts = given.series
      .filter(({ values }) => values[place] > 0)
      .map(({ name, values }) => `${name} ${say(values[place])}`);
    return parts.length ? `${when}: ${parts.join(", ")}` : `${when}: nothing`;
  }

  function labels(given) {
    const shape = given.time === "hour" ? { hour: "2-digit", minute: "2-digit" } : { month: "short", day: "numeric", timeZone: "UTC" };
    const written = new Intl.DateTimeFormat(undefined, shape);
    return (_, splits) => splits.map((seconds) => written.format(new Date(seconds * 1000)));
  }

  // Where the axis is labelled: bars, as many as their labels have room.
  function labelled(given) {
    return (chart) => {
      const every = Math.ceil((given.at.length * LABEL_WIDTH) / chart.width) || 1;
      return given.at.filter((_, place) => place % every === 0);
    };
  }

  function draw(element) {
    drawn.get(element)?.destroy();
    const given = JSON.parse(element.dataset.chart);
    const palette = colours();
    const readout = element.parentElement.querySelector("[data-readout]");
    const step = given.time === "hour" ? 3600 : 86400;
    const days = given.time === "day";
    const say = given.figure === "tokens" ? (value) => compact.format(value) : dollars;
    const axis = { stroke: palette.ink, ticks: { stroke: palette.line, size: 4 }, font: "12px system-ui, sans-serif" };
    const sums = stacked(given.series);
    const order = given.series.map((_, place) => place).reverse(); // the highest is drawn first
    const options = {
      width: element.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      tzDate: (seconds) => (days ? uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") : new Date(seconds * 1000)),
      scales: {
        x: { range: (_, least, most) => [least - step / 2, most + step / 2] },
        y: { range: (_, least, most) => [0, most > 0 ? most * 1.06 : 1] },
      },
      axes: [
        { ...axis, grid: { show: false }, values: labels(given), splits: labelled(given), size: 32 },
        { ...axis, grid: { stroke: palette.line, width: 1 }, size: 62, values: (_, values) => values.map(say) },
      ],
      series: [
        {},
        ...order.map((place) => ({
          fill: palette.series[given.series[place].colour],
          stroke: palette.series[given.series[place].colour],
          width: 0,
          points: { show: false },
          paths: uPlot.paths.bars({ size: [0.72, 48], gap: 1 }),
        })),
      ],
      hooks: {
        setCursor: [
          (chart) => {
            const place = chart.cursor.idx;
            readout.textContent = place === null || place === undefined ? "" : told(given, place);
          },
        ],
      },
    };
    drawn.set(element, new uPlot(options, [given.at, ...order.map((place) => sums[place])], element));
  }

  function all() {
    document.querySelectorAll("[data-chart]").forEach(draw);
  }

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const chart = drawn.get(target);
      if (chart && chart.width !== target.clientWidth) chart.setSize({ width: target.clientWidth, height: HEIGHT });
    }
  });

  function begin() {
    all();
    document.querySelectorAll("[data-chart]").forEach((element) => resized.observe(element));
  }

  document.addEventListener("penstock:theme", all);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
