import { h, s, say } from "../dom";
import type { Stage } from "../image/stage";
import type { Panel } from "../panels/panel";
import { type Session, asError } from "../session/session";
import { imageFigure } from "./image";
import { download, pngOf, stacked, standalone, svgText } from "./standalone";

const STRIP = { width: 640, height: 180 };

/** The buttons that every view has: PNG, SVG, Python. */
export class Export {
  readonly el: HTMLElement;
  private readonly said = h("span", { class: "said", role: "status" });
  private timer = 0;

  constructor(
    private readonly session: Session,
    private readonly stages: readonly Stage[],
    private readonly panel: () => Panel,
  ) {
    const one = (label: string, title: string, act: () => Promise<string>) =>
      h("button", { type: "button", class: "plain", title, onclick: () => void this.run(act) }, label);
    this.el = h(
      "div",
      { class: "export", role: "group", "aria-label": "Take this view away" },
      this.said,
      one("PNG", "Save this view as a picture", () => this.save("png")),
      one("SVG", "Save this view as vectors", () => this.save("svg")),
      one("Python", "Copy the lines that give this", () => this.copy()),
    );
  }

  private async run(act: () => Promise<string>): Promise<void> {
    try {
      say(this.said, await act());
    } catch (error) {
      say(this.said, asError(error).message);
    }
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => say(this.said, ""), 6000);
  }

  private figure(): { whole: SVGSVGElement; photograph: boolean } {
    const { state } = this.session;
    const panel = this.panel();
    const parts: SVGSVGElement[] = [];
    const aboutImage = ["answer", "lens", "attention"].includes(state.view);
    const shown = aboutImage ? this.stages.filter((one) => !one.el.hidden) : [];
    const images = shown.map((one) => imageFigure(one, state)).filter((one) => one !== null);
    parts.push(...images.map((one) => one.figure));
    for (const canvas of panel.pictures?.() ?? []) parts.push(picture(canvas));
    parts.push(...panel.figures().map((chart) => (chart.isConnected ? standalone(chart) : chart)));
    if (parts.length === 0) throw new Error("there is nothing to save in this view");
    const ground = getComputedStyle(this.el.closest(".retinoscope") as Element).backgroundColor;
    return { whole: stacked(parts, ground), photograph: images.every((one) => one.whole) };
  }

  private async save(kind: "png" | "svg"): Promise<string> {
    const { whole, photograph } = this.figure();
    const name = `retinoscope-${this.session.state.view}.${kind}`;
    const blob = kind === "png" ? await pngOf(whole) : new Blob([svgText(whole)], { type: "image/svg+xml" });
    download(blob, name);
    return photograph ? `saved ${name}` : `saved ${name} without the photograph, which a page on disk may not read`;
  }

  private async copy(): Promise<string> {
    const text = this.panel().python(this.session.state);
    try {
      await navigator.clipboard.writeText(text);
      return "copied";
    } catch {
      // A page on disk may not write to the clipboard: the lines are shown to be copied by hand.
      const area = h("textarea", { readonly: true, rows: "12", "aria-label": "Python", spellcheck: "false" });
      area.value = text;
      const dialog = h("dialog", { class: "help", "aria-label": "Python" }, area, h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, "Close"));
      dialog.addEventListener("close", () => dialog.remove());
      this.el.closest(".retinoscope")?.append(dialog);
      dialog.showModal();
      area.select();
      return "";
    }
  }
}

function picture(canvas: HTMLCanvasElement): SVGSVGElement {
  const figure = s("svg", { ...STRIP, viewBox: `0 0 ${STRIP.width} ${STRIP.height}` });
  figure.append(s("image", { href: canvas.toDataURL("image/png"), ...STRIP, preserveAspectRatio: "none", style: { "image-rendering": "pixelated" } }));
  return figure;
}
