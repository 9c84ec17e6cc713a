import { Once, fill, h, icon, show } from "../dom";
import type { Session } from "../session/session";
import type { State, Tool } from "../state/state";
import type { Ui } from "../ui";
import { Segmented, toggle } from "../widgets/controls";

/** Tools over the image, and what is drawn on it. */
export class Toolbar {
  readonly el: HTMLElement;
  private readonly tools: Segmented<Tool>;
  private readonly objects: HTMLButtonElement;
  private readonly grid: HTMLButtonElement;
  private readonly frames = h("select", { "aria-label": "Part of the image" });
  private readonly listed = new Once();

  constructor(
    private readonly session: Session,
    private readonly ui: Ui,
  ) {
    const choice = (value: Tool, label: string, title: string) => ({ value, label, title, icon: icon(value) });
    this.tools = new Segmented<Tool>(
      "Tool to select tokens",
      [
        choice("click", "Click", "Click tokens, or drag over them (1)"),
        choice("brush", "Brush", "Paint with a wide brush; starting on a selected token takes away (2)"),
        choice("box", "Box", "Draw a box; Shift adds, Alt takes away (3)"),
        choice("lasso", "Lasso", "Draw around tokens; Shift adds, Alt takes away (4)"),
      ],
      (tool) => this.pick(tool),
    );
    this.objects = toggle("Outlines", () => this.flip("objects"), "Outlines of the objects");
    this.grid = toggle("Grid", () => this.flip("grid"), "Borders of the tokens");
    this.frames.addEventListener("change", () => session.store.set({ frame: this.frames.value === "" ? null : Number(this.frames.value) }));
    this.el = h("div", { class: "toolbar" }, this.tools.el, h("span", { class: "space" }), this.frames, this.objects, this.grid);
  }

  pick(tool: Tool): void {
    this.ui.tool = tool;
    this.session.store.touch();
  }

  private flip(what: "objects" | "grid"): void {
    this.ui[what] = !this.ui[what];
    this.session.store.touch();
  }

  update(state: State): void {
    const { picture } = this.session;
    show(this.el, (picture?.n ?? 0) > 0);
    this.tools.update(this.ui.tool);
    this.objects.setAttribute("aria-pressed", `${this.ui.objects}`);
    this.grid.setAttribute("aria-pressed", `${this.ui.grid}`);
    show(this.objects, (picture?.shapes.length ?? 0) > 0);
    const frames = picture?.frames ?? [];
    show(this.frames, frames.length > 1);
    this.listed.when([picture], () => {
      const each = frames.map((frame, i) => h("option", { value: i }, frame.grid ? `${frame.name} (${frame.grid.join("×")})` : frame.name));
      fill(this.frames, h("option", { value: "" }, "all parts"), ...each);
    });
    this.frames.value = state.frame === null ? "" : `${state.frame}`;
  }
}

