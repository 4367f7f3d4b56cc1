"use strict";

// Which images pass the filters, and how many images each option stands for.
const Filters = (() => {
  const data = window.GALLERY;
  const images = data.images;
  const thumbnails = data.thumbnails;
  const total = images.file.length;

  const searched = images.file.map((file, i) => {
    const original = data.details[i] && data.details[i].original;
    return (original ? file + "\n" + original : file).toLowerCase();
  });
  const partsLowered = data.parts.map((name) => name.toLowerCase());
  // Area of the largest region of each image; the regions come largest first.
  const largest = Float64Array.from(thumbnails.regions, (regions) => (regions ? regions[1] : 0));

  const [mmX, mmY] = data.pixelSize || [NaN, NaN];
  const UNITS = {
    px: { label: "px across", toArea: (v) => (Math.PI * v * v) / 4 },
    px2: { label: "px of area", toArea: (v) => v },
  };
  if (data.pixelSize) {
    UNITS.mm = { label: "mm across", toArea: (v) => (Math.PI * v * v) / 4 / (mmX * mmY) };
    UNITS.mm2 = { label: "mm² of area", toArea: (v) => v / (mmX * mmY) };
  }

  // Numbers of images in the order of each way to sort, computed when first asked for.
  const orders = { file: Int32Array.from(data.order) };

  function order(sort) {
    if (!orders[sort]) {
      const fileRank = new Int32Array(total);
      orders.file.forEach((i, rank) => (fileRank[i] = rank));
      const key = sortKey(sort);
      orders[sort] = Int32Array.from(orders.file).sort(
        (a, b) => key[a] - key[b] || fileRank[a] - fileRank[b]
      );
    }
    return orders[sort];
  }

  function sortKey(sort) {
    if (sort === "part") return Int32Array.from(data.part, (part) => data.partRank[part]);
    if (sort === "size") return largest.map((area) => -area);
    if (sort === "class") {
      const facet = data.facets.find((f) => f.name === "class");
      const first = facet.sets.map((set) => Math.min(...set, facet.options.length));
      return Int32Array.from(facet.of, (set) => first[set]);
    }
    // Always the same disorder, so that a link shows what was seen (Park and Miller's generator).
    let seed = 20251;
    return Float64Array.from({ length: total }, () => (seed = (seed * 48271) % 2147483647));
  }

  function partPasses(query) {
    if (!query) return null;
    if (query.startsWith("=")) return data.parts.map((name) => name === query.slice(1));
    const wanted = query.toLowerCase().split(",").map((w) => w.trim()).filter(Boolean);
    return partsLowered.map((name) => wanted.some((w) => name.includes(w)));
  }

  // A test of the largest defect's area, of the chosen classes only if there are any.
  function sizePasses(state) {
    const given = [state.min, state.max].map((text) => (text === "" ? NaN : Number(text)));
    if (given.every(Number.isNaN)) return null;
    const toArea = (UNITS[state.unit] || UNITS.px).toArea;
    // A hair's breadth more, so that a size typed as it is shown includes its own image.
    const low = Number.isNaN(given[0]) ? 0 : toArea(given[0]) * (1 - 1e-9);
    const high = Number.isNaN(given[1]) ? Infinity : toArea(given[1]) * (1 + 1e-9);
    const chosen = new Set();
    data.classes.forEach((c, k) => state.facets.class.has(c.name) && chosen.add(k));
    return (i) => {
      let area = largest[i];
      if (chosen.size && area) {
        const regions = thumbnails.regions[i];
        area = 0;
        for (let k = 0; k < regions.length && !area; k += 4)
          if (chosen.has(regions[k])) area = regions[k + 1];
      }
      return area > 0 && area >= low && area <= high;
    };
  }

  // One pass. An image counts for an option if it passes all filters but the option's own list.
  function select(state) {
    const facets = data.facets.map((facet) => {
      const chosen = state.facets[facet.name];
      const active = chosen.size > 0;
      const pass = facet.sets.map((set) => set.some((k) => chosen.has(facet.options[k].key)));
      return { facet, active, pass, of: facet.of, setCounts: new Uint32Array(facet.sets.length) };
    });
    const active = facets.filter((f) => f.active);
    const text = state.text.toLowerCase();
    const parts = partPasses(state.part.trim());
    const size = sizePasses(state);
    const shown = new Int32Array(total);
    let count = 0;
    for (const i of order(state.sort)) {
      if (parts && !parts[data.part[i]]) continue;
      if (text && !searched[i].includes(text)) continue;
      if (size && !size(i)) continue;
      let failed = null;
      let fails = 0;
      for (const f of active)
        if (!f.pass[f.of[i]]) {
          failed = f;
          if (++fails > 1) break;
        }
      if (fails === 0) {
        shown[count++] = i;
        for (const f of facets) f.setCounts[f.of[i]]++;
      } else if (fails === 1) failed.setCounts[failed.of[i]]++;
    }
    return { shown: shown.subarray(0, count), counts: facets.map(optionCounts) };
  }

  function optionCounts({ facet, setCounts }) {
    const counts = new Array(facet.options.length).fill(0);
    facet.sets.forEach((set, s) => set.forEach((k) => (counts[k] += setCounts[s])));
    return counts;
  }

  // The same images, those of a part together, parts in the order of their first image.
  function grouped(shown) {
    const counts = new Int32Array(data.parts.length);
    const parts = [];
    for (const i of shown) if (!counts[data.part[i]]++) parts.push(data.part[i]);
    const next = new Int32Array(data.parts.length);
    let at = 0;
    for (const part of parts) {
      next[part] = at;
      at += counts[part];
    }
    const sorted = new Int32Array(shown.length);
    for (const i of shown) sorted[next[data.part[i]]++] = i;
    return { sorted, parts, counts };
  }

  return { UNITS, order, select, grouped, total };
})();
