import init, { watch } from "./cvm_watch_browser.js";

const element = (id) => document.getElementById(id);
// Text of a server is only ever set as text, never as HTML.
const show = (id, text) => { element(id).textContent = text; };

function report(kind, text) {
  if (kind === "connecting") show("reconnects", String(Number(text) - 1));
  if (kind === "status") show("status", text);
  if (kind === "retrying") show("cause", `(${text})`);
  if (kind === "progress" && element("steps").lastChild?.textContent !== text) {
    const step = document.createElement("li");
    step.textContent = text;
    element("steps").append(step);
  }
}

element("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  show("outcome", "watching");
  element("steps").replaceChildren();
  const stopped = new Promise((resolve) => { element("stop").onclick = resolve; });
  element("stop").disabled = false;
  try {
    const status = await watch(element("base").value, element("id").value, element("target").value, report, stopped);
    show("outcome", `the target was reached: ${status}`);
  } catch (error) {
    show("outcome", String(error));
  }
  element("stop").disabled = true;
});

await init();
document.body.dataset.ready = "true";
