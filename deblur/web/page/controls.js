// Owns what can be chosen: how the blur is known, the method, the strength, and the rest under "more".
import { upload, wish } from "./api.js";

const HOWS = { blind: "Find it", motion: "Motion", defocus: "Out of focus", gaussian: "Gaussian", file: "From a file", pair: "From a sharp picture" };
const NUMBERS = {
  motion: [["length", "Length", 1, 100, 0.5, "px"], ["angle", "Angle", -90, 90, 1, "°"]],
  defocus: [["radius", "Radius", 0.5, 40, 0.1, "px"]],
  gaussian: [["sigma", "Sigma", 0.3, 20, 0.1, "px"]],
};
const METHODS = { auto: "Auto", fast: "Fast", best: "Best" };
const MORE = {
  noise: ["Noise", "auto, or a share of white such as 0.01"],
  saturation: ["Saturation", "auto, none, or a level such as 0.98"],
  black: ["Black", "the file's own, or a value"],
  white: ["White", "the file's own, or a value"],
  transfer: ["Transfer", ["auto", "srgb", "linear"]],
  boundary: ["Border", ["unknown", "reflect", "replicate", "zero", "circular"]],
};
const PAUSE = 120; // ms after the last move of a slider

function radios(group, choices, onPick) {
  for (const [value, text] of Object.entries(choices)) {
    const button = Object.assign(document.createElement("button"), { textContent: text });
    button.dataset.value = value;
    button.setAttribute("role", "radio");
    button.addEventListener("click", () => onPick(value));
    group.append(button);
  }
}

function check(group, value) {
  for (const button of group.querySelectorAll("[role=radio]")) button.setAttribute("aria-checked", button.dataset.value === value);
}

export class Controls {
  constructor(root, onError) {
    this.root = (id) => root.getElementById(id);
    this.onError = onError;
    this.photo = null;
    this.shown = "";
    this.timer = 0;
    this.pending = null;
    radios(this.root("how"), HOWS, (how) => this.pick(how));
    radios(this.root("method"), METHODS, (method) => this.choose({ method }));
    const strength = this.root("strength");
    strength.addEventListener("input", () => {
      const value = Number(Math.pow(10, strength.value).toPrecision(2));
      this.root("strength-value").textContent = value;
      this.soon(() => this.choose({ strength: value }));
    });
    this.makeMore();
    this.file = Object.assign(document.createElement("input"), { type: "file", className: "hidden" });
    this.file.setAttribute("aria-label", "A kernel's file or a sharp picture");
    document.body.append(this.file);
    this.file.addEventListener("change", () => {
      const [chosen] = this.file.files;
      if (chosen) this.send(() => upload(`/api/photos/${this.photo.id}/${this.file.dataset.to}`, chosen));
      this.file.value = "";
    });
  }

  send(act) { return act().catch(this.onError); }

  // Do something a moment after the last call; `settle` does it at once.
  soon(act) {
    clearTimeout(this.timer);
    this.pending = act;
    this.timer = setTimeout(() => this.settle(), PAUSE);
  }

  async settle() {
    const act = this.pending;
    clearTimeout(this.timer);
    this.pending = null;
    await act?.();
  }

  choose(options) { return this.send(() => wish(`/api/photos/${this.photo.id}/options`, options)); }

  pick(how) {
    if (how === "file" || how === "pair") {
      this.file.dataset.to = how === "file" ? "kernel" : "sharp";
      this.file.click();
      return;
    }
    this.send(() => wish(`/api/photos/${this.photo.id}/find`, { how }));
  }

  show(photo) {
    const same = this.photo?.id === photo.id;
    this.photo = photo;
    check(this.root("how"), photo.how.how);
    check(this.root("method"), photo.options.method);
    for (const button of this.root("method").children) {
      const seconds = photo.times[button.dataset.value];
      button.textContent = METHODS[button.dataset.value];
      if (seconds) button.append(Object.assign(document.createElement("small"), { textContent: `about ${Math.ceil(seconds)} s` }));
    }
    const strength = this.root("strength");
    if (document.activeElement !== strength || !same) {
      strength.value = Math.log10(photo.options.strength);
      this.root("strength-value").textContent = photo.options.strength;
    }
    const key = `${photo.id} ${photo.how.how}`;
    if (key !== this.shown) this.makeNumbers(photo.how);
    this.shown = key;
    for (const input of this.root("more").querySelectorAll("input, select")) {
      if (document.activeElement !== input) input.value = photo.options[input.id.slice(2)] ?? "";
    }
  }

  makeNumbers(how) {
    const box = this.root("numbers");
    box.replaceChildren();
    for (const [name, text, min, max, step, unit] of NUMBERS[how.how] ?? []) {
      const label = Object.assign(document.createElement("label"), { textContent: text, htmlFor: `n-${name}` });
      const value = label.appendChild(document.createElement("output"));
      const slider = Object.assign(document.createElement("input"), { id: `n-${name}`, type: "range", min, max, step, value: how[name] });
      value.textContent = `${how[name]} ${unit}`;
      slider.addEventListener("input", () => {
        value.textContent = `${slider.value} ${unit}`;
        this.soon(() => {
          const numbers = Object.fromEntries([...box.querySelectorAll("input")].map((each) => [each.id.slice(2), Number(each.value)]));
          return this.send(() => wish(`/api/photos/${this.photo.id}/find`, { how: how.how, ...numbers }));
        });
      });
      box.append(label, slider);
    }
    if (how.how === "blind") {
      const label = Object.assign(document.createElement("label"), { className: "field", textContent: "Size in taps", htmlFor: "n-size" });
      const size = Object.assign(document.createElement("input"), { id: "n-size", type: "number", min: 3, max: 151, step: 2, placeholder: "auto", value: how.size ?? "" });
      size.addEventListener("change", () => this.send(() => wish(`/api/photos/${this.photo.id}/find`, { how: "blind", size: size.value ? Number(size.value) : null })));
      label.append(size);
      box.append(label);
    }
  }

  makeMore() {
    for (const [name, [text, hint]] of Object.entries(MORE)) {
      const label = Object.assign(document.createElement("label"), { className: "field", textContent: text, htmlFor: `m-${name}` });
      const choices = Array.isArray(hint);
      const input = Object.assign(document.createElement(choices ? "select" : "input"), { id: `m-${name}` });
      if (choices) input.append(...hint.map((choice) => new Option(choice)));
      else Object.assign(input, { type: "text", title: hint, placeholder: hint.split(",")[0] });
      input.addEventListener("change", () => {
        const given = input.value.trim(), empty = name === "black" || name === "white" ? null : "auto";
        this.choose({ [name]: choices ? given : given === "" ? empty : Number.isNaN(Number(given)) ? given : Number(given) });
      });
      label.append(input);
      this.root("more").append(label);
    }
  }
}
