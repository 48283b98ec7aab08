// Owns the list of photographs: which one is looked at, how far each is, and its stop, removal and download.
import { wish } from "./api.js";

const WORDS = { waiting: "waits", finding: "finding the blur", previewing: "restoring the region", ready: "ready to restore", restoring: "restoring", done: "restored", failed: "failed", stopped: "stopped" };

export function busy(photo) { return ["waiting", "finding", "previewing", "restoring"].includes(photo.status); }

export function left(seconds) {
  if (!seconds) return "";
  return seconds < 90 ? `about ${Math.ceil(seconds)} s left` : `about ${Math.round(seconds / 60)} min left`;
}

export class Queue {
  constructor(list, onPick, onError) { Object.assign(this, { list, onPick, onError, items: new Map() }); }

  show(photos, current) {
    const seen = new Set(photos.map((photo) => photo.id));
    for (const [id, item] of this.items) if (!seen.has(id)) { item.remove(); this.items.delete(id); }
    for (const photo of photos) {
      if (!this.items.has(photo.id)) this.items.set(photo.id, this.list.appendChild(this.item(photo)));
      this.fill(this.items.get(photo.id), photo, photo.id === current);
    }
  }

  item(photo) {
    const item = document.createElement("li");
    const pick = item.appendChild(Object.assign(document.createElement("button"), { className: "pick" }));
    pick.addEventListener("click", () => this.onPick(photo.id));
    item.prepend(Object.assign(document.createElement("img"), { alt: "" }));
    pick.append(document.createElement("b"), document.createElement("span"));
    item.append(Object.assign(document.createElement("a"), { className: "button quiet", textContent: "Download" }));
    item.append(this.button("Stop", () => wish(`/api/photos/${photo.id}/cancel`)), this.button("Remove", () => wish(`/api/photos/${photo.id}/remove`)));
    return item;
  }

  button(text, act) {
    const button = Object.assign(document.createElement("button"), { className: "quiet", textContent: text });
    button.addEventListener("click", () => act().catch(this.onError));
    return button;
  }

  fill(item, photo, now) {
    const [image, pick, download, stop] = item.children, [name, status] = pick.children;
    item.classList.toggle("now", now);
    pick.setAttribute("aria-current", now);
    if (photo.view && image.getAttribute("src") !== photo.view.url) image.src = photo.view.url;
    name.textContent = name.title = photo.name;
    const share = photo.share && photo.share < 1 ? ` ${Math.round(100 * photo.share)} %` : "";
    status.textContent = photo.error || (busy(photo) ? WORDS[photo.status] + share : WORDS[photo.status]);
    status.className = photo.error ? "bad" : "";
    download.hidden = !photo.result;
    if (photo.result) Object.assign(download, { href: photo.result.url, download: photo.result.name });
    stop.hidden = !busy(photo);
    for (const button of item.querySelectorAll("button.quiet")) button.setAttribute("aria-label", `${button.textContent} ${photo.name}`);
  }
}
