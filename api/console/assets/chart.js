// Draws the charts that a page marks with data-chart, an address that gives {times, lines}. Each is renewed every
// data-every seconds while the page is seen, and says in words what it shows for those who don't see it.
(() => {
  const ranges = [["15", "15 min"], ["60", "1 h"], ["360", "6 h"], ["1440", "1 d"], ["10080", "7 d"]];
  const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

  // A colour of the style sheet, as it is now; the canvas knows no variables.
  const probe = document.createElement("i");
  probe.hidden = true;
  document.body.append(probe);
  const color = (name, share = 100) => {
    probe.style.color = `color-mix(in srgb, var(--${name}) ${share}%, transparent)`;
    return getComputedStyle(probe).color;
  };

  const start = (figure) => {
    const place = figure.querySelector(".plot"), legend = figure.querySelector(".legend"), says = figure.querySelector("[data-chart-says]");
    const hint = says.textContent;
    let minutes = "15", plot, last, timer;

    const choices = document.createElement("div");
    choices.className = "ranges";
    choices.setAttribute("role", "group");
    choices.setAttribute("aria-label", "Length of time");
    for (const [value, text] of "short" in figure.dataset ? ranges.slice(0, 2) : ranges) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.setAttribute("aria-pressed", String(value === minutes));
      button.addEventListener("click", () => {
        minutes = value;
        for (const other of choices.children) other.setAttribute("aria-pressed", String(other === button));
        load();
      });
      choices.append(button);
    }
    figure.querySelector("figcaption").append(choices);

    const axis = (extra) => ({ stroke: color("muted"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, font: "11px Inter, system-ui, sans-serif", ...extra });
    const draw = (data) => {
      last = data;
      if (plot) plot.destroy();
      plot = new uPlot({
        width: place.clientWidth, height: place.clientHeight, padding: [8, 18, 0, 0],
        cursor: { y: false, points: { size: 7 } }, legend: { show: false },
        scales: { x: { range: () => { const end = data.times.at(-1) ?? Date.now() / 1000; return [end - minutes * 60, end]; } }, y: { range: (_, low, high) => [0, Math.max(high * 1.1, 1)] } },
        axes: [axis({ size: 28, values: (_, splits) => splits.map((at) => clock(at)) }), axis({ size: 44, values: (_, splits) => splits.map((v) => number.format(v)) })],
        series: [{}, ...data.lines.map((line, i) => ({
          label: line.name, stroke: color(line.color), width: 1.75, fill: i < 2 ? color(line.color, i ? 8 : 14) : undefined,
          points: { show: false }, dash: line.color === "muted" ? [4, 4] : undefined,
        }))],
        hooks: { setCursor: [(u) => tell(data, u.cursor.idx)] },
      }, [data.times, ...data.lines.map((line) => line.values)], place);
      tell(data);
    };
    const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

    // The values at the pointer, or the newest ones.
    const tell = (data, index) => {
      legend.replaceChildren(...data.lines.map((line) => {
        const entry = document.createElement("li"), mark = document.createElement("i"), value = document.createElement("b");
        mark.style.background = color(line.color);
        mark.style.borderColor = "transparent";
        const at = index ?? line.values.length - 1, given = line.values[at];
        value.textContent = given == null ? "–" : number.format(given) + line.unit;
        entry.append(mark, line.name + " ", value);
        return entry;
      }));
      if (index != null) return;
      const known = data.lines.map((line) => line.values.filter((v) => v != null));
      place.setAttribute("aria-label", data.lines.map((line, i) => known[i].length
        ? `${line.name}: now ${number.format(known[i].at(-1))}${line.unit}, highest ${number.format(Math.max(...known[i]))}${line.unit}` : `${line.name}: not known`).join(". "));
      const nothing = known.every((values) => values.every((v) => v === 0));
      says.textContent = nothing ? figure.dataset.quiet : hint;
    };

    const load = async () => {
      clearTimeout(timer);
      if (!document.hidden) {
        try {
          const reply = await fetch(figure.dataset.chart + "?minutes=" + minutes);
          if (reply.status === 401) return void (says.textContent = "Your session is over; reload the page to log in.");
          if (!reply.ok) throw new Error(reply.status);
          draw(await reply.json());
        } catch { says.textContent = "The curve could not be renewed; it is tried again."; }
      }
      timer = setTimeout(load, figure.dataset.every * 1000);
    };
    new ResizeObserver(() => { if (plot && place.clientWidth) plot.setSize({ width: place.clientWidth, height: place.clientHeight }); }).observe(place);
    for (const query of [matchMedia("(prefers-color-scheme: dark)"), document]) {
      query.addEventListener(query === document ? "theme" : "change", () => { if (last) draw(last); });
    }
    load();
  };
  for (const figure of document.querySelectorAll("[data-chart]")) start(figure);
})();
