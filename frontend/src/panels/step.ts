import { h } from "../dom";

/** A numbered step with its heading and one line that says what to do. */
export class Step {
  readonly el: HTMLElement;
  readonly body = h("div", { class: "body" });
  private readonly hint = h("p", { class: "hint" });
  private readonly number: HTMLElement;

  constructor(
    private readonly count: number,
    title: string,
  ) {
    this.number = h("span", { class: "number", "aria-hidden": "true" }, `${count}`);
    const head = h("h2", {}, this.number, h("span", { class: "unseen" }, `Step ${count}: `), title);
    this.el = h("section", { class: "step" }, head, this.hint, this.body);
  }

  update(state: "done" | "now" | "later", hint: string): void {
    this.el.dataset["state"] = state;
    this.number.textContent = state === "done" ? "✓" : `${this.count}`;
    if (this.hint.textContent !== hint) this.hint.textContent = hint;
    this.hint.hidden = hint === "";
  }
}
