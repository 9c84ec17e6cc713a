import { h, show } from "../dom";
import type { Session } from "../session/session";
import type { State } from "../state/state";
import type { Ui } from "../ui";
import { answerPython } from "../export/python";
import { Ask } from "./ask";
import { Change } from "./change";
import { Choose } from "./choose";
import type { Panel } from "./panel";
import { RecordedSteps } from "./recorded";

/** The three steps. */
export class AnswerPanel implements Panel {
  readonly el: HTMLElement;
  private readonly choose: Choose;
  private readonly ask: Ask;
  private readonly change: Change;
  private readonly recorded: RecordedSteps;

  constructor(
    private readonly session: Session,
    ui: Ui,
  ) {
    this.choose = new Choose(session, ui);
    this.ask = new Ask(session);
    this.change = new Change(session);
    this.recorded = new RecordedSteps(session);
    const steps = [this.choose, this.ask, this.change].map(({ step }) => step.el);
    this.el = h("div", { class: "steps" }, ...steps, this.recorded.asked.el, this.recorded.edited.el);
  }

  private get live(): boolean {
    return this.session.source.live !== null;
  }

  update(state: State): void {
    this.choose.update(state);
    show(this.ask.step.el, this.live);
    show(this.change.step.el, this.live);
    show(this.recorded.asked.el, !this.live);
    show(this.recorded.edited.el, !this.live);
    if (this.live) {
      this.ask.update(state);
      this.change.update(state);
    } else {
      this.recorded.update(state);
    }
  }

  figures(): SVGSVGElement[] {
    return this.live ? this.change.charts() : this.recorded.charts();
  }

  python(state: State): string {
    return this.session.effects.effect?.python ?? answerPython(this.session, state);
  }
}
