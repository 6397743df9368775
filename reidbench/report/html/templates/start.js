// Runs after every listener of the filters is registered.
refresh();
// After loading, the browser scrolls to the address's fragment and moves the focus, so restore both here.
addEventListener("load", () => {
  arrive();
  document.documentElement.dataset.ready = "yes";
});
