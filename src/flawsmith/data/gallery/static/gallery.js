"use strict";

// The filters' form, the page's address, and what happens between them and the grid.
(() => {
  const data = window.GALLERY;
  const { element } = Grid;
  const MOST_OPTIONS = 200;
  const MOST_SUGGESTIONS = 2000;
  const byId = (id) => document.getElementById(id);
  const TEXTS = { text: "q", part: "part", min: "min", max: "max" };

  const state = { text: "", part: "", min: "", max: "", unit: "px", sort: "file", group: false };
  state.facets = Object.fromEntries(data.facets.map((facet) => [facet.name, new Set()]));
  let openFile = null;
  const boxes = data.facets.map(makeFacet);

  function makeFacet(facet) {
    const used = new Array(facet.options.length).fill(0);
    for (const s of facet.of) for (const k of facet.sets[s]) used[k]++;
    const listed = facet.options.map((_, k) => k).filter((k) => used[k] || facet.name === "class");
    if (listed.length < 2) return [];
    const left = listed.length - MOST_OPTIONS;
    if (left > 0) listed.sort((a, b) => used[b] - used[a]).splice(MOST_OPTIONS);
    const set = element("fieldset");
    set.append(element("legend", "", facet.title));
    const made = listed.map((k) => makeOption(facet, k, set));
    if (left > 0) set.append(element("p", "soft", `and ${left} rarer`));
    byId("facets").append(set);
    return made;
  }

  function makeOption(facet, k, set) {
    const option = facet.options[k];
    const label = element("label", "option");
    const box = element("input");
    box.type = "checkbox";
    box.addEventListener("change", () => {
      const chosen = state.facets[facet.name];
      if (box.checked) chosen.add(option.key);
      else chosen.delete(option.key);
      apply();
    });
    label.append(box);
    if (option.colour !== undefined) {
      const dot = element("i");
      dot.style.background = option.colour;
      label.append(dot);
    }
    const name = element("span", "name", option.label);
    name.title = option.label;
    const count = element("span", "number");
    label.append(name, count);
    set.append(label);
    return { k, key: option.key, facet: facet.name, box, count, label };
  }

  function apply() {
    const start = performance.now();
    const { shown, counts } = Filters.select(state);
    Grid.show(shown, state.group);
    boxes.flat().forEach(updateBox);
    boxes.forEach((own, f) =>
      own.forEach(({ k, count, label }) => {
        count.textContent = counts[f][k].toLocaleString("en");
        label.classList.toggle("empty", counts[f][k] === 0);
      })
    );
    const seen = new Uint8Array(data.parts.length);
    let parts = 0;
    for (const i of shown) if (!seen[data.part[i]]++) parts++;
    byId("count").textContent =
      `${shown.length.toLocaleString("en")} of ${Filters.total.toLocaleString("en")} images, ` +
      `${parts.toLocaleString("en")} ${parts === 1 ? "part" : "parts"}`;
    byId("reset").disabled = !writeAddress().length;
    void document.body.offsetHeight; // the layout belongs to the time
    document.documentElement.dataset.filterMs = (performance.now() - start).toFixed(1);
  }

  function updateBox({ box, facet, key }) {
    box.checked = state.facets[facet].has(key);
  }

  function writeAddress() {
    const words = new URLSearchParams();
    for (const facet of data.facets)
      for (const key of state.facets[facet.name]) words.append(facet.name, key);
    for (const [field, name] of Object.entries(TEXTS))
      if (state[field] !== "") words.append(name, state[field]);
    if (state.unit !== "px" && (state.min || state.max)) words.append("unit", state.unit);
    const filters = words.toString();
    if (state.sort !== "file") words.append("sort", state.sort);
    if (state.group) words.append("group", "part");
    if (openFile !== null) words.append("open", openFile);
    history.replaceState(null, "", `#${words}`);
    return filters;
  }

  function readAddress() {
    const words = new URLSearchParams(location.hash.slice(1));
    for (const facet of data.facets) {
      const known = new Set(facet.options.map((option) => option.key));
      state.facets[facet.name] = new Set(words.getAll(facet.name).filter((key) => known.has(key)));
    }
    for (const [field, name] of Object.entries(TEXTS)) state[field] = words.get(name) || "";
    for (const field of ["min", "max"]) if (!(Number(state[field]) >= 0)) state[field] = "";
    state.unit = words.get("unit") in Filters.UNITS ? words.get("unit") : "px";
    const sorts = [...byId("sort").options].map((option) => option.value);
    state.sort = sorts.includes(words.get("sort")) ? words.get("sort") : "file";
    state.group = words.get("group") === "part";
    for (const field of ["text", "part", "min", "max", "unit", "sort"]) byId(field).value = state[field];
    byId("group").checked = state.group;
    return words.get("open");
  }

  function load() {
    const file = readAddress();
    apply();
    if (file === null) return;
    const place = Grid.placeOf(data.images.file.indexOf(file));
    if (place >= 0) Viewer.open(place);
  }

  function reset() {
    for (const chosen of Object.values(state.facets)) chosen.clear();
    for (const field of Object.keys(TEXTS)) byId(field).value = state[field] = "";
    apply();
  }

  function listen() {
    for (const field of ["text", "part", "min", "max", "unit", "sort"])
      byId(field).addEventListener("input", () => {
        state[field] = byId(field).value;
        apply();
      });
    byId("group").addEventListener("input", () => {
      state.group = byId("group").checked;
      apply();
    });
    byId("reset").addEventListener("click", reset);
    byId("nothing").querySelector("button").addEventListener("click", reset);
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    window.addEventListener("hashchange", load);
    Grid.onOpen = Viewer.open;
    Viewer.onChange = (i) => {
      openFile = i === null ? null : data.images.file[i];
      writeAddress();
    };
    Viewer.onPart = (name) => {
      reset();
      byId("part").value = state.part = `=${name}`;
      apply();
    };
  }

  function describe() {
    document.title = data.name;
    byId("name").textContent = data.name;
    byId("simulated").hidden = !data.simulated;
    for (const [key, unit] of Object.entries(Filters.UNITS)) {
      const option = element("option", "", unit.label);
      option.value = key;
      byId("unit").append(option);
    }
    byId("defectsize").hidden = !data.thumbnails.regionCount.some(Boolean);
    const suggestions = element("datalist");
    suggestions.id = "partlist";
    if (data.parts.length <= MOST_SUGGESTIONS)
      for (const name of data.parts) suggestions.append(Object.assign(element("option"), { value: name }));
    document.body.append(suggestions);
    byId("outdated").hidden = !data.findingsOutdated;
    const general = data.generalFindings;
    byId("general").hidden = !general.length;
    byId("general").querySelector("summary").textContent = `${general.length} findings of the whole set`;
    for (const [kind, file, message] of general) {
      const item = element("li");
      item.append(element("b", "", kind.replaceAll("_", " ")), ` ${file ? file + ": " : ""}${message}`);
      byId("general").querySelector("ul").append(item);
    }
  }

  describe();
  listen();
  load();
  document.documentElement.dataset.readyMs = performance.now().toFixed(1);
})();
