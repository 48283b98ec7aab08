// Owns the page as a whole: takes photographs in, shows the one that is looked at, and passes on what is asked.
import { listen, read, upload, wish } from "./api.js";
import { Controls } from "./controls.js";
import { KernelView } from "./kernel.js";
import { busy, left, Queue } from "./queue.js";
import { regionOf, Viewport } from "./viewport.js";

const element = (id) => document.getElementById(id);
const pictures = new Map(); // by address, as they are loaded
let state = { photos: [], samples: [] }, current = null, whole = false, drawing = false, failed = "";

const viewport = new Viewport(element("viewport"), (drawn, size) => {
  const photo = now();
  if (!photo) return;
  whole = drawing = false;
  ask(`/api/photos/${photo.id}/region`, { region: regionOf(drawn, size[0] / photo.width, [photo.width, photo.height]) });
});
const controls = new Controls(document, say);
const kernel = new KernelView(document, say);
const queue = new Queue(element("queue"), (id) => { current = id; whole = false; show(); }, say);

function now() { return state.photos.find((photo) => photo.id === current); }

function say(error) { failed = error.message; show(); }

function ask(path, body) { failed = ""; wish(path, body).catch(say); }

async function take(files) {
  failed = "";
  for (const file of files) {
    try {
      const { id } = await upload("/api/photos", file);
      current ??= id;
    } catch (error) { say(new Error(error.message.includes(file.name) ? error.message : `${file.name}: ${error.message}`)); }
  }
}

// An image of an address, once it is there; the page is drawn again then.
function picture(url) {
  if (!url) return null;
  if (!pictures.has(url)) {
    if (pictures.size > 24) pictures.delete(pictures.keys().next().value);
    const image = new Image();
    pictures.set(url, image);
    image.onload = show;
    image.src = url;
  }
  const image = pictures.get(url);
  return image.complete && image.naturalWidth ? image : null;
}

let last = [null, null];

function look(photo) {
  const region = photo.preview && !whole;
  const before = picture(region ? photo.preview.before : photo.view?.url);
  const after = picture(region ? photo.preview.after : photo.result?.view);
  if (region && !(before && after) && last[0]) return; // what was there stays until the new one is
  last = [before, after];
  const scale = photo.view && photo.width ? photo.view.width / photo.width : 1;
  viewport.show(before, after, { marked: !region && photo.region && !photo.result ? photo.region.map((value) => value * scale) : null });
  element("viewport").classList.toggle("drawing", drawing && !region);
  element("draw").setAttribute("aria-pressed", drawing);
  const shrunk = scale < 1 ? `, shown at ${Math.round(100 * scale)} %` : "";
  element("caption").textContent = region
    ? `${photo.name}: ${photo.region[2]} × ${photo.region[3]} pixels of ${photo.width} × ${photo.height}, one to one`
    : photo.view ? `${photo.name}: ${photo.width} × ${photo.height} pixels${shrunk}${drawing ? "; drag over what is to be restored" : ""}` : photo.name;
}

function advice(photo) {
  const found = photo.kernel;
  if (!found || busy(photo)) return "";
  if (found.still) return "Nothing that could be removed was found. What may help: another region drawn on the whole picture, a size, motion or defocus by hand, or a sharp picture of the same scene.";
  if (found.confidence !== null && found.confidence < 0.75) return "The blur is not certain. What may help: another region drawn on the whole picture, a size, motion or defocus by hand, a kernel's file, or a sharp picture of the same scene.";
  return "";
}

function text(id, words) { element(id).textContent = words; element(id).hidden = !words; }

function show() {
  if (!now()) current = state.photos[0]?.id ?? null;
  const photo = now();
  element("empty").hidden = Boolean(photo);
  element("work").hidden = !photo;
  element("queue-box").hidden = state.photos.length < 2;
  element("zip").hidden = !state.photos.some((each) => each.result);
  element("restore-all").disabled = !state.photos.some((each) => each.status === "ready");
  queue.show(state.photos, current);
  text("error", photo?.error || failed);
  if (!photo) {
    if (failed) element("alive").textContent = failed;
    return;
  }
  look(photo);
  kernel.show(photo);
  controls.show(photo);
  element("progress").hidden = !busy(photo);
  const bar = element("progress").querySelector("progress");
  if (photo.share) bar.value = photo.share; else bar.removeAttribute("value");
  element("stage").textContent = [photo.stage, left(photo.left)].filter(Boolean).join(", ");
  text("advice", advice(photo));
  element("restore").hidden = photo.status === "done";
  element("restore").disabled = photo.status !== "ready" || photo.kernel?.still;
  const seconds = photo.times[photo.options.method];
  element("restore").textContent = seconds ? `Restore the whole picture (about ${Math.ceil(seconds)} s)` : "Restore the whole picture";
  element("download").hidden = !photo.result || photo.status !== "done";
  if (photo.result) Object.assign(element("download"), { href: photo.result.url, download: photo.result.name, textContent: `Download ${photo.result.name}` });
  element("show-region").setAttribute("aria-pressed", !whole);
  element("show-whole").setAttribute("aria-pressed", whole);
  element("notes").replaceChildren(...photo.notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })));
}

async function copy(words) {
  element("copied").textContent = words; // to be copied by hand where the browser does not let us
  await navigator.clipboard.writeText(words).then(() => { element("copied").textContent = `Copied: ${words}`; }, () => {});
}

listen((told) => {
  const before = now();
  state = told;
  if (before?.status === "restoring" && now()?.status === "done") whole = true;
  show();
}, (alive) => { element("alive").textContent = alive ? "" : "The program has ended or does not answer; start deblur gui again."; });

const choose = element("choose");
choose.addEventListener("change", () => { take([...choose.files]); choose.value = ""; });
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", name === "dragover");
    if (name === "drop") take([...event.dataTransfer.files]);
  });
}
document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) take([...event.clipboardData.files]); });
element("stop").addEventListener("click", () => ask(`/api/photos/${current}/cancel`));
element("restore").addEventListener("click", async () => { await controls.settle(); ask(`/api/photos/${current}/restore`); });
element("restore-all").addEventListener("click", () => ask("/api/restore"));
element("show-region").addEventListener("click", () => { whole = false; show(); });
element("show-whole").addEventListener("click", () => { whole = true; show(); });
element("draw").addEventListener("click", () => { drawing = !drawing; whole = whole || drawing; show(); });
element("one").addEventListener("click", () => viewport.zoomTo(1 / (window.devicePixelRatio || 1)));
element("fit").addEventListener("click", () => viewport.zoomTo(null));
element("side").addEventListener("click", () => {
  const side = element("side").getAttribute("aria-pressed") !== "true";
  element("side").setAttribute("aria-pressed", side);
  viewport.setSide(side);
});
element("copy-command").addEventListener("click", () => copy(now().command));
element("copy-python").addEventListener("click", () => copy(now().python));

const told = await read("/api/state");
for (const [index, name] of told.samples.entries()) {
  const button = Object.assign(document.createElement("button"), { className: "quiet", textContent: name });
  button.addEventListener("click", () => ask("/api/samples", { name }));
  element("samples").append(index ? " " : "or try a sample: ", button);
}
