import { h, say, show } from "../dom";
import type { Session } from "../session/session";

/** Where an image is dropped, chosen or pasted, with a model to ask. */
export class DropZone {
  readonly el: HTMLElement;
  private readonly input = h("input", { type: "file", accept: "image/*", class: "unseen", id: "retinoscope-file" });
  private readonly text = h("span", {});

  constructor(
    private readonly session: Session,
    whole: HTMLElement,
  ) {
    this.input.addEventListener("change", () => {
      this.take(this.input.files?.[0]);
      this.input.value = "";
    });
    this.el = h("label", { class: "drop", for: "retinoscope-file" }, this.input, h("strong", {}, "Drop an image"), this.text);
    whole.addEventListener("dragover", (event) => {
      if (!this.active) return;
      event.preventDefault();
      whole.classList.add("dragging");
    });
    whole.addEventListener("dragleave", (event) => {
      if (!whole.contains(event.relatedTarget as Node | null)) whole.classList.remove("dragging");
    });
    whole.addEventListener("drop", (event) => {
      whole.classList.remove("dragging");
      if (!this.active) return;
      event.preventDefault();
      this.take(event.dataTransfer?.files[0]);
    });
    whole.addEventListener("paste", (event) => {
      const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
      if (this.active && file) this.take(file);
    });
  }

  private get active(): boolean {
    return this.session.source.live?.asks ?? false;
  }

  private take(file: File | undefined): void {
    if (file) void this.session.asking.drop(file);
  }

  update(): void {
    show(this.el, this.active);
    this.el.classList.toggle("empty", this.session.picture === null);
    say(this.text, this.session.asking.busy ? "The model reads it…" : ", paste one, or press to choose a file");
  }
}
