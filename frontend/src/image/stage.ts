import { Once, fill, h, say, show } from "../dom";
import { inkOn } from "../colour/maps";
import { type Point, typicalSide } from "../geometry/boxes";
import { tokenAt } from "../geometry/hit";
import type { Picture } from "../session/picture";
import type { Side } from "../session/readouts";
import type { Session } from "../session/session";
import { patientImage } from "../sources/patient";
import type { State } from "../state/state";
import { sentenceCase } from "../words";
import { card, spoken } from "./card";
import { pressed } from "./follow";
import { Gesture, type How } from "./gestures";
import { drawMarks, type Marks } from "./marks";
import { type Raster, paintRaster, rasterOf } from "./raster";
import { stageKey } from "./keys";
import type { Ui } from "../ui";

const MOST_PIXELS = 1_200_000;
const ALPHA = 0.82;

/** The image with its tokens: what is drawn, and what a pointer or the keyboard does to it. */
export class Stage {
  readonly el: HTMLElement;
  /** With the name of the lens above it. */
  readonly whole: HTMLElement;
  private readonly caption = h("p", { class: "facts of-lens" });
  private readonly image = patientImage(h("img", { alt: "", draggable: "false" }));
  private readonly colours = h("canvas", { class: "colours", "aria-hidden": "true" });
  private readonly marks = h("canvas", { class: "marks", "aria-hidden": "true" });
  private readonly tip = h("div", { class: "tip", "aria-hidden": "true", hidden: true });
  private readonly live = h("p", { class: "unseen", role: "status", "aria-live": "polite" });
  private raster: Raster | null = null;
  private data: ImageData | null = null;
  private gesture: Gesture | null = null;
  private readonly sized = new Once();
  private readonly pictured = new Once();
  private readonly told = new Once();
  private marked = new Once();
  private painted: [Uint32Array | null, Raster | null] = [null, null];
  /** Milliseconds that the last painting of token colours took. */
  lastPaint = 0;

  constructor(
    private readonly session: Session,
    private readonly ui: Ui,
    private readonly side: Side = "chosen",
  ) {
    this.el = h(
      "div",
      {
        class: "stage",
        tabindex: "0",
        role: "application",
        "aria-roledescription": "image with selectable tokens",
      },
      this.image,
      this.colours,
      this.marks,
      this.tip,
    );
    this.image.addEventListener("error", () => this.el.classList.add("no-image"));
    this.image.addEventListener("load", () => this.el.classList.remove("no-image"));
    this.el.append(this.live);
    this.whole = h("div", { class: "whole" }, this.caption, this.el);
    this.el.addEventListener("pointerdown", (event) => this.down(event));
    this.el.addEventListener("pointermove", (event) => this.move(event));
    this.el.addEventListener("pointerup", () => this.up());
    this.el.addEventListener("pointercancel", () => this.cancel());
    this.el.addEventListener("pointerleave", () => {
      if (!this.gesture) this.hover(null);
    });
    this.el.addEventListener("keydown", (event) => this.key(event));
    this.el.addEventListener("blur", () => this.hover(null));
    new ResizeObserver(() => this.session.store.touch()).observe(this.el);
  }

  get picture(): Picture | null {
    return this.session.picture;
  }

  update(state: State): void {
    const { picture } = this;
    const shown = picture !== null && (this.side === "chosen" || this.session.readouts.versus(state) !== null);
    show(this.el, shown);
    show(this.whole, shown);
    if (!shown) return;
    const kind = this.side === "chosen" ? this.session.readouts.kind(state) : this.session.readouts.versus(state);
    const read = state.view === "lens" ? `, ${kind} lens` : "";
    const both = this.session.readouts.versus(state) !== null;
    say(this.caption, both ? `${sentenceCase(kind ?? "")} lens` : "");
    show(this.caption, both);
    const label = `Image${read}. Arrow keys move between tokens, space selects, question mark lists all keys.`;
    if (this.el.getAttribute("aria-label") !== label) this.el.setAttribute("aria-label", label);
    this.pictured.when([picture], () => {
      this.el.style.setProperty("--ratio", `${picture.width / picture.height}`);
      if (picture.src === null) this.image.removeAttribute("src");
      else if (this.image.getAttribute("src") !== picture.src) this.image.src = picture.src;
      this.image.alt = picture.document.id;
      this.el.classList.toggle("no-image", picture.src === null);
    });
    this.el.dataset["tool"] = this.ui.tool;
    const { clientWidth: width, clientHeight: height } = this.el;
    if (width === 0 || height === 0) return;
    const order = picture.order(state.frame);
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.sized.when([picture, order, width, height, ratio], () => this.resize(order, width, height, ratio));
    this.paint(state);
    this.draw(state, order, width, height, ratio);
    const { readouts } = this.session;
    const said = [state, readouts.lens, readouts.on("other", state)?.lens, readouts.word, this.ui.cursor];
    if (!this.tip.hidden && this.ui.cursor !== null) this.told.when(said, () => this.showTip(this.ui.cursor as number));
  }

