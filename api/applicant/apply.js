// Applies for a coupon and follows it until it is issued. The calls are
//   GET  /v1/campaigns/{code}                   the window, and the server's time, by which it counts down
//   POST /v1/campaigns/{code}/apply             asking twice is safe: a winner keeps the same number
//   GET  /v1/campaigns/{code}/coupons/{user}    what became of it
// Everything it does again and again has a bound.
(() => {
  const base = "/v1/campaigns/" + document.body.dataset.campaign;
  const field = document.getElementById("user"), form = document.getElementById("apply"), button = form.querySelector("button");
  const clock = document.getElementById("countdown"), answer = document.getElementById("answer"), again = document.getElementById("again");
  const maxAsks = 8, maxLooks = 30;
  // told is the phase in which an answer was given: it stands until the next question, or until the phase is another one.
  let campaign, ahead = 0, busy = false, done = false, told, phase;

  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const serverNow = () => Date.now() + ahead;
  const say = (text, slot, sub) => {
    answer.replaceChildren();
    const line = (tag, name, content) => { const e = document.createElement(tag); e.className = name; e.textContent = content; answer.append(e); };
    if (slot) { line("span", "sub", "Your number"); line("strong", "slot", slot); }
    line("p", "text", text);
    if (sub) line("p", "sub", sub);
  };

  const ask = async (path, body) => {
    const options = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const reply = await fetch(base + path, options);
    const content = await reply.json().catch(() => ({}));
    return { status: reply.status, kind: (content.type || "").split(":").pop(), retry: +reply.headers.get("Retry-After") || 1, content };
  };

  const load = async () => {
    const asked = Date.now();
    const got = await ask("").catch(() => undefined);
    if (!got || got.status !== 200) return;
    campaign = got.content;
    ahead = Date.parse(campaign.server_time) - (asked + Date.now()) / 2;
  };

  // show enables the button while the campaign is open, and says else why not. The server decides all the same.
  const show = () => {
    if (done || busy || !campaign) return;
    const left = Date.parse(campaign.starts_at) - serverNow();
    const over = campaign.state === "ended" || serverNow() >= Date.parse(campaign.ends_at);
    clock.hidden = left <= 0 || over;
    button.disabled = left > 0 || over || campaign.state === "paused";
    if (!clock.hidden) clock.firstElementChild.textContent = lengthOf(left);
    const now = over ? "ended" : campaign.state === "paused" ? "paused" : left > 0 ? "early" : "open";
    if (told === now) return;
    told = undefined;
    if (now !== "open") say(phases[now]);
    else if (campaign.remaining === 0) say("All coupons are taken. Anybody who holds one can still look it up here.");
    else answer.replaceChildren();
    phase = now;
  };
  const phases = {
    ended: "This campaign has ended. Thank you for coming by.",
    paused: "The campaign pauses just now. This page looks again by itself.",
    early: "The button opens when the time has come.",
  };
  // tell says what became of a question.
  const tell = (text) => { show(); told = phase; say(text); };
  const lengthOf = (ms) => {
    const s = Math.ceil(ms / 1000), two = (n) => String(n).padStart(2, "0");
    const days = Math.floor(s / 86400);
    return (days ? days + (days === 1 ? " day " : " days ") : "") + two(Math.floor(s / 3600) % 24) + ":" + two(Math.floor(s / 60) % 60) + ":" + two(s % 60);
  };

  const refusals = {
    "sold-out": "All coupons are taken: others were a moment faster. Thank you for trying.",
    "not-started": "Not yet. The button opens when the time has come.",
    "paused": "The campaign pauses just now. Please try again in a moment.",
    "ended": "This campaign has ended. Thank you for coming by.",
    "revoked": "This coupon was taken back. Please ask our support.",
    "invalid-request": "This is no user ID. It is a number, such as 42.",
    "unknown-campaign": "This campaign does not exist any more.",
  };

  const apply = async () => {
    busy = true; button.disabled = true; again.hidden = true; told = undefined;
    for (let tries = 1; tries <= maxAsks; tries++) {
      say(tries === 1 ? "One moment…" : "Many people ask at once. One moment: nothing is lost by asking again…");
      const got = await ask("/apply", { user_id: field.value }).catch(() => undefined);
      if (got && got.status < 300) { done = true; return follow(got.content); }
      if (got && refusals[got.kind]) { busy = false; await load(); return tell(refusals[got.kind]); }
      await wait(Math.min((got ? got.retry : 2) * 1000, 5000) * (1 + Math.random()));
    }
    busy = false; button.disabled = false;
    tell("We could not reach the counter. If you had a place, it is kept: please ask again.");
  };

  // follow tells how far the coupon is, until it is issued, a bounded number of times.
  const follow = async (winner) => {
    form.hidden = true;
    for (let looks = 0; ; looks++) {
      const slot = winner.slot ? String(winner.slot) : "";
      if (winner.status === "issued") return say("Your coupon is ready.", slot);
      if (winner.status === "revoked") return say(refusals.revoked);
      if (winner.delayed) say("You are in. Your coupon takes a little longer; your place is kept.", slot);
      else say("You are in!", slot, winner.status === "accepted" ? "Your coupon is being made…" : "Your number comes in a moment…");
      if (looks === maxLooks) break;
      await wait(Math.min(500 + 250 * looks, 8000));
      const got = await ask("/coupons/" + field.value).catch(() => undefined);
      if (got && got.status === 200) winner = got.content;
    }
    say("You are in, and your place is kept. Your coupon takes longer than usual; look again later.", winner.slot ? String(winner.slot) : "");
    again.hidden = false;
    again.onclick = () => { again.hidden = true; follow(winner); };
  };

  form.addEventListener("submit", (event) => { event.preventDefault(); if (!busy) apply(); });
  const tick = async () => {
    await load();
    show();
    setInterval(show, 250);
    // While it waits for a start or the end of a pause, it looks every few seconds, all readers spread out.
    for (let looks = 0; looks < 2000 && !done; looks++) {
      await wait(4000 + 4000 * Math.random());
      if (!document.hidden && !busy && !done) { await load(); show(); }
    }
  };
  tick();
})();
