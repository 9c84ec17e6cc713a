import { css } from "../colour/maps";
import { Once, fill, h, say, show } from "../dom";
import { mapPython } from "../export/python";
import type { Session } from "../session/session";
import type { State } from "../state/state";
import { LayerSlider } from "../widgets/layers";
import { several } from "../words";
import type { Panel } from "./panel";

/** Categories of tokens: predictions of probes, groups. */
export class MapsPanel implements Panel {
  readonly el: HTMLElement;
  private readonly select = h("select", { "aria-label": "What the colours say" });
  private readonly slider: LayerSlider;
  private readonly note = h("p", { class: "hint", role: "status" });
  private readonly legend = h("ul", { class: "classes" });
  private readonly body: HTMLElement;
  private readonly listed = new Once();
  private readonly counted = new Once();

  constructor(private readonly session: Session) {
    const { store } = session;
    this.select.addEventListener("change", () => store.set({ map: Number(this.select.value), mapLayer: -1, colouring: "category" }));
    this.slider = new LayerSlider("Layer", (value) => this.layerName(value), (mapLayer) => store.set({ mapLayer, colouring: "category" }));
    const choice = h("div", { class: "row" }, h("span", { class: "label-text" }, "Colour by"), this.select);
    this.body = h("div", { class: "stack-y" }, choice, this.slider.el, this.legend);
    this.el = h("div", { class: "panel-body" }, this.body, this.note);
  }

  private layerName(value: number): string {
    return this.session.categories.map(this.session.state)?.layers[value] ?? "";
  }

  update(state: State): void {
    const { categories } = this.session;
    const { maps } = categories;
    const map = categories.map(state);
    show(this.body, map !== null);
    const why = "No probe or group was kept for this image: probes keep the images that they were tested on.";
    say(this.note, map === null ? why : map.note);
    show(this.note, this.note.textContent !== "");
    if (!map) return;
    this.listed.when([maps], () => fill(this.select, ...maps.map((one, i) => h("option", { value: i }, one.name))));
    this.select.value = `${Math.max(0, maps.indexOf(map))}`;
    const layer = categories.layer(state);
    this.slider.update(layer, map.layers.length);
    this.counted.when([map, layer], () => {
      const rows = categories.counts(state).map(({ name, count, colour }) => {
        const swatch = h("span", { class: "swatch", style: { "--colour": colour === 0 ? "transparent" : css(colour) } });
        return h("li", {}, swatch, h("span", {}, name), h("small", {}, several(count, "token")));
      });
      fill(this.legend, ...rows);
    });
  }

  figures(): SVGSVGElement[] {
    return [];
  }

  python(): string {
    return mapPython(this.session);
  }
}