  private resize(order: readonly number[], width: number, height: number, ratio: number): void {
    const picture = this.picture as Picture;
    for (const canvas of [this.colours, this.marks]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const less = Math.min(1, Math.sqrt(MOST_PIXELS / (this.colours.width * this.colours.height)));
    this.colours.width = Math.round(this.colours.width * less);
    this.colours.height = Math.round(this.colours.height * less);
    this.raster = rasterOf(picture.boxes, order, picture, this.colours.width, this.colours.height);
    this.data = new ImageData(this.colours.width, this.colours.height);
  }

  private paint(state: State): void {
    const colours = this.coloursOf(state);
    if (this.painted[0] === colours && this.painted[1] === this.raster) return;
    this.painted = [colours, this.raster];
    const context = this.colours.getContext("2d");
    if (!context || !this.raster || !this.data) return;
    const start = performance.now();
    if (colours === null) context.clearRect(0, 0, this.colours.width, this.colours.height);
    else {
      paintRaster(this.raster, colours, ALPHA, new Uint32Array(this.data.data.buffer));
      context.putImageData(this.data, 0, 0);
    }
    this.lastPaint = performance.now() - start;
  }

  private draw(state: State, order: readonly number[], width: number, height: number, ratio: number): void {
    const marks = this.described(state, order);
    // Words are of one layer; without them the marks stay while the layer slides.
    const layer = marks.words ? this.session.readouts.layer(state) : null;
    const { selected, cursor, object, showObjects, grid, spotlight, followed, differ } = marks;
    const lens = marks.words ? this.session.readouts.on(this.side, state)?.lens : null;
    const key = [this.raster, selected, cursor, object, showObjects, grid, spotlight, followed, differ, lens, layer, this.gesture];
    if (this.gesture) this.marked = new Once();
    this.marked.when(key, () => this.redraw(marks, width, height, ratio));
  }

  private redraw(marks: Marks, width: number, height: number, ratio: number): void {
    const context = this.marks.getContext("2d");
    if (!context) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const picture = this.picture as Picture;
    drawMarks(context, width / picture.width, height / picture.height, marks);
  }

  /** Everything that the page draws over the image now. */
  described(state: State, order: readonly number[]): Marks {
    const { readouts } = this.session;
    const picture = this.picture as Picture;
    const lens = readouts.on(this.side, state)?.lens;
    const row = readouts.row(state, this.side);
    const colours = this.coloursOf(state);
    const words =
      lens && row >= 0 && state.colouring === "top" && this.ui.words && this.wordsFit(order)
        ? (token: number) => ({
            word: lens.firstWord(row, token).trim(),
            ink: inkOn(colours?.[token] ?? 0),
          })
        : null;
    const { gesture } = this;
    return {
      picture,
      order,
      selected: gesture ? gesture.selection() : state.tokens,
      cursor: this.ui.cursor,
      object: this.ui.object,
      showObjects: this.ui.objects || this.ui.object !== null,
      grid: this.ui.grid,
      spotlight: state.colouring === "none",
      followed: state.view === "lens" ? state.follow : null,
      differ: state.colouring === "top" ? (readouts.agreement(state)?.differ ?? null) : null,
      words,
      gesture:
        gesture && gesture.tool !== "click"
          ? { kind: gesture.tool, points: gesture.points, radius: gesture.radius }
          : null,
    };
  }

  private wordsFit(order: readonly number[]): boolean {
    const picture = this.picture as Picture;
    return order.length > 0 && (typicalSide(picture.boxes) / picture.width) * this.el.clientWidth >= 22;
  }

  private pointOf(event: PointerEvent): Point {
    const box = this.marks.getBoundingClientRect();
    const picture = this.picture as Picture;
    return {
      x: ((event.clientX - box.left) / box.width) * picture.width,
      y: ((event.clientY - box.top) / box.height) * picture.height,
    };
  }

  private down(event: PointerEvent): void {
    const { picture } = this;
    if (!picture || event.button !== 0 || picture.n === 0) return;
    const { state } = this.session;
    const { tool } = this.ui;
    const point = this.pointOf(event);
    const order = picture.order(state.frame);
    let how: How = tool === "box" || tool === "lasso" ? "replace" : "toggle";
    if (event.shiftKey) how = "add";
    if (event.altKey) how = "remove";
    const radius = typicalSide(picture.boxes) * 0.6;
    this.gesture = new Gesture(tool, picture, order, state.tokens, radius, point, how);
    this.el.setPointerCapture(event.pointerId);
    this.el.focus({ preventScroll: true });
    if (tool !== "click" || event.pointerType === "mouse") event.preventDefault();
    this.session.store.touch();
  }

  private move(event: PointerEvent): void {
    const { picture } = this;
    if (!picture) return;
    const point = this.pointOf(event);
    if (this.gesture) {
      this.gesture.move(point);
      this.session.store.touch();
    }
    const order = picture.order(this.session.state.frame);
    this.hover(tokenAt(picture.boxes, order, point), event.pointerType !== "touch");
  }

  private up(): void {
    const { gesture } = this;
    if (!gesture) return;
    this.gesture = null;
    const clicked = gesture.clicked();
    const { store, state } = this.session;
    store.set(clicked === null ? { tokens: gesture.selection() } : pressed(state, clicked));
    store.touch();
  }

  private cancel(): void {
    this.gesture = null;
    this.session.store.touch();
  }

  private key(event: KeyboardEvent): void {
    if (!this.picture || event.ctrlKey || event.metaKey) return;
    const done = stageKey(event.key, event.shiftKey, this.picture, this.session, this.ui);
    if (!done) return;
    event.preventDefault();
    event.stopPropagation();
    if (this.ui.cursor !== null) this.showTip(this.ui.cursor);
    say(this.live, this.ui.cursor === null ? "" : spoken(this.session, this.ui.cursor));
  }

  private hover(token: number | null, tip = true): void {
    if (this.ui.cursor === token && this.tip.hidden === (token === null)) return;
    this.ui.cursor = token;
    if (token === null || !tip) show(this.tip, false);
    else this.showTip(token);
    this.session.store.touch();
  }

  private showTip(token: number): void {
    const { picture } = this;
    if (!picture) return;
    const [b0, b1, b2] = [0, 1, 2].map((i) => picture.boxes[4 * token + i] as number) as [number, number, number];
    fill(this.tip, ...card(this.session, token));
    show(this.tip, !Number.isNaN(b0));
    // Beside the token, where there is room over the images: over another panel it hides words.
    const [own, all] = [this.el.getBoundingClientRect(), (this.whole.parentElement ?? this.el).getBoundingClientRect()];
    const before = own.left + (b0 / picture.width) * own.width - all.left;
    const after = all.right - own.left - (b2 / picture.width) * own.width;
    const left = after < this.tip.offsetWidth + 10 && before > after;
    this.tip.classList.toggle("left", left);
    this.tip.style.left = `${((left ? b0 : b2) / picture.width) * 100}%`;
    const top = (b1 / picture.height) * own.height;
    const below = own.top + top + this.tip.offsetHeight + 8 - window.innerHeight;
    this.tip.style.top = `${top - Math.max(0, Math.min(below, own.top + top))}px`;
  }

  /** The tokens' colours at the shown layer; null where nothing colours them. */
  coloursOf(state: State): Uint32Array | null {
    const { categories, readouts } = this.session;
    if (state.colouring === "category") return categories.colours(state);
    return readouts.tokenColours(state, this.side);
  }

  get imageElement(): HTMLImageElement {
    return this.image;
  }
}
