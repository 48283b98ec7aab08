// Owns what is looked at: two pictures in one place, the curtain between them, zoom and pan, and a region drawn by hand.

const LEAST = 32, MOST = 512, STEP = 1.25;

export class Viewport {
  constructor(root, onRegion) {
    this.root = root;
    this.canvas = root.querySelector("canvas");
    this.curtain = root.querySelector("[role=slider]");
    this.tags = [...root.querySelectorAll(".tag")];
    this.onRegion = onRegion;
    this.before = this.after = null;
    this.size = [1, 1];
    this.share = 0.5;
    this.scale = null; // screen pixels for one of the picture; null fits it in
    this.center = [0.5, 0.5];
    this.held = this.side = false;
    this.drawing = null;
    this.marked = null;
    this.pointers = new Map();
    new ResizeObserver(() => this.draw()).observe(root);
    this.listen();
  }

  // Show two pictures; zoom and place stay where the size does.
  show(before, after, { marked = null } = {}) {
    const size = before ? [before.naturalWidth, before.naturalHeight] : this.size;
    if (size[0] !== this.size[0] || size[1] !== this.size[1]) { this.scale = null; this.center = [0.5, 0.5]; }
    Object.assign(this, { before, after, size, marked });
    this.draw();
  }

  setShare(share) {
    this.share = Math.min(1, Math.max(0, share));
    this.curtain.setAttribute("aria-valuenow", Math.round(100 * this.share));
    this.draw();
  }

  setSide(side) { this.side = side; this.draw(); }

  get fitting() {
    const { clientWidth: width, clientHeight: height } = this.root;
    return Math.min((this.side ? width / 2 : width) / this.size[0], height / this.size[1]);
  }

  get zoom() { return this.scale ?? Math.min(this.fitting, 4); }

  zoomTo(scale, at = null) {
    const before = this.toPicture(at ?? this.middle());
    this.scale = scale === null ? null : Math.min(32, Math.max(Math.min(this.fitting, 1) / 2, scale));
    if (scale === null) this.center = [0.5, 0.5];
    else if (at) {
      const after = this.toPicture(at);
      this.center = this.center.map((c, i) => c + (before[i] - after[i]) / this.size[i]);
    }
    this.draw();
  }

  middle() { return [(this.side ? 0.25 : 0.5) * this.root.clientWidth, this.root.clientHeight / 2]; }

  toPicture([x, y]) {
    const [cx, cy] = this.middle();
    const half = this.root.clientWidth / 2;
    const shifted = this.side && x > half ? x - half : x;
    return [this.center[0] * this.size[0] + (shifted - cx) / this.zoom, this.center[1] * this.size[1] + (y - cy) / this.zoom];
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.root;
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const both = this.after && !this.held, at = this.share * width;
    this.curtain.hidden = !both || this.side;
    this.curtain.style.left = `${at}px`;
    this.tags[0].hidden = !this.before;
    this.tags[1].hidden = !both;
    if (!this.before) return;
    pen.imageSmoothingEnabled = this.zoom < 2;
    if (this.side && both) {
      this.paint(pen, this.before, [0, width / 2 - 1], this.middle()[0]);
      this.paint(pen, this.after, [width / 2 + 1, width], width / 2 + this.middle()[0]);
    } else {
      this.paint(pen, this.before, [0, both ? at : width], this.middle()[0]);
      if (both) this.paint(pen, this.after, [at, width], this.middle()[0]);
    }
    const frame = this.drawing ?? this.marked;
    if (frame) {
      const [x, y] = this.toScreen(frame), scale = this.zoom;
      pen.strokeStyle = "#fff"; pen.lineWidth = 3; pen.strokeRect(x, y, frame[2] * scale, frame[3] * scale);
      pen.strokeStyle = "#b24a10"; pen.lineWidth = 1.5; pen.strokeRect(x, y, frame[2] * scale, frame[3] * scale);
    }
  }

