"use strict";

// The thumbnails. Only rows in sight are in the document, so 50,000 images scroll like fifty.
const Grid = (() => {
  const data = window.GALLERY;
  const { images, thumbnails } = data;
  const GAP = 8;
  const WIDTH = data.tile + 6 + GAP; // the least that a tile takes
  const ROW = data.tile + 60;
  const HEADER = 36;
  const OVERSCAN = 500; // pixels above and below that are drawn too

  const scroller = document.getElementById("grid");
  const holder = document.getElementById("rows");
  const drawn = new Map();
  let shown = new Int32Array(0);
  let rows = []; // { top, height, from, to, heads }; a head is { part, count, column, span }
  let columns = 1;
  let grouping = false;
  let focused = 0;
  let onOpen = () => {};

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function show(selected, group) {
    grouping = group;
    const groups = group ? Filters.grouped(selected) : null;
    shown = groups ? groups.sorted : selected;
    focused = 0;
    scroller.scrollTop = 0;
    layOut(groups);
  }

  function fitting() {
    return Math.max(1, Math.floor((scroller.clientWidth - GAP) / WIDTH));
  }

  function layOut(groups) {
    columns = fitting();
    rows = groups ? groupRows(groups) : [];
    if (!groups)
      for (let k = 0; k < shown.length; k += columns)
        rows.push({ from: k, to: Math.min(shown.length, k + columns), heads: [] });
    let top = GAP;
    for (const row of rows) {
      row.top = top;
      row.height = ROW + (row.heads.length ? HEADER : 0);
      top += row.height;
    }
    holder.style.height = `${top + GAP}px`;
    document.getElementById("nothing").hidden = shown.length > 0;
    for (const row of drawn.values()) row.remove();
    drawn.clear();
    draw();
  }

  // Parts side by side while they fit; one that is wider than a row has its rows to itself.
  function groupRows(groups) {
    const made = [];
    let from = 0;
    let used = columns;
    for (const part of groups.parts) {
      const count = groups.counts[part];
      const span = Math.min(columns, count);
      if (used + span > columns) {
        made.push({ from, to: from, heads: [] });
        used = 0;
      }
      const row = made[made.length - 1];
      row.heads.push({ part, count, column: used + 1, span });
      row.to += span;
      used += span;
      const end = from + count;
      for (let k = from + span; k < end; k += columns) {
        made.push({ from: k, to: Math.min(end, k + columns), heads: [] });
        used = columns;
      }
      from = end;
    }
    return made;
  }

  function rowAt(y) {
    let low = 0;
    let high = rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (rows[middle].top <= y) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  function draw() {
    if (!rows.length) return;
    const first = rowAt(scroller.scrollTop - OVERSCAN);
    const last = rowAt(scroller.scrollTop + scroller.clientHeight + OVERSCAN);
    for (const [k, row] of drawn)
      if (k < first || k > last) {
        row.remove();
        drawn.delete(k);
      }
    for (let k = first; k <= last; k++)
      if (!drawn.has(k)) {
        const row = drawRow(rows[k]);
        row.style.top = `${rows[k].top}px`;
        row.style.height = `${rows[k].height}px`;
        drawn.set(k, row);
        holder.append(row);
      }
  }

  function drawRow(row) {
    const made = element("div", "row");
    made.style.gridTemplateColumns = `repeat(${columns}, 1fr)`;
    for (const { part, count, column, span } of row.heads) {
      const head = element("h2", "head");
      head.append(element("span", "name", data.parts[part]));
      head.append(element("span", "soft", count === 1 ? "1 image" : `${count} images`));
      head.title = data.parts[part];
      head.style.gridColumn = `${column} / span ${span}`;
      made.append(head);
    }
    for (let k = row.from; k < row.to; k++) made.append(tile(k));
    return made;
  }

  function tile(k) {
    const i = shown[k];
    const made = element("button", "tile");
    made.type = "button";
    made.dataset.k = k;
    made.tabIndex = k === focused ? 0 : -1;
    made.title = `${images.file[i]}\npart ${data.parts[data.part[i]]}`;
    const frame = element("span", "frame");
    frame.append(picture(i));
    const reason = images.excluded.values[images.excluded.of[i]];
    if (reason !== null) {
      made.classList.add("excluded");
      frame.append(element("span", "reason", `excluded: ${reason}`));
    } else if (thumbnails.maskProblem[i])
      frame.append(element("span", "reason", `labels not drawn: ${thumbnails.maskProblem[i]}`));
    const line = element("span", "labels");
    line.append(...chips(i));
    const found = data.findings[i];
    if (found) line.append(element("span", "found", found.length === 1 ? "1 finding" : `${found.length} findings`));
    const file = images.file[i];
    made.append(frame, line, element("span", "file", file.slice(file.indexOf("/") + 1)));
    return made;
  }

  function picture(i) {
    if (thumbnails.problem[i]) return element("span", "problem", thumbnails.problem[i]);
    const made = element("span", "picture");
    const cell = thumbnails.cell[i];
    const x = (cell % data.sheetColumns) * data.tile;
    const y = Math.floor(cell / data.sheetColumns) * data.tile;
    made.style.width = `${thumbnails.width[i]}px`;
    made.style.height = `${thumbnails.height[i]}px`;
    made.style.background = `url("sheets/${thumbnails.sheets[thumbnails.sheet[i]]}") -${x}px -${y}px`;
    return made;
  }

  // The labels of an image, each with the colour of its class.
  function chips(i) {
    const names = images.labels.values[images.labels.of[i]];
    if (!names.length) return [element("span", "chip good", "good")];
    return names.map((name) => {
      const chip = element("span", "chip", name);
      const dot = element("i");
      dot.style.background = data.classes.find((c) => c.name === name).colour;
      chip.prepend(dot);
      return chip;
    });
  }

  function rowOf(k) {
    let low = 0;
    let high = rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (rows[middle].from <= k) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  function focus(k) {
    if (!shown.length) return;
    focused = Math.max(0, Math.min(shown.length - 1, k));
    const row = rows[rowOf(focused)];
    if (row.top < scroller.scrollTop) scroller.scrollTop = row.top - GAP;
    const below = row.top + row.height - scroller.clientHeight;
    if (below > scroller.scrollTop) scroller.scrollTop = below;
    draw();
    for (const made of holder.querySelectorAll(".tile")) {
      made.tabIndex = Number(made.dataset.k) === focused ? 0 : -1;
      if (made.tabIndex === 0) made.focus({ preventScroll: true });
    }
  }

  // Where a key leads from the tile in focus, or undefined if it does not move.
  function target(key) {
    const ends = { Home: 0, End: shown.length - 1, ArrowLeft: focused - 1, ArrowRight: focused + 1 };
    if (key in ends) return ends[key];
    const page = Math.max(1, Math.floor(scroller.clientHeight / ROW));
    const by = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page }[key];
    if (by === undefined) return undefined;
    const r = rowOf(focused);
    const row = rows[Math.max(0, Math.min(rows.length - 1, r + by))];
    return Math.min(row.to - 1, row.from + focused - rows[r].from);
  }

  let waiting = false;
  scroller.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  });
  holder.addEventListener("click", (event) => {
    const made = event.target.closest(".tile");
    if (made) onOpen((focused = Number(made.dataset.k)));
  });
  holder.addEventListener("keydown", (event) => {
    const k = target(event.key);
    if (k === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    focus(k);
  });
  new ResizeObserver(() => {
    if (shown.length && fitting() !== columns) layOut(grouping ? Filters.grouped(shown) : null);
    else draw();
  }).observe(scroller);

  return {
    show,
    focus,
    chips,
    element,
    at: (k) => shown[k],
    count: () => shown.length,
    placeOf: (i) => shown.indexOf(i),
    set onOpen(action) {
      onOpen = action;
    },
  };
})();
