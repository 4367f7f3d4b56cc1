"use strict";

// One image, large: the file itself, its labels over it, and all that is known of it.
const Viewer = (() => {
  const data = window.GALLERY;
  const { images, thumbnails } = data;
  const { element } = Grid;
  const MODES = ["outline", "fill", "off"];
  const RING_PX = 10; // a region smaller than this on the screen gets a ring

  const dialog = document.getElementById("viewer");
  const stage = document.getElementById("stage");
  const canvas = document.getElementById("canvas");
  let place = 0;
  let mode = MODES[0];
  let zoomed = false;
  let onChange = () => {};

  // A name as an address; names that are no text a browser can encode show as missing files.
  function address(name) {
    try {
      return data.root + name.split("/").map(encodeURIComponent).join("/");
    } catch {
      return "";
    }
  }

  function maskAddress(i) {
    if (thumbnails.maskProblem[i] || thumbnails.problem[i] || !images.mask[i]) return null;
    if (thumbnails.ownMask[i]) return `masks/${thumbnails.ownMask[i]}.png`;
    const usual = () =>
      "masks/" + images.file[i].split("/").slice(1).join("/").replace(/\.[^./]*$/, "") + ".png";
    return address(images.mask[i] === 1 ? usual() : images.mask[i]);
  }

  function open(k) {
    place = Math.max(0, Math.min(Grid.count() - 1, k));
    zoomed = false;
    const i = Grid.at(place);
    document.getElementById("viewer-name").textContent = images.file[i];
    const count = Grid.count();
    document.getElementById("viewer-place").textContent =
      `${(place + 1).toLocaleString("en")} of ${count.toLocaleString("en")}`;
    document.getElementById("previous").disabled = place === 0;
    document.getElementById("next").disabled = place === count - 1;
    if (!dialog.open) dialog.showModal();
    drawPicture(i);
    drawFacts(i);
    onChange(i);
  }

  function drawPicture(i) {
    canvas.replaceChildren();
    stage.querySelector(".note")?.remove();
    if (thumbnails.problem[i]) {
      canvas.removeAttribute("style");
      canvas.append(element("p", "problem", thumbnails.problem[i]));
      return;
    }
    const preview = thumbnails.preview[i];
    const picture = element("img", "image");
    picture.alt = `Image ${images.file[i]}`;
    picture.addEventListener("error", () => note(`The browser cannot show ${images.file[i]}.`));
    picture.src = preview ? `previews/${preview}.jpg` : address(images.file[i]);
    canvas.append(picture);
    if (preview)
      note("A copy with 8 bits a channel, at most 1,280 pixels long: browsers cannot show the file.");
    const mask = maskAddress(i);
    if (mask) {
      const labels = element("img", "mask");
      labels.alt = "";
      labels.src = mask;
      canvas.append(labels);
    }
    fit(i);
  }

  function note(text) {
    stage.querySelector(".note")?.remove();
    stage.append(element("p", "note", text));
  }

  function fit(i) {
    if (thumbnails.problem[i]) return;
    const [width, height] = [images.width[i], images.height[i]];
    const whole = Math.min((stage.clientWidth - 16) / width, (stage.clientHeight - 16) / height, 12);
    const scale = zoomed ? Math.max(1, 2 * whole) : whole;
    canvas.style.width = `${width * scale}px`;
    canvas.style.height = `${height * scale}px`;
    canvas.className = `${mode}${scale >= 2 ? " pixels" : ""}`;
    document.getElementById("zoom").textContent = zoomed ? "Whole image" : "Zoom in";
    document.getElementById("labels").textContent = `Labels: ${mode}`;
    canvas.querySelectorAll(".ring").forEach((ring) => ring.remove());
    if (mode === "outline") drawRings(i, scale);
    const [, , x, y] = thumbnails.regions[i] || [0, 0, width / 2, height / 2];
    stage.scrollTo(x * scale - stage.clientWidth / 2, y * scale - stage.clientHeight / 2);
  }

  function drawRings(i, scale) {
    const regions = thumbnails.regions[i] || [];
    for (let k = 0; k < regions.length; k += 4) {
      const [defect, area, x, y] = regions.slice(k, k + 4);
      if (Math.sqrt((4 * area) / Math.PI) * scale >= RING_PX) continue;
      const ring = element("span", "ring");
      ring.style.left = `${((x + 0.5) / images.width[i]) * 100}%`;
      ring.style.top = `${((y + 0.5) / images.height[i]) * 100}%`;
      ring.style.borderColor = data.classes[defect].colour;
      canvas.append(ring);
    }
  }

  function number(value) {
    return value >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
  }

  function regionTable(i) {
    const regions = thumbnails.regions[i];
    const mm = data.pixelSize ? data.pixelSize[0] * data.pixelSize[1] : 0;
    const table = element("table");
    const head = element("tr");
    ["class", "area", "across", "x, y"].forEach((title) => head.append(element("th", "", title)));
    table.append(head);
    for (let k = 0; k < regions.length; k += 4) {
      const [defect, area, x, y] = regions.slice(k, k + 4);
      const across = Math.sqrt((4 * area) / Math.PI);
      const areas = [`${number(area)} px`];
      const lengths = [`${number(across)} px`];
      if (mm) areas.push(`${number(area * mm)} mm²`);
      if (mm) lengths.push(`${number(across * Math.sqrt(mm))} mm`);
      const cells = [data.classes[defect].name, areas.join("\n"), lengths.join("\n"), `${x}, ${y}`];
      const row = element("tr");
      cells.forEach((cell) => row.append(element("td", "", cell)));
      row.firstChild.style.borderLeft = `4px solid ${data.classes[defect].colour}`;
      table.append(row);
    }
    return table;
  }

  function facet(name, i) {
    const found = data.facets.find((f) => f.name === name);
    return found.sets[found.of[i]].map((k) => found.options[k].label).join(", ");
  }

  function drawFacts(i) {
    const facts = document.getElementById("facts");
    facts.replaceChildren();
    const reason = images.excluded.values[images.excluded.of[i]];
    if (reason !== null) facts.append(element("p", "warning", `Excluded: ${reason}`));
    if (thumbnails.maskProblem[i])
      facts.append(element("p", "warning", `Labels not drawn: ${thumbnails.maskProblem[i]}`));
    for (const [kind, message] of data.findings[i] || []) {
      const warning = element("p", "warning");
      warning.append(element("b", "", kind.replaceAll("_", " ")), ` ${message}`);
      facts.append(warning);
    }
    const list = element("dl");
    const add = (title, value) => {
      if (!value) return;
      const given = element("dd");
      given.append(...(Array.isArray(value) ? value : [value]));
      list.append(element("dt", "", title), given);
    };
    const size = data.pixelSize;
    const [width, height] = [images.width[i], images.height[i]];
    add("labels", Grid.chips(i));
    add("label kind", facet("labels", i));
    add("part", [partLink(data.parts[data.part[i]])]);
    for (const [title, name] of [["part known by", "partby"], ["view", "view"], ["fold", "fold"]])
      if (facet(name, i) !== "none") add(title, facet(name, i));
    add("source", facet("source", i));
    add("size", `${width} × ${height} px`);
    if (size) add("", `${number(width * size[0])} × ${number(height * size[1])} mm`);
    for (const [title, value] of Object.entries(data.details[i] || {})) add(title, value);
    add("SHA-256", [element("code", "", images.sha256[i])]);
    facts.append(list);
    const count = thumbnails.regionCount[i];
    if (count) {
      const listed = thumbnails.regions[i].length / 4;
      const rest = listed < count ? `, the largest ${listed}` : "";
      facts.append(element("h3", "", `${count} region${count > 1 ? "s" : ""}${rest}`), regionTable(i));
    }
    const link = element("a", "", "Open the file");
    link.href = address(images.file[i]);
    link.target = "_blank";
    facts.append(link);
    facts.scrollTop = 0;
  }

  function partLink(name) {
    const made = element("button", "link", name);
    made.type = "button";
    made.title = "Show all images of this part";
    made.addEventListener("click", () => {
      dialog.close();
      Viewer.onPart(name);
    });
    return made;
  }

  function toggleLabels() {
    mode = MODES[(MODES.indexOf(mode) + 1) % MODES.length];
    fit(Grid.at(place));
  }

  function toggleZoom() {
    zoomed = !zoomed;
    fit(Grid.at(place));
  }

  const actions = {
    ArrowLeft: () => open(place - 1),
    ArrowRight: () => open(place + 1),
    l: toggleLabels,
    z: toggleZoom,
  };
  dialog.addEventListener("keydown", (event) => {
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    action();
  });
  dialog.addEventListener("close", () => {
    onChange(null);
    Grid.focus(place);
  });
  document.getElementById("labels").addEventListener("click", toggleLabels);
  document.getElementById("zoom").addEventListener("click", toggleZoom);
  document.getElementById("previous").addEventListener("click", actions.ArrowLeft);
  document.getElementById("next").addEventListener("click", actions.ArrowRight);
  document.getElementById("close").addEventListener("click", () => dialog.close());
  canvas.addEventListener("click", toggleZoom);
  window.addEventListener("resize", () => dialog.open && fit(Grid.at(place)));

  return {
    open,
    onPart: () => {},
    set onChange(action) {
      onChange = action;
    },
  };
})();
