// Charts and images of a leaderboard page. Plotly is window.Plotly.
board.addEventListener("filtered", () => {
  for (const list of document.querySelectorAll("details.ranked")) {
    list.hidden = ["task", "evaluator"].some((id) => chosen(id) !== null && list.dataset[id] !== chosen(id));
  }
  const changed = ["task", "evaluator"].filter((id) => {
    const charts = byId(`chart-${id}`);
    return charts && byId(id).value !== "" && charts.value !== byId(id).value;
  });
  for (const id of changed) byId(`chart-${id}`).value = byId(id).value;
  if (changed.length) drawCharts();
});

// ---------------------------------------------------------------- charts
const figures = json("chart-data");
const dark = matchMedia("(prefers-color-scheme: dark)");
const colours = {
  light: ["#0b5cad", "#b34700", "#1a7f37", "#8250df", "#b42371", "#6b5900", "#00737d", "#57606a"],
  dark: ["#6cb2ff", "#ffa657", "#56d364", "#d2a8ff", "#ff9bce", "#e3c94a", "#4fd6e0", "#c3ccd6"],
};

function layoutOf(figure) {
  const style = getComputedStyle(document.documentElement);
  const fore = style.getPropertyValue("--fore");
  const axis = { gridcolor: style.getPropertyValue("--line"), zeroline: false, automargin: true, fixedrange: false };
  return {
    ...figure.layout,
    template: figures.template,
    font: { color: fore, family: "system-ui, sans-serif", size: 13 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: style.getPropertyValue("--soft"), activecolor: fore },
    margin: { l: 50, r: 10, t: 34, b: 45 },
    showlegend: true,
    legend: { orientation: "h", y: -0.18, yanchor: "top" },
    xaxis: { ...figure.layout.xaxis, ...axis },
    yaxis: { ...figure.layout.yaxis, ...axis },
  };
}

function coloured(trace) {
  const list = colours[dark.matches ? "dark" : "light"];
  const colour = list[trace.meta % list.length];
  return {
    ...trace,
    line: { ...trace.line, color: colour },
    marker: { ...trace.marker, color: colour },
    error_y: trace.error_y && { ...trace.error_y, color: colour },
  };
}

function drawCharts() {
  if (!byId("charts")) return;
  const found = figures[`${byId("chart-task").value}-${byId("chart-evaluator").value}`] ?? {};
  const shown = { cmc: found.cmc, cost: found[byId("chart-cost")?.value ?? "cost"] };
  for (const [id, figure] of Object.entries(shown)) {
    byId(id).closest("figure").hidden = !figure;
    if (figure) {
      const buttons = [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]];
      const options = { responsive: true, displaylogo: false, modeBarButtons: buttons };
      Plotly.react(byId(id), figure.data.map(coloured), layoutOf(figure), options);
    } else {
      Plotly.purge(byId(id));
    }
  }
  byId("no-chart").hidden = Boolean(shown.cmc || shown.cost);
}
for (const id of ["chart-task", "chart-evaluator", "chart-cost"]) byId(id)?.addEventListener("change", drawCharts);
dark.addEventListener("change", drawCharts);

// ---------------------------------------------------------------- images, loaded when a list is opened
const pictures = json("thumbnails");
for (const list of document.querySelectorAll("details.ranked")) {
  list.addEventListener("toggle", () => {
    for (const image of list.querySelectorAll("img[data-picture]:not([src])")) image.src = pictures[image.dataset.picture];
  });
}

drawCharts();

// ---------------------------------------------------------------- open the collapsed section that an address names
function openPlace() {
  const closed = byId(location.hash.slice(1))?.querySelector("details.again");
  if (closed) closed.open = true;
}
addEventListener("hashchange", openPlace);
openPlace();
