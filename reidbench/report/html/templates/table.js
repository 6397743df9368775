// The table of a page: sorting, filters, their state in the address, and expandable rows. DataTables is tableLibrary.
const byId = (id) => document.getElementById(id);
const json = (id) => JSON.parse(byId(id)?.textContent ?? "{}");

const board = byId("board");
const table = new tableLibrary(board, {
  paging: false,
  info: false,
  autoWidth: false,
  order: [],
  layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
  language: { zeroRecords: "No row matches the filters." },
});

// ---------------------------------------------------------------- filters
const form = byId("filters");
const search = byId("search");
const selects = [...form.querySelectorAll("select:not([data-word])")];
const words = [...form.querySelectorAll("select[data-word]")];
const textOf = (select) => (select.value === "" ? null : select.options[select.selectedIndex].textContent);
const chosen = (id) => textOf(byId(id));

// Returns a test: whether a row matches the filters.
function fitting() {
  const texts = selects.filter((select) => select.value !== "" && "filter" in select.dataset);
  const marks = words.filter((select) => select.value !== "");
  const parts = search.value.toLowerCase().split(/\s+/);
  return (line) => {
    const row = line.dataset;
    const own = marks.length ? row.words.split(", ") : [];
    const text = search.value ? line.textContent.toLowerCase() : "";
    return (
      texts.every((select) =>
        select.dataset.filter === "several"
          ? row[select.id].split(" ").includes(select.value)
          : row[select.id] === textOf(select),
      ) &&
      marks.every((select) => own.includes(select.dataset.word) === (select.value === "with")) &&
      (!text || parts.every((part) => text.includes(part)))
    );
  };
}

// Returns the rows of each column that no other given row beats; `better` has a bit for each row that does.
function bestOf(lines) {
  const left = new Map();
  for (const { dataset: row } of lines) left.set(row.column, (left.get(row.column) ?? 0n) | (1n << BigInt(row.place)));
  return lines.filter(({ dataset: row }) => !(left.get(row.column) & BigInt(`0x${row.better}`)));
}

let shown = new Set();
table.search.fixed("filters", (text, data, index) => shown.has(table.row(index).node()));

// Shows the matching rows and notifies the other sections.
function refresh() {
  const lines = table.rows().nodes().toArray().filter(fitting());
  shown = new Set("best" in board.dataset && byId("show").value === "" ? bestOf(lines) : lines);
  table.draw();
  board.dispatchEvent(new Event("filtered"));
}

table.on("draw", () => {
  byId("count").textContent = `${table.rows({ search: "applied" }).count()} of ${table.rows().count()} rows`;
  // Brackets join ties only in the page's own order, where ties are adjacent.
  board.classList.toggle("grouped", table.order().length === 0 && !search.value);
});

function chose() {
  byId("filter-note").hidden = true;
  refresh();
  keep();
}
form.addEventListener("change", (event) => event.target !== search && chose());
search.addEventListener("input", chose);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => {
  setTimeout(() => {
    table.order([]);
    chose();
  });
});

// ---------------------------------------------------------------- the address: #?task=...&with=... or #row-...
function keep() {
  const state = new URLSearchParams();
  if (search.value) state.append("search", search.value);
  for (const select of selects) if (select.value !== "") state.append(select.id, textOf(select));
  for (const select of words) if (select.value !== "") state.append(select.value, select.dataset.word);
  const text = state.toString();
  history.replaceState(null, "", text ? `#?${text}` : location.pathname + location.search);
}

function say(text) {
  byId("filter-note").textContent = text;
  byId("filter-note").hidden = !text;
}

// Sets the filters from an address and reports values that the page does not have.
function restore(text) {
  const state = new URLSearchParams(text);
  const open = new Set([...state].map(([name, value]) => `${name}=${value}`));
  const take = (name, value) => open.delete(`${name}=${value}`);
  search.value = state.get("search") ?? "";
  take("search", search.value);
  for (const select of selects) {
    const option = [...select.options].find((one) => one.value !== "" && take(select.id, one.textContent));
    select.value = option ? option.value : "";
  }
  for (const select of words) {
    select.value = ["with", "without"].find((value) => take(value, select.dataset.word)) ?? "";
    if (select.value) select.closest("details").open = true;
  }
  say(open.size ? `The page does not have these values from the address, so they are ignored: ${[...open].join(", ")}` : "");
  refresh();
}

function arrive() {
  if (location.hash.startsWith("#?")) {
    restore(location.hash.slice(2));
  } else if (location.hash.startsWith("#row-")) {
    const line = table.rows().nodes().toArray().find((node) => node.id === location.hash.slice(1));
    if (!line) {
      say("The row in the address is not on this page.");
      return;
    }
    if (!line.isConnected) restore("");
    if (!line.isConnected) restore(new URLSearchParams({ show: byId("show").options[1].textContent }).toString());
    show(line, true);
    line.scrollIntoView();
    line.querySelector("a, button")?.focus({ preventScroll: true });
  }
}
addEventListener("hashchange", arrive);

// ---------------------------------------------------------------- expandable rows
function show(line, open) {
  const button = line.querySelector("button.open");
  if (!button) return;
  const row = table.row(line);
  if (!open) row.child.hide();
  else if (!row.child.isShown()) row.child(byId(`detail-${line.dataset.number}`).content.firstElementChild.cloneNode(true)).show();
  button.setAttribute("aria-expanded", String(open));
}

board.addEventListener("click", (event) => {
  const button = event.target.closest("button.open");
  if (button) show(button.closest("tr"), button.getAttribute("aria-expanded") !== "true");
});
