// Owns the talk with the server: wishes, uploads, and the state that it tells whenever something is new.

async function answer(response) {
  const said = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(said.error || `the server answered ${response.status}`);
  return said;
}

export async function wish(path, body = {}) {
  const response = await fetch(path, { method: "POST", headers: { "X-Deblur": "1", "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return answer(response);
}

export async function upload(path, file) {
  const response = await fetch(path, { method: "POST", headers: { "X-Deblur": "1", "X-Name": encodeURIComponent(file.name) }, body: file });
  return answer(response);
}

export async function read(path) {
  return answer(await fetch(path));
}

// Calls onState with every state, and onAlive with whether the server is there.
export function listen(onState, onAlive) {
  const source = new EventSource("/api/events");
  source.onmessage = (event) => { onAlive(true); onState(JSON.parse(event.data)); };
  source.onerror = () => onAlive(false); // the browser tries again by itself
}
