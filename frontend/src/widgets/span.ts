import { h, say } from "../dom";

/** A slider with two handles: first and last of a stretch of whole numbers. */
export class SpanSlider {
  readonly el: HTMLElement;
  private readonly bar = h("div", { class: "bar" });
  private readonly handles: [HTMLElement, HTMLElement];
  private readonly track: HTMLElement;
  private most = 0;
  private value: [number, number] = [0, 0];
  private held: 0 | 1 | "both" | null = null;
  private grip = 0;

  constructor(
    label: string,
    private readonly pick: (first: number, last: number) => void,
  ) {
    const handle = (name: string, which: 0 | 1) =>
      h(
        "div",
        {
          class: "handle",
          role: "slider",
          tabindex: "0",
          "aria-label": `${label}: ${name}`,
          onkeydown: (event: KeyboardEvent) => this.key(event, which),
        },
        h("span", {}),
      );
    this.handles = [handle("first", 0), handle("last", 1)];
    this.track = h("div", { class: "track" }, this.bar, ...this.handles);
    this.el = h("div", { class: "span-slider" }, this.track);
    this.track.addEventListener("pointerdown", (event) => this.down(event));
    this.track.addEventListener("pointermove", (event) => this.move(event));
    this.track.addEventListener("pointerup", () => (this.held = null));
    this.track.addEventListener("pointercancel", () => (this.held = null));
  }

  update(first: number, last: number, most: number): void {
    this.most = most;
    this.value = [first, last];
    // Each number owns a cell of the track, as the curve above it draws them.
    const cell = 100 / (most + 1);
    this.bar.style.left = `${first * cell}%`;
    this.bar.style.width = `${(last - first + 1) * cell}%`;
    [first, last].forEach((value, i) => {
      const handle = this.handles[i as 0 | 1];
      handle.style.left = `${(value + i) * cell}%`;
      handle.setAttribute("aria-valuemin", `${i === 0 ? 0 : first}`);
      handle.setAttribute("aria-valuemax", `${i === 0 ? last : most}`);
      handle.setAttribute("aria-valuenow", `${value}`);
      say(handle.firstElementChild as Element, `${value}`);
    });
  }

  private at(event: PointerEvent): number {
    const box = this.track.getBoundingClientRect();
    return ((event.clientX - box.left) / box.width) * (this.most + 1);
  }

  private down(event: PointerEvent): void {
    const place = this.at(event);
    const [first, last] = this.value;
    const [toFirst, toLast] = [Math.abs(place - first), Math.abs(place - (last + 1))];
    const near = (this.most + 1) * 0.035 + 0.15;
    if (Math.min(toFirst, toLast) > near && place > first && place < last + 1) this.held = "both";
    else this.held = toFirst < toLast || (toFirst === toLast && place < first) ? 0 : 1;
    this.grip = place - first;
    this.track.setPointerCapture(event.pointerId);
    if (this.held !== "both") this.handles[this.held].focus({ preventScroll: true });
    event.preventDefault();
    this.move(event);
  }

  private move(event: PointerEvent): void {
    if (this.held === null) return;
    const place = this.at(event);
    if (this.held === "both") {
      const [first, last] = this.value;
      const start = Math.round(place - this.grip);
      const kept = Math.max(0, Math.min(this.most - (last - first), start));
      this.set(kept, kept + last - first);
    } else if (this.held === 0) this.set(Math.round(place), this.value[1]);
    else this.set(this.value[0], Math.round(place) - 1);
  }

  private key(event: KeyboardEvent, which: 0 | 1): void {
    const steps: Record<string, number> = {
      ArrowRight: 1,
      ArrowUp: 1,
      ArrowLeft: -1,
      ArrowDown: -1,
      PageUp: 4,
      PageDown: -4,
      Home: -this.most - 1,
      End: this.most + 1,
    };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const [first, last] = this.value;
    if (event.shiftKey) {
      const by = Math.max(-first, Math.min(this.most - last, step));
      this.set(first + by, last + by);
    } else if (which === 0) this.set(first + step, last);
    else this.set(first, last + step);
  }

  private set(first: number, last: number): void {
    const [wasFirst, wasLast] = this.value;
    // The handle that moves gives way to the one that stays.
    if (first !== wasFirst && last === wasLast) first = Math.max(0, Math.min(first, last));
    if (last !== wasLast && first === wasFirst) last = Math.min(this.most, Math.max(first, last));
    if (first === wasFirst && last === wasLast) return;
    this.update(first, last, this.most);
    this.pick(first, last);
  }
}
