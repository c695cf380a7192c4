// The picture: a video, photos or nothing, with the frame that is shown known exactly.

/** Frame whose pixels are on the screen. */
let shownFrame = 0;
/** Seconds of the video's own clock at time 0 of the poses. */
let offset = 0;
let hasVideo = false, asked = -1, clockTimer = 0;
/** Where the video was sent, and how often it has come out beside the frame that was asked for. */
let target = 0, missed = 0;
const MAX_MISSED = 10;
/** @type {ImageBitmap | HTMLImageElement | null} */
let photo = null;
/** @type {any} */
const video = $("video");
const canvas = $("canvas");
/** @type {() => void} */
let afterDraw = () => {};

/** Size of what is shown. @returns {[number, number]} */
const pictureSize = () => (HEAD.stills && HEAD.sizes.length ? HEAD.sizes[shownFrame] : HEAD.size);

/** Open the video and find out how its clock lies to that of the poses. */
async function openFilm() {
  const film = HEAD.film;
  if (film.kind === "none") return;
  if (film.kind === "embedded") {
    const bytes = bytesOf("film");
    if (!bytes) return;
    video.src = URL.createObjectURL(new Blob([/** @type {any} */ (bytes)], {type: film.mime}));
  } else {
    video.src = film.href;
  }
  const ready = new Promise((resolve) => {
    video.addEventListener("loadeddata", () => resolve(true), {once: true});
    video.addEventListener("error", () => resolve(false), {once: true});
    if (film.kind === "linked") setTimeout(() => resolve(video.readyState >= 2), 8000);
  });
  video.hidden = false;
  if (!(await ready)) {
    video.hidden = true;
    film.note = film.kind === "linked"
      ? "The video is not where it was, or this browser cannot play it: the page shows the poses without pictures."
      : "This browser cannot play the video: the page shows the poses without pictures.";
    return;
  }
  hasVideo = true;
  offset = (await firstMediaTime()) - film.first_s;
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(onVideoFrame);
  video.addEventListener("seeked", onSeeked);
  video.addEventListener("ended", () => { if (state.loop) seek(state.loop[0], true); else update({playing: false}); });
}

/** Time of the first frame by the video's clock; players begin with it. @returns {Promise<number>} */
function firstMediaTime() {
  return new Promise((resolve) => {
    if (!video.requestVideoFrameCallback) { resolve(0); return; }
    const timer = setTimeout(() => resolve(0), 1500);
    video.requestVideoFrameCallback((/** @type {number} */ _, /** @type {any} */ meta) => { clearTimeout(timer); resolve(meta.mediaTime); });
    video.currentTime = 0;
  });
}

/** @param {number} mediaTime */
const frameOfMedia = (mediaTime) => frameAt(mediaTime - offset + 1.5e-3);

/** A frame of the video has come to the screen. @param {number} _ @param {any} meta */
function onVideoFrame(_, meta) {
  video.requestVideoFrameCallback(onVideoFrame);
  shownFrame = frameOfMedia(meta.mediaTime);
  document.documentElement.dataset.shown = String(shownFrame);
  if (state.playing) {
    if (state.loop && shownFrame >= state.loop[1]) seek(state.loop[0], true);
    else update({frame: shownFrame});
  } else if (asked >= 0 && shownFrame !== asked && asked === state.frame && missed < MAX_MISSED) {
    // Players go by the durations in the file, which need not fit its times: try again a little beside.
    missed += 1;
    target += 0.8 * (P.time[asked] - P.time[shownFrame]);
    video.currentTime = Math.max(0, target);
  }
  draw();
}

function onSeeked() {
  if (asked >= 0 && asked !== state.frame && !state.playing) { toFrame(state.frame); return; }
  if (!video.requestVideoFrameCallback) { shownFrame = frameOfMedia(video.currentTime); document.documentElement.dataset.shown = String(shownFrame); }
  draw();
}

