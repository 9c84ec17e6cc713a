import { h } from "../dom";
import type { SampleFacts } from "../documents";
import type { Session } from "../session/session";
import { patientImage } from "../sources/patient";
import { safeSrc } from "../sources/source";
import { several } from "../words";

const MOST = 60;

/** A sample as a button with its thumbnail, which is loaded when it comes into view. */
export function sampleButton(session: Session, facts: SampleFacts, details: string[]): HTMLButtonElement {
  const src = safeSrc(facts.thumb);
  const image = src === null ? h("span", { class: "no-thumb" }) : patientImage(h("img", { src, alt: "", loading: "lazy", decoding: "async" }));
  return h(
    "button",
    {
      type: "button",
      class: "sample",
      "data-index": facts.index,
      onclick: () => {
        session.store.set({ sample: facts.index, view: "answer", colouring: "none", tokens: new Set(), image: "", question: "", kept: [], query: -1 });
      },
    },
    image,
    h("span", { class: "title" }, facts.title || facts.id),
    ...details.map((text) => h("small", {}, text)),
  );
}

/** The first samples of a list of their numbers. */
export function sampleButtons(session: Session, indices: readonly number[]): HTMLElement {
  const found = indices
    .slice(0, MOST)
    .map((index) => session.manifest.samples.find((one) => one.index === index))
    .filter((one) => one !== undefined);
  const more = indices.length - found.length;
  const rest = more > 0 ? h("p", { class: "facts" }, `and ${several(more, "more image", "more images")}`) : null;
  return h("div", { class: "samples" }, ...found.map((one) => sampleButton(session, one, [])), rest);
}
