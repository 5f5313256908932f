// All trials, filtered and drawn: reads #trials-data (see explorer.py), draws with ECharts, and hides
// the rows of the table that do not match. Nothing is loaded and nothing is stored.
"use strict";
(() => {
  const { axes, maximize, trials } = JSON.parse(document.getElementById("trials-data").textContent);
  const byId = (id) => document.getElementById(id);
  const explorer = byId("explorer");
  const [filters, choice] = explorer.querySelectorAll("form");
  const rows = byId("all-trials").tBodies[0].rows;
  const OBJECTIVE = 0, NUM_FACTS = 4, PHONE = 600, ROOM = 104;
  const STATES = {
    complete: ["circle", "#2f7fd1"], pruned: ["diamond", "#868e96"],
    diverged: ["triangle", "#d6453d"], failed: ["rect", "#d6453d"],
    "cut off": ["pin", "#868e96"], unfinished: ["pin", "#868e96"],
  };
  explorer.hidden = false;
  const parallel = echarts.init(byId("parallel")), scatter = echarts.init(byId("scatter"));
  let matching = [], brushed = null;

  const text = (axis, value) =>
    value === null ? "\u2014"
      : axis.kind === "choice" ? axis.choices[value]
      : axis.share ? `${(100 * value).toFixed(2)}%` : String(Number(value.toPrecision(4)));

  const fill = (select, entries) =>
    select.append(...entries.map(([value, label]) => new Option(label, value)));

  // ---- which trials are shown ----

  function matches(trial) {
    for (const name of ["study", "rung", "state", "health"]) {
      const wanted = filters.elements[name]?.value;
      if (wanted && (trial[name] || "\u2014") !== wanted) return false;
    }
    const by = filters.elements.by.value;
    if (by === "") return true;
    const value = trial.at[by], axis = axes[by];
    if (value === null) return false;
    if (axis.kind === "choice") return value === Number(filters.elements.is.value);
    const scale = axis.share ? 100 : 1;
    const { from, to } = filters.elements;
    return (from.value === "" || scale * value >= Number(from.value))
      && (to.value === "" || scale * value <= Number(to.value));
  }

  function fieldsOf(by) {
    const kind = by === "" ? "" : axes[by].kind;
    for (const label of filters.querySelectorAll(".of-number")) label.hidden = kind !== "number";
    for (const label of filters.querySelectorAll(".of-choice")) label.hidden = kind !== "choice";
    filters.elements.from.value = filters.elements.to.value = "";
    filters.elements.is.replaceChildren();
    if (kind === "choice") fill(filters.elements.is, axes[by].choices.map((name, i) => [i, name]));
  }

  function show() {
    const kept = brushed === null ? matching : brushed.map((place) => matching[place]);
    const shown = new Set(kept);
    trials.forEach((trial, i) => { rows[i].hidden = !shown.has(trial); });
    byId("num-shown").textContent = `${kept.length} of ${trials.length} trials are shown.`;
    drawScatter(kept);
  }

  function filter() {
    matching = trials.filter(matches);
    brushed = null;
    drawParallel();
    show();
  }

  // ---- what both figures share ----

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // The bad end lies at most three times as far from the median as the best: `summary.focus`.
  function ends(place, shown) {
    const values = shown.map((trial) => trial.at[place]).filter((value) => value !== null);
    if (!values.length) return [0, 1];
    values.sort((a, b) => a - b);
    let [low, high] = [values[0], values[values.length - 1]];
    if (place === OBJECTIVE) {
      const middle = values[values.length >> 1];
      const reach = 3 * (maximize ? high - middle : middle - low);
      if (reach > 0 && maximize) low = Math.max(low, middle - reach);
      if (reach > 0 && !maximize) high = Math.min(high, middle + reach);
    }
    return low < high ? [low, high] : [low - (Math.abs(low) || 1) / 20, high + (Math.abs(high) || 1) / 20];
  }

  const clamp = (value, [low, high]) => value === null ? null : Math.min(Math.max(value, low), high);

  function axisOf(place, range) {
    const axis = axes[place], ink = css("--ink"), quiet = css("--quiet");
    const shared = {
      name: axis.name,
      nameTextStyle: { color: ink, fontSize: 12 },
      axisLine: { lineStyle: { color: quiet } },
      axisTick: { alignWithLabel: true, lineStyle: { color: quiet } },
      axisLabel: { color: ink, fontSize: 11, hideOverlap: true, width: 84, overflow: "truncate",
        textBorderColor: css("--page"), textBorderWidth: 2 },
      splitLine: { lineStyle: { color: css("--line") } },
    };
    if (axis.kind === "choice") return { ...shared, type: "category", data: categories(place) };
    shared.axisLabel.formatter = (value) => axis.share ? `${Number((100 * value).toFixed(2))}%` : text(axis, value);
    const whole = trials.every((trial) => trial.at[place] === null || Number.isInteger(trial.at[place]));
    if (axis.log) return { ...shared, type: "log", min: range[0], max: range[1] };
    Object.assign(shared.axisLabel, { showMinLabel: whole, showMaxLabel: whole });
    return { ...shared, type: "value", scale: true, min: range[0], max: range[1], minInterval: whole ? 1 : 0 };
  }

  // A choice that does not exist has a place of its own; ECharts draws no line through none.
  function categories(place) {
    const { choices } = axes[place];
    return trials.some((trial) => trial.at[place] === null) ? [...choices, "\u2014"] : choices;
  }

  const placeOf = (trial, place, range) =>
    axes[place].kind === "choice" ? trial.at[place] ?? axes[place].choices.length
      : clamp(trial.at[place], range) ?? "-";

  function label(trial, drawn) {
    const lines = [...new Set([OBJECTIVE, ...drawn])].map((p) => `${axes[p].name}  ${text(axes[p], trial.at[p])}`);
    return [`${trial.study} ${trial.number}, ${trial.state}, ${trial.rung}`, ...lines].join("\n");
  }

  const tooltip = (formatter) => ({
    renderMode: "richText", confine: true, formatter, backgroundColor: css("--panel"),
    borderColor: css("--line"), textStyle: { color: css("--ink"), fontSize: 12, lineHeight: 17 },
  });

  // ---- parallel coordinates ----

  function drawn() {
    const boxes = [...byId("axes").querySelectorAll("input:checked")];
    // With a single axis there are no lines.
    return [...(boxes.length ? boxes.map((box) => Number(box.value)) : [OBJECTIVE + 1]), OBJECTIVE];
  }

  function drawParallel() {
    const places = drawn(), isPhone = explorer.clientWidth < PHONE;
    byId("parallel").style.height = isPhone ? `${62 * places.length + 70}px` : "27rem";
    parallel.resize();
    const ranges = places.map((place) => ends(place, matching));
    const range = ranges[ranges.length - 1];
    parallel.clear();
    parallel.setOption({
      animation: false,
      tooltip: tooltip(({ dataIndex }) => label(matching[dataIndex], places)),
      visualMap: {
        show: false, dimension: places.length - 1, min: range[0], max: range[1],
        inRange: { color: maximize ? ["#868e96", "#2f7fd1", "#d9730d"] : ["#d9730d", "#2f7fd1", "#868e96"] },
      },
      parallel: {
        layout: isPhone ? "vertical" : "horizontal",
        left: isPhone ? 24 : 60, right: isPhone ? 24 : 60, top: 44, bottom: isPhone ? 30 : 24,
        parallelAxisDefault: { areaSelectStyle: { width: 18, borderColor: css("--accent"), color: css("--accent") } },
      },
      parallelAxis: places.map((place, dim) => ({
        dim, id: axes[place].name, ...axisOf(place, ranges[dim]),
        nameGap: isPhone ? 6 : 14, nameLocation: "end",
        ...(isPhone ? { nameTextStyle: { color: css("--ink"), fontSize: 12, align: "right", verticalAlign: "bottom", padding: [0, 0, 8, 0] } } : {}),
        nameTruncate: { maxWidth: isPhone ? 240 : ROOM },
      })),
      series: {
        type: "parallel", smooth: 0, inactiveOpacity: 0.04, activeOpacity: 0.9,
        lineStyle: { width: matching.length > 150 ? 1 : 1.5, opacity: matching.length > 150 ? 0.45 : 0.65 },
        emphasis: { lineStyle: { width: 3, opacity: 1 } },
        data: matching.map((trial) => places.map((place, dim) => placeOf(trial, place, ranges[dim]))),
      },
    });
  }

  // ---- scatter ----

  function drawScatter(kept) {
    const [across, up] = ["across", "up"].map((name) => Number(choice.elements[name].value));
    const ranges = [ends(across, kept), ends(up, kept)];
    const has = (trial) => trial.at[across] !== null && trial.at[up] !== null;
    const groups = Object.keys(STATES).filter((state) => kept.some((trial) => trial.state === state && has(trial)));
    const side = (place, range) => ({
      ...axisOf(place, range), nameLocation: "middle",
      ...(axes[place].kind === "choice" ? { jitter: 36 } : {}),
    });
    scatter.clear();
    scatter.setOption({
      animation: false,
      tooltip: tooltip(({ data }) => label(trials[data.trial], [across, up])),
      legend: { bottom: 0, textStyle: { color: css("--ink") }, data: groups },
      grid: { left: 16, right: 24, top: 16, bottom: 40, outerBoundsMode: "same", outerBoundsContain: "all" },
      xAxis: { ...side(across, ranges[0]), nameGap: 30 },
      yAxis: { ...side(up, ranges[1]), nameGap: 52 },
      series: groups.map((state) => ({
        name: state, type: "scatter", symbol: STATES[state][0], symbolSize: kept.length > 150 ? 7 : 9,
        clip: false,
        itemStyle: { color: STATES[state][1], opacity: 0.75 },
        data: kept
          .filter((trial) => trial.state === state && has(trial))
          .map((trial) => ({
            value: [placeOf(trial, across, ranges[0]), placeOf(trial, up, ranges[1])],
            trial: trials.indexOf(trial),
          })),
      })),
    });
  }

  function choose({ data }) {
    for (const row of rows) row.classList.remove("marked");
    const row = rows[data.trial];
    row.classList.add("marked");
    const region = row.closest(".scroll");
    region.scrollTop = row.offsetTop - region.clientHeight / 2;
    byId("chosen").textContent = [...row.cells].map((cell) => cell.textContent).join(" · ");
  }

  // ---- once ----

  fill(filters.elements.by, axes.map((axis, place) => [place, axis.name]));
  fill(choice.elements.across, axes.map((axis, place) => [place, axis.name]));
  fill(choice.elements.up, axes.map((axis, place) => [place, axis.name]));
  const rate = axes.findIndex((axis) => axis.name === "learning_rate");
  choice.elements.across.value = rate < 0 ? 1 : rate;
  choice.elements.up.value = OBJECTIVE;

  // As many axes as there is room for, of what a third of the trials have.
  const room = explorer.clientWidth < PHONE ? 6 : Math.floor(explorer.clientWidth / ROOM) - 1;
  const isCommon = (place) => 3 * trials.filter((trial) => trial.at[place] !== null).length >= trials.length;
  const first = axes.map((_, place) => place).filter((place) => place >= NUM_FACTS && isCommon(place)).slice(0, room);
  axes.forEach((axis, place) => {
    if (place === OBJECTIVE) return;
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: place, checked: first.includes(place) });
    const around = document.createElement("label");
    around.append(box, ` ${axis.name}`);
    byId("axes").append(around);
  });

  filters.addEventListener("input", (event) => {
    if (event.target.name === "by") fieldsOf(event.target.value);
    filter();
  });
  filters.addEventListener("reset", () => setTimeout(() => { fieldsOf(""); filter(); }));
  for (const form of [filters, choice]) form.addEventListener("submit", (event) => event.preventDefault());
  choice.addEventListener("input", show);
  byId("axes").addEventListener("input", filter);
  parallel.on("axisareaselected", () => {
    const series = parallel.getModel().getSeriesByIndex(0);
    // Without a brush none is inactive; a brush that no line passes leaves none active.
    const isWhole = series.getRawIndicesByActiveState("inactive").length === 0;
    brushed = isWhole ? null : series.getRawIndicesByActiveState("active");
    show();
  });
  scatter.on("click", choose);
  let width = explorer.clientWidth;
  window.addEventListener("resize", () => {
    if (explorer.clientWidth === width) return;
    width = explorer.clientWidth;
    scatter.resize();
    filter();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", filter);
  filter();
  document.documentElement.dataset.explorer = "ready";
  performance.mark("explorer-ready");
})();
