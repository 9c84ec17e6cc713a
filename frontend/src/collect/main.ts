/** Consent, trials, thanks. */
import { fill, h } from "../dom";
import { api, type Welcome } from "./api";
import { showTrial } from "./trial";

const root = document.getElementById("app") as HTMLElement;
root.className = "retinoscope collect";

function stop(error: unknown): void {
  const again = h("button", { class: "primary", type: "button" }, "Try again");
  again.addEventListener("click", () => void start());
  fill(root, h("div", { class: "card" }, h("h1", {}, "That did not work"), h("p", { role: "alert" }, (error as Error).message), again));
}

function consent(welcome: Welcome): void {
  const box = h("input", { type: "checkbox", id: "accept" });
  const begin = h("button", { class: "primary", type: "submit" }, "Begin");
  begin.disabled = true;
  box.addEventListener("change", () => (begin.disabled = !box.checked));
  const problem = h("p", { class: "problem", role: "alert" });
  const form = h(
    "form",
    { class: "card" },
    h("p", { class: "brand" }, "retinoscope"),
    h("h1", { tabindex: "-1" }, welcome.title),
    ...welcome.consent.map((text) => h("p", {}, text)),
    h("label", { class: "accept", for: "accept" }, box, "I have read this and take part of my own free will."),
    h("div", { class: "actions" }, begin),
    problem,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!box.checked) return;
    begin.disabled = true;
    api.begin(welcome.consentId).then(
      () => next(),
      (error: Error) => {
        problem.textContent = error.message;
        begin.disabled = false;
      },
    );
  });
  fill(root, form);
}

function thanks(done: number): void {
  const withdraw = h("button", { class: "danger", type: "button" }, "Withdraw and delete my data");
  const problem = h("p", { class: "problem", role: "alert" });
  let sure = false;
  withdraw.addEventListener("click", () => {
    if (!sure) {
      sure = true;
      withdraw.textContent = "Press once more to delete it for good";
      return;
    }
    api.withdraw().then(
      () => fill(root, h("div", { class: "card" }, h("h1", {}, "Your data is deleted"), h("p", {}, "Thank you all the same."))),
      (error: Error) => (problem.textContent = error.message),
    );
  });
  const heading = h("h1", { tabindex: "-1" }, "Thank you");
  fill(
    root,
    h(
      "div",
      { class: "card" },
      h("p", { class: "brand" }, "retinoscope"),
      heading,
      h("p", {}, `${done === 1 ? "One image is" : `${done} images are`} done and saved. You can close this page.`),
      h("div", { class: "actions" }, h("a", { class: "button", href: "api/export.zip", download: "attention.zip" }, "Download what I recorded"), withdraw),
      problem,
    ),
  );
  heading.focus();
}

async function next(): Promise<void> {
  try {
    const trial = await api.next();
    if (trial.finished) return thanks(trial.done);
    await showTrial(root, trial, async (record) => {
      await api.finish(trial.trial, record);
      void next();
    });
  } catch (error) {
    stop(error);
  }
}

async function start(): Promise<void> {
  try {
    const welcome = await api.welcome();
    if (welcome.session) await next();
    else consent(welcome);
  } catch (error) {
    stop(error);
  }
}

void start();
