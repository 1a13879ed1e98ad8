// What a table adds to its form: the boxes of a page at once, how many are chosen, and buttons that need some.
(() => {
  const ready = (root) => {
    for (const form of root.querySelectorAll("form[data-select]")) {
      if ("ready" in form.dataset) continue;
      form.dataset.ready = "";
      const all = form.querySelector("[data-all]"), count = form.querySelector("[data-count]");
      const boxes = [...form.querySelectorAll("input[name=id]")], hint = count?.textContent;
      if (!all || !boxes.length) { for (const button of form.querySelectorAll("[data-needs]")) button.disabled = true; continue; }
      const show = () => {
        const chosen = boxes.filter((box) => box.checked).length;
        all.checked = chosen === boxes.length;
        all.indeterminate = chosen > 0 && chosen < boxes.length;
        count.textContent = chosen ? chosen + " selected" : hint;
        for (const button of form.querySelectorAll("[data-needs]")) button.disabled = !chosen;
      };
      all.hidden = false;
      all.addEventListener("change", () => { for (const box of boxes) box.checked = all.checked; show(); });
      form.addEventListener("change", show);
      show();
    }
  };
  ready(document);
  document.addEventListener("htmx:afterSwap", () => ready(document));
  // An address holds only the filters that are set.
  document.addEventListener("htmx:configRequest", (event) => {
    for (const [name, value] of Object.entries(event.detail.parameters)) if (value === "") delete event.detail.parameters[name];
  });
  // A form that was sent is not sent twice.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    if ("sent" in event.target.dataset) return void event.preventDefault();
    event.target.dataset.sent = "";
  });
  addEventListener("pageshow", () => { for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent; });
})();
