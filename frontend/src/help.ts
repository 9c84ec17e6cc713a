import { h } from "./dom";
import { KEYS } from "./keys";

/** All keys, as a dialogue. */
export class Help {
  readonly el: HTMLDialogElement;

  constructor() {
    const rows = KEYS.map(([key, what]) => h("tr", {}, h("th", { scope: "row" }, h("kbd", {}, key)), h("td", {}, what)));
    const close = h("button", { type: "button", class: "primary", onclick: () => this.el.close() }, "Close");
    this.el = h("dialog", { class: "help", "aria-label": "Keys" }, h("h2", {}, "Keys"), h("table", {}, h("tbody", {}, ...rows)), close);
  }

  open(): void {
    this.el.showModal();
  }
}
