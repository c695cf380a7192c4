// Photos: a grid with filters, each with its poses.

/** @type {Uint8Array | null} */
let photoBytes = null;
/** @type {Map<number, Promise<HTMLImageElement | null>>} */
const photoImages = new Map();
let people = "all", sorting = "order", least = 0;

/** @param {number} frame @returns {Promise<HTMLImageElement | null>} */
function photoOf(frame) {
  if (!photoBytes || frame >= HEAD.photos.length) return Promise.resolve(null);
  const known = photoImages.get(frame);
  if (known) return known;
  let start = 0;
  for (let i = 0; i < frame; i++) start += HEAD.photos[i];
  const data = photoBytes.slice(start, start + HEAD.photos[frame]);
  const found = new Promise((/** @type {(image: HTMLImageElement | null) => void} */ resolve) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => resolve(null);
    image.src = URL.createObjectURL(new Blob([data], {type: "image/jpeg"}));
  });
  photoImages.set(frame, found);
  return found;
}

/** Show a photo in the picture. @param {number} frame */
async function showPhoto(frame) {
  const image = await photoOf(frame);
  if (frame !== state.frame) return;
  photo = image;
  draw();
}

/** Mean score of the people of a photo; 1 for none. @param {number} frame */
function photoScore(frame) {
  const rows = [...rowsOf(frame)];
  return rows.length ? rows.reduce((sum, row) => sum + meanScore(row), 0) / rows.length : 1;
}

function setUpPhotos() {
  if (!HEAD.stills) return;
  photoBytes = bytesOf("photos");
  $("photos").hidden = false;
  buildFilters();
  buildGrid();
  on("frame", () => { for (const card of $("grid").children) card.setAttribute("aria-current", String(Number(card.dataset.frame) === state.frame)); });
}

function buildFilters() {
  const groups = [["all", "All"], ["none", "Nobody"], ["one", "One person"], ["many", "Several"]].map(([key, text]) => chip(text, people === key, () => { people = key; buildFilters(); buildGrid(); }));
  const orders = [["order", "In order"], ["worst", "Least sure first"], ["count", "Most people first"]].map(([key, text]) => chip(text, sorting === key, () => { sorting = key; buildFilters(); buildGrid(); }));
  const range = make("input", {type: "range", min: "0", max: "1", step: "0.05", ariaLabel: "Highest mean score"});
  range.value = String(1 - least);
  range.addEventListener("input", () => { least = 1 - Number(range.value); buildGrid(); });
  $("photo-filters").replaceChildren(...groups, make("span", {textContent: " "}), ...orders, make("label", {className: "range"}, "mean score up to ", range));
}

function buildGrid() {
  const frames = Array.from({length: HEAD.frames}, (_, frame) => frame).filter((frame) => {
    const count = P.first[frame + 1] - P.first[frame];
    const fits = people === "all" || (people === "none" && !count) || (people === "one" && count === 1) || (people === "many" && count > 1);
    return fits && (!least || (count > 0 && photoScore(frame) <= 1 - least));
  });
  if (sorting === "worst") frames.sort((a, b) => photoScore(a) - photoScore(b));
  if (sorting === "count") frames.sort((a, b) => rowsOf(b).length - rowsOf(a).length);
  $("photo-count").textContent = `${frames.length} of ${HEAD.frames}`;
  const seen = new IntersectionObserver((entries) => {
    for (const one of entries) if (one.isIntersecting) { seen.unobserve(one.target); drawCard(one.target); }
  }, {rootMargin: "300px"});
  $("grid").replaceChildren(...frames.map((frame) => {
    const count = P.first[frame + 1] - P.first[frame];
    const text = count ? `${count} ${count === 1 ? "person" : "people"}, mean score ${photoScore(frame).toFixed(2)}` : "nobody";
    const card = make("button", {type: "button", title: HEAD.names[frame]}, make("canvas", {ariaHidden: "true"}), make("span", {textContent: HEAD.names[frame]}), make("small", {textContent: text}));
    card.dataset.frame = String(frame);
    card.setAttribute("aria-current", String(frame === state.frame));
    card.addEventListener("click", () => { seek(frame); $("picture").scrollIntoView({block: "start"}); });
    seen.observe(card);
    return card;
  }));
}

/** @param {any} card */
async function drawCard(card) {
  const frame = Number(card.dataset.frame), image = await photoOf(frame), small = card.querySelector("canvas");
  const width = small.clientWidth, height = (width * 3) / 4, [w, h] = HEAD.sizes[frame];
  const context = fitted(small, width, height), scale = Math.min(width / w, height / h);
  context.translate((width - w * scale) / 2, (height - h * scale) / 2);
  if (image) context.drawImage(image, 0, 0, w * scale, h * scale);
  context.scale(scale, scale);
  for (const row of rowsOf(frame)) drawPerson(context, row, false, 0.6 / scale, false);
}
