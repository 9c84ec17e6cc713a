import { Once, fill, h, say, show } from "../dom";
import type { Session } from "../session/session";
import type { State } from "../state/state";
import { several } from "../words";
import { FILTERS, type Filter, matching } from "./filter";
import { type Panel } from "./panel";
import { sampleButton } from "./thumbs";

const PAGE = 120;

/** All images, with search and filters by what the studies found. */
export class SamplesPanel implements Panel {
  readonly el: HTMLElement;
  private readonly input = h("input", { type: "search", placeholder: "Search images and objects", "aria-label": "Search images" });
  private readonly select = h("select", { "aria-label": "Outcome" });
  private readonly count = h("p", { class: "facts", role: "status" });
  private readonly list = h("div", { class: "samples" });
  private readonly more = h("button", { type: "button", class: "plain" }, "Show more");
  private shown = PAGE;
  private readonly listed = new Once();
  private readonly drawn = new Once();

  constructor(private readonly session: Session) {
    const { store } = session;
    this.input.addEventListener("input", () => store.set({ search: this.input.value }));
    this.select.addEventListener("change", () => store.set({ filter: this.select.value }));
    this.more.addEventListener("click", () => {
      this.shown += PAGE;
      store.touch();
    });
    this.el = h("div", { class: "panel-body stack-y" }, h("div", { class: "row" }, this.input, this.select), this.count, this.list, this.more);
  }

  update(state: State): void {
    const { manifest } = this.session;
    this.listed.when([manifest], () => {
      const groups = manifest.studies
        .filter((study) => study.conditions.length > 0)
        .map((study) => {
          const broken = h("option", { value: `broken:${study.id}` }, "right before, wrong after any edit");
          const each = study.conditions.slice(0, 400).map((one) => h("option", { value: `broken:${study.id}:${one}` }, `wrong after: ${one}`));
          return h("optgroup", { label: study.title }, broken, ...each);
        });
      const plain = Object.entries(FILTERS).map(([value, label]) => h("option", { value }, label));
      fill(this.select, ...plain, ...groups);
    });
    if (document.activeElement !== this.input) this.input.value = state.search;
    this.select.value = state.filter;
    if (this.select.selectedIndex < 0) this.select.value = "";
    const found = matching(manifest.samples, state.search, state.filter as Filter);
    say(this.count, `${found.length} of ${several(manifest.samples.length, "image")}`);
    show(this.more, found.length > this.shown);
    this.drawn.when([manifest, state.search, state.filter, this.shown], () => {
      const times = (name: string) => manifest.studies.filter((one) => one.name === name).length;
      const names = new Map(manifest.studies.map((one) => [one.id, times(one.name) > 1 ? one.id : one.name]));
      fill(
        this.list,
        ...found.slice(0, this.shown).map((facts) => {
          const broken = Object.entries(facts.outcomes).filter(([, one]) => one.broken.length > 0);
          return sampleButton(this.session, facts, [
            facts.objects.join(", "),
            ...broken.map(([id, one]) => `${names.get(id) ?? id}: ${several(one.broken.length, "edit")} broke it`),
          ]);
        }),
      );
    });
    const current = this.session.sample?.index;
    for (const one of this.list.querySelectorAll<HTMLElement>(".sample")) {
      const here = one.dataset["index"] === `${current}`;
      one.toggleAttribute("aria-current", here);
    }
  }

  figures(): SVGSVGElement[] {
    return [];
  }

  python(): string {
    const found = matching(this.session.manifest.samples, this.session.state.search, this.session.state.filter);
    return `samples = ${JSON.stringify(found.map((one) => one.id), null, 1)}\n`;
  }
}
