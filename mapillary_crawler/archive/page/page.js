
"use strict";
(async () => {
  const byId = (name) => document.getElementById(name);
  const map = byId("map"), canvas = byId("canvas");
  if (!map) return; // no image has a place
  if (!("DecompressionStream" in window)) { byId("old").hidden = false; return; }

  // What packing.py packs: numbers of seven bits a byte, places as differences.
  const numbers = async (name) => {
    const packed = Uint8Array.from(atob(byId(name).textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    let at = 0, x = 0, y = 0;
    const next = () => {
      let number = 0, unit = 1, byte;
      do { byte = bytes[at++]; number += (byte & 127) * unit; unit *= 128; } while (byte > 127);
      return number;
    };
    const signed = () => { const number = next(); return number % 2 ? -(number + 1) / 2 : number / 2; };
    // Web Mercator: the world is a square with sides of 1, north is up.
    const shape = (count, grid) => {
      const points = new Float64Array(2 * count), box = [9, 9, -9, -9];
      for (let i = 0; i < 2 * count; i += 2) {
        const px = (x += signed()) / grid / 360 + 0.5;
        const latitude = Math.max(-85, Math.min(85, (y += signed()) / grid)) * Math.PI / 180;
        const py = 0.5 - Math.asinh(Math.tan(latitude)) / (2 * Math.PI);
        points[i] = px; points[i + 1] = py;
        box[0] = Math.min(box[0], px); box[1] = Math.min(box[1], py);
        box[2] = Math.max(box[2], px); box[3] = Math.max(box[3], py);
      }
      return { points, box };
    };
    return { next, shape, more: () => at < bytes.length };
  };

  const tracks = [], land = [];
  const ofTracks = await numbers("tracks"), ofLand = await numbers("land");
  while (ofTracks.more()) {
    const day = ofTracks.next(), images = ofTracks.next(), places = ofTracks.next();
    const track = ofTracks.shape(Math.floor(places / 2), 100000);
    const date = day ? new Date((day - 1) * 864e5).toISOString().slice(0, 10) : "";
    tracks.push({ ...track, date, images, connected: places % 2 === 1 });
  }
  while (ofLand.more()) land.push(ofLand.shape(ofLand.next(), 100));

  map.hidden = byId("how").hidden = false;
  document.querySelector(".months")?.classList.add("live");
  const colours = {};
  for (const year of document.querySelectorAll("[data-year]")) {
    colours[year.dataset.year] = year.getAttribute("fill");
  }
  const when = byId("when"), status = byId("status"), context = canvas.getContext("2d");
  let width = 0, height = 0, x = 0.5, y = 0.5, scale = 300; // the middle, pixels of the world
  let chosen = null, mark = null, drawing = 0;

  const within = (track) => !when.value || track.date.startsWith(when.value);
  const onScreen = (box, turn = 0) =>
    (box[2] + turn - x) * scale > -width / 2 && (box[0] + turn - x) * scale < width / 2 &&
    (box[3] - y) * scale > -height / 2 && (box[1] - y) * scale < height / 2;
  const across = (px) => (px - x) * scale + width / 2, down = (py) => (py - y) * scale + height / 2;

  const line = ({ points }, closed, turn = 0) => {
    let lastX = across(points[0] + turn), lastY = down(points[1]);
    context.moveTo(lastX, lastY);
    for (let i = 2; i < points.length; i += 2) {
      const toX = across(points[i] + turn), toY = down(points[i + 1]);
      if (Math.abs(toX - lastX) + Math.abs(toY - lastY) < 1 && i < points.length - 2) continue;
      context.lineTo(lastX = toX, lastY = toY);
    }
    if (closed) context.closePath();
  };
  const dots = ({ points }, size) => {
    for (let i = 0; i < points.length; i += 2) {
      const px = across(points[i]), py = down(points[i + 1]);
      context.moveTo(px + size, py);
      context.arc(px, py, size, 0, 7);
    }
  };
  // A line that is but a speck at this scale is drawn as a dot.
  const isSpeck = ({ box, connected }) =>
    !connected || Math.max(box[2] - box[0], box[3] - box[1]) * scale < 4;
  const drawTracks = (some, colour, weight) => {
    const lines = [], specks = [];
    for (const track of some) (isSpeck(track) ? specks : lines).push(track);
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = weight;
    context.beginPath(); for (const track of lines) line(track, false); context.stroke();
    context.beginPath(); for (const track of specks) dots(track, weight); context.fill();
  };

  const draw = () => {
    drawing = 0;
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const sharp = window.devicePixelRatio || 1;
    context.setTransform(sharp, 0, 0, sharp, 0, 0);
    context.lineJoin = context.lineCap = "round";
    context.fillStyle = colour("--sea");
    context.fillRect(0, 0, width, height);
    context.beginPath();
    for (const ring of land) { // what crosses the 180th meridian goes on at the other edge
      for (const turn of [-1, 0, 1]) if (onScreen(ring.box, turn)) line(ring, true, turn);
    }
    context.fillStyle = colour("--land"); context.fill("evenodd");
    context.strokeStyle = colour("--shore"); context.lineWidth = 0.75; context.stroke();
    const seen = tracks.filter((track) => onScreen(track.box)), groups = {};
    for (const track of seen) {
      const key = within(track) ? colours[track.date.slice(0, 4)] || colour("--accent") : "";
      (groups[key] ||= []).push(track);
    }
    if (groups[""]) drawTracks(groups[""], colour("--faint"), 1);
    delete groups[""];
    for (const key in groups) drawTracks(groups[key], key, 2);
    if (chosen) { drawTracks([chosen], colour("--paper"), 7); drawTracks([chosen], colour("--mark"), 3.5); }
    if (mark) {
      context.beginPath(); context.arc(across(mark[0]), down(mark[1]), 7, 0, 7);
      context.strokeStyle = colour("--mark"); context.lineWidth = 3; context.stroke();
    }
    drawScale(colour("--ink"), colour("--land"));
  };
  const drawScale = (ink, halo) => {
    const metre = scale / 40075017 / Math.cos(Math.atan(Math.sinh(Math.PI * (1 - 2 * y))));
    let metres = 1;
    while (metres * metre < 40) metres *= String(metres)[0] === "2" ? 2.5 : 2;
    const text = metres < 1000 ? `${metres} m` : `${(metres / 1000).toLocaleString("en")} km`;
    context.font = "12px system-ui, sans-serif";
    for (const [colour, weight] of [[halo, 4], [ink, 1.5]]) {
      context.strokeStyle = colour; context.lineWidth = weight;
      context.beginPath();
      context.moveTo(16, height - 20); context.lineTo(16, height - 15);
      context.lineTo(16 + metres * metre, height - 15); context.lineTo(16 + metres * metre, height - 20);
      context.stroke();
    }
    context.lineWidth = 3; context.strokeStyle = halo; context.strokeText(text, 20, height - 22);
    context.fillStyle = ink; context.fillText(text, 20, height - 22);
  };
  const redraw = () => { drawing ||= requestAnimationFrame(draw); };

  const least = () => Math.min(width, height) * 0.8, most = 2e8;
  const zoom = (factor, atX = width / 2, atY = height / 2) => {
    const wanted = Math.max(least(), Math.min(most, scale * factor));
    x += (atX - width / 2) * (1 / scale - 1 / wanted);
    y += (atY - height / 2) * (1 / scale - 1 / wanted);
    scale = wanted;
    move(0, 0);
  };
  const move = (byX, byY) => {
    x = Math.max(0, Math.min(1, x - byX / scale));
    y = Math.max(0, Math.min(1, y - byY / scale));
    redraw();
  };
  const fit = (some = tracks.filter(within)) => {
    const box = [9, 9, -9, -9];
    for (const track of some) {
      for (const i of [0, 1]) {
        box[i] = Math.min(box[i], track.box[i]);
        box[i + 2] = Math.max(box[i + 2], track.box[i + 2]);
      }
    }
    if (box[0] > 1) return;
    x = (box[0] + box[2]) / 2; y = (box[1] + box[3]) / 2;
    const room = Math.min(width / (box[2] - box[0] || 1e-9), height / (box[3] - box[1] || 1e-9));
    scale = Math.max(least(), Math.min(most / 16, room * 0.88));
    redraw();
  };

  const nearest = (atX, atY, reach) => {
    let best = null;
    for (const track of tracks) {
      if (!within(track) || !onScreen(track.box)) continue;
      const { points, connected } = track;
      for (let i = 0; i < points.length; i += 2) {
        let px = across(points[i]) - atX, py = down(points[i + 1]) - atY;
        if (connected && i) { // to the stretch that ends here
          const ax = across(points[i - 2]) - atX, ay = down(points[i - 1]) - atY;
          const lx = px - ax, ly = py - ay, long = lx * lx + ly * ly;
          const share = long ? Math.max(0, Math.min(1, -(ax * lx + ay * ly) / long)) : 0;
          px = ax + share * lx; py = ay + share * ly;
        }
        const far = Math.hypot(px, py);
        if (far < reach) { reach = far; best = track; }
      }
    }
    return best;
  };
  const say = (...parts) => status.replaceChildren(...parts);
  const choose = (track) => {
    chosen = track;
    mark = null;
    if (!track) say();
    else {
      const images = track.images === 1 ? "1 image" : `${track.images.toLocaleString("en")} images`;
      const named = track.date ? new Date(track.date).toLocaleDateString("en-GB",
        { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" }) : "Without a date";
      const parts = [`${named}: ${images}`];
      if (document.body.dataset.tar === "1") {
        const file = document.createElement("a");
        file.href = file.textContent = `${track.date || "unknown-date"}.tar`;
        parts.push(", in ", file);
      }
      say(...parts);
    }
    redraw();
  };

  // What is clicked on: a line, or a dot, to which and to whose neighbours the map goes.
  const pick = (atX, atY, reach) => {
    const track = nearest(atX, atY, reach);
    choose(track);
    if (!track || !isSpeck(track) || scale > most / 16) return;
    const middle = ({ box }) => [across((box[0] + box[2]) / 2), down((box[1] + box[3]) / 2)];
    const [px, py] = middle(track);
    fit(tracks.filter((each) => within(each) && Math.hypot(middle(each)[0] - px, middle(each)[1] - py) < 12));
  };

  const fingers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event);
    if (fingers.size === 1) moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const byX = event.offsetX - before.offsetX, byY = event.offsetY - before.offsetY;
    moved += Math.abs(byX) + Math.abs(byY);
    fingers.set(event.pointerId, event);
    if (fingers.size === 1) { move(byX, byY); return; }
    const [other] = [...fingers.values()].filter((each) => each.pointerId !== event.pointerId);
    const apart = (one) => Math.hypot(one.offsetX - other.offsetX, one.offsetY - other.offsetY) || 1;
    move(byX / 2, byY / 2);
    zoom(apart(event) / apart(before), (event.offsetX + other.offsetX) / 2, (event.offsetY + other.offsetY) / 2);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => {
      const was = fingers.size;
      fingers.delete(event.pointerId);
      if (end === "pointerup" && was === 1 && moved < 5) pick(event.offsetX, event.offsetY, 14);
    });
  }
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const steps = event.deltaY * (event.deltaMode ? 20 : 1);
    zoom(Math.exp(-Math.max(-300, Math.min(300, steps)) * 0.002), event.offsetX, event.offsetY);
  }, { passive: false });
  const keys = {
    ArrowLeft: () => move(80, 0), ArrowRight: () => move(-80, 0),
    ArrowUp: () => move(0, 80), ArrowDown: () => move(0, -80),
    "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: () => fit(),
    Enter: () => pick(width / 2, height / 2, width), Escape: () => choose(null),
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  byId("zoom-in").addEventListener("click", () => zoom(1.5));
  byId("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
  byId("show-all").addEventListener("click", () => { when.value = ""; choose(null); fit(); });

  for (const year of [...document.querySelectorAll("[data-year]")].reverse()) {
    const group = document.createElement("optgroup");
    group.label = year.dataset.year;
    group.append(new Option(`in ${year.dataset.year}`, year.dataset.year));
    for (const bar of year.querySelectorAll("[data-month]")) {
      group.append(new Option(bar.textContent.split(":")[0], bar.dataset.month));
      bar.addEventListener("click", () => { when.value = bar.dataset.month; choose(null); fit(); });
    }
    when.append(group);
  }
  when.addEventListener("change", () => { choose(null); fit(); });

  for (const figure of document.querySelectorAll("figure[data-at]")) {
    const button = document.createElement("button"), image = figure.querySelector("img");
    const [longitude, latitude] = figure.dataset.at.split(",").map(Number);
    button.type = "button";
    button.title = "Show on the map";
    image.before(button);
    button.append(image);
    button.addEventListener("click", () => {
      choose(null);
      x = longitude / 360 + 0.5;
      y = 0.5 - Math.asinh(Math.tan(Math.max(-85, Math.min(85, latitude)) * Math.PI / 180)) / (2 * Math.PI);
      mark = [x, y];
      scale = Math.max(scale, 1.5e7);
      say(image.alt);
      redraw();
      canvas.focus({ preventScroll: true });
      canvas.scrollIntoView({ block: "center" });
    });
  }

  const osm = byId("osm");
  for (const before of ["pointerenter", "focus", "click"]) {
    osm.addEventListener(before, () => {
      const latitude = Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180 / Math.PI;
      const level = Math.max(1, Math.min(19, Math.round(Math.log2(scale / 256))));
      osm.href = `https://www.openstreetmap.org/#map=${level}/${latitude.toFixed(5)}/${((x - 0.5) * 360).toFixed(5)}`;
    });
  }

  const resize = () => {
    const first = !width, sharp = window.devicePixelRatio || 1;
    width = canvas.clientWidth; height = canvas.clientHeight;
    canvas.width = Math.round(width * sharp); canvas.height = Math.round(height * sharp);
    if (first) fit();
    draw();
  };
  new ResizeObserver(resize).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
})();