/** Ask the video for the middle of a frame. @param {number} frame */
function toFrame(frame) {
  const start = P.time[frame], last = frame + 1 >= P.time.length;
  const end = last ? start + (frame ? Math.min(0.04, start - P.time[frame - 1]) : 0.02) : P.time[frame + 1];
  asked = frame;
  missed = 0;
  target = offset + start + 0.6 * Math.min(end - start, 0.1);
  video.currentTime = Math.max(0, target);
}

/** Show a frame. @param {number} frame @param {boolean} [goOn] Go on playing. */
function seek(frame, goOn = false) {
  frame = Math.max(0, Math.min(Math.round(frame), HEAD.frames - 1));
  if (state.playing && !goOn) pause();
  update({frame});
  if (hasVideo) {
    if (!video.seeking || goOn) toFrame(frame);
  } else {
    shownFrame = frame;
    document.documentElement.dataset.shown = String(frame);
    if (HEAD.stills) showPhoto(frame); else draw();
  }
}

function play() {
  if (HEAD.stills || HEAD.frames < 2) return;
  if (state.frame >= HEAD.frames - 1 && !state.loop) seek(0);
  update({playing: true});
  asked = -1;
  if (hasVideo) {
    video.playbackRate = state.speed;
    video.play().catch(() => update({playing: false}));
  } else {
    const began = performance.now(), from = P.time[state.frame];
    const tick = (/** @type {number} */ now) => {
      if (!state.playing) return;
      const frame = frameAt(from + ((now - began) / 1000) * state.speed);
      shownFrame = frame;
      document.documentElement.dataset.shown = String(frame);
      update({frame});
      draw();
      if (state.loop && frame >= state.loop[1]) { update({frame: state.loop[0]}); play(); return; }
      if (frame >= HEAD.frames - 1) { update({playing: false}); return; }
      clockTimer = requestAnimationFrame(tick);
    };
    cancelAnimationFrame(clockTimer);
    clockTimer = requestAnimationFrame(tick);
  }
}

function pause() {
  update({playing: false});
  if (hasVideo) video.pause();
  cancelAnimationFrame(clockTimer);
}

/** Set the loop's start, then its end, then end it. */
function cycleLoop() {
  if (!state.loop) update({loop: [state.frame, HEAD.frames - 1]});
  else if (state.loop[1] === HEAD.frames - 1 && state.frame > state.loop[0]) update({loop: [state.loop[0], state.frame]});
  else update({loop: null});
}

/** Fit the canvas to the screen and draw picture and poses. */
function draw() {
  const [width, height] = pictureSize(), full = document.fullscreenElement === $("screen");
  const room = $("screen").clientWidth || 640, tall = full ? window.innerHeight : Math.max(300, 0.72 * window.innerHeight);
  const scale = Math.min(room / width, tall / height);
  const shownWidth = Math.max(1, Math.round(width * scale)), shownHeight = Math.max(1, Math.round(height * scale));
  if (canvas.style.width !== `${shownWidth}px`) canvas.style.width = `${shownWidth}px`;
  if (canvas.style.height !== `${shownHeight}px`) canvas.style.height = `${shownHeight}px`;
  const context = fitted(canvas, shownWidth, shownHeight);
  paint(context, shownWidth, shownHeight);
  afterDraw();
}

/** @param {CanvasRenderingContext2D} context In pixels of the target. @param {number} width @param {number} height */
function paint(context, width, height) {
  context.fillStyle = "#05070a";
  context.fillRect(0, 0, width, height);
  if (hasVideo && video.readyState >= 2) context.drawImage(video, 0, 0, width, height);
  else if (photo) context.drawImage(photo, 0, 0, width, height);
  context.save();
  const scale = width / pictureSize()[0];
  context.scale(scale, scale);
  drawOverlay(context, shownFrame, 1 / scale);
  context.restore();
}

