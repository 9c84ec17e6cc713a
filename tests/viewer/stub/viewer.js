// The smallest page that uses every part of the contract: documents from scripts, from the server.
"use strict";
const waiting = new Map();
window.retinoscopeData = (key, value) => waiting.get(key)(value);
window.stub = {
  loaded: (key) => new Promise((resolve, reject) => {
    waiting.set(key, resolve);
    const script = document.createElement("script");
    script.src = `data/${key}.js`;
    script.onerror = () => reject(new Error(key));
    document.head.append(script);
  }),
  floats: (array) => {
    const bytes = Uint8Array.from(atob(array.data), (c) => c.charCodeAt(0));
    return Array.from(new Float32Array(bytes.buffer));
  },
  get: async (path) => (await fetch(path)).json(),
  post: async (path, body) => (await fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  })).json(),
  lines: async (path, body) => (await (await fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  })).text()).trim().split("\n").map((line) => JSON.parse(line)),
  // A drop of an image, as a browser gives it.
  drop: async (blob) => (await (await fetch("api/images", { method: "POST", body: blob })).json()),
};
document.getElementById("app").textContent = document.body.dataset.mode;
