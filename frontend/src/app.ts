import { fill, h, icon, say, show } from "./dom";
import { Export } from "./export/menu";
import { Below } from "./image/below";
import { DropZone } from "./image/dropzone";
import { LensBar } from "./image/lens_bar";
import { Stage } from "./image/stage";
import { Toolbar } from "./image/toolbar";
import { Help } from "./help";
import { pageKey } from "./keys";
import { AnswerPanel } from "./panels/answer";
import { AttentionPanel } from "./panels/attention";
import { FlowPanel } from "./panels/flow";
import { LensPanel } from "./panels/lens";
import { MapsPanel } from "./panels/maps";
import type { Panel } from "./panels/panel";
import { SamplesPanel } from "./panels/samples";
import { TablesPanel } from "./panels/tables";
import { Session } from "./session/session";
import type { Source } from "./sources/source";
import { type State, type Theme, VIEWS, type ViewName } from "./state/state";
import type { Store } from "./state/store";
import { Ui } from "./ui";
import { several } from "./words";

const TITLES: Record<ViewName, string> = {
  answer: "Answer",
  lens: "Lens",
  attention: "Attention",
  maps: "Maps",
  flow: "Flow",
  tables: "Tables",
  samples: "Images",
};

/** The whole page, in whichever of its three places. */
export class App {
  readonly el: HTMLElement;
  readonly session: Session;
  readonly stage: Stage;
  /** The same image as another lens reads it. */
  private readonly beside: Stage;
  private readonly lensBar: LensBar;
  private readonly ui = new Ui();
  private readonly toolbar: Toolbar;
  private readonly below: Below;
  private readonly drop: DropZone;
  private readonly panels: Record<ViewName, Panel>;
  private readonly tabs: Record<ViewName, HTMLButtonElement>;
  private readonly model = h("span", { class: "model" });
  private readonly title = h("span", { class: "sample-title" });
  private readonly previous: HTMLButtonElement;
  private readonly next: HTMLButtonElement;
  private readonly theme = h("button", { type: "button", class: "round" });
  private readonly problem = h("p", { class: "problem", role: "alert" });
  private readonly empty = h("p", { class: "empty" });
  private readonly help = new Help();
  private readonly export: Export;

  constructor(
    source: Source,
    readonly store: Store<State>,
    place: "page" | "widget",
  ) {
    this.session = new Session(source, store);
    this.el = h("div", { class: `retinoscope ${place}` });
    this.stage = new Stage(this.session, this.ui);
    this.beside = new Stage(this.session, this.ui, "other");
    this.lensBar = new LensBar(this.session);
    this.toolbar = new Toolbar(this.session, this.ui);
    this.below = new Below(this.session, this.ui);
    this.drop = new DropZone(this.session, this.el);
    this.panels = {
      answer: new AnswerPanel(this.session, this.ui),
      lens: new LensPanel(this.session, this.ui),
      attention: new AttentionPanel(this.session),
      maps: new MapsPanel(this.session),
      flow: new FlowPanel(this.session),
      tables: new TablesPanel(this.session),
      samples: new SamplesPanel(this.session),
    };
    this.export = new Export(this.session, [this.stage, this.beside], () => this.panels[this.session.state.view]);
    this.tabs = Object.fromEntries(VIEWS.map((view) => [view, this.tab(view)])) as Record<ViewName, HTMLButtonElement>;
    const step = (label: string, by: number, sign: string) =>
      h("button", { type: "button", class: "round", "aria-label": label, title: label, onclick: () => this.move(by) }, sign);
    this.previous = step("Previous image (,)", -1, "‹");
    this.next = step("Next image (.)", 1, "›");
    this.theme.addEventListener("click", () => this.turn());
    this.build();
    store.watch((state) => this.update(state));
    // In a notebook, keys outside the cell are the notebook's.
    const keys: Pick<EventTarget, "addEventListener"> = place === "page" ? document : this.el;
    keys.addEventListener("keydown", (event) => {
      if (pageKey(event as KeyboardEvent, this)) event.preventDefault();
    });
    new ResizeObserver(() => store.touch()).observe(this.el);
    this.update(store.get());
    void this.session.start();
  }

