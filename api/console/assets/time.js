// Times are written by the server in UTC. This shows them in the reader's zone, and leaves UTC in the title.
(() => {
  const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const show = (root) => {
    for (const element of root.querySelectorAll("time[datetime]:not([data-shown])")) {
      const at = new Date(element.dateTime);
      if (isNaN(at)) continue;
      element.dataset.shown = "";
      const today = at.toDateString() === new Date().toDateString();
      element.textContent = (today ? "" : day.format(at) + ", ") + clock.format(at);
    }
    // A field in which a person writes a time holds it in the reader's zone; what is sent beside it is UTC.
    for (const field of root.querySelectorAll("input[type=datetime-local][data-utc]")) {
      if ("ready" in field.dataset) continue;
      field.dataset.ready = "";
      const sent = document.getElementById(field.dataset.utc);
      if (sent.value) field.value = local(new Date(sent.value));
      field.addEventListener("input", () => {
        const at = new Date(field.value);
        sent.value = field.value && !isNaN(at) ? at.toISOString() : field.value;
      });
    }
    for (const element of root.querySelectorAll("[data-zone]")) {
      element.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
    }
  };
  const local = (at) => new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
  show(document);
  document.addEventListener("htmx:afterSwap", () => show(document));
  window.showTimes = show;
})();
