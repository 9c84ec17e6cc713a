import { h, icon, say, show } from "../dom";

/** A layer slider with a play button. */
export class LayerSlider {
  readonly el: HTMLElement;
  private readonly input = h("input", { type: "range", min: "0", step: "1" });
  private readonly output = h("output", {});
  private readonly button = h("button", { type: "button", class: "round" });
  private timer: number | null = null;
  private value = 0;
  private most = 0;

  constructor(
    label: string,
    private readonly name: (value: number, most: number) => string,
    private readonly pick: (value: number) => void,
  ) {
    this.input.setAttribute("aria-label", label);
    this.input.addEventListener("input", () => {
      this.stop();
      pick(Number(this.input.value));
    });
    this.button.addEventListener("click", () => (this.timer === null ? this.play() : this.stop()));
    this.el = h("div", { class: "layer-slider" }, this.button, this.input, this.output);
    this.stop();
  }

  update(value: number, layers: number): void {
    this.value = value;
    this.most = layers - 1;
    this.input.max = `${this.most}`;
    this.input.value = `${value}`;
    this.input.style.setProperty("--done", `${(100 * value) / Math.max(1, this.most)}%`);
    this.input.setAttribute("aria-valuetext", this.name(value, this.most));
    say(this.output, this.name(value, this.most));
    show(this.el, layers > 1);
  }

  private play(): void {
    // Who asked for less motion gets one layer a second.
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const wait = calm ? 1000 : Math.max(60, Math.min(450, 6000 / (this.most + 1)));
    this.timer = window.setInterval(() => {
      if (!this.el.isConnected) this.stop();
      else this.pick(this.value >= this.most ? 0 : this.value + 1);
    }, wait);
    this.face("pause", "Stop playing the layers");
  }

  stop(): void {
    if (this.timer !== null) window.clearInterval(this.timer);
    this.timer = null;
    this.face("play", "Play the layers");
  }

  private face(name: string, label: string): void {
    this.button.replaceChildren(icon(name));
    this.button.setAttribute("aria-label", label);
    this.button.title = label;
  }
}