  paint(pen, picture, [left, right], middle) {
    pen.save();
    pen.beginPath();
    pen.rect(left, 0, right - left, this.root.clientHeight);
    pen.clip();
    const scale = this.zoom;
    pen.drawImage(picture, middle - this.center[0] * this.size[0] * scale, this.root.clientHeight / 2 - this.center[1] * this.size[1] * scale, this.size[0] * scale, this.size[1] * scale);
    pen.restore();
  }

  toScreen([x, y]) {
    const [cx, cy] = this.middle();
    return [cx + (x - this.center[0] * this.size[0]) * this.zoom, cy + (y - this.center[1] * this.size[1]) * this.zoom];
  }

  place(event) {
    const box = this.root.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  listen() {
    const { root, curtain } = this;
    curtain.addEventListener("pointerdown", (event) => { event.stopPropagation(); curtain.setPointerCapture(event.pointerId); });
    curtain.addEventListener("pointermove", (event) => {
      if (curtain.hasPointerCapture(event.pointerId)) this.setShare(this.place(event)[0] / root.clientWidth);
    });
    curtain.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -0.02, ArrowRight: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      event.stopPropagation();
      this.setShare(this.share + steps[event.key]);
    });
    root.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomTo(this.zoom * Math.exp(-event.deltaY / 400), this.place(event));
    }, { passive: false });
    root.addEventListener("pointerdown", (event) => this.down(event));
    root.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) root.addEventListener(name, (event) => this.up(event));
    root.addEventListener("keydown", (event) => {
      const pan = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!pan || event.target !== root) return;
      event.preventDefault();
      this.center = this.center.map((c, i) => c + (40 * pan[i]) / this.zoom / this.size[i]);
      this.draw();
    });
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("keyup", (event) => { if (event.key === " " && this.held) { this.held = false; this.draw(); } });
  }

  key(event) {
    if (event.target.matches("input, select, textarea, button, summary, a") || event.ctrlKey || event.metaKey) return;
    if (event.key === " ") { event.preventDefault(); this.held = true; this.draw(); }
    else if (event.key === "1") this.zoomTo(1 / (window.devicePixelRatio || 1));
    else if (event.key === "0") this.zoomTo(null);
    else if (event.key === "+") this.zoomTo(this.zoom * STEP);
    else if (event.key === "-") this.zoomTo(this.zoom / STEP);
  }

  down(event) {
    this.root.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.place(event));
    if (this.root.classList.contains("drawing") && this.pointers.size === 1) this.from = this.toPicture(this.place(event));
    this.root.classList.add("moving");
  }

  move(event) {
    const last = this.pointers.get(event.pointerId), now = this.place(event);
    if (!last) return;
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId);
    this.pointers.set(event.pointerId, now);
    if (this.from && !others.length) {
      const to = this.toPicture(now);
      this.drawing = [0, 1].map((i) => Math.min(this.from[i], to[i])).concat([0, 1].map((i) => Math.abs(this.from[i] - to[i])));
    } else if (others.length) {
      const [, other] = others[0], gap = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
      this.zoomTo((this.zoom * gap(now)) / Math.max(1, gap(last)), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
    } else {
      if (this.scale === null) this.scale = this.zoom;
      this.center = this.center.map((c, i) => c - (now[i] - last[i]) / this.zoom / this.size[i]);
    }
    this.draw();
  }

  up(event) {
    this.pointers.delete(event.pointerId);
    this.root.classList.remove("moving");
    if (this.from && this.drawing) this.onRegion(this.drawing, this.size);
    this.from = this.drawing = null;
    this.draw();
  }
}

// A rectangle drawn on a shrunk picture as whole pixels of the full one, within its borders and the sizes allowed.
export function regionOf([x, y, width, height], scale, [fullWidth, fullHeight]) {
  const side = (length, full) => Math.min(full, MOST, Math.max(LEAST, Math.round(length / scale)));
  const w = side(width, fullWidth), h = side(height, fullHeight);
  const start = (at, length, size, full) => Math.max(0, Math.min(full - size, Math.round((at + length / 2) / scale - size / 2)));
  return [start(x, width, w, fullWidth), start(y, height, h, fullHeight), w, h];
}
