import { Strip } from "../charts/strip";
import { Once, fill, h, say, show } from "../dom";
import { lensPython } from "../export/python";
import type { Session } from "../session/session";
import type { Colouring, State } from "../state/state";
import type { Ui } from "../ui";
import { Segmented, toggle } from "../widgets/controls";
import { LayerSlider } from "../widgets/layers";
import { sentenceCase, several } from "../words";
import { Followed } from "./followed";
import type { Panel } from "./panel";
import { Segmentation } from "./segmentation";

/** The lens: what each token says at each layer. */
export class LensPanel implements Panel {
  readonly el: HTMLElement;
  private readonly slider: LayerSlider;
  private readonly input = h("input", { type: "search", placeholder: "Where is … ?", "aria-label": "Word to find in all tokens and layers", list: "retinoscope-words", autocomplete: "off", spellcheck: "false" });
  private readonly options = h("datalist", { id: "retinoscope-words" });
  private readonly ideas = h("div", { class: "chips" });
  private readonly colouring: Segmented<Colouring>;
  private readonly note = h("p", { class: "hint", role: "status" });
  private readonly strip: Strip;
  private readonly stripTitle = h("p", { class: "facts" });
  private readonly segmentation: Segmentation;
  private readonly token: Followed;
  private readonly body: HTMLElement;
  private readonly known = new Once();
  private readonly words: HTMLButtonElement;
  private layers: readonly number[] = [];

  constructor(
    private readonly session: Session,
    private readonly ui: Ui,
  ) {
    const { store } = session;
    this.slider = new LayerSlider("Layer", (place) => this.layerName(place), (place) => store.set({ layer: this.layers[place] ?? -1 }));
    this.input.addEventListener("change", () => this.search(this.input.value));
    this.input.addEventListener("input", () => this.input.value === "" && this.search(""));
    this.colouring = new Segmented<Colouring>(
      "Colour tokens by",
      [
        { value: "top", label: "top word" },
        { value: "word", label: "word" },
        { value: "rank", label: "rank", title: "The word's place among all words" },
        { value: "none", label: "nothing" },
      ],
      (colouring) => store.set({ colouring }),
    );
    this.words = toggle("Words", () => {
      ui.words = !ui.words;
      store.touch();
    }, "Write each token's first word on it");
    this.strip = new Strip((row, token) => {
      ui.cursor = token;
      store.set({ layer: session.readouts.lens?.layers[row] ?? -1 });
      store.touch();
    });
    this.segmentation = new Segmentation(session);
    this.token = new Followed(session, ui);
    const search = h("div", { class: "search" }, this.input, this.options);
    this.body = h(
      "div",
      { class: "stack-y" },
      this.slider.el,
      search,
      this.ideas,
      h("div", { class: "row" }, h("span", { class: "label-text" }, "Colour by"), this.colouring.el, this.words),
      h("div", {}, this.stripTitle, this.strip.el),
      this.segmentation.el,
      this.token.el,
    );
    this.el = h("div", { class: "panel-body" }, this.note, this.body);
  }

  private search(word: string): void {
    const { state, store } = this.session;
    const colouring = word.trim() === "" ? "top" : state.colouring === "rank" ? "rank" : "word";
    store.set({ word, colouring });
  }

  update(state: State): void {
    const { readouts, sample, picture, source } = this.session;
    const { lens, word } = readouts;
    const reading = readouts.on("chosen", state);
    show(this.body, lens !== null);
    const why = this.session.can("lens").why;
    const missing = sample && !sample.has.lens ? `No lens was written for this image${why ? ` (${why})` : ""}.` : "";
    say(this.note, lens ? (reading?.wordProblem ?? "") : missing || reading?.problem || `Reading the ${readouts.kind(state)} lens…`);
    this.note.hidden = this.note.textContent === "";
    if (!lens || !picture) return;
    this.known.when([lens], () => {
      const objects = picture.shapes.map(({ object }) => object.name);
      const words = [...new Set([...objects, ...lens.frequent(30)])];
      fill(this.options, ...words.map((one) => h("option", { value: one })));
      fill(this.ideas, ...words.slice(0, 8).map((one) => toggle(one, () => this.search(this.session.state.word === one ? "" : one), `Where is "${one}"?`)));
    });
    for (const chip of this.ideas.children) chip.setAttribute("aria-pressed", `${chip.textContent === state.word}`);
    this.words.setAttribute("aria-pressed", `${this.ui.words}`);
    this.words.hidden = state.colouring !== "top";
    if (document.activeElement !== this.input) this.input.value = state.word;
    this.colouring.update(state.colouring, (value) => (["word", "rank"].includes(value) && state.word === "" ? "search a word first" : ""));
    const shown = { ...state, colouring: "top" } as const;
    this.layers = readouts.layers(shown);
    this.slider.update(this.layers.indexOf(readouts.layer(shown)), this.layers.length);
    const quantity = readouts.quantity(state);
    this.strip.update(quantity, readouts.layerColours(state), readouts.row(state));
    const within = word?.within && source.live === null ? ` Known only where it is among the first ${word.within} words.` : "";
    say(this.stripTitle, quantity ? `${sentenceCase(quantity.name)}: all ${several(lens.rows, "layer")} (up) by all ${several(picture.n, "token")} (across).${state.colouring === "top" ? "" : within}` : "");
    this.segmentation.update(state, word);
    this.token.update(state);
  }

  private layerName(place: number): string {
    const most = this.session.blocks;
    const layer = this.layers[place] ?? 0;
    if (layer === 0) return `layer 0 of ${most} (input)`;
    return layer === most ? `layer ${layer} of ${most} (last)` : `layer ${layer} of ${most}`;
  }

  figures(): SVGSVGElement[] {
    return [];
  }

  pictures(): HTMLCanvasElement[] {
    return this.strip.el.hidden ? [] : [this.strip.picture];
  }

  python(state: State): string {
    return lensPython(this.session, state);
  }
}
