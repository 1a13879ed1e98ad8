// Keeps the parts of a page marked with data-live up to date. The server makes them as HTML from the same templates as
// the page itself. Pausing closes the connection, so that a reader can look at one moment for as long as they like.
(() => {
  const control = document.getElementById("live");
  if (!control) return;
  const button = control.querySelector("button"), state = control.querySelector("span");
  let source, paused = false, failures = 0;

  const put = (event) => {
    for (const place of document.querySelectorAll("[data-live]")) {
      const html = event.parts[place.dataset.live];
      if (html === undefined || html === place.lastHTML) continue;
      place.lastHTML = html;
      place.innerHTML = html;
      if (window.showTimes) window.showTimes(place);
    }
    const known = new Set([...document.querySelectorAll("[data-live]")].map((place) => place.dataset.live));
    const added = Object.keys(event.parts).some((name) => name.startsWith("campaign.") && !known.has(name));
    if (added && document.body.classList.contains("home") && !document.querySelector(":focus-visible, dialog[open]")) location.reload();
    document.dispatchEvent(new CustomEvent("live", { detail: event }));
  };
  const open = () => {
    source = new EventSource("/console/live");
    source.onmessage = (message) => {
      failures = 0;
      const event = JSON.parse(message.data);
      put(event);
      say("Live", new Date(event.at));
    };
    source.onerror = () => {
      failures++;
      say(failures > 3 ? "Not live: the server does not answer. Reload to try again" : "Connecting");
      if (source.readyState === EventSource.CLOSED || failures > 30) { source.close(); say("Not live: reload the page to log in or to try again"); }
    };
  };
  const say = (text, at) => {
    control.dataset.state = text.toLowerCase().split(/[: ]/)[0];
    state.textContent = text + (at ? " · " + at.toLocaleTimeString(undefined, { hourCycle: "h23" }) : "");
  };
  const halt = () => { if (source) source.close(); source = undefined; };
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Resume" : "Pause";
    button.setAttribute("aria-pressed", String(paused));
    if (paused) { halt(); say("Paused", new Date()); } else { open(); say("Connecting"); }
  });
  // A page that nobody sees asks for nothing.
  document.addEventListener("visibilitychange", () => {
    if (paused) return;
    if (document.hidden) halt(); else if (!source) open();
  });
  addEventListener("pagehide", halt);
  open();
})();
