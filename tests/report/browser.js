// Runs at the end of a copy of the page: uses it as a reader would, and tells the page around it what it saw, as JSON.
(async () => {
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const seen = (element) => element.checkVisibility() && element.getBoundingClientRect().width > 0;
  const labels = (table) => all("tbody tr", table).filter(seen).map((row) => row.cells[0].textContent.trim());
  const panel = document.querySelector("section.panel");
  const table = panel.querySelector(".results table");
  const found = { width: innerWidth };

  // Layout
  found.page = document.documentElement.scrollWidth;
  found.beyond = all("main *")
    .filter((e) => seen(e) && !e.closest(".scroll, .tip, svg, .sr") && e.getBoundingClientRect().right > innerWidth + 1)
    .map((e) => `${e.tagName}.${e.className}`);
  const first = table.querySelector("tbody tr");
  found.results = all("td", first).filter(seen).map((cell) => [cell.dataset.label, cell.getBoundingClientRect().right <= innerWidth]);
  found.cut = all(".results .scroll").filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.ariaLabel);
  const every = (shown) => all(".results .all").forEach((box) => (box.checked = shown)); // on a phone; else without effect
  every(true);
  const cells = all(".results tbody td");
  found.lost = cells.filter((e) => !seen(e) || e.getBoundingClientRect().right > innerWidth).map((e) => e.dataset.label);
  found.all = [cells.length, new Set(cells.map((e) => e.dataset.label)).size];
  every(false);
  found.columns = getComputedStyle(panel.querySelector(".reel ol")).gridTemplateColumns.split(" ").length;
  const name = all("tbody th", table).find((e) => e.textContent.includes("relativistic_average"));
  const range = document.createRange();
  range.selectNodeContents(name);
  found.lines = new Set([...range.getClientRects()].filter((r) => r.height > 12).map((r) => Math.round(r.top))).size;

  // Words: each explanation opens on focus, within the window
  const words = all(".word").filter(seen);
  found.words = words.length;
  found.unexplained = [];
  for (const word of words) {
    word.focus();
    const tip = word.querySelector(".tip");
    const box = tip.getBoundingClientRect();
    const inside = box.left >= 0 && box.right <= innerWidth && box.top >= 0 && box.bottom <= innerHeight;
    if (!seen(tip) || !inside || !tip.textContent) found.unexplained.push([word.firstChild.textContent, JSON.stringify(box)]);
  }
  document.activeElement.blur();
  found.closed = !all(".tip").some(seen);

  // Sorting
  const choose = panel.querySelector(".sort-by");
  const original = labels(table);
  const pick = (i) => {
    choose.value = String(i);
    choose.dispatchEvent(new Event("change"));
  };
  pick(0);
  const byName = labels(table);
  const heading = [...choose.options].findIndex((o) => o.textContent.startsWith("AUC")) - 1;
  pick(heading);
  const auc = all("tbody tr", table).map((row) => Number(row.cells[heading].dataset.v));
  all("thead .sort", table)[heading].click();
  const falling = all("tbody tr", table).map((row) => Number(row.cells[heading].dataset.v));
  const state = table.tHead.rows[0].cells[heading].getAttribute("aria-sort");
  pick("");
  Object.assign(found, { original, byName, auc, falling, state, back: labels(table) });

  // Filtering
  const find = panel.querySelector(".find");
  const type = (text) => {
    find.value = text;
    find.dispatchEvent(new Event("input"));
  };
  const key = (label) => all(".legend [data-switch]", panel).find((e) => e.textContent.trim() === label).dataset.switch;
  const shown = (look) => all(`[data-look="${look}"]:not(tr)`).filter((e) => e.checkVisibility()).length;
  const drawn = (look) => all(`[data-look="${look}"]:not(tr)`).filter((e) => e.style.display !== "none").length;
  type("satur");
  found.filtered = [labels(table), drawn(key("hinge")), panel.querySelector("output").textContent];
  type("");
  found.unfiltered = labels(table);

  // Switching off: nothing of it is left in any picture, of any panel
  const hinge = key("hinge");
  const colour = panel.querySelector(`[data-switch="${hinge}"] line`).getAttribute("stroke");
  const rest = () => [ // what still shows it outside of tables and legends: its name, and its colour
    all("section.panel figcaption, section.panel p strong, section.panel svg text").filter((e) => seen(e) && e.textContent.trim() === "hinge").length,
    all(`section.panel :is([stroke="${colour}"], [color="${colour}"])`).filter((e) => e.checkVisibility() && !e.closest("tr, .legend")).length,
  ];
  found.left = [rest()];
  found.before = [drawn(hinge), shown(hinge), shown(key("minimax"))];
  const button = all(".legend [data-switch]", panel).find((e) => e.dataset.switch === hinge);
  button.click();
  found.off = [drawn(hinge), shown(hinge), shown(key("minimax")), button.getAttribute("aria-pressed")];
  found.left.push(rest());
  button.click();
  found.on = [drawn(hinge), shown(hinge)];

  // The cursor
  const plots = all("svg.plot[data-scales]", panel);
  const slider = panel.querySelector(".slide input");
  slider.value = String(Math.round(slider.max / 2));
  slider.dispatchEvent(new Event("input"));
  found.cursors = [plots.length, plots.filter((svg) => svg.querySelector(".cursor")?.getAttribute("d")).length];
  found.frames = all(".reel", panel).map((reel) => all(".here", reel).map((frame) => frame.dataset.step));
  const plot = plots.find(seen);
  plot.scrollIntoView();
  const box = plot.getBoundingClientRect();
  const [left, right] = plot.dataset.scales.split(" ").map(Number);
  const x = box.left + (((left + right) / 2) * box.width) / plot.viewBox.baseVal.width;
  plot.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: x, clientY: box.top + 20 }));
  const readout = document.querySelector(".readout");
  found.readout = [readout.hidden, readout.innerText, readout.getBoundingClientRect().right <= innerWidth];
  found.value = Number(slider.value);

  // The film: still until it is asked for
  const play = panel.querySelector(".play input");
  const moving = panel.querySelector(".moving");
  found.still = seen(moving);
  play.click();
  found.moving = [seen(moving), getComputedStyle(moving, "::before").animationName];

  found.dark = getComputedStyle(document.body).backgroundColor;
  found.requests = performance.getEntriesByType("resource").map((entry) => entry.name);
  found.errors = window.seenErrors;
  parent.postMessage(JSON.stringify(found), "*");
})().catch((error) => parent.postMessage(JSON.stringify({ failed: String(error.stack) }), "*"));
