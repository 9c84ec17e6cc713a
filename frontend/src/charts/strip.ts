import type { Quantity } from "../colour/quantity";
import { LayerColours } from "../colour/quantity";
import { h } from "../dom";

/** A quantity of every layer (rows, the first below) and token (columns) as one small picture. */
export class Strip {
  readonly el: HTMLElement;
  private readonly canvas = h("canvas", { "aria-hidden": "true" });
  private readonly mark = h("div", { class: "mark" });
  private drawn: Quantity | null = null;

  constructor(pick: (layer: number, token: number) => void) {
    this.el = h("div", { class: "strip", title: "press to see a layer" }, this.canvas, this.mark);
    const choose = (event: PointerEvent) => {
      if (!this.drawn || event.buttons === 0) return;
      const box = this.canvas.getBoundingClientRect();
      const { layers, n } = this.drawn;
      const layer = layers - 1 - Math.floor(((event.clientY - box.top) / box.height) * layers);
      const token = Math.floor(((event.clientX - box.left) / box.width) * n);
      pick(Math.max(0, Math.min(layers - 1, layer)), Math.max(0, Math.min(n - 1, token)));
    };
    this.el.addEventListener("pointerdown", choose);
    this.el.addEventListener("pointermove", choose);
  }

  update(quantity: Quantity | null, colours: LayerColours | null, layer: number): void {
    this.el.hidden = quantity === null;
    if (!quantity || !colours) return;
    const { layers, n } = quantity;
    if (quantity !== this.drawn) {
      this.drawn = quantity;
      this.canvas.width = n;
      this.canvas.height = layers;
      const data = new ImageData(n, layers);
      const pixels = new Uint32Array(data.data.buffer);
      for (let one = 0; one < layers; one++) pixels.set(colours.of(one), (layers - 1 - one) * n);
      this.canvas.getContext("2d")?.putImageData(data, 0, 0);
      this.el.style.setProperty("--layers", `${layers}`);
    }
    this.mark.style.bottom = `${(layer / layers) * 100}%`;
    this.mark.style.height = `${100 / layers}%`;
  }

  get picture(): HTMLCanvasElement {
    return this.canvas;
  }
}
