// Keeps the parts of a page marked with data-live up to date. The server makes them as HTML from the same templates as
// the page itself. Pausing closes the connection, so that a reader can look at one moment for as long as they like.
// A page that nobody sees holds no connection: a browser has six for all of its tabs. What was not renewed for a while
// says so: old figures must not pass for those of now.
(() => {
  const control = document.getElementById("live");
  if (!control) return;
  const button = control.querySelector("button"), state = control.querySelector("span");
  const silence = 3500; // ms without an event, of which there is one a second
  let source, paused = false, failures = 0, heard = Date.now();

  const put = (event) => {
    for (const place of document.querySelectorAll("[data-live]")) {
      const html = event.parts[place.dataset.live];
      place.toggleAttribute("data-stale", html === undefined);
      if (html === undefined || html === place.lastHTML) continue;
      place.lastHTML = html;
      place.innerHTML = html;
      if (window.showTimes) window.showTimes(place);
    }
    const known = new Set([...document.querySelectorAll("[data-live]")].map((place) => place.dataset.live));
    const added = (event.home ?? []).some((code) => !known.has("campaign." + code));
    if (added && document.querySelector("[data-first-page]") && !document.querySelector(":focus-visible, dialog[open]")) location.reload();
    document.dispatchEvent(new CustomEvent("live", { detail: event }));
  };
  const open = () => {
    const codes = [...document.querySelectorAll("[data-live^='campaign.']")].map((place) => place.dataset.live.slice("campaign.".length));
    source = new EventSource("/console/live?" + new URLSearchParams(codes.map((code) => ["campaign", code])));
    source.onmessage = (message) => {
      failures = 0;
      heard = Date.now();
      document.body.classList.remove("stale");
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
  const watch = () => {
    if (!source || document.hidden || Date.now() - heard < silence) return;
    document.body.classList.add("stale");
    if (source.readyState !== EventSource.CLOSED) say("Not live: the server says nothing. Figures are of", new Date(heard));
  };
  const halt = () => { if (source) source.close(); source = undefined; };
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Resume" : "Pause";
    button.setAttribute("aria-pressed", String(paused));
    if (paused) { halt(); say("Paused", new Date()); } else { open(); say("Connecting"); }
  });
  const followSight = () => {
    if (paused) return;
    if (document.hidden) halt(); else if (!source) { open(); watch(); }
  };
  document.addEventListener("visibilitychange", followSight);
  addEventListener("pagehide", halt);
  addEventListener("pageshow", followSight);
  setInterval(watch, 1000);
  followSight();
})();
