"use strict";
// What the page can do besides being read: sort and filter its tables, switch a variant off in all pictures, and one cursor
// across all of them. Without this script everything is there, in the order of the results.
(() => {
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const make = (tag, attributes = {}, ...inside) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...inside);
    return element;
  };
  const panels = all("section.panel");
  const off = new Set(); // keys of what is switched off, on the whole page
  const unmatched = new Map(panels.map((panel) => [panel, new Set()])); // of what the filter of a panel leaves out

  // Switching off

  function redraw() {
    for (const element of all("[data-look]")) {
      const key = element.dataset.look;
      const gone = off.has(key) || Boolean(unmatched.get(element.closest("section.panel"))?.has(key));
      if (element.matches("tr")) element.classList.toggle("dim", off.has(key));
      else element.style.display = gone ? "none" : "";
    }
    for (const button of all("[data-switch]")) button.setAttribute("aria-pressed", String(!off.has(button.dataset.switch)));
  }

  for (const item of all(".legend li[data-key]")) {
    const button = make("button", { type: "button", "data-switch": item.dataset.key, "aria-pressed": "true" });
    button.title = "show or hide it in all pictures";
    button.append(...item.childNodes);
    item.append(button);
    button.addEventListener("click", () => {
      const key = button.dataset.switch;
      if (!off.delete(key)) off.add(key);
      redraw();
    });
  }

  // Sorting and filtering

  const text = (element) => {
    const copy = element.cloneNode(true);
    for (const tip of all(".tip, small, button", copy)) tip.remove();
    return copy.textContent.trim().replace(/\s+/g, " ");
  };

  function sort(table, column, falling) {
    const value = (row) => row.cells[column]?.dataset.v ?? row.cells[column]?.textContent ?? "";
    const rows = all("tbody tr", table).filter((row) => row.cells.length > 1);
    const rest = all("tbody tr", table).filter((row) => row.cells.length === 1);
    const number = (row) => (value(row).trim() === "" ? NaN : Number(value(row)));
    const numeric = rows.some((row) => !Number.isNaN(number(row)));
    rows.sort((a, b) => {
      if (!numeric) return (falling ? -1 : 1) * value(a).localeCompare(value(b));
      const [x, y] = [number(a), number(b)];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y); // what is not known comes last
      return falling ? y - x : x - y;
    });
    table.tBodies[0].append(...rows, ...rest);
    all("thead th", table).forEach((heading, i) => {
      if (i === column) heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    });
  }

  for (const results of all(".results:not(.plain)")) {
    const [table, panel] = [results.querySelector("table"), results.closest("section.panel")];
    const headings = all("thead th", table);
    const choose = make("select", { class: "sort-by" });
    choose.append(make("option", { value: "" }, "result"));
    const original = all("tbody tr", table);
    headings.forEach((heading, i) => {
      const name = text(heading);
      choose.append(make("option", { value: i }, name));
      const button = make("button", { type: "button", class: "sort", "aria-label": `sort by ${name}` }, "↕");
      heading.append(" ", button);
      button.addEventListener("click", () => {
        sort(table, i, heading.getAttribute("aria-sort") === "ascending");
        choose.value = String(i);
      });
    });
    choose.addEventListener("change", () => {
      if (choose.value !== "") return sort(table, Number(choose.value), false);
      table.tBodies[0].append(...original);
      for (const heading of headings) heading.removeAttribute("aria-sort");
    });
    const [find, count] = [make("input", { type: "search", placeholder: "part of a name", class: "find" }), make("output")];
    find.addEventListener("input", () => {
      const wanted = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      const left = unmatched.get(panel);
      left.clear();
      const rows = all("tbody tr", table).filter((row) => row.cells.length > 1);
      for (const row of rows) {
        row.hidden = !wanted.every((word) => text(row.cells[0]).toLowerCase().includes(word));
        if (row.hidden && row.dataset.look) left.add(row.dataset.look);
      }
      count.textContent = wanted.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
      redraw();
    });
    const controls = make("p", { class: "controls" });
    controls.append(make("label", {}, "filter ", find), " ", count, " ", make("label", {}, "sort by ", choose));
    results.prepend(controls);
  }

  // The cursor

  const readout = make("div", { class: "readout", role: "status" });
  readout.hidden = true;
  document.body.append(readout);

  const scales = (svg) => {
    const [left, right, first, last, top, bottom, low, high, log] = svg.dataset.scales.split(" ").map(Number);
    return { left, right, first, last, top, bottom, low, high, log };
  };

  function cross(svg, step) {
    const s = scales(svg);
    let line = svg.querySelector(":scope > .cursor");
    if (!line) {
      line = document.createElementNS("http://www.w3.org/2000/svg", "path");
      line.setAttribute("class", "cursor");
      svg.append(line);
    }
    const x = s.left + ((step - s.first) / (s.last - s.first)) * (s.right - s.left);
    line.setAttribute("d", step >= s.first && step <= s.last ? `M${x.toFixed(1)} ${s.top}V${s.bottom}` : "");
  }

  function point(panel, step) {
    for (const svg of all("svg[data-scales]", panel)) cross(svg, step);
    for (const reel of all(".reel", panel)) {
      const frames = all("[data-step]", reel);
      const away = frames.map((frame) => Math.abs(Number(frame.dataset.step) - step));
      const nearest = away.indexOf(Math.min(...away));
      frames.forEach((frame, i) => frame.classList.toggle("here", i === nearest));
    }
    const slider = panel.querySelector(".slide input");
    if (slider) [slider.value, slider.nextElementSibling.textContent] = [step, Math.round(step).toLocaleString("en")];
  }

  const names = new Map(all(".legend li[data-key]").map((item) => [item.dataset.key, text(item.firstElementChild)]));

  function at(path, x) {
    const points = path.getAttribute("d").slice(1).split(/[ML]/).map((pair) => pair.split(" ").map(Number));
    for (let i = 1; i < points.length; i++) {
      const [[a, b], [c, d]] = [points[i - 1], points[i]];
      if (a <= x && x <= c) return c === a ? b : b + ((x - a) / (c - a)) * (d - b);
    }
    return NaN;
  }

  function read(svg, x) {
    const s = scales(svg);
    const found = [];
    for (const path of all("path.mean, path.factor", svg)) {
      const group = path.closest("[data-look]");
      if (group?.style.display === "none") continue;
      const share = (s.bottom - at(path, x)) / (s.bottom - s.top);
      if (Number.isNaN(share)) continue;
      const level = s.low + share * (s.high - s.low);
      const factor = path.matches(".factor");
      const value = s.log || factor ? 10 ** Math.abs(level) : level;
      const said = Number((s.log && level < 0 ? 1 / value : value).toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 });
      const name = factor ? path.getAttribute("class").split(" ")[1].replace("critic", "discriminator") : names.get(group?.dataset.look);
      found.push([share, `${name ?? ""} ${factor ? (level < 0 ? "÷" : "×") : ""}${said}`.trim()]);
    }
    return found.sort((a, b) => b[0] - a[0]).map((pair) => pair[1]);
  }

  function follow(event) {
    const svg = event.target.closest?.("svg[data-scales]");
    readout.hidden = !svg;
    if (!svg) return;
    const [box, view, s] = [svg.getBoundingClientRect(), svg.viewBox.baseVal, scales(svg)];
    const x = Math.min(Math.max(((event.clientX - box.left) * view.width) / box.width, s.left), s.right);
    const step = s.first + ((x - s.left) / (s.right - s.left)) * (s.last - s.first);
    point(svg.closest("section.panel"), step);
    readout.replaceChildren(make("strong", {}, `step ${Math.round(step).toLocaleString("en")}`));
    for (const line of read(svg, x)) readout.append(make("span", {}, line));
    const width = readout.offsetWidth;
    readout.style.left = `${Math.max(4, Math.min(event.clientX + 14, document.documentElement.clientWidth - width - 4))}px`;
    readout.style.top = `${Math.max(4, event.clientY - readout.offsetHeight - 12)}px`;
  }

  for (const panel of panels) {
    const legend = panel.querySelector(".legend");
    const ends = all("svg.plot[data-scales]", panel).map((svg) => scales(svg).last);
    if (!legend || !ends.length) continue;
    const slider = make("input", { type: "range", min: 0, max: Math.max(...ends), value: 0, step: 1, "aria-label": "step of the cursor" });
    legend.append(make("li", { class: "slide" }, make("label", {}, "step ", slider, make("output"))));
    slider.addEventListener("input", () => point(panel, Number(slider.value)));
    panel.addEventListener("pointermove", follow);
    panel.addEventListener("pointerdown", follow);
    panel.addEventListener("pointerleave", () => (readout.hidden = true));
  }
})();
