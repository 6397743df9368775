// After all that listens to the filters.
refresh();
// A browser goes to the place that an address names when all is loaded, and takes the focus away then.
addEventListener("load", () => {
  arrive();
  document.documentElement.dataset.ready = "yes";
});