  private build(): void {
    const keys = h("button", { type: "button", class: "round", "aria-label": "Keys (?)", title: "Keys (?)", onclick: () => this.help.open() }, icon("keys"));
    const head = h(
      "header",
      {},
      h("h1", {}, "retinoscope"),
      this.model,
      h("span", { class: "space" }),
      h("div", { class: "walk" }, this.previous, this.title, this.next),
      this.theme,
      keys,
    );
    const tablist = h("div", { class: "tabs", role: "tablist", "aria-label": "Views" }, ...VIEWS.map((view) => this.tabs[view]));
    tablist.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      const usable = VIEWS.filter((view) => !this.tabs[view].hidden);
      const at = usable.indexOf(this.session.state.view);
      const view = usable[(at + by + usable.length) % usable.length];
      if (view) this.go(view);
      if (view) this.tabs[view].focus();
    });
    const panels = VIEWS.map((view) => this.panels[view].el);
    VIEWS.forEach((view) => {
      const panel = this.panels[view].el;
      panel.setAttribute("role", "tabpanel");
      panel.id = `panel-${view}`;
      panel.setAttribute("aria-labelledby", `tab-${view}`);
    });
    fill(
      this.el,
      head,
      this.problem,
      h(
        "main",
        {},
        h("section", { class: "image-side", "aria-label": "Image" }, this.drop.el, this.toolbar.el, this.lensBar.el, this.empty, h("div", { class: "stages" }, this.stage.whole, this.beside.whole), this.below.el),
        h("section", { class: "panel-side", "aria-label": "View" }, h("div", { class: "tab-row" }, tablist, this.export.el), ...panels),
      ),
      this.help.el,
    );
  }

  private tab(view: ViewName): HTMLButtonElement {
    return h("button", { type: "button", role: "tab", id: `tab-${view}`, "aria-controls": `panel-${view}`, onclick: () => this.go(view) }, TITLES[view]);
  }

  /** Shows a view, and colours the tokens by what it is about. */
  go(view: ViewName): void {
    const { word } = this.session.state;
    const colouring = { lens: word === "" ? "top" : "word", attention: "attention", maps: "category" } as const;
    const of = view === "lens" || view === "attention" || view === "maps" ? colouring[view] : "none";
    this.store.set({ view, colouring: of as State["colouring"] });
  }

  /** The image so many places further in the list. */
  move(by: number): void {
    const { samples } = this.session.manifest;
    const at = samples.findIndex((one) => one.index === (this.session.sample?.index ?? 0));
    const next = samples[at + by];
    if (next) this.store.set({ sample: next.index, tokens: new Set(), follow: null, image: "", question: "", kept: [], query: -1 });
  }

  pick(tool: Ui["tool"]): void {
    this.toolbar.pick(tool);
  }

  openHelp(): void {
    this.help.open();
  }

  private get dark(): boolean {
    return this.ui.theme === "auto" ? matchMedia("(prefers-color-scheme: dark)").matches : this.ui.theme === "dark";
  }

  private turn(): void {
    this.setTheme(this.dark ? "light" : "dark");
  }

  setTheme(theme: Theme): void {
    this.ui.theme = theme;
    this.el.dataset["theme"] = theme;
    this.store.touch();
  }

  private update(state: State): void {
    const { session } = this;
    const { manifest, picture } = session;
    say(this.model, manifest.title);
    this.model.title = manifest.model ? `${manifest.model.family}, ${several(manifest.model.n_layers, "layer")}, ${several(manifest.model.n_heads, "head")}` : "";
    const at = manifest.samples.findIndex((one) => one.index === session.sample?.index);
    const facts = manifest.samples[at];
    say(this.title, facts ? `${facts.title || facts.id} · ${at + 1} of ${manifest.samples.length}` : "");
    show(this.previous.parentElement as HTMLElement, manifest.samples.length > 1);
    this.previous.disabled = at <= 0;
    this.next.disabled = at >= manifest.samples.length - 1;
    this.theme.replaceChildren(icon(this.dark ? "sun" : "moon"));
    this.theme.setAttribute("aria-label", this.dark ? "Light colours" : "Dark colours");
    this.theme.title = this.theme.getAttribute("aria-label") as string;
    say(this.problem, session.problem ?? "");
    show(this.problem, session.problem !== null);
    show(this.tabs.samples, manifest.samples.length > 1);
    show(this.tabs.maps, manifest.studies.some((one) => one.views.includes("maps")));
    show(this.tabs.flow, manifest.studies.some((one) => one.views.includes("flow")));
    show(this.tabs.tables, manifest.studies.length > 0);
    const asks = session.source.live?.asks ?? false;
    const nothing = picture === null && !asks;
    show(this.empty, nothing || (picture !== null && picture.src === null && picture.n === 0));
    say(this.empty, session.loading ? "Loading…" : "There is no image to show.");
    this.drop.update();
    this.toolbar.update(state);
    this.lensBar.update(state);
    this.el.classList.toggle("comparing", session.readouts.versus(state) !== null);
    this.stage.update(state);
    this.beside.update(state);
    this.below.update(state);
    for (const view of VIEWS) {
      const on = view === state.view;
      this.tabs[view].setAttribute("aria-selected", `${on}`);
      this.tabs[view].tabIndex = on ? 0 : -1;
      show(this.panels[view].el, on);
      if (on) this.panels[view].update(state);
    }
  }
}
