// Hides columns of a table that is wider than the page: metrics and the protocol first, then tasks and seeds.
const LEVELS = ["tight", "tighter"];

function fit() {
  board.classList.remove(...LEVELS);
  const space = board.parentElement.clientWidth;
  for (const level of LEVELS) if (board.offsetWidth > space) board.classList.add(level);
}
table.on("draw", fit);
addEventListener("resize", fit);
fit();
