import { Once, h, say, show } from "../dom";
import { boxOf } from "../geometry/boxes";
import { overlap } from "../geometry/select";
import { type WordMap, plain } from "../session/lens";
import { OBJECT_COLOURS, type Picture } from "../session/picture";
import type { Session } from "../session/session";
import type { State } from "../state/state";
import { UNITS, several, valueOf } from "../words";

const SIDE = 150;

/** A coarse segmentation from the lens, beside the true mask. */
export class Segmentation {
  readonly el: HTMLElement;
  private readonly range = h("input", { type: "range", min: "0.005", max: "0.9", step: "0.005" });
  private readonly ours = h("canvas", { "aria-hidden": "true" });
  private readonly truth = h("canvas", { "aria-hidden": "true" });
  private readonly text = h("p", { class: "facts", role: "status" });
  private readonly truthBox: HTMLElement;
  private readonly least = h("output", {});
  private readonly ourDrawn = new Once();
  private readonly truthDrawn = new Once();

  constructor(private readonly session: Session) {
    const { store } = session;
    this.range.addEventListener("input", () => store.set({ threshold: Number(this.range.value) }));
    const select = () => store.set({ tokens: this.found() });
    this.truthBox = h("figure", {}, this.truth, h("figcaption", {}, "true mask"));
    this.el = h(
      "section",
      { class: "segmentation" },
      h("h3", {}, "Segmentation by the lens"),
      h("label", { class: "row" }, "at least", this.range, this.least),
      h("div", { class: "pair" }, h("figure", {}, this.ours, h("figcaption", {}, "tokens that say it")), this.truthBox),
      this.text,
      h("button", { type: "button", class: "plain", onclick: select }, "Select these tokens"),
    );
  }

  private found(): Set<number> {
    const { state, readouts } = this.session;
    const { word } = readouts;
    const tokens = new Set<number>();
    if (!word) return tokens;
    const row = readouts.row({ ...state, colouring: "word" });
    for (let token = 0; token < word.value.n; token++) {
      if ((word.value.values[row * word.value.n + token] as number) >= state.threshold) tokens.add(token);
    }
    return tokens;
  }

  update(state: State, word: WordMap | null): void {
    const { picture, readouts } = this.session;
    show(this.el, word !== null && picture !== null);
    if (!word || !picture) return;
    this.range.value = `${state.threshold}`;
    this.range.style.setProperty("--done", `${(100 * (state.threshold - 0.005)) / 0.895}%`);
    const unit = readouts.lens?.unit ?? "probability";
    this.range.setAttribute("aria-label", `Least ${UNITS[unit]}`);
    say(this.least, valueOf(state.threshold, unit));
    const found = this.found();
    const layer = readouts.layer({ ...state, colouring: "word" });
    this.ourDrawn.when([picture, word, layer, state.threshold], () => this.drawTokens(picture, found));
    const objects = picture.shapes.map((shape, i) => ({ shape, i })).filter(({ shape }) => plain(shape.object.name) === plain(word.word));
    show(this.truthBox, objects.length > 0);
    this.truthDrawn.when([picture, word.word], () => this.drawTruth(picture, objects.map(({ i }) => i)));
    const truth = new Set(objects.flatMap(({ shape }) => [...shape.tokens]));
    const shared = objects.length > 0 ? overlap(found, truth) : null;
    const n = `${several(found.size, "token")} say "${word.word}"`.replace("1 token say", "1 token says");
    say(this.text, shared === null ? `${n}.` : `${n}; with the tokens of the true mask, intersection over union ${shared.toFixed(2)}.`);
  }

  private canvas(canvas: HTMLCanvasElement, picture: Picture): CanvasRenderingContext2D | null {
    const scale = (2 * SIDE) / Math.max(picture.width, picture.height);
    canvas.width = Math.round(picture.width * scale);
    canvas.height = Math.round(picture.height * scale);
    const context = canvas.getContext("2d");
    context?.scale(scale, scale);
    return context;
  }

  private drawTokens(picture: Picture, tokens: ReadonlySet<number>): void {
    const context = this.canvas(this.ours, picture);
    if (!context) return;
    context.fillStyle = "#3b82c4";
    for (const token of tokens) {
      const box = boxOf(picture.boxes, token);
      if (box) context.fillRect(box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0);
    }
  }

  private drawTruth(picture: Picture, objects: readonly number[]): void {
    const context = this.canvas(this.truth, picture);
    if (!context) return;
    for (const i of objects) {
      const shape = picture.shapes[i];
      if (!shape) continue;
      const [height, width] = shape.size;
      const [fx, fy] = [picture.width / width, picture.height / height];
      // Rows that end between two pixels would show as lines.
      const seam = fy * 0.6;
      context.fillStyle = OBJECT_COLOURS[i % OBJECT_COLOURS.length] as string;
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; ) {
          if (!shape.mask[y * width + x]) {
            x += 1;
            continue;
          }
          const start = x;
          while (x < width && shape.mask[y * width + x]) x += 1;
          context.fillRect(start * fx, y * fy, (x - start) * fx, fy + seam);
        }
      }
    }
  }
}
