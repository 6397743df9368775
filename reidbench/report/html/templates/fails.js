// Compares two rows query by query. The page holds all values, two bytes each, and the ranked lists chosen when it was written.
(() => {
const MOST_QUERIES = 5;
const NOT_COUNTED = 0xffff;
const compared = json("fails-data");
for (const target of compared.targets ?? []) {
  let pid = 0;
  target.pids = target.steps.map((step) => (pid += step));
}

// Creates an element from texts and other elements; text is never parsed as markup.
function element(name, attributes = {}, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

function codesOf(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 2 }, (_, index) => view.getUint16(2 * index, true));
}

// Formats numbers as the tables do: fractions in % with one decimal, others with four digits.
function shownValue(column, value, signed = false) {
  const text = column.unit === "%" ? (100 * value).toFixed(1) : String(Number(value.toPrecision(4)));
  return signed && value > 0 ? `+${text}` : text;
}

const valueOf = (column, code) => column.low + code * column.step;
const cameraOf = (camid) => (camid < 0 ? "unknown" : String(camid));

// Compares two rows of a column, or returns a sentence that says why they cannot be compared.
function compare(column, one, other) {
  if (!column.better) return "The evaluator does not declare whether more of this metric is better.";
  const [own, beside] = [one, other].map((method) => codesOf(column.codes[column.methods.indexOf(method)]));
  if (own.length !== beside.length || own.some((code, query) => (code === NOT_COUNTED) !== (beside[query] === NOT_COUNTED))) {
    return "The two rows count different queries.";
  }
  const queries = own.flatMap((code, query) =>
    code === NOT_COUNTED ? [] : [{ query, own: code, beside: beside[query], ahead: column.better * (code - beside[query]) }],
  );
  const wins = queries.filter(({ ahead }) => ahead > 0).sort((a, b) => b.ahead - a.ahead || a.query - b.query);
  const losses = queries.filter(({ ahead }) => ahead < 0).sort((a, b) => a.ahead - b.ahead || a.query - b.query);
  const mean = (queries.reduce((sum, { ahead }) => sum + ahead, 0) / queries.length) * column.step;
  return { count: queries.length, wins, losses, mean };
}

function tally(column, one, other, found) {
  const part = (count) => `${count} (${((100 * count) / found.count).toFixed(1)} %)`;
  const ties = found.count - found.wins.length - found.losses.length;
  const points = column.unit === "%" ? " points" : column.unit ? ` ${column.unit}` : "";
  const bar = element("div", { class: "tally", "aria-hidden": "true" }, element("i"), element("i", { class: "loss" }));
  bar.firstChild.style.width = `${(100 * found.wins.length) / found.count}%`;
  bar.lastChild.style.width = `${(100 * found.losses.length) / found.count}%`;
  const said = element("p", { class: "wrap" });
  said.append(
    `Of ${found.count} queries ${one} wins ${part(found.wins.length)} and loses ${part(found.losses.length)} against ${other}; `,
    `${part(ties)} are ties (values rounded to ${column.rounded}). Mean difference: ${shownValue(column, found.mean, true)}${points}.`,
  );
  return [said, bar];
}

// Words that only one of the two protocols has.
function words(column, one, other) {
  const [own, beside] = [one, other].map((method) => column.words[column.methods.indexOf(method)]);
  const only = [...own.filter((word) => !beside.includes(word)), ...beside.filter((word) => !own.includes(word))];
  return only.length ? [element("p", { class: "wrap" }, `The protocols differ in: ${only.join(", ")}. The difference is not due to the method alone.`)] : [];
}

function picture(name, what) {
  return name && pictures[name] ? element("img", { src: pictures[name], alt: what }) : element("i", { class: "blank", "aria-hidden": "true" });
}

function galleryOf(column, method, query, pid, camid) {
  const list = column.lists[method]?.[query];
  if (!list) return [];
  const row = element("ol", { class: "row" });
  row.append(
    element("li", { class: "query" }, picture(column.pictures[query], `query: identity ${pid}, camera ${cameraOf(camid)}`),
      element("span", {}, `query ${pid}`, element("br"), element("small", {}, `camera ${cameraOf(camid)}`))),
  );
  list.gallery.forEach(([own, camera, name], index) => {
    const hit = own === pid;
    const mark = element("span", { class: `mark ${hit ? "yes" : "no"}` }, hit ? "✓" : "✗",
      element("span", { class: "spoken" }, hit ? " true match" : " false match"));
    const label = ` ${own > 0 ? own : "distractor"}`;
    row.append(element("li", { class: hit ? "yes" : "no" },
      picture(name, `rank ${index + 1}: identity ${own}, camera ${cameraOf(camera)}`),
      element("span", {}, mark, label, element("br"), element("small", {}, `camera ${cameraOf(camera)}`))));
  });
  const first = list.first > list.gallery.length ? `, first true match at rank ${list.first}` : "";
  const said = `${method}, first seed: AP ${(100 * list.ap).toFixed(1)} %${first}`;
  const scroll = element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `Query of identity ${pid}: ${said}` }, row);
  return [element("p", { class: "beside" }, said), scroll];
}

