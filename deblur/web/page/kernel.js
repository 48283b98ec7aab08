// Owns the kernel: drawn large with what is known of it, and its editor (threshold, erase, crop, mirror, undo).
import { read, wish } from "./api.js";

export class KernelView {
  constructor(root, onError) {
    this.root = (id) => root.getElementById(id);
    this.onError = onError;
    this.photo = null;
    this.past = [];
    this.taps = null;
    this.root("editor").addEventListener("toggle", () => this.root("editor").open && this.load());
    this.make();
  }

  show(photo) {
    const changed = photo.kernel?.picture !== this.photo?.kernel?.picture || photo.id !== this.photo?.id;
    this.photo = photo;
    const kernel = photo.kernel, image = this.root("kernel");
    this.root("kernel-box").hidden = !kernel;
    this.root("editor").hidden = !kernel;
    const lines = kernel?.warnings ?? [];
    this.root("warnings").replaceChildren(...lines.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
    if (!kernel) return;
    if (image.getAttribute("src") !== kernel.picture) image.src = kernel.picture;
    image.alt = `The kernel: ${kernel.words}, ${kernel.size[1]} by ${kernel.size[0]} pixels`;
    this.root("kernel-words").textContent = kernel.words;
    const size = `drawn ${kernel.size[1]} × ${kernel.size[0]} pixels`;
    this.root("confidence").textContent = kernel.sure ? `${kernel.sure}; ${size}` : size;
    if (changed && this.root("editor").open) this.load();
  }

  make() {
    const body = this.root("editor-body");
    this.canvas = body.appendChild(document.createElement("canvas"));
    const label = Object.assign(document.createElement("label"), { textContent: "Threshold", htmlFor: "k-threshold" });
    this.threshold = Object.assign(document.createElement("input"), { id: "k-threshold", type: "range", min: 0, max: 0.5, step: 0.01, value: 0 });
    this.threshold.addEventListener("change", () => this.change((taps, top) => taps.map((row) => row.map((tap) => (tap < this.threshold.value * top ? 0 : tap)))));
    body.append(label, this.threshold);
    const acts = {
      Crop: () => this.change(cropped),
      Mirror: () => this.change((taps) => [...taps].reverse().map((row) => [...row].reverse())),
      Undo: () => { if (this.past.length) { this.taps = this.past.pop(); this.draw(); } },
      Use: () => wish(`/api/photos/${this.photo.id}/taps`, { taps: this.taps }).catch(this.onError),
    };
    for (const [text, act] of Object.entries(acts)) {
      const button = Object.assign(document.createElement("button"), { className: "quiet", textContent: text });
      button.addEventListener("click", act);
      body.append(button, " ");
    }
    this.download = body.appendChild(Object.assign(document.createElement("a"), { className: "button quiet", textContent: "Download" }));
    this.canvas.addEventListener("pointerdown", (event) => { this.canvas.setPointerCapture(event.pointerId); this.keep(); this.erase(event); });
    this.canvas.addEventListener("pointermove", (event) => this.canvas.hasPointerCapture(event.pointerId) && this.erase(event));
  }

  async load() {
    if (!this.photo?.kernel) return;
    try {
      this.taps = (await read(`/api/photos/${this.photo.id}/taps`)).taps;
    } catch (error) { this.onError(error); return; }
    this.past = [];
    this.threshold.value = 0;
    Object.assign(this.download, { href: this.photo.kernel.file, download: "" });
    this.draw();
  }

  keep() { this.past.push(this.taps.map((row) => [...row])); }

  change(make) {
    if (!this.taps) return;
    this.keep();
    this.taps = make(this.taps, Math.max(...this.taps.flat()));
    this.draw();
  }

  erase(event) {
    const box = this.canvas.getBoundingClientRect(), rows = this.taps.length, columns = this.taps[0].length;
    const row = Math.floor(((event.clientY - box.top) / box.height) * rows), column = Math.floor(((event.clientX - box.left) / box.width) * columns);
    if (this.taps[row]?.[column] !== undefined) this.taps[row][column] = 0;
    this.draw();
  }

  draw() {
    const rows = this.taps.length, columns = this.taps[0].length, top = Math.max(...this.taps.flat(), 1e-12);
    Object.assign(this.canvas, { width: columns, height: rows });
    const pen = this.canvas.getContext("2d"), image = pen.createImageData(columns, rows);
    this.taps.flat().forEach((tap, i) => image.data.set([0, 0, 0].map(() => 255 * Math.sqrt(Math.max(0, tap) / top)).concat(255), 4 * i));
    pen.putImageData(image, 0, 0);
  }
}

// The taps without dark rows and columns, the same number on either side, so that the origin stays in the middle.
function cropped(taps) {
  const dark = (line) => line.every((tap) => tap === 0);
  let kept = taps;
  while (kept.length > 2 && dark(kept[0]) && dark(kept[kept.length - 1])) kept = kept.slice(1, -1);
  while (kept[0].length > 2 && kept.every((row) => row[0] === 0 && row[row.length - 1] === 0)) kept = kept.map((row) => row.slice(1, -1));
  return kept;
}