/** Wire the controls. */
function setUpPlayer() {
  const scrub = $("scrub");
  scrub.max = String(Math.max(0, HEAD.frames - 1));
  scrub.addEventListener("input", () => seek(Number(scrub.value)));
  $("play").addEventListener("click", () => (state.playing ? pause() : play()));
  $("back").addEventListener("click", () => seek(state.frame - 1));
  $("forth").addEventListener("click", () => seek(state.frame + 1));
  $("speed").addEventListener("change", () => update({speed: Number($("speed").value)}));
  $("loop").addEventListener("click", cycleLoop);
  $("full").addEventListener("click", toggleFull);
  document.addEventListener("fullscreenchange", draw);
  $("back").textContent = "◂";
  $("forth").textContent = "▸";
  for (const element of document.querySelectorAll(".video-only")) /** @type {any} */ (element).hidden = HEAD.stills;
  $("play").hidden = HEAD.stills;
  on("speed playing", () => {
    if (hasVideo) video.playbackRate = state.speed;
    else if (state.playing && !HEAD.stills) play();
  });
  const showPlaying = () => {
    $("play").textContent = state.playing ? "❚❚" : "▶";
    $("play").setAttribute("aria-label", state.playing ? "Pause" : "Play");
  };
  on("playing", showPlaying);
  showPlaying();
  const showLoop = () => {
    const open = state.loop && state.loop[1] === HEAD.frames - 1;
    $("loop").textContent = !state.loop ? "Loop" : open ? "Loop to here" : "End loop";
    $("loop").setAttribute("aria-pressed", String(Boolean(state.loop)));
  };
  on("loop frame", showLoop);
  const showClock = () => {
    scrub.value = String(state.frame);
    const what = HEAD.stills ? HEAD.names[state.frame] : `${clockText(P.time[state.frame])}`;
    scrub.setAttribute("aria-valuetext", what);
    $("clock").textContent = HEAD.stills ? `${state.frame + 1} of ${HEAD.frames}` : `${what} · ${P.index[state.frame]}`;
    $("clock").title = HEAD.stills ? what : `frame ${P.index[state.frame]} of the source`;
  };
  on("frame", showClock);
  showClock();
  const modes = HEAD.smoothed ? [["smoothed", "Smoothed"], ["raw", "As measured"], ["both", "Both"]] : [["smoothed", "As measured"]];
  const layers = segments($("layers"), /** @type {any} */ (modes), () => state.layer, (layer) => update({layer}));
  $("layers").hidden = !HEAD.smoothed;
  const colours = segments($("colours"), [["side", "By side"], ["track", "By person"]], () => state.colour, (colour) => update({colour}));
  $("colours").hidden = HEAD.stills;
  on("layer colour", () => { layers(); colours(); });
  for (const [key, text] of /** @type {[keyof State, string][]} */ ([["boxes", "Boxes"], ["ids", "Ids"], ["trails", "Trails"], ["heat", "Attention"]])) {
    if ((HEAD.stills && key !== "boxes" && key !== "heat") || (key === "heat" && !HEAD.why)) continue;
    const input = make("input", {type: "checkbox", checked: state[key]});
    input.addEventListener("change", () => update({[key]: input.checked}));
    on(key, () => { input.checked = state[key]; });
    $("shown").append(make("label", {}, input, text));
  }
  on("layer colour boxes ids trails heat track joint", draw);
  canvas.addEventListener("click", onCanvasClick);
  new ResizeObserver(() => draw()).observe($("screen"));
  $("film-note").textContent = HEAD.film.note;
  $("film-note").hidden = !HEAD.film.note;
}

function toggleFull() {
  if (document.fullscreenElement) document.exitFullscreen();
  else $("screen").requestFullscreen?.();
}

/** @param {MouseEvent} event */
function onCanvasClick(event) {
  const scale = pictureSize()[0] / canvas.clientWidth;
  const found = nearestJoint(shownFrame, event.offsetX * scale, event.offsetY * scale, 16 * scale);
  if (found) update({track: P.track[found.row], joint: found.joint, heat: Boolean(HEAD.why) || state.heat});
  else if (!HEAD.stills) (state.playing ? pause() : play());
}