function largest(column, title, one, other, queries) {
  const shown = queries.slice(0, MOST_QUERIES);
  if (!shown.length) return [];
  const target = compared.targets[column.target];
  const head = element("tr");
  const names = [...(target ? ["Identity", "Camera"] : ["Query"]), one, other, "Difference"];
  names.forEach((name, index) => head.append(element("th", { scope: "col", ...(index ? { class: "number" } : {}) }, name)));
  const body = element("tbody");
  const lists = [];
  for (const { query, own, beside, ahead } of shown) {
    const [pid, camid] = target ? [target.pids[query], target.camids[query]] : [query + 1, 0];
    const numbers = [own, beside].map((code) => shownValue(column, valueOf(column, code)));
    const cells = [...(target ? [cameraOf(camid)] : []), ...numbers, shownValue(column, ahead * column.step, true)];
    body.append(element("tr", {}, element("th", { scope: "row" }, String(pid)),
      ...cells.map((text) => element("td", { class: "number" }, text))));
    const both = [one, other].map((method) => (target ? galleryOf(column, method, query, pid, camid) : []));
    if (both.every((list) => list.length)) lists.push(...both.flat());
  }
  const table = element("table", { class: "plain" }, element("thead", {}, head), body);
  const region = element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": title }, table);
  const galleries = element("details", { open: "" }, element("summary", {}, "Top-ranked images of both rows"), ...lists);
  return [element("h4", {}, title), region, ...(lists.length ? [galleries] : [])];
}

function noPictures(column, one, other) {
  const why = [one, other].find((method) => column.reasons[method]);
  if (why) return `No ranked lists for ${why}: ${column.reasons[why]}.`;
  const lists = Object.keys(column.lists);
  if (!lists.length) return "";
  return [one, other].includes(column.methods[0]) && [one, other].every((method) => lists.includes(method))
    ? ""
    : `Ranked lists are available for ${column.methods[0]}, the best row, compared with: ${lists.filter((name) => name !== column.methods[0]).join(", ")}.`;
}

const selectOf = (name) => byId(`compare-${name}`);
function fill(select, names, wanted) {
  select.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
  if (names.includes(wanted)) select.value = wanted;
}

function chosenColumn() {
  return compared.columns.find(({ task, evaluator }) => task === selectOf("task").value && evaluator === selectOf("evaluator").value);
}

const evaluatorsOf = (task) => compared.columns.filter((column) => column.task === task).map((column) => column.evaluator);

// Fills in the evaluators of the task, then the methods; keeps the selection where possible.
function choose() {
  fill(selectOf("evaluator"), evaluatorsOf(selectOf("task").value), selectOf("evaluator").value);
  const { methods } = chosenColumn();
  const [one, other] = [selectOf("one").value, selectOf("other").value];
  fill(selectOf("one"), methods, one);
  fill(selectOf("other"), methods, methods.includes(other) && other !== selectOf("one").value ? other : methods.find((name) => name !== selectOf("one").value));
  drawCompared();
}

function drawCompared() {
  const column = chosenColumn();
  const [one, other] = [selectOf("one").value, selectOf("other").value];
  const place = byId("compared");
  const missing = Object.entries(column.unknown).map(([method, why]) => element("p", { class: "wrap" }, `Not here: ${method}: ${why}.`));
  if (one === other) {
    place.replaceChildren(element("p", {}, "Choose two different methods."), ...missing);
    return;
  }
  const found = compare(column, one, other);
  if (typeof found === "string") {
    place.replaceChildren(element("p", {}, found), ...missing);
    return;
  }
  const said = found.wins.length + found.losses.length ? noPictures(column, one, other) : "";
  place.replaceChildren(
    ...tally(column, one, other, found),
    ...words(column, one, other),
    ...(said ? [element("p", { class: "wrap" }, said)] : []),
    ...largest(column, `Largest advantage of ${one}`, one, other, found.wins),
    ...largest(column, `Largest advantage of ${other}`, one, other, found.losses),
    ...missing,
  );
}

board.addEventListener("filtered", () => {
  const [task, evaluator] = ["task", "evaluator"].map((name) => chosen(name));
  for (const row of document.querySelectorAll("details.fails")) {
    row.hidden = (task !== null && row.dataset.task !== task) || (evaluator !== null && row.dataset.evaluator !== evaluator);
  }
  if (compared.columns?.length) follow(task, evaluator);
});

// The leaderboard's filters also select the column here, if it has rows to compare.
function follow(task, evaluator) {
  const wanted = compared.columns.find(
    (column) => column.task === (task ?? selectOf("task").value) && column.evaluator === (evaluator ?? selectOf("evaluator").value),
  );
  if (!wanted || wanted === chosenColumn()) return;
  selectOf("task").value = wanted.task;
  fill(selectOf("evaluator"), evaluatorsOf(wanted.task), wanted.evaluator);
  choose();
}

if (compared.columns?.length) {
  fill(selectOf("task"), [...new Set(compared.columns.map((column) => column.task))]);
  for (const name of ["task", "evaluator"]) selectOf(name).addEventListener("change", choose);
  for (const name of ["one", "other"]) selectOf(name).addEventListener("change", drawCompared);
  choose();
}
})();
