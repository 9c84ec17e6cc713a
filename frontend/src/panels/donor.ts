import { h, say } from "../dom";
import type { Session } from "../session/session";
import { asError } from "../session/session";
import { patientImage } from "../sources/patient";
import type { State } from "../state/state";

/** The other image of a patch. */
export class Donor {
  readonly el: HTMLElement;
  private readonly input = h("input", { type: "file", accept: "image/*", "aria-label": "Other image" });
  private readonly note = h("span", { class: "facts", role: "status" });
  private readonly image = patientImage(h("img", { alt: "the other image", class: "donor", hidden: true }));

  constructor(private readonly session: Session) {
    this.input.addEventListener("change", () => {
      const file = this.input.files?.[0];
      if (file) void this.take(file);
    });
    this.el = h("div", { class: "row donor-row" }, this.image, h("label", { class: "file" }, "Other image… ", this.input), this.note);
  }

  private async take(file: Blob): Promise<void> {
    const { source, asking, store } = this.session;
    if (!source.live) return;
    say(this.note, "The model reads it…");
    try {
      const image = await source.live.upload(file);
      const { run } = await source.live.ask(image, asking.question);
      this.image.src = source.live.imageSrc(image);
      this.image.hidden = false;
      say(this.note, "");
      store.set({ donor: run });
    } catch (error) {
      say(this.note, asError(error).message);
    }
  }

  update(state: State): void {
    const asks = this.session.source.live?.asks ?? false;
    this.input.disabled = !asks;
    if (!asks) say(this.note, "patches from another image are made in Python");
    else if (state.donor === "" && this.note.textContent === "") say(this.note, "choose an image of the same size");
    else if (state.donor !== "" && this.note.textContent === "choose an image of the same size") say(this.note, "");
  }
}
